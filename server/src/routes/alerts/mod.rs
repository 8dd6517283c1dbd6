//! `/api/admin/alerts` and what belongs to it: what fires, who looks after it, what is not told, by which numbers, and to whom.
//!
//! What the page can do, the API can: both go through `done`.

mod answers;
mod done;
mod page;

use super::{
    AppState, api_error,
    guard::{Access, api_for},
    query::{self, BadQuery},
    wrong_method,
};
use crate::{
    alerts::{Answer, Reckoned, data},
    audit::{Action, Actor, NotRecorded},
    auth::{Admin, Viewer},
    database::{QueryError, alerts::AlertFilter},
};
use answers::RuleAnswer;
use app::model::{
    alert::{Rule, RuleNumbers, RuleSetting},
    connection::ConnectionId,
    market::Calendar,
    time::UnixMillis,
};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::{StatusCode, header::RETRY_AFTER},
    middleware,
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post},
};
use done::NewSilence;
use schemars::JsonSchema;
use serde::Deserialize;
use tower_http::compression::CompressionLayer;

pub(super) use answers::{AlertList, DestinationList, RuleList, SilenceList, TestAnswer};
pub(super) use page::{forms, page};

const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;
const WEEK_MS: i64 = 7 * 24 * 3_600_000;

pub(super) fn routes(access: &Access) -> Router<AppState> {
    // The same address for who looks and for who acts: each method has its guard.
    let see = middleware::from_fn_with_state(access.clone(), api_for::<Viewer>);
    let act = middleware::from_fn_with_state(access.clone(), api_for::<Admin>);
    Router::new()
        .route("/api/admin/alerts", get(list).layer(see.clone()))
        .route("/api/admin/alerts/{id}/acknowledge", post(acknowledge).layer(act.clone()))
        .route("/api/admin/silences", get(silences).layer(see.clone()).merge(post(silence).layer(act.clone())))
        .route("/api/admin/silences/{id}", delete(end_silence).layer(act.clone()))
        .route("/api/admin/alert-rules", get(rules).layer(see.clone()).merge(patch(change_rule).layer(act.clone())))
        .route("/api/admin/alert-destinations", get(destinations).layer(see))
        .route("/api/admin/alert-destinations/{name}/test", post(test).layer(act))
        .layer(CompressionLayer::new())
        .method_not_allowed_fallback(wrong_method)
}

/// Why there is no answer. In the API's form, none with words of the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// 400, naming what is accepted.
    #[error("{0}")]
    Bad(String),
    /// 404.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// 409.
    #[error("this alert is resolved, or somebody has acknowledged it already")]
    TooLate,
    /// 503: what cannot be put on record is not done.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// 503.
    #[error("the database is unavailable right now; try again in a few seconds")]
    NoDatabase(#[from] QueryError),
}

impl From<BadQuery> for Refused {
    fn from(bad: BadQuery) -> Self {
        Self::Bad(bad.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Bad(_) => api_error(StatusCode::BAD_REQUEST, "bad_request", &text),
            Self::NotFound(_) => api_error(StatusCode::NOT_FOUND, "not_found", &text),
            Self::TooLate => api_error(StatusCode::CONFLICT, "conflict", &text),
            Self::NotRecorded(refused) => refused.into_response(),
            Self::NoDatabase(error) => {
                tracing::warn!(%error, "Alerts could not be read or written");
                let mut answer = api_error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &text);
                answer.headers_mut().insert(RETRY_AFTER, 5.into());
                answer
            }
        }
    }
}

/// A body that was not understood.
fn body<T>(body: Result<Json<T>, JsonRejection>, accepted: &str) -> Result<T, Refused> {
    body.map(|Json(body)| body).map_err(|_| Refused::Bad(format!("expected a JSON body {accepted}")))
}

/// A misspelt parameter would otherwise be a filter that does not filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    state: Option<String>,
    from: Option<String>,
    to: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
}

/// Where the next page goes on: when the last alert started, and its id.
fn read_cursor(text: &str) -> Result<(UnixMillis, String), BadQuery> {
    let parts = text.split_once('~').and_then(|(at, id)| Some((UnixMillis(at.parse().ok()?), id.to_owned())));
    parts.ok_or_else(|| BadQuery::new("cursor", text, "next_cursor of the page before"))
}

fn cursor_of(alert: &app::model::alert::Alert) -> String {
    written_cursor(alert.started_at, &alert.id)
}

fn written_cursor(at: UnixMillis, id: &str) -> String {
    format!("{}~{id}", at.0)
}

async fn list(
    State(state): State<AppState>,
    asked: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    const ACCEPTED: &str =
        "the query is not understood: expected each of state, from, to, cursor and limit at most once";
    let Query(asked) = asked.map_err(|_| Refused::Bad(ACCEPTED.to_owned()))?;
    let now = UnixMillis::now();
    let time = |name, text: Option<&str>, default| text.map_or(Ok(default), |text| query::time(name, text, now));
    let open = match asked.state.as_deref() {
        None | Some("open") => true,
        Some("all") => false,
        Some(other) => return Err(BadQuery::new("state", other, "open or all").into()),
    };
    let filter = AlertFilter {
        open,
        from: time("from", asked.from.as_deref(), UnixMillis(0))?,
        to: time("to", asked.to.as_deref(), UnixMillis(i64::MAX))?,
        before: asked.cursor.as_deref().map(read_cursor).transpose()?,
    };
    let limit = query::number("limit", asked.limit.as_deref(), LIMIT, LIMIT_MAX)?;
    let alerts = state.database.alerts(&filter, limit).await?;
    let next_cursor = alerts.last().filter(|_| alerts.len() == limit as usize).map(cursor_of);
    let alerts = alerts.iter().map(|alert| data(alert, state.alerts.context())).collect();
    Ok(Json(AlertList { alerts, next_cursor }).into_response())
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// At most 1,000 characters.
    note: String,
}

async fn acknowledge(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let expected = |_| Refused::Bad(r#"expected a JSON body {"note":"…"}, or none"#.to_owned());
    let Note { note } =
        if body.is_empty() { Note::default() } else { serde_json::from_slice(&body).map_err(expected)? };
    let alert = done::acknowledge(&state, &admin.name, &actor, &id, &note).await?;
    Ok(Json(data(&alert, state.alerts.context())).into_response())
}

async fn silences(State(state): State<AppState>) -> Result<Json<SilenceList>, Refused> {
    Ok(Json(SilenceList { silences: state.database.alert_silences(UnixMillis::now()).await? }))
}

/// `from` and `until` are times, or spans: `until` from now on, `2h`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SilenceBody {
    /// The rule's name; absent for every rule.
    rule: Option<String>,
    /// The connection; absent for every connection, and what is about the whole.
    connection: Option<ConnectionId>,
    /// Absent: from now on.
    from: Option<UnixMillis>,
    /// In the future, at most seven days after `from`.
    until: UnixMillis,
    /// 1 to 200 characters.
    reason: String,
}

async fn silence(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<SilenceBody>, JsonRejection>,
) -> Result<Response, Refused> {
    const ACCEPTED: &str = r#"{"rule":"mute","connection":1,"from":"…Z","until":"…Z","reason":"…"} of which rule, connection and from may be missing"#;
    let asked = body(asked, ACCEPTED)?;
    let rule = asked.rule.as_deref().map(done::rule_named).transpose()?;
    let new =
        NewSilence { rule, connection: asked.connection, from: asked.from, until: asked.until, reason: asked.reason };
    let silence = done::silence(&state, &admin.name, &actor, new).await?;
    Ok((StatusCode::CREATED, Json(silence)).into_response())
}

async fn end_silence(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    let id = id.parse().map_err(|_| Refused::NotFound("silence"))?;
    done::end_silence(&state, &actor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rules(State(state): State<AppState>) -> Result<Json<RuleList>, Refused> {
    let settings = state.database.alert_rules().await?;
    let (fired, reckoned) = counts(&state, &settings).await?;
    let rules = Rule::ALL
        .into_iter()
        .map(|rule| {
            let own = settings.iter().filter(|setting| setting.rule == rule);
            let of_all = own.clone().find(|setting| setting.connection.is_none());
            RuleAnswer {
                rule,
                title: rule.label(),
                severity: rule.severity(),
                when: rule.when(),
                unit: rule.unit(),
                numbers: of_all.map_or_else(|| rule.numbers(), |setting| setting.numbers),
                changed: of_all.is_some(),
                default: rule.numbers(),
                connections: own.filter(|setting| setting.connection.is_some()).cloned().collect(),
                fired_in_7_days: fired_of(&fired, rule),
                would_have_fired_in_7_days: reckoned.get(&rule).copied(),
            }
        })
        .collect();
    Ok(Json(RuleList { rules }))
}

/// How often rules fired in the last seven days, and how often they would have with the numbers that they have now.
async fn counts(state: &AppState, settings: &[RuleSetting]) -> Result<(Vec<(String, i64)>, Reckoned), Refused> {
    let since = UnixMillis(UnixMillis::now().0 - WEEK_MS);
    let calendar = Calendar::of(state.config.feed);
    let reckoned = state.alerts.would_have_fired(since, calendar, settings).await?;
    Ok((state.database.alert_counts(since).await?, reckoned))
}

fn fired_of(counts: &[(String, i64)], rule: Rule) -> i64 {
    counts.iter().find(|(name, _)| name == rule.name()).map_or(0, |(_, count)| *count)
}

/// What is not said stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleBody {
    /// Its name.
    rule: String,
    /// For one connection alone.
    connection: Option<ConnectionId>,
    /// Is it looked at?
    enabled: Option<bool>,
    /// How long the trouble has to last before it is told, in seconds: 86,400 at most.
    for_seconds: Option<u32>,
    /// How long it has to be well before that is told, in seconds: 86,400 at most.
    resolve_seconds: Option<u32>,
    /// What is measured against, in the rule's unit.
    threshold: Option<f64>,
    /// True: as the rule ships.
    #[serde(default)]
    reset: bool,
}

async fn change_rule(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    asked: Result<Json<RuleBody>, JsonRejection>,
) -> Result<Json<RuleList>, Refused> {
    const ACCEPTED: &str = r#"{"rule":"mute","connection":1,"enabled":true,"for_seconds":5,"resolve_seconds":60,"threshold":null} of which all but the
rule may be missing, or {"rule":"mute","reset":true}"#;
    let asked = body(asked, &ACCEPTED.replace('\n', " "))?;
    let rule = done::rule_named(&asked.rule)?;
    let numbers = if asked.reset {
        None
    } else {
        let known = done::numbers(&state, rule, asked.connection).await?;
        Some(RuleNumbers {
            enabled: asked.enabled.unwrap_or(known.enabled),
            for_seconds: asked.for_seconds.unwrap_or(known.for_seconds),
            resolve_seconds: asked.resolve_seconds.unwrap_or(known.resolve_seconds),
            threshold: asked.threshold.or(known.threshold),
        })
    };
    done::set_rule(&state, &actor, rule, asked.connection, numbers).await?;
    rules(State(state)).await
}

async fn destinations(State(state): State<AppState>) -> Result<Json<DestinationList>, Refused> {
    let destinations = page::destinations(&state).await?;
    Ok(Json(DestinationList { destinations, heartbeat: state.config.alerts.heartbeat.is_some() }))
}

async fn test(
    State(state): State<AppState>,
    _: Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(name): Path<String>,
) -> Result<Json<TestAnswer>, Refused> {
    let answer = done::test(&state, &actor, &name).await?;
    let taken = matches!(answer, Answer::Taken(_));
    Ok(Json(TestAnswer { taken, answer: answer.text().to_owned() }))
}

/// Actions of alerts in the audit log name what they were done to.
fn target(rule: Option<Rule>, connection: Option<ConnectionId>) -> String {
    let rule = rule.map_or("every rule", Rule::name);
    match connection {
        Some(id) => format!("{rule}, connection {id}"),
        None => rule.to_owned(),
    }
}

/// An act on alerts, for the record.
fn act(actor: &Actor, action: Action, target: impl Into<String>, reason: impl Into<String>) -> crate::audit::AuditAct {
    actor.does(action).to(target).because(reason)
}
