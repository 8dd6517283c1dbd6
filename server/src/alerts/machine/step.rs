//! From watches and time to alerts: who fires, together with whom, and how an alert goes on until it is resolved.

use super::{
    ESCALATION_MINUTES, FLAP_MS, FLAPS_MAX, GROUP_MS, Machine, Receiver, Subject, Transition, Watch, numbers_of,
};
use app::model::{
    alert::{Alert, AlertConnection, Rule, Silence, TransitionKind},
    market::MarketSession,
    time::UnixMillis,
};
use std::collections::{BTreeMap, BTreeSet};

/// The longest text of an alert over several connections, in characters.
const TEXT_CHARS_MAX: usize = 1_000;

impl Machine {
    /// Tells what has lasted long enough.
    pub(super) fn fire(&mut self, session: &MarketSession, now: UnixMillis, steps: &mut Vec<Transition>) {
        let pending: Vec<_> = self
            .watches
            .iter()
            .filter(|(_, watch)| watch.trouble.is_some() && watch.alert.is_none())
            .map(|((rule, subject), watch)| {
                let left = self.left_ms(*rule, subject, watch, session, now);
                (*rule, subject.clone(), left, self.is_hidden(*rule, subject))
            })
            .collect();
        for (rule, subject, left, hidden) in &pending {
            let Some(watch) = self.watches.get_mut(&(*rule, subject.clone())) else { continue };
            if *hidden {
                // Once its explanation is gone, it gets the time to come back that its rule gives.
                watch.since = now;
            } else if left.is_some() {
                watch.unexplained_ms += self.passed_ms;
            }
        }
        let open: Vec<_> = pending.into_iter().filter(|(.., hidden)| !hidden).collect();
        let due: BTreeSet<_> =
            open.iter().filter(|(_, _, left, _)| left.is_some_and(|left| left <= 0)).map(|(rule, ..)| *rule).collect();
        for rule in due {
            let within = |most: i64| {
                let is_due = move |left: &Option<i64>| left.is_some_and(|left| left <= most);
                open.iter().filter(move |(of, _, left, _)| *of == rule && is_due(left)).map(|(_, subject, ..)| subject)
            };
            if rule.is_of_connections() {
                // Who was lost a moment later is told along, instead of a moment later.
                self.open_alert(rule, within(GROUP_MS).cloned().collect(), now, steps);
            } else {
                within(0).for_each(|subject| self.open_alert(rule, vec![subject.clone()], now, steps));
            }
        }
    }

    fn open_alert(&mut self, rule: Rule, subjects: Vec<Subject>, now: UnixMillis, steps: &mut Vec<Transition>) {
        let connections: Vec<_> = subjects
            .iter()
            .filter_map(Subject::connection)
            .map(|id| AlertConnection { id, name: self.names.get(&id).cloned().unwrap_or_else(|| id.to_string()) })
            .collect();
        let server = subjects.iter().find_map(Subject::server).map(str::to_owned);
        let troubles: Vec<_> = subjects
            .iter()
            .filter_map(|subject| {
                let watch = self.watches.get(&(rule, subject.clone()))?;
                Some((watch.trouble.as_ref()?, watch.since))
            })
            .collect();
        let began = troubles.iter().map(|(trouble, since)| trouble.began.unwrap_or(*since)).min().unwrap_or(now);
        let texts: Vec<_> = troubles.iter().map(|(trouble, _)| trouble.text.as_str()).collect();
        let text = text_of(&connections, &texts);
        let value = troubles.first().and_then(|(trouble, _)| trouble.value);
        let fingerprint = fingerprint(rule, &connections, server.as_deref());
        let mut alert = Alert {
            id: [&fingerprint.replace([':', ',', '.', ' '], "-"), "-", &now.0.to_string()].concat(),
            fingerprint,
            rule,
            severity: rule.severity(),
            title: title_of(rule, &connections, server.as_deref()),
            text,
            started_at: began.min(now),
            fired_at: now,
            value,
            threshold: value.and(self.numbers(rule, connections.first().map(|connection| connection.id)).threshold),
            silenced: silence_of(&self.silences, rule, &connections, now),
            connections,
            server,
            ..Alert::default()
        };
        for subject in subjects {
            if let Some(watch) = self.watches.get_mut(&(rule, subject)) {
                watch.alert = Some(alert.id.clone());
            }
        }
        steps.push(told(&mut alert, TransitionKind::Firing, now, &self.receivers));
        self.open.insert(alert.id.clone(), alert);
    }

    /// How the open alerts go on; those of `unknown` are not over.
    pub(super) fn follow(&mut self, unknown: &BTreeSet<String>, now: UnixMillis, steps: &mut Vec<Transition>) {
        let mut parts: BTreeMap<&str, Vec<&Watch>> = BTreeMap::new();
        for watch in self.watches.values() {
            if let Some(id) = &watch.alert {
                parts.entry(id).or_default().push(watch);
            }
        }
        let mut over = Vec::new();
        let settings = &self.settings;
        for alert in self.open.values_mut() {
            let watches = parts.get(&*alert.id).map(Vec::as_slice).unwrap_or_default();
            let is_recent = |at: &&UnixMillis| now.millis_since(**at) <= FLAP_MS;
            let begins = watches.iter().map(|watch| watch.begins.iter().filter(is_recent).count()).max().unwrap_or(0);
            if begins > FLAPS_MAX && !alert.flapping {
                alert.flapping = true;
                steps.push(step(alert, TransitionKind::Flapping, now, Vec::new()));
            }
            if watches.iter().all(|watch| watch.trouble.is_none()) {
                let well_since = watches.iter().map(|watch| watch.since).max().unwrap_or(now);
                let connection = alert.connections.first().map(|connection| connection.id);
                let resolve_ms = i64::from(numbers_of(settings, alert.rule, connection).resolve_seconds) * 1000;
                let hold_ms = if alert.flapping { FLAP_MS.max(resolve_ms) } else { resolve_ms };
                let is_over = !unknown.contains(&alert.id) && now.millis_since(well_since) >= hold_ms;
                if watches.is_empty() || is_over {
                    alert.ended_at = Some(well_since.min(now));
                    steps.push(resolved(alert, now));
                    over.push(alert.id.clone());
                }
                continue;
            }
            if let [watch] = watches
                && let Some(trouble) = &watch.trouble
                && (alert.text != trouble.text || alert.value != trouble.value)
            {
                alert.text.clone_from(&trouble.text);
                alert.value = trouble.value;
            }
            alert.silenced = silence_of(&self.silences, alert.rule, &alert.connections, now);
            if alert.silenced.is_none() {
                tell_again(alert, now, &self.receivers, steps);
            }
        }
        for id in over {
            self.open.remove(&id);
            self.watches.values_mut().filter(|watch| watch.alert.as_deref() == Some(&id)).for_each(|w| w.alert = None);
        }
    }
}

/// A silence has ended, or nobody looks after it.
fn tell_again(alert: &mut Alert, now: UnixMillis, receivers: &[Receiver], steps: &mut Vec<Transition>) {
    if alert.told.is_empty() {
        let fired_at = std::mem::replace(&mut alert.fired_at, now);
        let told = told(alert, TransitionKind::Firing, now, receivers);
        if told.to.is_empty() {
            // Nobody takes it, with or without a silence.
            alert.fired_at = fired_at;
            alert.transitions -= 1;
        } else {
            steps.push(told);
        }
        return;
    }
    let due = ESCALATION_MINUTES.get(alert.escalations as usize).map(|minutes| minutes * 60_000);
    let is_due = due.is_some_and(|due| now.millis_since(alert.fired_at) >= due);
    if is_due && alert.acknowledged.is_none() && alert.severity == app::model::alert::Severity::Critical {
        alert.escalations += 1;
        steps.push(told(alert, TransitionKind::Escalated, now, receivers));
    }
}

/// A step that goes to all who take alerts of this severity, unless the alert is silenced.
fn told(alert: &mut Alert, kind: TransitionKind, at: UnixMillis, receivers: &[Receiver]) -> Transition {
    let takes = |receiver: &&Receiver| receiver.1 <= alert.severity && alert.silenced.is_none();
    let to: Vec<_> = receivers.iter().filter(takes).map(|(name, _)| name.clone()).collect();
    let new: Vec<_> = to.iter().filter(|name| !alert.told.contains(name)).cloned().collect();
    alert.told.extend(new);
    step(alert, kind, at, to)
}

/// A step that goes to whoever was told of the alert.
pub(super) fn acknowledged(alert: &mut Alert, at: UnixMillis) -> Transition {
    let to = alert.told.clone();
    step(alert, TransitionKind::Acknowledged, at, to)
}

/// The end of an alert, told to whoever was told of it.
pub(super) fn resolved(alert: &mut Alert, at: UnixMillis) -> Transition {
    let to = alert.told.clone();
    step(alert, TransitionKind::Resolved, at, to)
}

fn step(alert: &mut Alert, kind: TransitionKind, at: UnixMillis, to: Vec<String>) -> Transition {
    alert.transitions += 1;
    let id = [&alert.id, "-", &alert.transitions.to_string()].concat();
    Transition { id, kind, at, alert: alert.clone(), to }
}

fn silence_of(silences: &[Silence], rule: Rule, connections: &[AlertConnection], now: UnixMillis) -> Option<String> {
    silences.iter().find(|silence| silence.covers(rule, connections, now)).map(|silence| silence.reason.clone())
}

fn fingerprint(rule: Rule, connections: &[AlertConnection], server: Option<&str>) -> String {
    let ids = || connections.iter().map(|connection| connection.id.to_string()).collect::<Vec<_>>().join(",");
    match (server, connections) {
        (Some(server), _) => [rule.name(), ":", server].concat(),
        (None, []) => rule.name().to_owned(),
        (None, _) => [rule.name(), ":", &ids()].concat(),
    }
}

fn title_of(rule: Rule, connections: &[AlertConnection], server: Option<&str>) -> String {
    match (server, connections) {
        (Some(server), _) => [server, ": ", rule.label()].concat(),
        (None, []) => rule.label().to_owned(),
        (None, [one]) => [&one.name, ": ", rule.label()].concat(),
        (None, several) => format!("{} connections: {}", several.len(), rule.label()),
    }
}

/// What is wrong with each of them, or once for all where it is the same.
fn text_of(connections: &[AlertConnection], texts: &[&str]) -> String {
    let names = |part: &[AlertConnection]| part.iter().map(|one| one.name.clone()).collect::<Vec<_>>().join(", ");
    let text = match texts {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] if rest.iter().all(|text| text == first) => [&names(connections), ": ", first].concat(),
        _ => {
            let each = connections.iter().zip(texts).map(|(connection, text)| [&connection.name, ": ", text].concat());
            each.collect::<Vec<_>>().join("; ")
        }
    };
    text.chars().take(TEXT_CHARS_MAX).collect()
}
