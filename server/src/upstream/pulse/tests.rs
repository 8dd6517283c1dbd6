use super::*;
use proptest::prelude::*;

/// A Wednesday, 15:00 UTC: ten in the morning in New York.
const START: i64 = 1_769_007_600_000;

fn symbol(text: &str) -> Symbol {
    Symbol::parse(text).expect("a symbol")
}

fn open() -> MarketSession {
    MarketSession { kind: SessionKind::Regular, ..MarketSession::default() }
}

fn pulse(symbols: &[&str], channels: &[Channel]) -> Pulse {
    let symbols: Vec<_> = symbols.iter().map(|text| symbol(text)).collect();
    let mut pulse = Pulse::new(PulsePolicy::default(), &symbols, channels);
    pulse.subscribed(UnixMillis(START));
    pulse.check(UnixMillis(START), open());
    pulse
}

/// A bar of the second that ends at `at_ms` after the start.
fn bar(pulse: &mut Pulse, text: &str, at_ms: i64) -> u64 {
    let now = UnixMillis(START + at_ms);
    let tick = Tick { connection_id: Some(1), symbol: symbol(text), price: 1.0, volume: 1, timestamp: now };
    let mark = Mark { channel: Channel::SecondBars, window_start: now.0 - 1_000 };
    pulse.take(now, &[tick], &[mark], &mut Vec::new())
}

/// A bar of AAPL for each of these seconds.
fn bars(pulse: &mut Pulse, seconds: std::ops::RangeInclusive<i64>) {
    for second in seconds {
        bar(pulse, "AAPL", second * 1_000);
    }
}

fn trade(pulse: &mut Pulse, text: &str, at_ms: i64, lag_ms: i64) {
    let now = UnixMillis(START + at_ms);
    let timestamp = UnixMillis(now.0 - lag_ms);
    let tick = Tick { connection_id: Some(1), symbol: symbol(text), price: 1.0, volume: 1, timestamp };
    pulse.take(now, &[tick], &[Mark { channel: Channel::Trades, window_start: 0 }], &mut Vec::new());
}

fn flow(pulse: &mut Pulse, at_ms: i64) -> Flow {
    pulse.check(UnixMillis(START + at_ms), open()).0
}

#[test]
fn second_bars_that_stop_are_mute_after_four_seconds_and_not_before() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    bars(&mut pulse, 1..=30);
    assert_eq!(flow(&mut pulse, 30_500), Flow::Flowing);
    assert_eq!(flow(&mut pulse, 34_000), Flow::Flowing);
    assert_eq!(flow(&mut pulse, 34_250), Flow::Mute("No ticks since 15:00:30 UTC".into()));
    assert!(pulse.is_mute());
    bar(&mut pulse, "AAPL", 36_000);
    assert_eq!(flow(&mut pulse, 36_000), Flow::Flowing, "the first tick ends it");
}

#[test]
fn minute_bars_are_not_mute_within_their_minute() {
    let mut pulse = pulse(&["AAPL", "MSFT"], &[Channel::MinuteBars]);
    for minute in 1..=10 {
        bar(&mut pulse, "AAPL", minute * 60_000 + 4_000);
        bar(&mut pulse, "MSFT", minute * 60_000 + 4_300);
    }
    let last = 10 * 60_000 + 4_300;
    for after in [20_000, 59_000, 74_000] {
        assert!(!matches!(flow(&mut pulse, last + after), Flow::Mute(_)), "{after} ms");
    }
    assert!(matches!(flow(&mut pulse, last + 5 * 60_000), Flow::Mute(_)));
}

#[test]
fn a_symbol_that_rarely_trades_may_be_silent_as_long_as_it_usually_is() {
    let mut pulse = pulse(&["RARE"], &[Channel::Trades]);
    (1..=20).for_each(|n| trade(&mut pulse, "RARE", n * 180_000, 10));
    let last = 20 * 180_000;
    assert_eq!(flow(&mut pulse, last + 120_000), Flow::Quiet("Pauses of 3 m 00 s are usual here".into()));
    assert!(matches!(flow(&mut pulse, last + 800_000), Flow::Mute(_)));
}

#[test]
fn a_connection_that_never_ticked_is_mute_after_half_a_minute() {
    let mut pulse = pulse(&["TYPO"], &[Channel::SecondBars]);
    assert_eq!(flow(&mut pulse, 29_000), Flow::Unknown);
    assert_eq!(flow(&mut pulse, 30_250), Flow::Mute("No tick since it was subscribed at 15:00:00 UTC".into()));
}

#[test]
fn a_symbol_that_never_ticked_is_named_while_the_others_flow() {
    let mut pulse = pulse(&["AAPL", "TYPO", "*"], &[Channel::SecondBars]);
    bars(&mut pulse, 1..=59);
    assert_eq!(flow(&mut pulse, 59_500), Flow::Flowing);
    bars(&mut pulse, 60..=61);
    let (flow, coverage) = pulse.check(UnixMillis(START + 61_500), open());
    assert_eq!(flow, Flow::Partly("never ticked: TYPO".into()));
    assert_eq!((coverage.never_ticked, coverage.never_ticked_symbols), (1, vec![symbol("TYPO")]));
}

#[test]
fn a_symbol_that_falls_silent_is_named_while_the_others_flow() {
    let mut pulse = pulse(&["AAPL", "MSFT"], &[Channel::SecondBars]);
    for second in 1..=120 {
        bar(&mut pulse, "AAPL", second * 1_000);
        if second <= 30 {
            bar(&mut pulse, "MSFT", second * 1_000);
        }
    }
    assert_eq!(flow(&mut pulse, 120_500), Flow::Partly("silent: MSFT".into()));
}

#[test]
fn a_closed_market_is_quiet_whatever_was_usual() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    bars(&mut pulse, 1..=30);
    let thanksgiving = MarketSession::at(UnixMillis(1_795_705_200_000));
    let (flow, coverage) = pulse.check(UnixMillis(START + 3_600_000), thanksgiving);
    let why = "The market is closed for Thanksgiving; pre-market from 04:00 New York time";
    assert_eq!((flow, coverage.mute_after_ms), (Flow::Quiet(why.into()), None));
}

#[test]
fn thin_trading_is_quiet_before_its_first_tick_and_slower_to_be_called_mute() {
    let early = MarketSession { kind: SessionKind::Pre, ..MarketSession::default() };
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    let (flow, _) = pulse.check(UnixMillis(START + 3_600_000), early);
    assert_eq!(flow, Flow::Quiet("No tick yet; the market is pre-market".into()));
    for n in 0..30 {
        bar(&mut pulse, "AAPL", 3_600_000 + n * 5_000);
    }
    let last = 3_600_000 + 29 * 5_000;
    assert!(!matches!(pulse.check(UnixMillis(START + last + 59_000), early).0, Flow::Mute(_)));
    assert!(matches!(pulse.check(UnixMillis(START + last + 61_000), early).0, Flow::Mute(_)));
}

#[test]
fn a_session_starts_with_its_own_silence() {
    let at =
        |kind, since: i64| MarketSession { kind, since: Some(UnixMillis(START + since)), ..MarketSession::default() };
    let closed = MarketSession { kind: SessionKind::Closed, ..MarketSession::default() };
    let mut pulse = pulse(&["AAPL", "RARE"], &[Channel::SecondBars]);
    let check = |pulse: &mut Pulse, at_ms: i64, session| pulse.check(UnixMillis(START + at_ms), session).0;
    const DAY: i64 = 86_400_000;
    check(&mut pulse, 0, at(SessionKind::Pre, 0));
    for second in 1..=30 {
        bar(&mut pulse, "AAPL", second * 1_000);
    }
    check(&mut pulse, 60_000, closed);
    let early = at(SessionKind::Pre, DAY);
    for after in [0, 30_000, 59_000] {
        assert!(!matches!(check(&mut pulse, DAY + after, early), Flow::Mute(_)), "{after} ms into the day");
    }
    bar(&mut pulse, "AAPL", DAY + 60_000);
    assert!(!matches!(check(&mut pulse, DAY + 110_000, early), Flow::Mute(_)), "the night taught nothing, and is none");
    let open = at(SessionKind::Regular, DAY + 600_000);
    for after in [0, 9_000, 29_000] {
        let flow = check(&mut pulse, DAY + 600_000 + after, open);
        assert!(!matches!(flow, Flow::Mute(_) | Flow::Partly(_)), "{after} ms after the open: {flow:?}");
    }
    assert!(matches!(check(&mut pulse, DAY + 600_000 + 31_000, open), Flow::Mute(_)));
}

#[test]
fn halted_symbols_explain_a_silence_and_a_trade_ends_the_halt() {
    let mut pulse = pulse(&["AAPL", "MSFT"], &[Channel::SecondBars, Channel::Limits]);
    bars(&mut pulse, 1..=30);
    pulse.halt(symbol("AAPL"), true);
    let (flow, coverage) = pulse.check(UnixMillis(START + 50_000), open());
    assert_eq!((flow, coverage.halted), (Flow::Quiet("Trading is halted in AAPL".into()), 1));
    bar(&mut pulse, "AAPL", 51_000);
    assert_eq!(pulse.check(UnixMillis(START + 51_000), open()).1.halted, 0);
}

#[test]
fn a_bar_that_is_sent_again_is_a_replacement_and_no_tick() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    assert_eq!([bar(&mut pulse, "AAPL", 1_000), bar(&mut pulse, "AAPL", 2_000)], [0, 0]);
    assert_eq!([bar(&mut pulse, "AAPL", 2_000), bar(&mut pulse, "AAPL", 1_000)], [1, 1]);
    assert_eq!(bar(&mut pulse, "AAPL", 3_000), 0);
    pulse.subscribed(UnixMillis(START + 3_500));
    assert_eq!(bar(&mut pulse, "AAPL", 3_000), 1, "another socket repeats what is known as well");
}

#[test]
fn data_that_gets_old_is_late_until_it_has_caught_up() {
    let mut pulse = pulse(&["AAPL"], &[Channel::Trades]);
    (1..=100).for_each(|n| trade(&mut pulse, "AAPL", n * 100, 900_000));
    assert_eq!(flow(&mut pulse, 10_000), Flow::Flowing, "always late by a quarter of an hour: the delayed host");
    (101..=200).for_each(|n| trade(&mut pulse, "AAPL", n * 100, 912_000));
    assert_eq!(flow(&mut pulse, 20_000), Flow::Late("Data delayed by 15 m 10 s (normally 15 m 00 s)".into()));
    (201..=300).for_each(|n| trade(&mut pulse, "AAPL", n * 100, 900_000));
    assert_eq!(flow(&mut pulse, 30_000), Flow::Flowing);
}

#[test]
fn an_outage_does_not_teach_that_outages_are_usual() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    bars(&mut pulse, 1..=30);
    bars(&mut pulse, 630..=660);
    assert!(matches!(flow(&mut pulse, 666_000), Flow::Mute(_)));
}

#[test]
fn without_a_socket_nothing_is_expected() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    pulse.lost();
    assert_eq!(flow(&mut pulse, 3_600_000), Flow::Unknown);
}

/// Trades at 400 a second, from one moment to another.
fn flood(pulse: &mut Pulse, from_ms: i64, to_ms: i64) {
    (from_ms * 2 / 5..to_ms * 2 / 5).for_each(|n| trade(pulse, "AAPL", n * 5 / 2, 10));
}

#[test]
fn standstills_of_what_ticks_four_hundred_times_a_second_are_each_mute_within_seconds() {
    let mut pulse = pulse(&["AAPL"], &[Channel::Trades]);
    let mut at = 0;
    for standstill_ms in [4_600, 17_000, 60_000, 4_600] {
        flood(&mut pulse, at, at + 20_000);
        at += 20_000;
        assert_eq!(flow(&mut pulse, at + 2_500), Flow::Flowing);
        assert!(matches!(flow(&mut pulse, at + 3_250), Flow::Mute(_)), "before {standstill_ms} ms are over");
        at += standstill_ms;
    }
}

#[test]
fn what_still_comes_after_the_close_makes_the_silence_after_it_no_mute() {
    let close = 60_000;
    let at = |kind, since_ms: i64| MarketSession {
        kind,
        since: Some(UnixMillis(START + since_ms)),
        ..MarketSession::default()
    };
    let mut pulse = pulse(&["AAPL"], &[Channel::Trades]);
    pulse.check(UnixMillis(START), at(SessionKind::Regular, 0));
    flood(&mut pulse, 0, close);
    let late = at(SessionKind::Post, close);
    pulse.check(UnixMillis(START + close), late);
    flood(&mut pulse, close, close + 6_000);
    for after_ms in [20_000, 59_000, 61_000, 3_600_000] {
        let (flow, coverage) = pulse.check(UnixMillis(START + close + 6_000 + after_ms), late);
        assert!(!matches!(flow, Flow::Mute(_)) && coverage.mute_after_ms.is_none(), "{after_ms} ms: {flow:?}");
    }
}

#[test]
fn a_bar_of_the_future_and_bars_out_of_order_make_no_other_bar_a_repetition() {
    let mut pulse = pulse(&["AAPL"], &[Channel::SecondBars]);
    assert_eq!(bar(&mut pulse, "AAPL", 50_000), 0);
    for second in (1..=30).rev().chain(31..=49) {
        assert_eq!(bar(&mut pulse, "AAPL", second * 1_000), 0, "{second}");
    }
    for second in 1..=50 {
        assert_eq!(bar(&mut pulse, "AAPL", second * 1_000), 1, "{second}, again");
    }
}

#[test]
fn the_time_in_which_this_server_stood_still_is_no_silence_of_the_provider() {
    let mut pulse = pulse(&["AAPL", "MSFT"], &[Channel::SecondBars]);
    for second in 1..=30 {
        bar(&mut pulse, "AAPL", second * 1_000);
        bar(&mut pulse, "MSFT", second * 1_000);
    }
    let [from, until] = [30_500, 130_500].map(|ms| UnixMillis(START + ms));
    pulse.stood_still(Standstill { from, until, by_clock_alone: false });
    assert_eq!(flow(&mut pulse, 130_500), Flow::Flowing);
    assert_eq!(flow(&mut pulse, 134_000), Flow::Flowing, "four seconds of silence were heard");
    assert!(matches!(flow(&mut pulse, 134_250), Flow::Mute(_)), "and no more are usual");
}

#[test]
fn following_bars_and_trades_of_known_symbols_allocates_nothing() {
    let names: Vec<String> = (0..300).map(|n| format!("S{n}")).collect();
    let mut pulse = pulse(&["*"], &[Channel::SecondBars, Channel::Trades]);
    let (mut fresh, mut second) = (Vec::new(), 0);
    let mut round = || {
        second += 1;
        let now = UnixMillis(START + second * 1_000);
        fresh.clear();
        for name in &names {
            let tick = Tick { connection_id: Some(1), symbol: symbol(name), price: 1.0, volume: 1, timestamp: now };
            for (channel, window_start) in [(Channel::SecondBars, now.0 - 1_000), (Channel::Trades, 0)] {
                pulse.take(now, &[tick], &[Mark { channel, window_start }], &mut fresh);
            }
        }
    };
    round();
    round();
    let cost = allocation_counter::measure(|| (0..40).for_each(|_| round()));
    assert_eq!((cost.count_total, fresh.len()), (0, 600), "{cost:?}");
}

#[test]
fn one_odd_time_makes_nothing_late() {
    let mut pulse = pulse(&["AAPL"], &[Channel::Trades]);
    (1..=100).for_each(|n| trade(&mut pulse, "AAPL", n * 100, 5));
    for odd_ms in [6 * 86_400_000, -250_000, 3_600_000] {
        trade(&mut pulse, "AAPL", 10_050, odd_ms);
        assert_eq!(flow(&mut pulse, 10_050), Flow::Flowing);
        (101..=110).for_each(|n| trade(&mut pulse, "AAPL", n * 100, 5));
    }
    assert_eq!((flow(&mut pulse, 11_000), pulse.usual_lag_ms(), pulse.late_report_ms()), (Flow::Flowing, 5, 60_000));
}

proptest! {
    /// Whatever is sent again in whatever order: every bar is one tick or one replacement, no window comes twice, and none is
    /// left out that came for the first time.
    #[test]
    fn counts_of_ticks_and_replacements_are_exact(bars in prop::collection::vec((0usize..3, 1i64..20), 0..200)) {
        let names = ["AAPL", "MSFT", "NVDA"];
        let mut pulse = pulse(&names, &[Channel::SecondBars]);
        let (mut fresh, mut replacements) = (Vec::new(), 0);
        for (n, (name, second)) in bars.iter().enumerate() {
            let timestamp = UnixMillis(START + second * 1_000);
            let tick = Tick { connection_id: Some(1), symbol: symbol(names[*name]), price: 1.0, volume: 1, timestamp };
            let mark = Mark { channel: Channel::SecondBars, window_start: timestamp.0 - 1_000 };
            replacements += pulse.take(UnixMillis(START + n as i64), &[tick], &[mark], &mut fresh);
        }
        prop_assert_eq!(fresh.len() as u64 + replacements, bars.len() as u64);
        for name in names {
            let mut times: Vec<_> = fresh.iter().filter(|tick| tick.symbol == symbol(name)).map(|t| t.timestamp).collect();
            times.sort_unstable();
            let mut sent: Vec<_> = bars.iter().filter(|(n, _)| names[*n] == name).map(|(_, s)| UnixMillis(START + s * 1_000)).collect();
            sent.sort_unstable();
            sent.dedup();
            prop_assert_eq!(times, sent);
        }
    }

    /// Whatever came before: data that goes on as it did is never called mute, data that stops for ever always is.
    #[test]
    fn silence_is_told_from_rhythm(
        pauses in prop::collection::vec(1i64..20_000, 12..200), steady in 100i64..20_000
    ) {
        let mut pulse = pulse(&["AAPL"], &[Channel::Trades]);
        let mut at = 0;
        for pause in pauses {
            at += pause;
            trade(&mut pulse, "AAPL", at, 0);
        }
        // Long enough for what was before to fade or to be exceeded.
        for _ in 0..20 {
            at += steady;
            trade(&mut pulse, "AAPL", at, 0);
        }
        prop_assert!(!matches!(flow(&mut pulse, at + steady), Flow::Mute(_)), "{:?}", flow(&mut pulse, at + steady));
        let (flow, coverage) = pulse.check(UnixMillis(START + at + 200_000), open());
        prop_assert!(matches!(flow, Flow::Mute(_)), "{flow:?} {coverage:?}");
        prop_assert!(coverage.mute_after_ms >= Some(3_000));
    }
}
