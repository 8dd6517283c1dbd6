//! What is done about alerts, by API and page alike: checked, put on record and written in one step, and told to the machine.

use super::{Refused, act, target};
use crate::{
    alerts::Answer,
    audit::{Action, Actor},
    database::alerts::Acknowledged,
    routes::AppState,
    text::tidy,
};
use app::model::{
    alert::{Alert, REASON_LENGTH_MAX, RULE_SECONDS_MAX, Rule, RuleNumbers, SILENCE_MS_MAX, Silence},
    connection::{CONNECTIONS_MAX, ConnectionId},
    history::gap::{Acknowledgement, NOTE_LENGTH_MAX},
    time::UnixMillis,
};
use std::time::Duration;
use tokio::time::timeout;

/// How long is waited until the machine has heard of it: it goes on by itself.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// A silence as it is asked for.
pub(super) struct NewSilence {
    pub(super) rule: Option<Rule>,
    pub(super) connection: Option<ConnectionId>,
    pub(super) from: Option<UnixMillis>,
    pub(super) until: UnixMillis,
    pub(super) reason: String,
}

/// The rule with a name.
pub(super) fn rule_named(name: &str) -> Result<Rule, Refused> {
    let names = || Rule::ALL.map(Rule::name).join(", ");
    Rule::named(name).ok_or_else(|| Refused::Bad(format!("rule: expected one of {}", names())))
}

/// Somebody looks after an alert.
pub(super) async fn acknowledge(
    state: &AppState,
    email: &str,
    actor: &Actor,
    id: &str,
    note: &str,
) -> Result<Alert, Refused> {
    let note = tidy(note.trim(), usize::MAX);
    if note.chars().count() > NOTE_LENGTH_MAX {
        return Err(Refused::Bad(format!("note: expected {NOTE_LENGTH_MAX} characters at most")));
    }
    let said = Acknowledgement { at: UnixMillis::now(), by: email.to_owned(), note: note.clone() };
    let act = act(actor, Action::AlertAcknowledge, id, note);
    match state.database.acknowledge_alert(id, &said, &act).await? {
        Acknowledged::Done => {}
        Acknowledged::Unknown => return Err(Refused::NotFound("alert")),
        Acknowledged::TooLate => return Err(Refused::TooLate),
    }
    let mut open = state.alerts.watch();
    state.alerts.look();
    let is_heard = |all: &std::sync::Arc<Vec<Alert>>| {
        all.iter().find(|alert| alert.id == id).is_none_or(|alert| alert.acknowledged.is_some())
    };
    let _ = timeout(HEARD_WITHIN, open.wait_for(is_heard)).await;
    let alert = state.database.alert(id).await?.ok_or(Refused::NotFound("alert"))?;
    Ok(Alert { acknowledged: Some(said), ..alert })
}

pub(super) async fn silence(state: &AppState, email: &str, actor: &Actor, new: NewSilence) -> Result<Silence, Refused> {
    let now = UnixMillis::now();
    let from = new.from.unwrap_or(now);
    let length = new.until.millis_since(from);
    let reason = tidy(new.reason.trim(), usize::MAX);
    if reason.is_empty() || reason.chars().count() > REASON_LENGTH_MAX {
        return Err(Refused::Bad(format!("reason: expected 1 to {REASON_LENGTH_MAX} characters")));
    }
    if !(1..=SILENCE_MS_MAX).contains(&length) || new.until <= now {
        let accepted = "until: expected a time in the future, after `from` and at most 7 days after it";
        return Err(Refused::Bad(accepted.to_owned()));
    }
    check_connection(new.connection)?;
    let mut silence = Silence {
        id: 0,
        rule: new.rule,
        connection: new.connection,
        from,
        until: new.until,
        reason: reason.clone(),
        by: email.to_owned(),
    };
    let why = format!("until {}: {reason}", new.until);
    let act = act(actor, Action::AlertSilence, target(new.rule, new.connection), why);
    silence.id = state.database.add_silence(&silence, &act).await?;
    state.alerts.look();
    Ok(silence)
}

pub(super) async fn end_silence(state: &AppState, actor: &Actor, id: i64) -> Result<(), Refused> {
    let act = actor.does(Action::AlertSilenceEnd).to(format!("silence {id}"));
    if !state.database.end_silence(id, UnixMillis::now(), &act).await? {
        return Err(Refused::NotFound("silence"));
    }
    state.alerts.look();
    Ok(())
}

/// A rule's numbers as they are now.
pub(super) async fn numbers(
    state: &AppState,
    rule: Rule,
    connection: Option<ConnectionId>,
) -> Result<RuleNumbers, Refused> {
    let settings = state.database.alert_rules().await?;
    let of = |id| settings.iter().find(|setting| setting.rule == rule && setting.connection == id);
    Ok(of(connection).or_else(|| of(None)).map_or_else(|| rule.numbers(), |setting| setting.numbers))
}

pub(super) async fn set_rule(
    state: &AppState,
    actor: &Actor,
    rule: Rule,
    connection: Option<ConnectionId>,
    numbers: Option<RuleNumbers>,
) -> Result<(), Refused> {
    check_connection(connection)?;
    if connection.is_some() && !rule.is_of_connections() {
        return Err(Refused::Bad(format!("connection: {} is about no single connection", rule.name())));
    }
    if let Some(numbers) = numbers {
        check(rule, &numbers)?;
    }
    let what = match numbers {
        None => "as it ships".to_owned(),
        Some(RuleNumbers { enabled: false, .. }) => "switched off".to_owned(),
        Some(RuleNumbers { for_seconds, resolve_seconds, threshold, .. }) => {
            let threshold = threshold.map(|threshold| format!(", threshold {threshold}")).unwrap_or_default();
            format!("on, for {for_seconds} s, resolved after {resolve_seconds} s{threshold}")
        }
    };
    let act = act(actor, Action::AlertRule, target(Some(rule), connection), what);
    state.database.set_alert_rule(rule, connection, numbers, &act).await?;
    state.alerts.look();
    Ok(())
}

fn check(rule: Rule, numbers: &RuleNumbers) -> Result<(), Refused> {
    if numbers.for_seconds.max(numbers.resolve_seconds) > RULE_SECONDS_MAX {
        let accepted = format!("for_seconds, resolve_seconds: expected whole numbers from 0 to {RULE_SECONDS_MAX}");
        return Err(Refused::Bad(accepted));
    }
    match (rule.unit(), numbers.threshold) {
        (None, Some(_)) => Err(Refused::Bad(format!("threshold: {} measures nothing", rule.name()))),
        (Some(_), Some(threshold)) if threshold.is_finite() && (0.0..=1e9).contains(&threshold) => Ok(()),
        (Some(_), _) => Err(Refused::Bad("threshold: expected a number from 0 to 1000000000".to_owned())),
        (None, None) => Ok(()),
    }
}

fn check_connection(connection: Option<ConnectionId>) -> Result<(), Refused> {
    if connection.is_none_or(|id| (1..=CONNECTIONS_MAX).contains(&id)) {
        return Ok(());
    }
    Err(Refused::Bad(format!("connection: expected a number from 1 to {CONNECTIONS_MAX}")))
}

/// Sends a test: on record first.
pub(super) async fn test(state: &AppState, actor: &Actor, name: &str) -> Result<Answer, Refused> {
    if state.alerts.destinations().iter().all(|destination| destination.name != name) {
        return Err(Refused::NotFound("destination"));
    }
    state.access.audit.record(actor.does(Action::AlertTest).to(name)).await?;
    state.alerts.test(name).await?.ok_or(Refused::NotFound("destination"))
}
