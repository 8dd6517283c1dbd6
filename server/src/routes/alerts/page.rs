//! `/admin/alerts`: what the page shows, and its forms, which work without JavaScript.

use super::{
    Refused, counts, cursor_of,
    done::{self, NewSilence},
    fired_of, read_cursor, written_cursor,
};
use crate::{
    alerts::Answer,
    audit::Actor,
    auth::Admin,
    database::alerts::{AlertFilter, Delivery},
    routes::AppState,
};
use app::{
    address::{ALERTS, Query},
    model::{
        alert::{
            Alert, AlertConnection, Rule, RuleNumbers,
            page::{AlertStory, AlertsAsked, AlertsPage, DeliveryView, DestinationView, RuleView},
        },
        connection::{ConnectionId, ConnectionSet},
        history::gap::Gap,
        time::UnixMillis,
    },
};
use axum::{
    Extension, Form, Router,
    extract::{DefaultBodyLimit, State, rejection::FormRejection},
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use serde::Deserialize;

const BODY_BYTES_MAX: usize = 8 << 10;
/// Alerts on one page of the past.
const PAST: usize = 50;
/// What is read of the past at once, and how often for one page: a filter may find few in many.
const READ: u32 = 250;
const READS_MAX: usize = 20;
/// The most gaps of one alert that are named.
const GAPS_SHOWN: u32 = 20;
const DELIVERIES_SHOWN: u32 = 10;

/// Belongs behind the guard of pages.
pub(in super::super) fn forms() -> Router<AppState> {
    Router::new()
        .route("/admin/alerts/acknowledge", post(acknowledge))
        .route("/admin/alerts/silence", post(silence))
        .route("/admin/alerts/silence/end", post(end_silence))
        .route("/admin/alerts/rule", post(rule))
        .route("/admin/alerts/test", post(test))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

/// All that the page shows.
pub(in super::super) async fn page(state: &AppState, asked: AlertsAsked) -> Result<AlertsPage, Refused> {
    let now = UnixMillis::now();
    let database = &state.database;
    let story = match &asked.alert {
        Some(id) => story(state, id, now).await?,
        None => None,
    };
    let (past, next_cursor) = past(state, &asked).await?;
    let settings = database.alert_rules().await?;
    let (fired_counts, reckoned) = counts(state, &settings).await?;
    let rules = Rule::ALL.into_iter().flat_map(|rule| {
        let (fired, would_have_fired) = (fired_of(&fired_counts, rule), reckoned.get(&rule).copied());
        let of_all = settings.iter().find(|setting| setting.rule == rule && setting.connection.is_none());
        let numbers = of_all.map_or_else(|| rule.numbers(), |setting| setting.numbers);
        let all = RuleView { rule, connection: None, numbers, is_changed: of_all.is_some(), fired, would_have_fired };
        let own = settings.iter().filter(move |setting| setting.rule == rule && setting.connection.is_some());
        let own = own.map(move |setting| RuleView {
            rule,
            connection: setting.connection,
            numbers: setting.numbers,
            is_changed: true,
            fired,
            would_have_fired,
        });
        std::iter::once(all).chain(own)
    });
    let rules = rules.collect();
    let report = state.hub.report();
    let connections = report
        .connections
        .iter()
        .map(|connection| AlertConnection { id: connection.live.id, name: connection.live.name.clone() })
        .collect();
    Ok(AlertsPage {
        asked: story,
        open: state.alerts.open().to_vec(),
        past,
        next_cursor,
        silences: database.alert_silences(now).await?,
        rules,
        destinations: destinations(state).await?,
        has_heartbeat: state.config.alerts.heartbeat.is_some(),
        connections,
        now,
    })
}

/// An alert with its steps and gaps; `None` when there is no such alert any more.
async fn story(state: &AppState, id: &str, now: UnixMillis) -> Result<Option<AlertStory>, Refused> {
    let Some(stored) = state.database.alert(id).await? else { return Ok(None) };
    // What is open changes without a step: what is measured, and a silence.
    let alert = state.alerts.open().iter().find(|open| open.id == id).cloned().unwrap_or(stored);
    let steps = state.database.steps_of_alert(id).await?;
    let during = alert.started_at..UnixMillis(alert.ended_at.unwrap_or(now).0.saturating_add(1));
    let connections: ConnectionSet = alert.connections.iter().map(|connection| connection.id).collect();
    let gaps = state.database.history_gaps(during, connections, None, GAPS_SHOWN).await?;
    let of_alert = |gap: &Gap| alert.is_of_gap(gap).then(|| (gap.name(), gap.anchor()));
    let gaps = gaps.iter().rev().filter_map(of_alert).collect();
    Ok(Some(AlertStory { alert, steps, gaps }))
}

/// A page of the resolved alerts that are asked for, and where the next one goes on.
async fn past(state: &AppState, asked: &AlertsAsked) -> Result<(Vec<Alert>, Option<String>), Refused> {
    let before = asked.cursor.as_deref().map(read_cursor).transpose()?;
    let mut filter = AlertFilter { open: false, from: UnixMillis(0), to: UnixMillis(i64::MAX), before };
    let mut found = Vec::new();
    for _ in 0..READS_MAX {
        let read = state.database.alerts(&filter, READ).await?;
        let (is_last, newest_unread) =
            (read.len() < READ as usize, read.last().map(|last| (last.started_at, last.id.clone())));
        found.extend(read.into_iter().filter(|alert| alert.ended_at.is_some() && asked.wants(alert)));
        if found.len() > PAST {
            found.truncate(PAST);
            let next_cursor = found.last().map(cursor_of);
            return Ok((found, next_cursor));
        }
        if is_last {
            return Ok((found, None));
        }
        filter.before = newest_unread;
    }
    // Few of many: the search goes on with the next page.
    let next_cursor = filter.before.map(|(at, id)| written_cursor(at, &id));
    Ok((found, next_cursor))
}

/// Who is told, and how the last deliveries went: nothing of it is secret.
pub(super) async fn destinations(state: &AppState) -> Result<Vec<DestinationView>, Refused> {
    let delivery = |delivery: Delivery| DeliveryView {
        at: delivery.at,
        alert: Some(delivery.alert_id).filter(|id| !id.is_empty()),
        kind: delivery.kind,
        title: delivery.title,
        outcome: delivery.outcome,
        attempts: delivery.attempts,
        answer: delivery.answer,
    };
    let mut all = Vec::new();
    for destination in state.alerts.destinations() {
        let deliveries = state.database.last_deliveries(&destination.name, DELIVERIES_SHOWN).await?;
        all.push(DestinationView {
            name: destination.name.clone(),
            format: destination.kind(),
            host: destination.host(),
            min_severity: destination.min_severity,
            gone_since: state.alerts.gone_since(&destination.name),
            deliveries: deliveries.into_iter().map(delivery).collect(),
        });
    }
    Ok(all)
}

#[derive(Deserialize)]
struct AcknowledgeForm {
    id: String,
    #[serde(default)]
    note: String,
    /// Sent from the dashboard: back there.
    #[serde(default)]
    from: String,
    /// What the address asked for: the same afterwards.
    #[serde(default)]
    asked: String,
}

async fn acknowledge(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<AcknowledgeForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return back("error=form") };
    let done = done::acknowledge(&state, &admin.name, &actor, &form.id, &form.note).await;
    if done.is_ok() && form.from == "dashboard" {
        return Redirect::to(app::address::DASHBOARD).into_response();
    }
    let asked = Query::read(&form.asked);
    let asked = AlertsAsked::read(|name| asked.get(name)).parameters();
    answer_at(asked, done.map(drop), "acknowledged")
}

#[derive(Deserialize)]
struct SilenceForm {
    rule: String,
    connection: String,
    hours: f64,
    reason: String,
}

async fn silence(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<SilenceForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return back("error=form") };
    let now = UnixMillis::now();
    let done = async {
        let rule = if form.rule.is_empty() { None } else { Some(done::rule_named(&form.rule)?) };
        let until = UnixMillis(now.0.saturating_add((form.hours * 3_600_000.0) as i64));
        let connection = connection(&form.connection)?;
        let new = NewSilence { rule, connection, from: Some(now), until, reason: form.reason };
        done::silence(&state, &admin.name, &actor, new).await
    };
    answer(done.await.map(drop), "silenced")
}

#[derive(Deserialize)]
struct IdForm {
    id: i64,
}

async fn end_silence(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<IdForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return back("error=form") };
    answer(done::end_silence(&state, &actor, form.id).await, "ended")
}

#[derive(Deserialize)]
struct RuleForm {
    rule: String,
    connection: String,
    #[serde(default)]
    enabled: String,
    for_seconds: u32,
    resolve_seconds: u32,
    #[serde(default)]
    threshold: String,
    /// Which button it was: `save` or `reset`.
    #[serde(rename = "do")]
    act: String,
}

async fn rule(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<RuleForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return back("error=form") };
    let done = async {
        let rule = done::rule_named(&form.rule)?;
        let threshold = form.threshold.trim();
        let threshold = if threshold.is_empty() {
            None
        } else {
            let bad = || Refused::Bad("threshold: expected a number".to_owned());
            Some(threshold.parse().map_err(|_| bad())?)
        };
        let RuleForm { for_seconds, resolve_seconds, .. } = form;
        let numbers = RuleNumbers { enabled: !form.enabled.is_empty(), for_seconds, resolve_seconds, threshold };
        let numbers = (form.act != "reset").then_some(numbers);
        done::set_rule(&state, &actor, rule, connection(&form.connection)?, numbers).await
    };
    answer(done.await, "rule")
}

#[derive(Deserialize)]
struct TestForm {
    name: String,
}

async fn test(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    form: Result<Form<TestForm>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else { return back("error=form") };
    match done::test(&state, &actor, &form.name).await {
        Ok(Answer::Taken(_)) => back("done=test"),
        Ok(_) => back("error=test"),
        Err(refused) => answer(Err(refused), "test"),
    }
}

/// None is written as nothing.
fn connection(text: &str) -> Result<Option<ConnectionId>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Refused::Bad("connection: expected a number".to_owned()))
}

fn answer(done: Result<(), Refused>, word: &'static str) -> Response {
    answer_at(Vec::new(), done, word)
}

/// Back to what was `asked` for, with what became of the form.
fn answer_at(asked: Vec<(&'static str, String)>, done: Result<(), Refused>, word: &'static str) -> Response {
    let (name, word) = match done {
        Ok(()) => ("done", word),
        Err(Refused::Bad(_)) => ("error", "input"),
        Err(Refused::NotFound(_)) => ("error", "gone"),
        Err(Refused::TooLate) => ("error", "late"),
        Err(Refused::NotRecorded(_) | Refused::NoDatabase(_)) => ("error", "unavailable"),
    };
    let mut query = Query::default();
    asked.into_iter().chain([(name, word.to_owned())]).for_each(|(name, value)| query.push(name.to_owned(), value));
    Redirect::to(&(ALERTS.to_owned() + &query.write())).into_response()
}

fn back(query: &str) -> Response {
    Redirect::to(&format!("{ALERTS}?{query}")).into_response()
}
