//! How often the rules would have fired in the last days with the numbers that they have now: history, played to the machine.
//!
//! Changes of state are played at their moments, and gaps; ticks, errors and latency by the minute, which is what is kept for so
//! long. History does not tell of halts, of the bus, of servers or of the audit log.

use super::{Alerts, ConnectionFact, Fact, Machine};
use crate::database::{Database, QueryError, history::EventFilter};
use app::model::{
    alert::{Rule, RuleSetting, TransitionKind},
    connection::{ConnectionId, ConnectionSet, ConnectionState},
    health::LossKind,
    history::{
        EventKind, Phase,
        gap::{Gap, GapCause},
        series::Bucket,
    },
    market::Calendar,
    time::UnixMillis,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::PoisonError,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::Instant};

const MINUTE_MS: i64 = 60_000;
/// The machine takes a longer pause for a standstill.
const STEP_MS: i64 = 5_000;
/// With more changes of state than these the reckoning begins later.
const EVENTS_MAX: u32 = 20_000;
const GAPS_MAX: u32 = 5_000;
/// What was reckoned is good for so long, unless a rule is changed.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// How often each rule would have fired; rules of which history does not tell are not in it.
pub type Reckoned = BTreeMap<Rule, u32>;

/// What was reckoned last, when, and by which numbers.
#[derive(Debug)]
pub(super) struct Known {
    at: Instant,
    settings: Vec<RuleSetting>,
    counts: Reckoned,
}

/// Does history tell how often this rule would have fired?
fn is_told(rule: Rule) -> bool {
    rule.is_of_connections()
}

impl Alerts {
    /// How often the rules would have fired since a moment. It is reckoned once in five minutes, and anew when a rule was changed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn would_have_fired(
        &self,
        since: UnixMillis,
        calendar: Calendar,
        settings: &[RuleSetting],
    ) -> Result<Reckoned, QueryError> {
        let known = || {
            let known = self.0.reckoned.lock().unwrap_or_else(PoisonError::into_inner);
            let good = known.as_ref().filter(|known| known.at.elapsed() < GOOD_FOR && known.settings == settings)?;
            Some(good.counts.clone())
        };
        // One at a time: whoever waits finds what the other one reckoned.
        let _turn = self.0.reckoning.acquire().await;
        if let Some(counts) = known() {
            return Ok(counts);
        }
        let past = Past::read(&self.0.database, since, UnixMillis::now()).await?;
        let (settings, played) = (settings.to_vec(), settings.to_vec());
        let counts = spawn_blocking(move || past.play(calendar, played)).await.unwrap_or_default();
        let now = Known { at: Instant::now(), settings, counts: counts.clone() };
        *self.0.reckoned.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(counts)
    }
}

/// What history knows of some days.
#[derive(Debug, Default)]
struct Past {
    from: UnixMillis,
    to: UnixMillis,
    /// By the minute's begin.
    minutes: BTreeMap<i64, Vec<(ConnectionId, Bucket)>>,
    states: VecDeque<(UnixMillis, ConnectionId, ConnectionState, String)>,
    gaps: Vec<Gap>,
}

impl Past {
    async fn read(database: &Database, from: UnixMillis, to: UnixMillis) -> Result<Self, QueryError> {
        let mut past = Self { from, to, ..Self::default() };
        let filter =
            EventFilter { range: from..to, connections: ConnectionSet::default(), kind: Some(EventKind::State) };
        let events = database.history_events(&filter, None, EVENTS_MAX).await?;
        if let Some(oldest) = events.last().filter(|_| events.len() == EVENTS_MAX as usize) {
            past.from = oldest.at;
        }
        let of_event =
            |event: app::model::history::HistoryEvent| Some((event.at, event.connection_id?, event.state?, event.text));
        past.states = events.into_iter().rev().filter_map(of_event).collect();
        past.gaps = database.history_gaps(past.from..to, ConnectionSet::default(), None, GAPS_MAX).await?;
        for (id, at, bucket) in database.history_buckets(60, 60, past.from..to, ConnectionSet::default()).await? {
            past.minutes.entry(at.0).or_default().push((id, bucket));
        }
        Ok(past)
    }

    /// Plays it, and counts what fires.
    fn play(mut self, calendar: Calendar, settings: Vec<RuleSetting>) -> Reckoned {
        let mut machine = Machine::new(calendar, Vec::new());
        machine.set(settings, Vec::new());
        let mut counts: Reckoned = Rule::ALL.into_iter().filter(|rule| is_told(*rule)).map(|rule| (rule, 0)).collect();
        let mut connections: BTreeMap<ConnectionId, ConnectionFact> = BTreeMap::new();
        let mut bounds = self.bounds_of_gaps();
        for (begin, buckets) in std::mem::take(&mut self.minutes) {
            let before: BTreeMap<_, _> = connections.iter().map(|(id, fact)| (*id, fact.ticks_total)).collect();
            for (id, bucket) in &buckets {
                let fact = connections.entry(*id).or_insert_with(|| first_fact(*id, bucket));
                fact.errors_total += bucket.errors;
                fact.latency_p99_ms = bucket.p99_us.map(|us| us as f64 / 1000.0);
            }
            for at in (begin + STEP_MS..=begin + MINUTE_MS).step_by(STEP_MS as usize) {
                let at = UnixMillis(at.min(self.to.0));
                self.play_changes(&mut machine, &mut connections, &mut bounds, at, &mut counts);
                for (id, bucket) in &buckets {
                    let Some(fact) = connections.get_mut(id) else { continue };
                    let part = at.millis_since(UnixMillis(begin)).unsigned_abs();
                    let came = bucket.ticks * part / MINUTE_MS.unsigned_abs();
                    fact.ticks_total = before.get(id).copied().unwrap_or(0) + came;
                    machine.take(Fact::Connection(Box::new(fact.clone())), at);
                }
                pass(&mut machine, at, &mut counts);
            }
        }
        counts
    }

    /// When gaps of connections begin and end.
    fn bounds_of_gaps(&self) -> VecDeque<UnixMillis> {
        let of_connections = || self.gaps.iter().filter(|gap| gap.connection().is_some());
        let mut bounds: Vec<_> = of_connections().map(|gap| gap.started_at).collect();
        bounds.extend(of_connections().filter_map(|gap| gap.ended_at));
        bounds.sort_unstable();
        bounds.into()
    }

    /// What changed until then, each at its moment.
    fn play_changes(
        &mut self,
        machine: &mut Machine,
        connections: &mut BTreeMap<ConnectionId, ConnectionFact>,
        bounds: &mut VecDeque<UnixMillis>,
        until: UnixMillis,
        counts: &mut Reckoned,
    ) {
        loop {
            let next_state = self.states.front().map(|(at, ..)| *at).filter(|at| *at <= until);
            let next_gap = bounds.front().copied().filter(|at| *at <= until);
            let Some(at) = next_state.into_iter().chain(next_gap).min() else { return };
            pass(machine, at, counts);
            if next_gap == Some(at) {
                bounds.pop_front();
                let open = self.gaps_at(at).map(|gap| (gap.connection_id, gap.started_at)).collect();
                machine.take(Fact::Gaps(open), at);
                continue;
            }
            let Some((_, id, state, reason)) = self.states.pop_front() else { return };
            let fact = connections.entry(id).or_insert_with(|| first_fact(id, &Bucket::default()));
            (fact.state, fact.reason) = (state, Some(reason));
            fact.is_wanted = state != ConnectionState::Disabled;
            fact.loss = if state.is_up() { None } else { self.loss_at(id, at).or(fact.loss) };
            machine.take(Fact::Connection(Box::new(fact.clone())), at);
        }
    }

    fn gaps_at(&self, at: UnixMillis) -> impl Iterator<Item = &Gap> {
        let lasts = move |gap: &&Gap| gap.started_at <= at && gap.ended_at.is_none_or(|end| at < end);
        self.gaps.iter().filter(lasts).filter(|gap| gap.connection().is_some())
    }

    /// What took a connection down, of what has alerts of its own.
    fn loss_at(&self, id: ConnectionId, at: UnixMillis) -> Option<LossKind> {
        let mut causes = self.gaps_at(at).filter(|gap| gap.connection_id == id).flat_map(|gap| &gap.causes);
        causes.find_map(|step| match step.cause {
            GapCause::KeyRefused if step.at <= at => Some(LossKind::KeyRefused),
            GapCause::TooManyConnections if step.at <= at => Some(LossKind::TooManyConnections),
            _ => None,
        })
    }
}

/// A connection as its first minute tells.
fn first_fact(id: ConnectionId, bucket: &Bucket) -> ConnectionFact {
    let longest = (0..Phase::COUNT).max_by_key(|place| bucket.phase_ms[*place]).map(|place| Phase::ALL[place]);
    let state = match longest.filter(|_| bucket.covered_ms > 0) {
        Some(Phase::Connected) => ConnectionState::Connected,
        Some(Phase::Degraded) => ConnectionState::Degraded,
        Some(Phase::Busy) => ConnectionState::Connecting,
        Some(Phase::Mute) => ConnectionState::Mute,
        Some(Phase::Failed) => ConnectionState::Failed,
        Some(Phase::Disabled) | None => ConnectionState::Disabled,
    };
    let is_wanted = state != ConnectionState::Disabled;
    ConnectionFact { id, name: id.to_string(), is_wanted, state, symbols: 1, ..ConnectionFact::default() }
}

fn pass(machine: &mut Machine, at: UnixMillis, counts: &mut Reckoned) {
    for step in machine.pass(at) {
        if step.kind == TransitionKind::Firing {
            *counts.entry(step.alert.rule).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::model::{alert::RuleNumbers, history::gap::CauseStep};

    const BEGIN: i64 = 1_763_564_400_000;

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(BEGIN + seconds * 1000)
    }

    /// An hour in which two connections bring 100 ticks a second.
    fn hour() -> Past {
        let mut phase_ms = [0; Phase::COUNT];
        phase_ms[1] = 60_000;
        let minute = Bucket { covered_ms: 60_000, ticks: 6_000, p99_us: Some(90_000), phase_ms, ..Bucket::default() };
        let minutes = (0..60).map(|minute_at| (BEGIN + minute_at * MINUTE_MS, vec![(1, minute), (2, minute)]));
        Past { from: at(0), to: at(3_600), minutes: minutes.collect(), ..Past::default() }
    }

    fn state(
        seconds: i64,
        id: ConnectionId,
        state: ConnectionState,
    ) -> (UnixMillis, ConnectionId, ConnectionState, String) {
        (at(seconds), id, state, state.label().to_owned())
    }

    fn fired(past: Past, settings: Vec<RuleSetting>) -> Vec<(Rule, u32)> {
        past.play(Calendar::AlwaysOpen, settings).into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn a_quiet_hour_fires_nothing_and_rules_without_history_are_not_counted() {
        assert_eq!(fired(hour(), Vec::new()), []);
        let counts = hour().play(Calendar::AlwaysOpen, Vec::new());
        assert_eq!(counts.get(&Rule::Mute), Some(&0));
        assert_eq!(counts.get(&Rule::AuditChain), None);
    }

    #[test]
    fn what_lasted_is_counted_by_the_numbers_of_now() {
        use ConnectionState as S;
        let mut past = hour();
        past.states = VecDeque::from([
            state(61, 1, S::Reconnecting),
            state(71, 1, S::Connected),
            state(601, 1, S::Reconnecting),
            state(631, 1, S::Connected),
            // Shorter than a step.
            state(1_202, 2, S::Mute),
            state(1_208, 2, S::Connected),
        ]);
        assert_eq!(fired(past, Vec::new()), [(Rule::NotConnected, 1), (Rule::Mute, 1)]);
        let mut past = hour();
        past.states = VecDeque::from([state(61, 1, S::Reconnecting), state(71, 1, S::Connected)]);
        let numbers = RuleNumbers { for_seconds: 5, ..Rule::NotConnected.numbers() };
        let sooner = RuleSetting { rule: Rule::NotConnected, connection: None, numbers };
        assert_eq!(fired(past, vec![sooner]), [(Rule::NotConnected, 1)]);
    }

    #[test]
    fn gaps_refusals_and_what_is_measured_are_counted() {
        use ConnectionState as S;
        let mut past = hour();
        past.states = VecDeque::from([state(300, 1, S::Failed), state(420, 1, S::Connected)]);
        let cause = GapCause::KeyRefused;
        let causes = vec![CauseStep { cause, at: at(300), close_code: None, words: String::new() }];
        let refused = Gap { ended_at: Some(at(421)), causes, ..Gap::blank(1, 1, at(300)) };
        // Connected, and nothing comes.
        let missing = Gap { ended_at: Some(at(1_100)), ..Gap::blank(2, 1, at(1_000)) };
        past.gaps = vec![missing, refused];
        for minute in past.minutes.values_mut().skip(40).take(5) {
            minute[0].1.ticks = 600;
            minute[1].1.p99_us = Some(3_000_000);
        }
        past.minutes.values_mut().nth(55).unwrap()[0].1.errors = 20;
        let expected = [(Rule::KeyRefused, 1), (Rule::Rate, 1), (Rule::Latency, 1), (Rule::Gap, 1), (Rule::Errors, 1)];
        assert_eq!(fired(past, Vec::new()), expected);
    }

    #[test]
    fn a_week_is_reckoned_in_a_moment() {
        let mut week = hour();
        let minute = week.minutes.values().next().unwrap().clone();
        week.minutes = (0..7 * 1_440).map(|place| (BEGIN + place * MINUTE_MS, minute.clone())).collect();
        week.to = at(7 * 86_400);
        let since = std::time::Instant::now();
        assert_eq!(fired(week, Vec::new()), []);
        // Optimised it is some tenths of a second.
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    }
}
