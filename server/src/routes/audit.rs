//! `GET /api/admin/audit`: the audit log as JSON or CSV, and the same question from the page.

use super::{
    AppState, csv,
    query::{self, BadQuery},
};
use crate::{
    audit::{Action, Actor, NotRecorded, Outcome},
    database::{AuditFilter, Database, QueryError},
};
use app::model::{
    audit::{AuditForm, AuditRecord},
    time::UnixMillis,
};
use axum::{
    Extension, Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const JSON_LIMIT: u32 = 100;
const JSON_LIMIT_MAX: u32 = 1_000;
const CSV_LIMIT: u32 = 10_000;
const CSV_LIMIT_MAX: u32 = 100_000;
/// Records that are read and written at once.
const PAGE: u32 = 500;

const COLUMNS: [&str; 12] = [
    "seq",
    "at",
    "actor",
    "role",
    "address",
    "user_agent",
    "action",
    "target",
    "outcome",
    "reason",
    "occurrences",
    "hash",
];

/// A misspelt parameter would otherwise be a filter that does not filter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    from: Option<String>,
    to: Option<String>,
    actor: Option<String>,
    action: Option<String>,
    outcome: Option<String>,
    address: Option<String>,
    connection: Option<String>,
    cursor: Option<String>,
    limit: Option<String>,
    format: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct AuditAnswer {
    /// The records, newest first.
    records: Vec<AuditRecord>,
    /// Where the next page begins; `None` on the last.
    next_cursor: Option<String>,
}

/// Why there is no answer.
enum Refused {
    Query(BadQuery),
    NotRecorded(NotRecorded),
    Database(QueryError),
}

impl From<BadQuery> for Refused {
    fn from(bad: BadQuery) -> Self {
        Self::Query(bad)
    }
}

impl From<NotRecorded> for Refused {
    fn from(not_recorded: NotRecorded) -> Self {
        Self::NotRecorded(not_recorded)
    }
}

impl From<QueryError> for Refused {
    fn from(error: QueryError) -> Self {
        Self::Database(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Query(bad) => bad.into_response(),
            Self::NotRecorded(not_recorded) => not_recorded.into_response(),
            Self::Database(error) => {
                tracing::error!(%error, "The audit log could not be read");
                let message = "the audit log is unavailable right now";
                super::api_error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        }
    }
}

pub(super) async fn audit(
    State(state): State<AppState>,
    Extension(actor): Extension<Actor>,
    query: Result<Query<AuditQuery>, QueryRejection>,
) -> Response {
    match query {
        Ok(Query(query)) => answer(&state, &actor, query).await.unwrap_or_else(IntoResponse::into_response),
        Err(_) => {
            let message = "the query is not understood: expected each of from, to, actor, action, outcome, address, \
                           connection, cursor, limit and format at most once";
            super::api_error(StatusCode::BAD_REQUEST, "bad_request", message)
        }
    }
}

async fn answer(state: &AppState, actor: &Actor, query: AuditQuery) -> Result<Response, Refused> {
    let AuditQuery { from, to, actor: by, action, outcome, address, connection, cursor, limit, format } = query;
    let form = AuditForm { from, to, actor: by, action, outcome, address, cursor };
    let connection_id = query::connection(connection.as_deref())?;
    let filter = AuditFilter { connection_id, ..filter(&form, UnixMillis::now())? };
    // Whatever the form, it leaves: on record first, like an export of history.
    let export = async |format: &str, limit: u32| {
        let act = actor.does(Action::Export).to("audit").because(format!("{format}, at most {limit} records"));
        state.access.audit.record_often(act).await
    };
    match format.as_deref() {
        None | Some("json") => {
            let limit = query::number("limit", limit.as_deref(), JSON_LIMIT, JSON_LIMIT_MAX)?;
            export("json", limit).await?;
            let records = state.database.audit_records(&filter, limit).await?;
            let is_full = records.len() == limit as usize;
            let next_cursor = records.last().filter(|_| is_full).map(|record| record.seq.to_string());
            Ok(Json(AuditAnswer { records, next_cursor }).into_response())
        }
        Some("csv") => {
            let limit = query::number("limit", limit.as_deref(), CSV_LIMIT, CSV_LIMIT_MAX)?;
            export("csv", limit).await?;
            Ok(csv::file("audit.csv", lines(state.database.clone(), filter, limit)))
        }
        Some(other) => Err(BadQuery::new("format", other, "json or csv").into()),
    }
}

/// What the form asks for.
pub(super) fn filter(form: &AuditForm, now: UnixMillis) -> Result<AuditFilter, BadQuery> {
    let given =
        |text: &Option<String>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let time = |name, text| given(text).map(|text| query::time(name, &text, now)).transpose();
    let action = given(&form.action).map(|name| {
        let names = || Action::ALL.map(Action::as_str).join(", ");
        name.parse().map_err(|()| BadQuery::new("action", &name, format!("one of {}", names())))
    });
    let outcome = given(&form.outcome).map(|name| {
        let names = || Outcome::ALL.map(Outcome::as_str).join(", ");
        name.parse().map_err(|()| BadQuery::new("outcome", &name, format!("one of {}", names())))
    });
    let before = given(&form.cursor)
        .map(|cursor| cursor.parse().map_err(|_| BadQuery::new("cursor", &cursor, "the next_cursor of an answer")));
    Ok(AuditFilter {
        from: time("from", &form.from)?,
        to: time("to", &form.to)?,
        actor: given(&form.actor).map(|actor| actor.to_lowercase()),
        action: action.transpose()?,
        outcome: outcome.transpose()?,
        address: given(&form.address),
        connection_id: None,
        before: before.transpose()?,
    })
}

/// The header, then page after page, read when the one before has been sent: neither all of it in memory, nor a
/// transaction that is open for as long as somebody downloads.
fn lines(database: Database, filter: AuditFilter, limit: u32) -> impl Stream<Item = String> + Send + 'static {
    let header = stream::once(async { csv::line(COLUMNS) });
    let pages = stream::unfold(Some((filter, limit)), move |state| {
        let database = database.clone();
        async move {
            let (mut filter, left) = state.filter(|(_, left)| *left > 0)?;
            let records = match database.audit_records(&filter, left.min(PAGE)).await {
                Ok(records) => records,
                Err(error) => {
                    tracing::error!(%error, "An export of the audit log ended early");
                    // A file that ends early must not look whole.
                    return Some((
                        "the database did not answer: records are missing from here on\r\n".to_owned(),
                        None,
                    ));
                }
            };
            filter.before = Some(records.last()?.seq);
            let left = left.saturating_sub(u32::try_from(records.len()).unwrap_or(u32::MAX));
            Some((records.iter().map(csv_line).collect(), Some((filter, left))))
        }
    });
    header.chain(pages)
}

fn csv_line(record: &AuditRecord) -> String {
    let AuditRecord { seq, at, actor, role, address, user_agent, action, target, outcome, reason, occurrences, hash } =
        record;
    let (seq, at, occurrences) = (seq.to_string(), at.to_string(), occurrences.to_string());
    let text = |text: &'_ Option<String>| text.clone().unwrap_or_default();
    let [actor, role, address, user_agent, target, reason] =
        [actor, role, address, user_agent, target, reason].map(text);
    csv::line([
        seq.as_str(),
        &at,
        &actor,
        &role,
        &address,
        &user_agent,
        action,
        &target,
        outcome,
        &reason,
        &occurrences,
        hash,
    ])
}
