use super::*;
use crate::database::history::{Quarter, Run};
use app::model::{
    health::{LastLoss, Layer, LossKind},
    market::MarketSession,
    status::{ConnectionConfig, ConnectionMetrics, Standstill},
};
use proptest::prelude::*;

const START: i64 = 1_000_000;

/// A connection as a report shows it, at 10 ticks a second.
fn seen(state: ConnectionState, at: i64, ticks_total: u64, last_tick: i64) -> ConnectionStatus {
    ConnectionStatus {
        live: ConnectionLive {
            id: 1,
            enabled: true,
            connected: state.is_up(),
            state,
            state_since: Some(UnixMillis(at)),
            last_heartbeat: Some(UnixMillis(last_tick)),
            metrics: ConnectionMetrics {
                ticks_total,
                last_update: Some(UnixMillis(last_tick)),
                ..ConnectionMetrics::default()
            },
            ..ConnectionLive::default()
        },
        config: ConnectionConfig { ticker_count: 100, ..ConnectionConfig::default() },
        ..ConnectionStatus::default()
    }
}

/// A ledger that has watched a connection tick for a minute, until `START`.
fn after_a_minute() -> Ledger {
    let mut ledger = Ledger::default();
    for second in 0..=60 {
        let at = START - 60_000 + second * 1000;
        let ticking = seen(ConnectionState::Connected, at, second as u64 * 10, at);
        assert_eq!(ledger.see([&ticking], UnixMillis(at)), []);
    }
    ledger
}

fn one(mut gaps: Vec<Gap>) -> Gap {
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    gaps.remove(0)
}

#[test]
fn a_loss_opens_a_gap_and_the_first_tick_after_ends_it() {
    let mut ledger = after_a_minute();
    let mut lost = seen(ConnectionState::Reconnecting, START + 500, 605, START + 400);
    lost.live.last_loss = Some(LastLoss {
        at: UnixMillis(START + 500),
        kind: LossKind::Closed,
        close_code: Some(1008),
        words: Some("go away".into()),
        reason: "Closed by the provider with code 1008: go away".into(),
    });
    lost.live.metrics.reconnects_total = 1;
    let gap = one(ledger.see([&lost], UnixMillis(START + 510)));
    assert_eq!((gap.number, gap.cause, gap.close_code, gap.attempts), (1, GapCause::Closed, Some(1008), 1));
    assert_eq!(gap.words, "Closed by the provider with code 1008: go away");
    assert_eq!((gap.started_at, gap.last_tick_at), (UnixMillis(START + 400), Some(UnixMillis(START + 400))));
    let rate = gap.ticks_per_second_before.unwrap();
    assert!((rate - 10.0).abs() < 0.1 && gap.rate_seconds == 60, "{rate} over {}", gap.rate_seconds);

    lost.live.metrics.reconnects_total = 2;
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 2_000))).attempts, 2);
    let up = seen(ConnectionState::Connected, START + 4_000, 605, START + 400);
    assert_eq!(ledger.see([&up], UnixMillis(START + 4_000)), [], "up is not enough");
    let ticking = seen(ConnectionState::Connected, START + 4_000, 606, START + 4_300);
    let gap = one(ledger.see([&ticking], UnixMillis(START + 5_000)));
    assert_eq!((gap.ended_at, gap.first_tick_at), (Some(UnixMillis(START + 4_300)), Some(UnixMillis(START + 4_300))));
    assert_eq!(gap.missed_ticks(UnixMillis(0)), Some(39), "10 a second for 3.9 s");
    assert!(ledger.open().is_empty());
}

#[test]
fn what_keeps_a_connection_down_is_the_cause_of_its_gap() {
    let mut ledger = after_a_minute();
    let mut lost = seen(ConnectionState::Reconnecting, START + 500, 600, START);
    let loss = |at, kind, reason: &str| {
        Some(LastLoss { at: UnixMillis(START + at), kind, close_code: None, words: None, reason: reason.into() })
    };
    lost.live.last_loss = loss(500, LossKind::Dropped, "Connection dropped");
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 510))).cause, GapCause::Dropped);
    lost.live.last_loss = loss(2_000, LossKind::Unreachable, "Cannot connect");
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 2_100))).cause, GapCause::Dropped, "how it began says more");
    lost.live.state = ConnectionState::Failed;
    lost.live.last_loss = loss(4_000, LossKind::KeyRefused, "Key refused by the provider: no");
    let gap = one(ledger.see([&lost], UnixMillis(START + 4_100)));
    assert_eq!((gap.cause, gap.words.as_str()), (GapCause::KeyRefused, "Key refused by the provider: no"));
    let causes: Vec<_> = gap.causes.iter().map(|step| (step.cause, step.at.0 - START)).collect();
    assert_eq!(causes, [(GapCause::KeyRefused, 4_000), (GapCause::Dropped, 500), (GapCause::Unreachable, 2_000)]);
    assert_eq!(ledger.see([&lost], UnixMillis(START + 5_000)), [], "once");
}

#[test]
fn mute_then_closed_and_refused_is_refused_with_the_code_and_all_three() {
    let mut ledger = after_a_minute();
    let mute = seen(ConnectionState::Mute, START + 8_000, 600, START);
    one(ledger.see([&mute], UnixMillis(START + 8_000)));
    let mut closed = seen(ConnectionState::Reconnecting, START + 9_000, 600, START);
    let loss = |at, kind, close_code| {
        Some(LastLoss { at: UnixMillis(START + at), kind, close_code, words: None, reason: kind.label().into() })
    };
    closed.live.last_loss = loss(9_000, LossKind::Closed, Some(1008));
    let gap = one(ledger.see([&closed], UnixMillis(START + 9_000)));
    assert_eq!((gap.cause, gap.close_code), (GapCause::Closed, Some(1008)));
    closed.live.last_loss = loss(12_000, LossKind::KeyRefused, None);
    let gap = one(ledger.see([&closed], UnixMillis(START + 12_000)));
    assert_eq!((gap.cause, gap.close_code), (GapCause::KeyRefused, Some(1008)));
    let causes: Vec<_> = gap.causes.iter().map(|step| step.cause).collect();
    assert_eq!(causes, [GapCause::KeyRefused, GapCause::Closed, GapCause::Mute]);
    assert_eq!(gap.started_at, UnixMillis(START), "one gap, from the last tick on");
}

#[test]
fn a_loss_that_is_observed_later_than_it_was_is_no_unknown_one() {
    let mut ledger = after_a_minute();
    // Looked at after the loss, with a report from before it.
    let up = seen(ConnectionState::Connected, START, 605, START + 400);
    ledger.see([&up], UnixMillis(START + 510));
    let mut lost = seen(ConnectionState::Reconnecting, START + 500, 605, START + 400);
    lost.live.last_loss =
        Some(LastLoss { at: UnixMillis(START + 500), kind: LossKind::Dropped, ..LastLoss::default() });
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 520))).cause, GapCause::Dropped);
}

#[test]
fn the_first_outage_ever_begins_when_the_connection_was_first_wanted() {
    let mut ledger = Ledger::default();
    let mut wanted = seen(ConnectionState::Connecting, START, 0, 0);
    (wanted.live.metrics.last_update, wanted.live.last_heartbeat) = (None, None);
    assert_eq!(ledger.see([&wanted], UnixMillis(START + 50)), []);
    // The socket is open and pongs come, and the key is never answered.
    let mut failed = seen(ConnectionState::Reconnecting, START + 15_000, 0, 0);
    failed.live.metrics.last_update = None;
    failed.live.last_heartbeat = Some(UnixMillis(START + 14_900));
    let gap = one(ledger.see([&failed], UnixMillis(START + 15_000)));
    assert_eq!((gap.started_at, gap.last_tick_at), (UnixMillis(START), None));
}

#[test]
fn a_tick_from_before_the_gap_that_is_counted_late_does_not_end_it() {
    let mut ledger = after_a_minute();
    let lost = seen(ConnectionState::Reconnecting, START + 500, 604, START + 400);
    one(ledger.see([&lost], UnixMillis(START + 510)));
    let counted = seen(ConnectionState::Reconnecting, START + 500, 605, START + 400);
    assert_eq!(ledger.see([&counted], UnixMillis(START + 520)), []);
    assert_eq!(ledger.open().len(), 1);
}

#[test]
fn every_gap_of_a_connection_that_comes_and_goes_has_an_estimate() {
    let mut ledger = after_a_minute();
    let (mut at, mut ticks) = (START, 600);
    for round in 0..8 {
        let lost = seen(ConnectionState::Reconnecting, at + 100, ticks, at);
        let gap = one(ledger.see([&lost], UnixMillis(at + 100)));
        let rate = gap.ticks_per_second_before.unwrap_or_default();
        assert!((9.0..=11.0).contains(&rate), "round {round}: {gap:?}");
        let basis = gap.basis().unwrap_or_default();
        let expected = if round == 0 { "rate of the 1 min before" } else { "last known rate of 00:16 UTC" };
        assert_eq!(basis, expected, "round {round}");
        at += 3_000;
        for _ in 0..3 {
            at += 1_000;
            ticks += 10;
            ledger.see([&seen(ConnectionState::Connected, at, ticks, at)], UnixMillis(at));
        }
    }
}

/// 21:00 UTC on a Wednesday: four in the afternoon in New York.
const CLOSE: i64 = 1_769_029_200_000;

#[test]
fn silence_that_begins_at_the_close_is_not_estimated_at_the_regular_rate() {
    let mut ledger = Ledger { calendar: Calendar::UnitedStates, ..Ledger::default() };
    for second in -300..=6 {
        let at = CLOSE + second * 1000;
        ledger.see([&seen(ConnectionState::Connected, at, ((second + 301) * 100) as u64, at)], UnixMillis(at));
    }
    let mute = seen(ConnectionState::Mute, CLOSE + 70_000, 30_700, CLOSE + 6_000);
    let gap = one(ledger.see([&mute], UnixMillis(CLOSE + 70_000)));
    assert_eq!((gap.started_at, gap.ticks_per_second_before), (UnixMillis(CLOSE + 6_000), None));
    assert_eq!(gap.missed_ticks(UnixMillis(CLOSE + 3_600_000)), Some(0), "nothing is known of the evening");
    let rates = gap.session_rates.map(|rate| rate.map(|rate| rate.round() as u64));
    assert_eq!(rates, [None, Some(100), None], "and the next day's regular session will be missed at its rate");
}

#[test]
fn without_a_rate_of_its_own_a_gap_has_that_of_this_time_on_other_days() {
    let quarter = |days: i64, seconds: i64, ticks| Quarter {
        connection_id: 1,
        at: UnixMillis(CLOSE + (days * 86_400 + seconds) * 1000),
        ticks,
        up_ms: 900_000,
    };
    // The last quarter before the close, an hour before it, and the evening.
    let quarters = [-1, -2]
        .iter()
        .flat_map(|day| [quarter(*day, -900, 90_000), quarter(*day, -4_500, 9_000), quarter(*day, 900, 1_800)]);
    let run = Run { started_at: UnixMillis(0), last_seen_at: UnixMillis(CLOSE - 86_400_000), ..Run::default() };
    let past = Past { last_run: Some(run), quarters: quarters.collect(), ..Past::default() };
    let mut ledger = Ledger::resume(past, Feed::Massive, UnixMillis(CLOSE - 600_000), None);
    let lost = seen(ConnectionState::Failed, CLOSE - 600_000, 0, CLOSE - 600_000);
    let gap = one(ledger.see([&lost], UnixMillis(CLOSE - 600_000)));
    assert_eq!((gap.ticks_per_second_before, gap.session_rates[2]), (Some(100.0), Some(2.0)), "{gap:?}");
    assert_eq!(gap.basis().as_deref(), Some("rate of this time on the last trading days"));
    assert_eq!(gap.missed_ticks(UnixMillis(CLOSE + 60_000)), Some(60_000 + 120));
}

#[test]
fn mute_is_a_gap_from_the_last_tick_on_and_what_follows_belongs_to_it() {
    let mut ledger = after_a_minute();
    let mute = seen(ConnectionState::Mute, START + 8_000, 602, START + 200);
    let gap = one(ledger.see([&mute], UnixMillis(START + 8_000)));
    assert_eq!((gap.cause, gap.started_at), (GapCause::Mute, UnixMillis(START + 200)));
    let rate = gap.ticks_per_second_before.unwrap();
    assert!((rate - 10.0).abs() < 0.1, "the silence itself is not in the rate: {rate}");
    let lost = seen(ConnectionState::Reconnecting, START + 9_000, 602, START + 200);
    assert_eq!(ledger.see([&lost], UnixMillis(START + 9_000)), [], "one gap, not two");
}

#[test]
fn silence_that_was_normal_is_no_part_of_the_gap_that_follows() {
    let mut ledger = after_a_minute();
    let mut night = seen(ConnectionState::Connected, START, 600, START);
    night.live.health.data = Layer::of(LayerState::Quiet);
    night.live.coverage.mute_after_ms = None;
    assert_eq!(ledger.see([&night], UnixMillis(START + 3_600_000)), []);
    let mute = seen(ConnectionState::Mute, START + 3_630_000, 600, START);
    let gap = one(ledger.see([&mute], UnixMillis(START + 3_630_000)));
    assert_eq!((gap.started_at, gap.last_tick_at), (UnixMillis(START + 3_600_000), Some(UnixMillis(START))));
}

#[test]
fn a_pause_that_is_usual_belongs_to_the_silence_that_outlasts_it() {
    let mut ledger = after_a_minute();
    let mut pausing = seen(ConnectionState::Connected, START, 600, START);
    pausing.live.health.data = Layer::of(LayerState::Quiet);
    pausing.live.coverage.mute_after_ms = Some(240_000);
    assert_eq!(ledger.see([&pausing], UnixMillis(START + 200_000)), []);
    let mute = seen(ConnectionState::Mute, START + 240_000, 600, START);
    assert_eq!(one(ledger.see([&mute], UnixMillis(START + 240_000))).started_at, UnixMillis(START));
}

#[test]
fn the_time_that_a_connection_is_switched_off_is_no_gap() {
    let mut ledger = after_a_minute();
    let mut off = seen(ConnectionState::Disabled, START, 600, START);
    off.live.enabled = false;
    for minute in 1..=60 {
        assert_eq!(ledger.see([&off], UnixMillis(START + minute * 60_000)), []);
    }
    let on = seen(ConnectionState::Connecting, START + 3_601_000, 600, START);
    assert_eq!(ledger.see([&on], UnixMillis(START + 3_601_000)), [], "it is on its way up for the first time");
}

#[test]
fn of_two_gaps_without_an_end_only_the_last_one_lasts() {
    let old = Gap::blank(1, 3, UnixMillis(START - 5_000));
    let open = vec![old.clone(), Gap::blank(1, 4, UnixMillis(START - 1_000))];
    let mut ledger = Ledger::resume(Past { open, ..past(None) }, Feed::Simulator, UnixMillis(START), None);
    let down = seen(ConnectionState::Reconnecting, START, 0, 0);
    let changed = ledger.see([&down], UnixMillis(START));
    assert_eq!(changed, [Gap { ended_at: Some(UnixMillis(START - 1_000)), ..old }]);
    assert_eq!(ledger.open().len(), 1);
}

#[test]
fn symbols_that_come_late_do_not_hide_that_the_monitor_was_away() {
    let now = UnixMillis(START + 60_000);
    let mut ledger = Ledger::resume(past(None), Feed::Simulator, now, None);
    let mut starved = seen(ConnectionState::Failed, now.0, 0, 0);
    starved.config.ticker_count = 0;
    assert_eq!(ledger.see([&starved], now), []);
    let connecting = seen(ConnectionState::Connecting, now.0 + 5_000, 0, 0);
    assert_eq!(one(ledger.see([&connecting], UnixMillis(now.0 + 5_000))).cause, GapCause::MonitorCrashed);
}

#[test]
fn a_silent_death_starts_at_the_last_frame_not_when_it_was_noticed() {
    let mut ledger = after_a_minute();
    let mut lost = seen(ConnectionState::Reconnecting, START + 16_000, 600, START);
    lost.live.last_heartbeat = Some(UnixMillis(START + 700));
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 16_000))).started_at, UnixMillis(START + 700));
}

#[test]
fn a_market_that_is_closed_when_the_connection_is_back_ends_the_gap_without_a_tick() {
    let mut ledger = after_a_minute();
    let lost = seen(ConnectionState::Reconnecting, START + 500, 600, START);
    one(ledger.see([&lost], UnixMillis(START + 500)));
    let mut back = seen(ConnectionState::Connected, START + 3_000, 600, START);
    back.live.health.data = Layer::of(LayerState::Quiet);
    let gap = one(ledger.see([&back], UnixMillis(START + 3_500)));
    assert_eq!((gap.ended_at, gap.first_tick_at), (Some(UnixMillis(START + 3_000)), None));
}

#[test]
fn a_connection_without_symbols_is_an_outage_once_they_should_have_come() {
    let mut ledger = Ledger::default();
    let mut starved = seen(ConnectionState::Failed, START, 0, START);
    (starved.live.metrics, starved.live.state_since) = (ConnectionMetrics::default(), None);
    starved.config.ticker_count = 0;
    starved.live.reason = Some("No symbols configured".into());
    starved.live.health.transport = Layer::of(LayerState::Off);
    for second in 0..=30 {
        assert_eq!(ledger.see([&starved], UnixMillis(START + second * 1_000)), [], "{second} s: they may come late");
    }
    let gap = one(ledger.see([&starved], UnixMillis(START + 31_000)));
    assert_eq!((gap.started_at, gap.cause), (UnixMillis(START), GapCause::Configuration));
    assert_eq!(gap.words, "No symbols configured");
    assert_eq!(one(after_a_minute().see([&starved], UnixMillis(START + 1_000))).cause, GapCause::Configuration);
    starved.config.routing.duplicates_total = 7;
    assert_eq!(after_a_minute().see([&starved], UnixMillis(START + 1_000)), [], "what others carry nobody misses");
}

#[test]
fn a_connection_that_nobody_ever_reported_up_is_an_outage_while_the_market_is_open() {
    let head = |at: UnixMillis| StatusHead {
        status_source: StatusSource::Inferred,
        market: MarketSession::at(at),
        ..StatusHead::default()
    };
    let mut waits = seen(ConnectionState::Connecting, 0, 0, 0);
    (waits.live.metrics, waits.live.state_since, waits.live.last_heartbeat) = Default::default();
    waits.live.reason = Some("No ticks and no status yet".into());
    // A Wednesday, half past nine in New York: from two minutes before on.
    let open = 1_769_005_800_000;
    let mut ledger = Ledger { calendar: Calendar::UnitedStates, ..Ledger::default() };
    for second in -120..=30 {
        let now = UnixMillis(open + second * 1_000);
        assert_eq!(ledger.observe(&head(now), [&waits], now), [], "{second} s");
    }
    let now = UnixMillis(open + 31_000);
    let gap = one(ledger.observe(&head(now), [&waits], now));
    assert_eq!((gap.started_at, gap.cause), (UnixMillis(open - 120_000), GapCause::CollectorSilent));
    assert_eq!(gap.words, "No ticks and no status yet");
}

#[test]
fn what_is_switched_off_has_no_gaps() {
    let mut ledger = after_a_minute();
    let mut off = seen(ConnectionState::Disabled, START, 600, START);
    off.live.enabled = false;
    assert_eq!(ledger.see([&off], UnixMillis(START + 2_000)), []);

    let lost = seen(ConnectionState::Reconnecting, START + 3_000, 600, START);
    one(ledger.see([&lost], UnixMillis(START + 3_000)));
    let gap = one(ledger.see([&off], UnixMillis(START + 4_000)));
    assert_eq!(gap.ended_at, Some(UnixMillis(START + 4_000)), "switched off while it lasted");
    assert_eq!(ledger.see([], UnixMillis(START + 5_000)), []);
}

#[test]
fn a_connection_that_is_configured_no_more_ends_its_gap() {
    let mut ledger = after_a_minute();
    one(ledger.see([&seen(ConnectionState::Failed, START, 600, START)], UnixMillis(START)));
    assert_eq!(one(ledger.see([], UnixMillis(START + 9_000))).ended_at, Some(UnixMillis(START + 9_000)));
}

#[test]
fn a_connection_that_is_made_anew_by_a_change_of_settings_says_so() {
    let mut ledger = after_a_minute();
    let mut anew = seen(ConnectionState::Connecting, START + 100, 0, 0);
    (anew.live.metrics.last_update, anew.live.last_heartbeat) = (None, None);
    let gap = one(ledger.see([&anew], UnixMillis(START + 100)));
    assert_eq!((gap.cause, gap.started_at), (GapCause::Configuration, UnixMillis(START)));
    let ticking = seen(ConnectionState::Connected, START + 900, 3, START + 950);
    assert_eq!(one(ledger.see([&ticking], UnixMillis(START + 1_000))).ended_at, Some(UnixMillis(START + 950)));
}

#[test]
fn a_loss_that_is_older_than_the_look_at_it_is_its_cause_all_the_same() {
    let mut ledger = after_a_minute();
    let mut lost = seen(ConnectionState::Reconnecting, START, 600, START - 100);
    let loss = LastLoss { at: UnixMillis(START - 5), kind: LossKind::Dropped, ..LastLoss::default() };
    lost.live.last_loss = Some(loss.clone());
    assert_eq!(one(ledger.see([&lost], UnixMillis(START + 10))).cause, GapCause::Dropped);
    let mut back = seen(ConnectionState::Connected, START + 1_000, 601, START + 1_000);
    back.live.last_loss = Some(loss);
    one(ledger.see([&back], UnixMillis(START + 1_000)));
    // Down again, and this time nobody says why.
    back.live.state = ConnectionState::Reconnecting;
    assert_eq!(one(ledger.see([&back], UnixMillis(START + 2_000))).cause, GapCause::Reported);
}

#[test]
fn a_loss_after_a_standstill_of_our_own_names_it_and_begins_where_the_data_ends() {
    let mut ledger = after_a_minute();
    let mut lost = seen(ConnectionState::Reconnecting, START + 20_100, 700, START + 9_000);
    let loss = LastLoss {
        at: UnixMillis(START + 20_100),
        kind: LossKind::Closed,
        reason: "Closed".into(),
        ..LastLoss::default()
    };
    lost.live.last_loss = Some(loss);
    let [from, until] = [START, START + 20_000].map(UnixMillis);
    lost.standstill = Some(Standstill { from, until, by_clock_alone: false });
    let gap = one(ledger.see([&lost], UnixMillis(START + 20_200)));
    assert_eq!((gap.cause, gap.words.as_str()), (GapCause::Closed, "The monitor stood still for 20 s; then: Closed"));
    assert_eq!(gap.started_at, UnixMillis(START + 9_000), "what came until then waited and was read");
}

#[test]
fn the_rate_of_the_regular_session_says_nothing_of_the_time_after_the_close() {
    // 2026-01-21, 16:00 in New York.
    const CLOSE: i64 = 1_769_029_200_000;
    let mut ledger = Ledger { calendar: Calendar::UnitedStates, ..Ledger::default() };
    for second in -60..=6_i64 {
        let at = CLOSE + second * 1_000;
        ledger.see([&seen(ConnectionState::Connected, at, (second + 60).unsigned_abs() * 400, at)], UnixMillis(at));
    }
    let lost = seen(ConnectionState::Reconnecting, CLOSE + 60_000, 66 * 400, CLOSE + 6_000);
    let gap = one(ledger.see([&lost], UnixMillis(CLOSE + 60_000)));
    assert_eq!((gap.ticks_per_second_before, gap.rate_seconds), (None, 0));
}

fn past(stopped_at: Option<i64>) -> Past {
    let run = Run {
        started_at: UnixMillis(START - 600_000),
        last_seen_at: UnixMillis(START),
        stopped_at: stopped_at.map(UnixMillis),
        connection_ids: vec![1],
        server: String::new(),
    };
    let last_tick_at = Some(UnixMillis(START - 100));
    let rate = PastRate { connection_id: 1, last_tick_at, ticks: 3_000, up_ms: 300_000 };
    Past { last_run: Some(run), open: Vec::new(), numbers: vec![(1, 4)], rates: vec![rate], quarters: Vec::new() }
}

#[test]
fn a_crash_of_the_monitor_is_a_gap_until_the_first_tick_after() {
    let now = UnixMillis(START + 60_000);
    let mut ledger = Ledger::resume(past(None), Feed::Simulator, now, None);
    let connecting = seen(ConnectionState::Connecting, now.0, 0, 0);
    let gap = one(ledger.see([&connecting], now));
    assert_eq!((gap.number, gap.cause, gap.started_at), (5, GapCause::MonitorCrashed, UnixMillis(START)));
    assert_eq!((gap.last_tick_at, gap.rate_seconds), (Some(UnixMillis(START - 100)), 300));
    let ticking = seen(ConnectionState::Connected, now.0, 1, now.0 + 800);
    let gap = one(ledger.see([&ticking], UnixMillis(now.0 + 1_000)));
    assert_eq!(gap.missed_ticks(now), Some(608), "10 a second for 60.8 s");

    let stopped = Ledger::resume(past(Some(START + 5)), Feed::Simulator, now, None).see([&connecting], now);
    assert_eq!(
        (one(stopped.clone()).cause, one(stopped).started_at),
        (GapCause::MonitorStopped, UnixMillis(START + 5))
    );
    let watcher = one(Ledger::resume(past(None), Feed::Redis, now, None).see([&connecting], now));
    assert_eq!(watcher.missed_ticks(now), None, "others took the ticks in: nothing is known to be missed");
}

#[test]
fn a_gap_that_lasted_when_the_monitor_crashed_goes_on() {
    let mut before = after_a_minute();
    let mut lost = seen(ConnectionState::Failed, START, 600, START);
    lost.live.metrics.reconnects_total = 3;
    let open = one(before.see([&lost], UnixMillis(START)));
    let resumed =
        Past { open: vec![Gap { attempts: 3, ..open.clone() }], numbers: vec![(1, open.number)], ..past(None) };
    let mut ledger = Ledger::resume(resumed, Feed::Simulator, UnixMillis(START + 60_000), None);
    let mut connecting = seen(ConnectionState::Reconnecting, START + 60_000, 0, 0);
    connecting.live.metrics.reconnects_total = 2;
    let gap = one(ledger.see([&connecting], UnixMillis(START + 61_000)));
    assert_eq!((gap.number, gap.cause, gap.attempts), (open.number, open.cause, 5));
    let ticking = seen(ConnectionState::Connected, START + 62_000, 9, START + 62_500);
    let gap = one(ledger.see([&ticking], UnixMillis(START + 63_000)));
    assert_eq!((gap.started_at, gap.ended_at), (open.started_at, Some(UnixMillis(START + 62_500))));
    assert_eq!(ledger.see([&ticking], UnixMillis(START + 64_000)), [], "the absence is inside the gap");
}

proptest! {
    /// Whatever a connection does: one gap at a time, numbered without holes, in order, none of negative length, each
    /// ended by a tick, by quiet or by being switched off.
    #[test]
    fn gaps_never_overlap(steps in prop::collection::vec((0_usize..9, 0_u64..3, 1_i64..5_000, any::<bool>()), 1..200)) {
        use ConnectionState as S;
        const STATES: [S; 9] = [S::Disabled, S::Connecting, S::Authenticating, S::Subscribing, S::Connected, S::Degraded,
            S::Mute, S::Reconnecting, S::Failed];
        let mut ledger = Ledger::default();
        let (mut at, mut ticks, mut last_tick) = (START, 0, 0);
        let mut gaps: Vec<Gap> = Vec::new();
        for (state, new_ticks, step, quiet) in steps {
            at += step;
            ticks += new_ticks;
            if new_ticks > 0 {
                last_tick = at;
            }
            let mut connection = seen(STATES[state], at, ticks, last_tick);
            connection.live.enabled = STATES[state] != S::Disabled;
            if quiet {
                connection.live.health.data = Layer::of(LayerState::Quiet);
            }
            for gap in ledger.see([&connection], UnixMillis(at)) {
                prop_assert!(gap.started_at.0 <= at);
                match gaps.last_mut().filter(|last| last.number == gap.number) {
                    Some(last) => {
                        prop_assert!(last.ended_at.is_none(), "an ended gap stays as it is");
                        prop_assert_eq!(last.started_at, gap.started_at);
                        *last = gap;
                    }
                    None => gaps.push(gap),
                }
            }
            prop_assert!(ledger.open().len() <= 1);
        }
        for (place, gap) in gaps.iter().enumerate() {
            prop_assert_eq!(gap.number as usize, place + 1);
            prop_assert!(gap.ended_at.is_none_or(|end| end >= gap.started_at));
        }
        for pair in gaps.windows(2) {
            prop_assert!(pair[0].ended_at.is_some_and(|end| end <= pair[1].started_at));
        }
    }
}
