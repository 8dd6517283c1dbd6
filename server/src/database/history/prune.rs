//! Forgetting: by age, and by size when the disk matters more than the past.

use super::{RESOLUTIONS_SECONDS, count};
use crate::database::{
    Database, QueryError,
    pool::{Connection, Either, on, run},
    postgres, sqlite,
};
use app::model::time::UnixMillis;
use std::time::Duration;

/// The most spans of one resolution that a pass deletes, so that no other writer waits for long.
const SPANS_MAX: i64 = 10_000;

/// How long what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Samples of a second.
    pub seconds: Duration,
    /// Samples of ten seconds.
    pub ten_seconds: Duration,
    /// Samples of a minute and longer, events, gaps.
    pub rest: Duration,
    /// Bytes of history, the audit log and the accounts not among them, beyond which the oldest day goes, whatever its age.
    pub bytes_max: u64,
}

impl Retention {
    /// How long samples of a resolution are kept, in milliseconds.
    #[must_use]
    pub fn of(&self, resolution_seconds: u32) -> i64 {
        let kept = match resolution_seconds {
            0..10 => self.seconds,
            10..60 => self.ten_seconds,
            _ => self.rest,
        };
        kept.as_millis() as i64
    }
}

impl Database {
    /// Deletes what is older than it is kept, a bounded piece of it a call.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_history(&self, retention: &Retention, now: UnixMillis) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        for resolution in RESOLUTIONS_SECONDS {
            let query = "SELECT MIN(at_ms) FROM history_samples WHERE resolution_seconds = $1";
            let connection = change.tx.connection();
            let oldest: Option<i64> =
                on!(connection, db => sqlx::query_scalar(query).bind(i64::from(resolution)).fetch_one(db))?;
            let Some(oldest) = oldest else { continue };
            let piece = oldest + SPANS_MAX * i64::from(resolution) * 1000;
            let end = piece.min(now.0 - retention.of(resolution));
            if end > oldest {
                delete_samples(change.tx.connection(), resolution, end).await?;
            }
        }
        delete_records(change.tx.connection(), now.0 - retention.rest.as_millis() as i64).await?;
        change.commit().await
    }

    /// When history is larger than it may be: deletes the oldest day. Answers the day's end, or `None` when there was
    /// no need, or nothing older than a day to delete.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_by_size(&self, bytes_max: u64, now: UnixMillis) -> Result<Option<UnixMillis>, QueryError> {
        const DAY_MS: i64 = 86_400_000;
        // Most of the time the whole database is smaller, which is known at once.
        if self.bytes_used().await? <= bytes_max || self.history_bytes().await? <= bytes_max {
            return Ok(None);
        }
        let Some(begin) = self.history_begin().await? else { return Ok(None) };
        let end = begin.0 + DAY_MS;
        if end > now.0 - DAY_MS {
            return Ok(None);
        }
        let mut change = self.change().await?;
        for resolution in RESOLUTIONS_SECONDS {
            delete_samples(change.tx.connection(), resolution, end).await?;
        }
        delete_records(change.tx.connection(), end).await?;
        change.commit().await?;
        Ok(Some(UnixMillis(end)))
    }

    /// Bytes that the rows of history take, with their part of the indexes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_bytes(&self) -> Result<u64, QueryError> {
        let bytes = match &self.pool {
            Either::Sqlite(pool) => sqlite::history_bytes(pool).await,
            Either::Postgres(pool) => postgres::history_bytes(pool).await,
        };
        Ok(count(bytes?))
    }

    /// Bytes of all tables and their indexes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn bytes_used(&self) -> Result<u64, QueryError> {
        let bytes = match &self.pool {
            Either::Sqlite(pool) => sqlite::bytes_used(pool).await,
            Either::Postgres(pool) => postgres::bytes_used(pool).await,
        };
        Ok(count(bytes?))
    }
}

async fn delete_samples(connection: Connection<'_>, resolution: u32, before: i64) -> sqlx::Result<()> {
    let query = "DELETE FROM history_samples WHERE resolution_seconds = $1 AND at_ms < $2";
    run!(connection, sqlx::query(query).bind(i64::from(resolution)).bind(before))?;
    Ok(())
}

/// Events and ended gaps. A gap that lasts is no past yet, however old it is, and the newest of a connection stays, so that
/// no number is given twice.
async fn delete_records(mut connection: Connection<'_>, before: i64) -> sqlx::Result<()> {
    for query in [
        "DELETE FROM history_events WHERE at_ms < $1",
        "DELETE FROM history_gaps WHERE started_at_ms < $1 AND ended_at_ms < $1 AND EXISTS (SELECT 1 FROM history_gaps
         AS newer WHERE newer.connection_id = history_gaps.connection_id AND newer.number > history_gaps.number)",
        "DELETE FROM history_runs WHERE last_seen_at_ms < $1",
    ] {
        run!(connection.again(), sqlx::query(query).bind(before))?;
    }
    Ok(())
}
