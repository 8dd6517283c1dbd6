//! What happened: samples, events, gaps, and when this server ran.
//!
//! ```text
//! recorder ──▶ write one batch, one transaction ──▶ history_{samples,events,gaps,runs}
//!                                                         │
//!               prune by age and by size ◀────────────────┼──▶ buckets for charts, pages of records for API and export
//! ```
//!
//! Reads are bounded by a range and a limit; the page after is found by key, never by counting. Columns are named: a newer version
//! may add some while this one runs.

mod bundles;
mod events;
mod gaps;
mod prune;
mod samples;
#[cfg(test)]
mod tests;
mod turn;

pub use events::{EventFilter, EventKey};
pub use gaps::GapKey;
pub use prune::Retention;
pub use samples::{RESOLUTIONS_SECONDS, SampleKey};
pub use turn::Turn;

use super::{
    Change, Database, QueryError,
    pool::{on, run},
};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    history::{EventKind, Phase, gap::Gap},
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{ops::Range, sync::atomic::Ordering::Relaxed};

/// What one connection did over one span.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Whose.
    pub connection_id: ConnectionId,
    /// When the span ended, when written; when it began, when read.
    pub at: UnixMillis,
    /// The span that was seen, in milliseconds.
    pub covered_ms: u64,
    /// WebSocket messages in it.
    pub messages: u64,
    /// Ticks in it.
    pub ticks: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Errors in it.
    pub errors: u64,
    /// Connections lost in it.
    pub reconnects: u64,
    /// The highest rate of a sample in it.
    pub ticks_per_second_max: f64,
    /// Percentiles of the latency in microseconds, means over the samples that had any: p50, p95, p99, and the worst p99.
    pub latency_us: Option<[u64; 4]>,
    /// Milliseconds in each phase, in the order of [`Phase::ALL`].
    pub phase_ms: [u64; Phase::COUNT],
}

/// An event that is not written yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// When.
    pub at: UnixMillis,
    /// To which connection; `None` to all.
    pub connection_id: Option<ConnectionId>,
    /// What kind of thing.
    pub kind: EventKind,
    /// The connection's state after it, when that changed.
    pub state: Option<ConnectionState>,
    /// What, in words.
    pub text: String,
}

/// One run of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// When it started: its key.
    pub started_at: UnixMillis,
    /// When it last wrote.
    pub last_seen_at: UnixMillis,
    /// When it stopped in good order.
    pub stopped_at: Option<UnixMillis>,
    /// The connections that were enabled then.
    pub connection_ids: Vec<ConnectionId>,
    /// Which server it was; empty when it ran alone.
    pub server: String,
}

/// What is written in one transaction: all of it or nothing.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The run that writes, with its newest sign of life.
    pub run: Run,
    /// The epoch under which it may, among several servers.
    pub epoch: Option<u64>,
    /// Samples, each merged into every resolution.
    pub samples: Vec<Sample>,
    /// Events.
    pub events: Vec<NewEvent>,
    /// Gaps as they are now, new or known.
    pub gaps: Vec<Gap>,
}

/// What the next run needs to know of the ones before.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The newest run.
    pub last_run: Option<Run>,
    /// Gaps that had not ended.
    pub open: Vec<Gap>,
    /// The highest gap number of each connection that has any.
    pub numbers: Vec<(ConnectionId, u32)>,
    /// Of each connection, when the last second with a tick ended, and ticks and milliseconds up in the
    /// [`RATE_SECONDS`](Past::RATE_SECONDS) before the run's end.
    pub rates: Vec<PastRate>,
    /// What each connection did in every quarter of an hour of the last days: what is usual at a time of day.
    pub quarters: Vec<Quarter>,
}

/// What one connection did in a quarter of an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quarter {
    /// The connection.
    pub connection_id: ConnectionId,
    /// When the quarter began.
    pub at: UnixMillis,
    /// Ticks.
    pub ticks: u64,
    /// Milliseconds that it was up.
    pub up_ms: u64,
}

/// What a connection did before a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PastRate {
    /// Whose.
    pub connection_id: ConnectionId,
    /// The end of the last sampled span with a tick.
    pub last_tick_at: Option<UnixMillis>,
    /// Ticks.
    pub ticks: u64,
    /// Milliseconds that it was up.
    pub up_ms: u64,
}

impl Past {
    /// The stretch over which a rate from before a run's end is taken.
    pub const RATE_SECONDS: u32 = 300;
    /// The days from which is told what is usual at a time of day: five trading days at least, holidays and all.
    pub const USUAL_DAYS: i64 = 10;
}

impl Database {
    /// Writes a batch, whole or not at all.
    ///
    /// # Errors
    /// When the database does not take it; then nothing of it is written.
    pub async fn write_history(&self, batch: &Batch) -> Result<(), QueryError> {
        let written = self.try_write_history(batch).await;
        // Once a second, so it says whether anything can be written at the moment.
        let is_unwritable = written.as_ref().is_err_and(|error| !error.is_fenced());
        self.opened.is_unwritable.store(is_unwritable, Relaxed);
        written
    }

    async fn try_write_history(&self, batch: &Batch) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        if let Some(epoch) = batch.epoch {
            raise(&mut change, epoch).await?;
        }
        let run = &batch.run;
        let query = "INSERT INTO history_runs (started_at_ms, last_seen_at_ms, stopped_at_ms, connection_ids, server)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (started_at_ms) DO UPDATE SET
             last_seen_at_ms = excluded.last_seen_at_ms, stopped_at_ms = excluded.stopped_at_ms,
             connection_ids = excluded.connection_ids";
        run!(
            change.tx.connection(),
            sqlx::query(query)
                .bind(run.started_at.0)
                .bind(run.last_seen_at.0)
                .bind(run.stopped_at.map(|at| at.0))
                .bind(join(run.connection_ids.iter()))
                .bind(&run.server)
        )?;
        for sample in &batch.samples {
            samples::merge(change.tx.connection(), sample).await?;
        }
        for event in &batch.events {
            events::insert(change.tx.connection(), event).await?;
        }
        for gap in &batch.gaps {
            gaps::put(change.tx.connection(), gap).await?;
        }
        change.commit().await
    }

    /// What earlier runs left behind. Among several servers `epoch` is that of the one that begins to write: from then on nothing
    /// is added to what it reads by one that collected before.
    ///
    /// # Errors
    /// When the database does not answer, or another server collects by now.
    pub async fn history_past(&self, epoch: Option<u64>) -> Result<Past, QueryError> {
        if let Some(epoch) = epoch {
            let mut change = self.change().await?;
            raise(&mut change, epoch).await?;
            change.commit().await?;
        }
        let query = "SELECT started_at_ms, last_seen_at_ms, stopped_at_ms, connection_ids, server FROM history_runs
             ORDER BY started_at_ms DESC LIMIT 1";
        let row: Option<(i64, i64, Option<i64>, String, String)> =
            on!(&self.pool, db => sqlx::query_as(query).fetch_optional(db))?;
        let last_run = row.map(|(started, seen, stopped, ids, server)| Run {
            started_at: UnixMillis(started),
            last_seen_at: UnixMillis(seen),
            stopped_at: stopped.map(UnixMillis),
            connection_ids: ids.split(',').filter_map(|id| id.parse().ok()).collect(),
            server,
        });
        let rates = match &last_run {
            Some(run) => self.past_rates(run.last_seen_at).await?,
            None => Vec::new(),
        };
        let quarters = match &last_run {
            Some(run) => self.quarters(run.last_seen_at).await?,
            None => Vec::new(),
        };
        Ok(Past { last_run, open: self.open_gaps().await?, numbers: self.gap_numbers().await?, rates, quarters })
    }
}

/// From now on, history is written under this epoch or a later one.
async fn raise(change: &mut Change, epoch: u64) -> Result<(), QueryError> {
    let raise = "UPDATE collector SET epoch = $1 WHERE epoch <= $1";
    match run!(change.tx.connection(), sqlx::query(raise).bind(bind(epoch)))? {
        0 => Err(QueryError::fenced()),
        _ => Ok(()),
    }
}

/// Moments of a half-open range, as they are bound.
fn bounds(range: &Range<UnixMillis>) -> (i64, i64) {
    (range.start.0, range.end.0)
}

fn join(values: impl Iterator<Item = impl ToString>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
}

/// A value's name as JSON writes it: the same word in the database and in the API.
fn name_of(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The value with a name. A name of a newer version is an error, not a guess.
fn value_of<T: DeserializeOwned>(column: &str, name: &str) -> sqlx::Result<T> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}

/// A value that has parts, as JSON in one column.
fn json_of(value: impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(&value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn of_json<T: DeserializeOwned>(column: &str, json: &str) -> sqlx::Result<T> {
    serde_json::from_str(json)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}

/// Counts are never negative, whatever the column's type allows.
fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn bind(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
