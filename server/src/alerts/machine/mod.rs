//! From facts and time to transitions. Plain data: no clock and no I/O, so that a week of the market is a test of a second.
//!
//! ```text
//!  Fact ──take──▶ Watch (rule, subject): well or in trouble, since when
//!  time ──pass──▶ Watch ──lasted, applies, not explained by another, not silenced──▶ Alert ──▶ Transition
//! ```
//!
//! One cause is one alert: what a dead bus or a refused key explains is not told ([`Rule::hidden_by`]), and what is lost within
//! five seconds of each other is one alert over several connections.

mod judge;
mod meter;
mod step;
#[cfg(test)]
mod tests;

use super::fact::{ConnectionFact, Fact};
use app::model::{
    alert::{Alert, Rule, RuleNumbers, RuleSetting, Severity, Silence, Transition, When},
    connection::ConnectionId,
    history::gap::Acknowledgement,
    market::{Calendar, MarketSession},
    time::UnixMillis,
};
use meter::Meter;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What comes back more than [`FLAPS_MAX`] times within so long flaps, and has to be well for so long.
pub(super) const FLAP_MS: i64 = 600_000;
const FLAPS_MAX: usize = 3;
/// A connection or a bus that is lost more often than this within [`FLAP_MS`] is told of, however short each time is.
const BLIPS_MAX: usize = 6;
/// What is lost within so long of each other is one alert.
const GROUP_MS: i64 = 5_000;
/// Minutes after which an alert that nobody looks after is told again.
const ESCALATION_MINUTES: [i64; 2] = [5, 15];
/// A rate is measured over the time that its rule says; it has to be low for so long, as bars come with some jitter.
const RATE_SETTLE_MS: i64 = 15_000;
/// What is explained again and again is told after so many times its hold-off that nothing explained.
const UNEXPLAINED_HOLDS: i64 = 3;
/// Between two looks there is a second. When more is missing, this process did not run, and nothing is known of that time.
const STANDSTILL_MS: i64 = 5_000;

/// What an alert can be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Whole,
    Connection(ConnectionId),
    Server(String),
}

impl Subject {
    fn connection(&self) -> Option<ConnectionId> {
        if let Self::Connection(id) = self { Some(*id) } else { None }
    }

    fn server(&self) -> Option<&str> {
        if let Self::Server(name) = self { Some(name) } else { None }
    }
}

/// What is wrong with a subject.
#[derive(Clone, Debug, Default, PartialEq)]
struct Trouble {
    text: String,
    /// When it began, where that is known better than from when it was seen.
    began: Option<UnixMillis>,
    value: Option<f64>,
}

impl Trouble {
    fn because(text: impl Into<String>) -> Option<Self> {
        Some(Self { text: text.into(), ..Self::default() })
    }
}

/// One rule and one subject.
#[derive(Debug, Default)]
struct Watch {
    /// What is wrong; `None` while it is well.
    trouble: Option<Trouble>,
    /// Since when that is so.
    since: UnixMillis,
    /// So long nothing else explained the trouble, while its rule applied.
    unexplained_ms: i64,
    /// The open alert that it is part of.
    alert: Option<String>,
    /// When it went wrong, the last times.
    begins: VecDeque<UnixMillis>,
}

/// Who can be told: a destination's name, and the least severity that it takes.
pub type Receiver = (String, Severity);

/// The machine.
#[derive(Debug, Default)]
pub struct Machine {
    calendar: Calendar,
    receivers: Vec<Receiver>,
    settings: Vec<RuleSetting>,
    silences: Vec<Silence>,
    names: BTreeMap<ConnectionId, String>,
    meters: BTreeMap<ConnectionId, Meter>,
    watches: BTreeMap<(Rule, Subject), Watch>,
    open: BTreeMap<String, Alert>,
    passed_at: Option<UnixMillis>,
    /// Between the last two looks; 0 when nothing is known of that time.
    passed_ms: i64,
}

impl Machine {
    /// A machine that knows of nothing yet.
    #[must_use]
    pub fn new(calendar: Calendar, receivers: Vec<Receiver>) -> Self {
        Self { calendar, receivers, ..Self::default() }
    }

    /// Goes on with the alerts that an earlier run left open: nothing of them is told again.
    pub fn take_up(&mut self, open: Vec<Alert>, now: UnixMillis) -> Vec<Transition> {
        let mut steps = Vec::new();
        for mut alert in open {
            let subjects = subjects(&alert);
            let is_known = |subject: &Subject| {
                self.watches.get(&(alert.rule, subject.clone())).is_some_and(|watch| watch.alert.is_some())
            };
            if subjects.iter().any(is_known) {
                // This run told of the same before it knew of this one.
                alert.ended_at = Some(now);
                steps.push(step::resolved(&mut alert, now));
                continue;
            }
            for subject in subjects {
                let trouble = Trouble { text: alert.text.clone(), began: Some(alert.started_at), value: alert.value };
                let (trouble, since) = match &subject {
                    // Whoever knows which servers are lost says so again.
                    Subject::Server(_) => (None, now),
                    _ => (Some(trouble), alert.started_at),
                };
                let begins = VecDeque::from([alert.started_at]);
                let new = || Watch { trouble, since, begins, ..Watch::default() };
                self.watches.entry((alert.rule, subject)).or_insert_with(new).alert = Some(alert.id.clone());
            }
            self.open.insert(alert.id.clone(), alert);
        }
        steps
    }

    /// The open alerts.
    pub fn open(&self) -> impl Iterator<Item = &Alert> {
        self.open.values()
    }

    /// The numbers that people changed, and the silences, from now on.
    pub fn set(&mut self, settings: Vec<RuleSetting>, silences: Vec<Silence>) {
        (self.settings, self.silences) = (settings, silences);
    }

    /// A rule's numbers for a connection, or for what is about the whole.
    #[must_use]
    pub fn numbers(&self, rule: Rule, connection: Option<ConnectionId>) -> RuleNumbers {
        numbers_of(&self.settings, rule, connection)
    }

    /// Somebody looks after an alert: told to whoever was told of it, and not told again.
    pub fn acknowledge(&mut self, id: &str, said: Acknowledgement) -> Option<Transition> {
        let at = said.at;
        let alert = self.open.get_mut(id).filter(|alert| alert.acknowledged.is_none())?;
        alert.acknowledged = Some(said);
        Some(step::acknowledged(alert, at))
    }

    /// Time went by: what has lasted long enough is told, what has been well for long enough is resolved.
    pub fn pass(&mut self, now: UnixMillis) -> Vec<Transition> {
        self.look_at_clock(now);
        let session = self.calendar.session_at(now);
        let mut steps = Vec::new();
        self.fire(&session, now, &mut steps);
        let unknown = self.hold_back(now);
        self.follow(&unknown, now, &mut steps);
        self.watches.retain(|_, watch| {
            watch.begins.retain(|at| now.millis_since(*at) <= FLAP_MS);
            watch.trouble.is_some() || watch.alert.is_some() || !watch.begins.is_empty()
        });
        steps
    }

    /// When the next thing is due by time alone, if that is known; never later than something is.
    #[must_use]
    pub fn due_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        let session = self.calendar.session_at(now);
        let pending = self.watches.iter().filter(|(_, watch)| watch.alert.is_none());
        let left = pending.filter_map(|((rule, subject), watch)| self.left_ms(*rule, subject, watch, &session, now));
        left.filter(|left| *left > 0).min().map(|left| UnixMillis(now.0 + left))
    }

    /// This process stood still, or the clock was set: what was pending goes on as if no time had passed.
    fn look_at_clock(&mut self, now: UnixMillis) {
        let Some(before) = self.passed_at.replace(now) else { return };
        let passed = now.millis_since(before);
        self.passed_ms = passed;
        if (0..=STANDSTILL_MS).contains(&passed) {
            return;
        }
        self.passed_ms = 0;
        self.meters.values_mut().for_each(|meter| meter.pause(now));
        for watch in self.watches.values_mut() {
            watch.since = UnixMillis(watch.since.0.saturating_add(passed)).min(now);
        }
    }

    /// How long it takes until a trouble is told, as far as time alone decides; 0 and less: it is due. `None` where there is
    /// none, or its rule does not apply.
    fn left_ms(
        &self,
        rule: Rule,
        subject: &Subject,
        watch: &Watch,
        session: &MarketSession,
        now: UnixMillis,
    ) -> Option<i64> {
        watch.trouble.as_ref()?;
        let applies = match rule.when() {
            When::Always => true,
            When::Extended => session.is_open(),
            When::Open => session.is_regular(),
        };
        if !applies {
            return None;
        }
        // What was so before the session began was so by the calendar.
        let is_by_session = rule.when() != When::Always;
        let since = session.since.filter(|_| is_by_session).map_or(watch.since, |began| began.max(watch.since));
        let blips = matches!(rule, Rule::NotConnected | Rule::Bus) && watch.begins.len() > BLIPS_MAX;
        let hold_ms = match rule {
            _ if blips => 0,
            Rule::Rate => RATE_SETTLE_MS,
            _ => i64::from(self.numbers(rule, subject.connection()).for_seconds) * 1000,
        };
        let left_ms = hold_ms - now.millis_since(since);
        // What explains it comes and goes, and never leaves it its time in one piece.
        Some(left_ms.min(hold_ms * UNEXPLAINED_HOLDS - watch.unexplained_ms))
    }

    /// The open alerts of which nobody knows whether they are over, as something worse is wrong by now: a mute connection that is
    /// lost brings nothing either. What they are about has to be well from the end of that on.
    fn hold_back(&mut self, now: UnixMillis) -> BTreeSet<String> {
        let is_unknown = |(rule, subject): &(Rule, Subject), watch: &Watch| {
            let is_on = self.numbers(*rule, subject.connection()).enabled;
            watch.trouble.is_none() && is_on && self.is_hidden(*rule, subject)
        };
        let open = self.watches.iter().filter_map(|(key, watch)| Some((key, watch, watch.alert.clone()?)));
        let unknown: BTreeMap<_, _> =
            open.filter(|(key, watch, _)| is_unknown(key, watch)).map(|(key, _, id)| (key.clone(), id)).collect();
        for (key, watch) in &mut self.watches {
            if unknown.contains_key(key) {
                watch.since = now;
            }
        }
        unknown.into_values().collect()
    }

    /// Is this explained by what is wrong with the same connection, or the whole?
    fn is_hidden(&self, rule: Rule, subject: &Subject) -> bool {
        rule.hidden_by().iter().any(|other| {
            let place = if other.is_of_connections() { subject.clone() } else { Subject::Whole };
            self.watches.get(&(*other, place)).is_some_and(|watch| watch.trouble.is_some())
        })
    }
}

fn numbers_of(settings: &[RuleSetting], rule: Rule, connection: Option<ConnectionId>) -> RuleNumbers {
    let of = |id| settings.iter().find(|setting| setting.rule == rule && setting.connection == id);
    let own = connection.and_then(|id| of(Some(id)));
    own.or_else(|| of(None)).map_or_else(|| rule.numbers(), |setting| setting.numbers)
}

/// What an alert is about.
fn subjects(alert: &Alert) -> Vec<Subject> {
    match (&alert.server, &*alert.connections) {
        (Some(server), _) => vec![Subject::Server(server.clone())],
        (None, []) => vec![Subject::Whole],
        (None, connections) => connections.iter().map(|connection| Subject::Connection(connection.id)).collect(),
    }
}
