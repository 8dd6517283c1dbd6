//! `/api/admin/history/…`: samples, events and gaps by range, as JSON or CSV, and the acknowledgement of a gap.
//!
//! ```text
//!  query ──▶ Asked ──▶ on record ──▶ first page ──▶ 200 ──▶ page after page, streamed ──▶ JSON or CSV
//!    └ 400: what is accepted   └ 503     └ 503
//! ```
//!
//! An export holds one page in memory, however long it is. A database that fails in the middle breaks the transfer off, so
//! that nobody takes half a file for a whole one.

mod asked;
mod records;
mod stream;

use super::{AppState, api_error};
use crate::{
    audit::{Action, Actor, NotRecorded},
    auth::Admin,
    database::QueryError,
    text::tidy,
};
use app::{
    api::ApiError,
    model::{
        history::gap::{Acknowledgement, NOTE_LENGTH_MAX, NOTES_MAX},
        time::UnixMillis,
    },
};
use asked::Asked;
use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
pub(super) use records::GapRow;
use records::{Events, Gaps, RecordKind, Samples};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/admin/history/samples", get(export::<Samples>))
        .route("/api/admin/history/events", get(export::<Events>))
        .route("/api/admin/history/gaps", get(export::<Gaps>))
}

/// What each of them answers, for the API's description.
pub(super) const ANSWERS: [fn(&mut SchemaGenerator) -> Schema; 3] =
    [records::list_schema::<Samples>, records::list_schema::<Events>, records::list_schema::<Gaps>];

/// What changes something.
pub(super) fn acts() -> Router<AppState> {
    Router::new()
        .route("/api/admin/history/gaps/{id}/acknowledge", post(acknowledge))
        .route("/api/admin/history/gaps/{id}/notes", post(add_note))
}

/// A stretch of one kind of record. That it left is on record first.
async fn export<T: RecordKind>(
    State(state): State<AppState>,
    Extension(actor): Extension<Actor>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    let now = UnixMillis::now();
    let asked = Asked::read(T::PARAMETERS, &parameters, now).map_err(|bad| Refused::Bad(bad.to_string()))?;
    let table = T::new(&asked, &state.config.history, now);
    let act = actor.does(Action::Export).to(T::NAME).because(asked.to_string());
    state.access.audit.record_often(act).await?;
    Ok(stream::answer(state.database, table, asked).await?)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Note {
    /// 1 to 1,000 characters.
    note: String,
}

/// Somebody has seen a gap, and says what became of it.
async fn acknowledge(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Result<Json<Note>, JsonRejection>,
) -> Result<Response, Refused> {
    write_note(&state, &admin, &actor, &id, body, false).await
}

/// Somebody has more to say of a gap that is acknowledged.
async fn add_note(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
    body: Result<Json<Note>, JsonRejection>,
) -> Result<Response, Refused> {
    write_note(&state, &admin, &actor, &id, body, true).await
}

async fn write_note(
    state: &AppState,
    admin: &Admin,
    actor: &Actor,
    id: &str,
    body: Result<Json<Note>, JsonRejection>,
    further: bool,
) -> Result<Response, Refused> {
    let Json(Note { note }) = body.map_err(|_| Refused::Bad(r#"expected a JSON body {"note":"…"}"#.to_owned()))?;
    let id: i64 = id.parse().map_err(|_| Refused::NotFound)?;
    let gap = note_gap(state, admin, actor, id, &note, further).await?;
    Ok(Json(GapRow::of(&gap, UnixMillis::now())).into_response())
}

/// What API and page do alike: acknowledges a gap with a note, or adds a further one. Answers the gap as it is then.
pub(super) async fn note_gap(
    state: &AppState,
    admin: &Admin,
    actor: &Actor,
    id: i64,
    note: &str,
    further: bool,
) -> Result<app::model::history::gap::Gap, Refused> {
    let note = &*tidy(note.trim(), usize::MAX);
    if note.is_empty() || note.chars().count() > NOTE_LENGTH_MAX {
        return Err(Refused::Bad(format!("note: expected 1 to {NOTE_LENGTH_MAX} characters")));
    }
    let gap = state.database.history_gap(id).await?.ok_or(Refused::NotFound)?;
    let conflict = if further { Refused::NoFurther } else { Refused::Conflict };
    if gap.acknowledged.is_some() != further {
        return Err(conflict);
    }
    let said = Acknowledgement { at: UnixMillis::now(), by: admin.name.clone(), note: note.to_owned() };
    let done = if further {
        let act = actor.does(Action::GapNote).to(gap.name()).because(note);
        state.database.add_gap_note(id, &said, &act).await
    } else {
        let act = actor.does(Action::GapAcknowledge).to(gap.name()).because(note);
        state.database.acknowledge_gap(id, &said, &act).await
    };
    match done {
        Ok(true) => Ok(state.database.history_gap(id).await?.ok_or(Refused::NotFound)?),
        Ok(false) => Err(conflict),
        // The act and its record are one: neither is written.
        Err(_) => Err(NotRecorded.into()),
    }
}

/// Why there is no answer. In the API's form, none with words of the database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// 400, naming what is accepted.
    #[error("{0}")]
    Bad(String),
    /// 404.
    #[error("no such gap")]
    NotFound,
    /// 409: somebody was first.
    #[error("this gap has already been acknowledged")]
    Conflict,
    /// 409.
    #[error("only an acknowledged gap takes further notes, {NOTES_MAX} at most")]
    NoFurther,
    /// 503: what cannot be put on record is not done.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// 503.
    #[error("history is unavailable right now; try again in a few seconds")]
    NoDatabase(#[from] QueryError),
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused {
            Refused::Bad(_) | Refused::NotFound | Refused::Conflict | Refused::NoFurther => Self::Refused(text),
            Refused::NotRecorded(_) | Refused::NoDatabase(_) => Self::NotNow(text),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Bad(_) => api_error(StatusCode::BAD_REQUEST, "bad_request", &text),
            Self::NotFound => api_error(StatusCode::NOT_FOUND, "not_found", &text),
            Self::Conflict | Self::NoFurther => api_error(StatusCode::CONFLICT, "conflict", &text),
            Self::NotRecorded(refused) => refused.into_response(),
            Self::NoDatabase(error) => {
                tracing::warn!(%error, "History could not be read");
                let mut answer = api_error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &text);
                answer.headers_mut().insert(RETRY_AFTER, 5.into());
                answer
            }
        }
    }
}
