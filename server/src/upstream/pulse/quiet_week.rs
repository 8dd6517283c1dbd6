//! A week of the market, second by second, through pulse and alerts: what is quiet by calendar alerts nobody.

use super::*;
use crate::alerts::{ConnectionFact, Fact, Machine};
use app::model::{
    alert::{Severity, Transition, TransitionKind},
    connection::{ConnectionId, ConnectionState},
    market::Calendar,
};

/// Monday, 24 November 2025, 00:00 in New York: Thursday is Thanksgiving, and on Friday the market closes at 13:00.
const MONDAY: i64 = 1_763_960_400;
const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// A generator that makes the same week every time.
struct Dice(u64);

impl Dice {
    fn happens(&mut self, chance: f64) -> bool {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 / (1_u64 << 31) as f64) < chance
    }
}

struct Line {
    id: ConnectionId,
    channel: Channel,
    symbols: Vec<Symbol>,
    pulse: Pulse,
    ticks_total: u64,
}

impl Line {
    fn new(id: ConnectionId, channel: Channel, names: &[&str]) -> Self {
        let symbols: Vec<_> = names.iter().filter_map(|name| Symbol::parse(name).ok()).collect();
        let mut pulse = Pulse::new(PulsePolicy::default(), &symbols, &[channel]);
        pulse.subscribed(UnixMillis(MONDAY * 1000));
        Self { id, channel, symbols, pulse, ticks_total: 0 }
    }

    fn tick(&mut self, place: usize, second: i64) {
        let now = UnixMillis(second * 1000);
        let (span, symbol) = (if self.channel == Channel::MinuteBars { 60 } else { 1 }, self.symbols[place]);
        let tick = Tick { connection_id: Some(self.id), symbol, price: 1.0, volume: 1, timestamp: now };
        let mark = Mark { channel: self.channel, window_start: (second / span - 1) * span * 1000 };
        let mut fresh = Vec::new();
        self.pulse.take(now, &[tick], &[mark], &mut fresh);
        self.ticks_total += fresh.len() as u64;
    }

    fn fact(&mut self, session: MarketSession, second: i64) -> Fact {
        let (flow, coverage) = self.pulse.check(UnixMillis(second * 1000), session);
        let (state, reason) = match flow {
            Flow::Mute(why) => (ConnectionState::Mute, Some(why)),
            Flow::Late(why) => (ConnectionState::Degraded, Some(why)),
            _ => (ConnectionState::Connected, None),
        };
        Fact::Connection(Box::new(ConnectionFact {
            id: self.id,
            name: format!("line {}", self.id),
            is_wanted: true,
            state,
            reason,
            ticks_total: self.ticks_total,
            symbols: self.symbols.len() as u32,
            halted: coverage.halted,
            ..ConnectionFact::default()
        }))
    }
}

/// How lively the market is: much at the open and at the close, less at noon, and little outside.
fn liveliness(session: &MarketSession, second: i64) -> f64 {
    match session.kind {
        SessionKind::Regular => {
            let noon = MONDAY + (second - MONDAY).div_euclid(DAY) * DAY + 12 * HOUR + HOUR / 2;
            0.4 + 0.5 * ((second - noon).abs() as f64 / (3.0 * HOUR as f64)).min(1.0).powi(2)
        }
        SessionKind::Pre | SessionKind::Post => 0.03,
        SessionKind::Closed | SessionKind::AlwaysOpen => 0.0,
    }
}

/// Lively symbols, and at the end some that trade every ten minutes.
fn play(lines: &mut [Line], session: &MarketSession, second: i64, is_silent: bool, dice: &mut Dice) {
    let lively = liveliness(session, second);
    let halted = (DAY + 11 * HOUR..DAY + 11 * HOUR + 1_200).contains(&(second - MONDAY));
    for line in lines {
        line.pulse.halt(line.symbols[0], halted);
        let is_bar_time = line.channel != Channel::MinuteBars || second % 60 == 2;
        for place in 0..line.symbols.len() {
            let is_rare = place + 2 >= line.symbols.len();
            let chance = match (line.channel, is_rare) {
                (_, true) => lively / 400.0,
                (Channel::MinuteBars, false) => (lively * 4.0).min(0.98),
                (_, false) => lively,
            };
            let is_out = (halted && place == 0) || (is_silent && line.id == 2);
            if is_bar_time && !is_out && dice.happens(chance) {
                line.tick(place, second);
            }
        }
    }
}

#[test]
fn a_quiet_week_alerts_nobody_and_a_mute_minute_alerts_once() {
    const NAMES: [&str; 5] = ["AAPL", "MSFT", "NVDA", "RARE", "THIN"];
    let calendar = Calendar::UnitedStates;
    let mut machine = Machine::new(calendar, vec![("webhook".to_owned(), Severity::Info)]);
    let mut lines = [Line::new(1, Channel::MinuteBars, &NAMES), Line::new(2, Channel::SecondBars, &NAMES)];
    let mut dice = Dice(7);
    // The Monday after, 10:42.
    let mute = MONDAY + 7 * DAY + 10 * HOUR + 42 * 60;
    let (mut second, mut told) = (MONDAY, Vec::<Transition>::new());
    while second < mute + 600 {
        let session = calendar.session_at(UnixMillis(second * 1000));
        play(&mut lines, &session, second, (mute..mute + 60).contains(&second), &mut dice);
        for line in &mut lines {
            machine.take(line.fact(session, second), UnixMillis(second * 1000));
        }
        told.extend(machine.pass(UnixMillis(second * 1000)));
        if second < mute {
            let what: Vec<_> = told.iter().map(|step| (&step.id, &step.alert.text)).collect();
            assert!(what.is_empty(), "{what:?} at {}", UnixMillis(second * 1000));
        }
        second += match session.kind {
            SessionKind::Regular => 1,
            _ if session.is_open() => 2,
            _ => 5,
        };
    }
    let what: Vec<_> = told.iter().map(|step| (step.kind, &*step.alert.fingerprint)).collect();
    assert_eq!(what, [(TransitionKind::Firing, "mute:2"), (TransitionKind::Resolved, "mute:2")]);
    let alert = &told[1].alert;
    assert!((mute..mute + 30).contains(&(alert.fired_at.0 / 1000)), "{}", alert.fired_at);
}
