//! What an alert has to do with gaps and events: by its rule, its connections and its time. The same facts are behind all three.

use super::{Alert, AlertConnection, Rule, TransitionKind};
use crate::model::{
    connection::ConnectionState,
    history::{
        EventKind, HistoryEvent,
        gap::{Gap, GapCause},
    },
    time::UnixMillis,
};

/// The timeline and the alerts read the same report, each at a moment of its own; where the report has no time for what changed,
/// their times differ by so much at most.
const SLACK_MS: i64 = 2_000;
/// Errors are counted over so long.
const ERRORS_MS: i64 = 60_000;

impl Alert {
    /// Did it tell of this gap? Then both last at the same time, and its rule is one about missing ticks.
    #[must_use]
    pub fn is_of_gap(&self, gap: &Gap) -> bool {
        let lasts_with = |begin: UnixMillis, end: Option<UnixMillis>| end.is_none_or(|end| begin <= end);
        let overlaps = lasts_with(self.started_at, gap.ended_at) && lasts_with(gap.started_at, self.ended_at);
        let went_through = |cause| gap.cause == cause || gap.causes.iter().any(|step| step.cause == cause);
        let is_theirs = match self.rule {
            Rule::NotConnected | Rule::Mute | Rule::KeyRefused | Rule::ConnectionLimit | Rule::Gap => {
                gap.connection().is_some_and(|id| self.is_about(id))
            }
            Rule::Bus => gap.connection().is_none() || went_through(GapCause::BusDown),
            Rule::NoCollector => went_through(GapCause::CollectorSilent),
            Rule::ServerLost => went_through(GapCause::Failover),
            Rule::Degraded | Rule::Rate | Rule::Latency | Rule::Errors => false,
            Rule::History | Rule::AuditChain | Rule::Certificate => false,
        };
        overlaps && is_theirs
    }

    /// Did this event lead to it? It happened from the begin of the trouble until the alert fired, and is what the rule looks for.
    #[must_use]
    pub fn is_of_event(&self, event: &HistoryEvent) -> bool {
        let since = if self.rule == Rule::Errors { ERRORS_MS } else { 0 };
        let since = UnixMillis(self.started_at.0 - since - SLACK_MS);
        let is_about = event.connection_id.is_none_or(|id| self.is_about(id));
        let is_sought = match (event.kind, event.state) {
            (EventKind::State, Some(state)) => match self.rule {
                Rule::NotConnected | Rule::KeyRefused | Rule::ConnectionLimit => {
                    !state.is_up() && state != ConnectionState::Disabled
                }
                Rule::Mute => state == ConnectionState::Mute,
                Rule::Degraded => state == ConnectionState::Degraded,
                _ => false,
            },
            (EventKind::Error, _) => self.rule == Rule::Errors,
            (EventKind::Bus, _) => self.rule == Rule::Bus,
            (EventKind::Status, _) => self.rule == Rule::NoCollector,
            (EventKind::Server, _) => {
                self.rule == Rule::ServerLost
                    && self.server.as_ref().is_some_and(|name| event.text.starts_with(&[name, " "].concat()))
            }
            _ => false,
        };
        is_about && is_sought && (since..=self.fired_at).contains(&event.at)
    }

    /// A step of it, as the timeline tells it. `self` is the alert as it was then.
    #[must_use]
    pub fn step(&self, kind: TransitionKind, at: UnixMillis) -> HistoryEvent {
        let Self { title, text, acknowledged, .. } = self;
        let text = match (kind, acknowledged) {
            (TransitionKind::Firing, _) => ["Fired: ", title, ". ", text].concat(),
            (TransitionKind::Acknowledged, Some(said)) if said.note.is_empty() => {
                ["Acknowledged by ", &said.by, ": ", title].concat()
            }
            (TransitionKind::Acknowledged, Some(said)) => {
                ["Acknowledged by ", &said.by, ": ", title, " (", &said.note, ")"].concat()
            }
            (TransitionKind::Acknowledged, None) => ["Acknowledged: ", title].concat(),
            (TransitionKind::Escalated, _) => ["Nobody acknowledged it, sent again: ", title].concat(),
            (TransitionKind::Flapping, _) => ["Comes and goes: ", title].concat(),
            (TransitionKind::Resolved, _) => ["Resolved: ", title].concat(),
        };
        HistoryEvent {
            id: self.transitions.into(),
            at,
            connection_id: self.connection().map(|AlertConnection { id, .. }| *id),
            kind: EventKind::Alert,
            state: None,
            text,
            alert: Some(self.id.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        connection::ConnectionId,
        history::gap::{Acknowledgement, BUS},
    };

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(1_768_998_896_000 + seconds * 1_000)
    }

    fn alert(rule: Rule, ids: &[ConnectionId]) -> Alert {
        let connections = ids.iter().map(|id| AlertConnection { id: *id, name: id.to_string() }).collect();
        let (started_at, fired_at) = (at(100), at(115));
        Alert { id: "a".into(), rule, connections, started_at, fired_at, ended_at: Some(at(200)), ..Alert::default() }
    }

    #[test]
    fn a_gap_belongs_to_the_alerts_of_its_connection_and_time_that_look_for_missing_ticks() {
        let gap = |id, from, to| Gap { ended_at: Some(at(to)), ..Gap::blank(id, 1, at(from)) };
        let lost = alert(Rule::NotConnected, &[1, 2]);
        assert!(lost.is_of_gap(&gap(2, 98, 150)) && lost.is_of_gap(&gap(1, 199, 300)));
        assert!(!lost.is_of_gap(&gap(3, 98, 150)), "another connection");
        assert!(!lost.is_of_gap(&gap(1, 50, 99)) && !lost.is_of_gap(&gap(1, 201, 300)), "another time");
        assert!(lost.is_of_gap(&Gap { ended_at: None, ..gap(1, 98, 0) }));
        let open = Alert { ended_at: None, ..lost };
        assert!(open.is_of_gap(&gap(1, 900, 901)) && !open.is_of_gap(&gap(1, 50, 99)));
        assert!(!alert(Rule::Latency, &[1]).is_of_gap(&gap(1, 98, 150)));
        let bus = alert(Rule::Bus, &[]);
        assert!(bus.is_of_gap(&gap(BUS, 98, 150)) && !bus.is_of_gap(&gap(1, 98, 150)));
        assert!(bus.is_of_gap(&Gap { cause: GapCause::BusDown, ..gap(1, 98, 150) }));
    }

    #[test]
    fn an_event_led_to_an_alert_when_it_is_what_its_rule_looks_for_and_came_before_it_fired() {
        use ConnectionState as S;
        let event = |id, state, seconds| HistoryEvent {
            id: 1,
            at: at(seconds),
            connection_id: Some(id),
            kind: EventKind::State,
            state: Some(state),
            text: String::new(),
            alert: None,
        };
        let lost = alert(Rule::NotConnected, &[1]);
        assert!(
            [(S::Reconnecting, 100), (S::Failed, 115)].map(|(s, t)| lost.is_of_event(&event(1, s, t))) == [true; 2]
        );
        for (id, state, seconds) in [
            (2, S::Reconnecting, 100),
            (1, S::Connected, 110),
            (1, S::Disabled, 110),
            (1, S::Reconnecting, 90),
            (1, S::Reconnecting, 116),
        ] {
            assert!(!lost.is_of_event(&event(id, state, seconds)), "{id} {state:?} {seconds}");
        }
        assert!(alert(Rule::Mute, &[1]).is_of_event(&event(1, S::Mute, 103)));
        let bus = HistoryEvent { connection_id: None, kind: EventKind::Bus, state: None, ..event(1, S::Failed, 99) };
        assert!(alert(Rule::Bus, &[]).is_of_event(&bus) && !lost.is_of_event(&bus));
        let gone = HistoryEvent { kind: EventKind::Server, text: "b:2 is lost: not heard of".into(), ..bus };
        let of_server = |name: &str| Alert { server: Some(name.into()), ..alert(Rule::ServerLost, &[]) };
        assert!(of_server("b:2").is_of_event(&gone) && !of_server("c:3").is_of_event(&gone));
    }

    #[test]
    fn steps_are_told_in_words_and_lead_to_their_alert() {
        let said = Acknowledgement { at: at(120), by: "ann@x".into(), note: "on it".into() };
        let (title, text) = ("primary: no data".to_owned(), "No tick for 12 s".to_owned());
        let seen = Alert { title, text, acknowledged: Some(said), transitions: 2, ..alert(Rule::Mute, &[1]) };
        let told = |kind| seen.step(kind, at(120)).text;
        assert_eq!(told(TransitionKind::Firing), "Fired: primary: no data. No tick for 12 s");
        assert_eq!(told(TransitionKind::Acknowledged), "Acknowledged by ann@x: primary: no data (on it)");
        let step = seen.step(TransitionKind::Resolved, at(200));
        assert_eq!((&*step.text, &*step.anchor()), ("Resolved: primary: no data", "alert-a-2"));
        assert_eq!((step.connection_id, step.alert.as_deref()), (Some(1), Some("a")));
        let both = Alert { connections: alert(Rule::Mute, &[1, 2]).connections, ..seen };
        assert_eq!(both.step(TransitionKind::Firing, at(115)).connection_id, None);
    }
}
