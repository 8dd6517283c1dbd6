//! `/api/admin/recording…`: what is recorded, the board of a moment, what is pinned of it, ticks as a file.
//!
//! Every server reads its own disk. Servers share nothing but Redis and the database, and have no credentials for each other; a ring of
//! gigabytes is none of what those should carry. Where several should show the same past, their `RECORDING_DIR` is on a disk that they
//! share: the one that collects has the lock and writes, and all read.

use super::{
    AppState, api_error,
    query::{self, BadQuery},
    with_retry,
};
use crate::{
    audit::{Action, Actor, NotRecorded},
    auth::Admin,
    recording::{Doing, Format, Kept, NotKept, NotShown, Wanted},
    text::tidy,
};
use app::model::{
    alert::AlertLine,
    history::{HistoryTrouble, gap::NOTE_LENGTH_MAX},
    protocol::{Row, RowSpan},
    status::StatusReport,
    symbol::Symbol,
    time::UnixMillis,
};
use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{
        StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::{self, BufWriter, Write};
use tokio::{sync::mpsc, task::spawn_blocking};

/// Pieces of a file that wait for who reads it.
const PIECES_MAX: usize = 4;
const PIECE_BYTES: usize = 64 << 10;
/// The longest stretch that is kept at once: an incident is shorter.
const KEEP_MS_MAX: i64 = 24 * 3_600_000;

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/admin/recording", get(contents)).route("/api/admin/recording/board", get(board))
}

/// What changes something.
pub(super) fn acts() -> Router<AppState> {
    Router::new().route("/api/admin/recording/keep", post(keep)).route("/api/admin/recording/kept/{id}", delete(forget))
}

/// Files, which are compressed already or too large to be compressed on their way.
pub(super) fn files() -> Router<AppState> {
    Router::new().route("/api/admin/recording/ticks", get(ticks))
}

async fn contents(State(state): State<AppState>) -> Result<Response, Refused> {
    let recording = state.recording.clone();
    let contents = state.recording.in_turn(move || recording.contents()).await.ok_or(Refused::Ending)??;
    let (config, doing) = (state.recording.config(), state.recording.doing().borrow().clone());
    let (doing, since, trouble) = match doing {
        _ if !state.recording.records() => (RecordingState::Off, None, None),
        Doing::StandingBy => (RecordingState::StandingBy, None, None),
        Doing::Recording(since) => (RecordingState::Recording, Some(since), None),
        Doing::Trouble(HistoryTrouble { since, reason }) => (RecordingState::Trouble, Some(since), Some(reason)),
    };
    Ok(Json(RecordingAnswer {
        server: state.servers.this(),
        state: doing,
        since,
        trouble,
        lost_ticks_total: state.recording.counted().lost,
        from: contents.spans.first().map(|span| span.0),
        to: contents.spans.last().map(|span| span.1),
        spans: contents.spans.iter().map(Span::from).collect(),
        bytes: contents.bytes,
        bytes_max: config.bytes_max,
        hours_max: config.kept.as_secs() / 3600,
        ticks: contents.ticks,
        kept_bytes: contents.kept.iter().map(|kept| kept.bytes).sum::<u64>(),
        kept_bytes_max: config.bytes_max,
        kept: contents.kept,
    })
    .into_response())
}

/// What is recorded, and whether anything is being recorded now.
#[derive(Serialize, JsonSchema)]
pub(super) struct RecordingAnswer<'a> {
    /// Whose disk it is on.
    server: &'a str,
    state: RecordingState,
    /// Since when it is recorded, or not.
    since: Option<UnixMillis>,
    /// Why nothing is recorded.
    trouble: Option<String>,
    /// Ticks that could not be recorded since the server started.
    lost_ticks_total: u64,
    from: Option<UnixMillis>,
    to: Option<UnixMillis>,
    /// The stretches without a hole, oldest first.
    spans: Vec<Span>,
    bytes: u64,
    bytes_max: u64,
    hours_max: u64,
    ticks: u64,
    kept: Vec<Kept>,
    kept_bytes: u64,
    kept_bytes_max: u64,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum RecordingState {
    Recording,
    /// Another server collects, and records.
    StandingBy,
    Off,
    Trouble,
}

/// A stretch without a hole.
#[derive(Serialize, JsonSchema)]
struct Span {
    from: UnixMillis,
    to: UnixMillis,
}

impl From<&(UnixMillis, UnixMillis)> for Span {
    fn from(&(from, to): &(UnixMillis, UnixMillis)) -> Self {
        Self { from, to }
    }
}

/// The board of a moment.
#[derive(Serialize, JsonSchema)]
pub(super) struct BoardAnswer {
    /// The newest recorded moment that is not after the one asked for.
    at: UnixMillis,
    /// As `/api/admin/websocket-status` said then.
    status: StatusReport,
    rows: Vec<Row>,
    /// The rows that were stale, by their places in `rows`.
    stale: Vec<RowSpan>,
    /// The first of the alerts that were open.
    alerts: Vec<AlertLine>,
}

/// The parameters of an address, each of them known.
fn known(parameters: &[(String, String)], names: &[&str]) -> Result<(), BadQuery> {
    match parameters.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => Err(BadQuery::new("parameter", name, ["one of ", &names.join(", ")].concat())),
    }
}

fn of<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

async fn board(
    State(state): State<AppState>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    known(&parameters, &["at"])?;
    let text = of(&parameters, "at").unwrap_or_default();
    let at = query::time("at", text, UnixMillis::now())?;
    let recording = state.recording.clone();
    let past = state.recording.in_turn(move || recording.past(at)).await.ok_or(Refused::Ending)??;
    Ok(Json(BoardAnswer {
        at: past.at,
        status: past.board.report,
        rows: past.board.rows,
        stale: past.board.stale,
        alerts: past.alerts.lines,
    })
    .into_response())
}

/// A stretch to keep.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    /// RFC 3339, or a span before now such as -15m.
    from: String,
    /// The same; at most 24 hours after `from`.
    to: String,
    /// Why: 1 to 1000 characters.
    note: String,
}

async fn keep(
    State(state): State<AppState>,
    Extension(admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    body: Result<Json<Keep>, JsonRejection>,
) -> Result<Response, Refused> {
    const EXPECTED: &str = r#"expected a JSON body {"from":"2026-01-21T10:41:00Z","to":"…","note":"…"}"#;
    let Json(Keep { from, to, note }) = body.map_err(|_| Refused::Bad(EXPECTED.to_owned()))?;
    let now = UnixMillis::now();
    let (from, to) = (query::time("from", &from, now)?, query::time("to", &to, now)?);
    if !(1..=KEEP_MS_MAX).contains(&to.millis_since(from)) {
        return Err(
            BadQuery::new("from", &from.to_string(), "a time before `to`, and at most 24 hours before it").into()
        );
    }
    let note = tidy(note.trim(), usize::MAX);
    if note.is_empty() || note.chars().count() > NOTE_LENGTH_MAX {
        return Err(Refused::Bad(format!("note: expected 1 to {NOTE_LENGTH_MAX} characters")));
    }
    // On record first: what cannot be put on record is not done.
    let act = actor.does(Action::RecordingKeep).to(format!("{from} to {to}")).because(note.clone());
    state.access.audit.record(act).await?;
    let (recording, by) = (state.recording.clone(), admin.name.clone());
    let kept = state.recording.in_turn(move || recording.keep(from, to, &note, &by)).await.ok_or(Refused::Ending)?;
    match kept {
        Ok(kept) => Ok((StatusCode::CREATED, Json(kept)).into_response()),
        Err(error) => {
            let failed = actor.failed_at(Action::RecordingKeep, error.to_string()).to(format!("{from} to {to}"));
            state.access.audit.record(failed).await?;
            Err(error.into())
        }
    }
}

async fn forget(
    State(state): State<AppState>,
    Extension(_admin): Extension<Admin>,
    Extension(actor): Extension<Actor>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let recording = state.recording.clone();
    let all = state.recording.in_turn(move || recording.kept()).await.ok_or(Refused::Ending)??;
    let Kept { from, to, note, .. } = all.into_iter().find(|kept| kept.id == id).ok_or(Refused::NotFound)?;
    let act = actor.does(Action::RecordingForget).to(format!("{from} to {to}")).because(note);
    state.access.audit.record(act).await?;
    let recording = state.recording.clone();
    state.recording.in_turn(move || recording.forget(&id)).await.ok_or(Refused::Ending)??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ticks of a stretch as a file. That it left is on record first.
async fn ticks(
    State(state): State<AppState>,
    Extension(actor): Extension<Actor>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, Refused> {
    known(&parameters, &["from", "to", "connection", "symbol", "format"])?;
    let now = UnixMillis::now();
    let of = |name: &str| of(&parameters, name);
    let end = of("to").map_or(Ok(now), |text| query::time("to", text, now))?;
    let start = query::time("from", of("from").unwrap_or("-60s"), now)?;
    if start >= end {
        return Err(BadQuery::new("from", &start.to_string(), "a time before `to`").into());
    }
    let (format, extension, kind) = match of("format").unwrap_or("csv") {
        "csv" => (Format::Csv, "csv", "text/csv; charset=utf-8"),
        "jsonl" => (Format::JsonLines, "jsonl", "application/x-ndjson"),
        "parquet" => (Format::Parquet, "parquet", "application/vnd.apache.parquet"),
        other => return Err(BadQuery::new("format", other, "csv, jsonl or parquet").into()),
    };
    let symbol =
        of("symbol").map(|text| Symbol::parse(text).map_err(|_| BadQuery::new("symbol", text, "a symbol like AAPL")));
    let wanted =
        Wanted { range: start..end, connections: query::connections(of("connection"))?, symbol: symbol.transpose()? };
    let what = format!("{extension}, {start} to {end}");
    state.access.audit.record_often(actor.does(Action::Export).to("ticks").because(what)).await?;
    let Some(place) = state.recording.export_place() else { return Err(Refused::Busy) };
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    let recording = state.recording.clone();
    // Files are read as fast as the file is taken.
    spawn_blocking(move || {
        let _place = place;
        let mut sink = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
        let written =
            recording.export(&wanted, format, &mut sink).map_err(io::Error::other).and_then(|()| sink.flush());
        if let Err(error) = written {
            // The transfer is broken off, so that nobody takes half a file for a whole one.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    let body = stream::unfold(received, |mut received| async move { Some((received.recv().await?, received)) });
    let name = format!("attachment; filename=\"tickstock-ticks.{extension}\"");
    let head = [(CONTENT_TYPE, kind.to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((head, Body::from_stream(body)).into_response())
}

/// What is written goes to who reads the answer.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why there is no answer. In the API's form.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// 400, naming what is accepted.
    #[error("{0}")]
    Bad(String),
    /// 404.
    #[error("nothing is kept under this name")]
    NotFound,
    /// 404, with what there is, or 503.
    #[error(transparent)]
    NotShown(#[from] NotShown),
    /// 404, 409 or 503.
    #[error(transparent)]
    NotKept(#[from] NotKept),
    /// 503: what cannot be put on record is not done.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// 503.
    #[error("the recording cannot be read right now")]
    Disk(#[from] io::Error),
    /// 503.
    #[error("the server is shutting down")]
    Ending,
    /// 429.
    #[error("too many files are being written")]
    Busy,
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
            Self::NotFound => api_error(StatusCode::NOT_FOUND, "not_found", &text),
            Self::NotShown(NotShown::NotRecorded { .. })
            | Self::NotKept(NotKept::NotShown(NotShown::NotRecorded { .. })) => {
                api_error(StatusCode::NOT_FOUND, "not_recorded", &text)
            }
            Self::NotKept(NotKept::Full { .. }) => api_error(StatusCode::CONFLICT, "quota", &text),
            Self::NotRecorded(refused) => refused.into_response(),
            Self::Busy => with_retry(5, api_error(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", &text)),
            Self::NotShown(_) | Self::NotKept(_) | Self::Disk(_) | Self::Ending => {
                tracing::warn!("The recording: {text}");
                let mut answer = api_error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", &text);
                answer.headers_mut().insert(RETRY_AFTER, 5.into());
                answer
            }
        }
    }
}
