//! What a view has no room to list, in bundles: so that nothing of a range is missing from its charts.

use super::{GapKey, bounds, count, events::ACTS, value_of};
use crate::database::{
    Database, QueryError,
    pool::{narrow, on},
};
use app::model::{
    connection::ConnectionId,
    history::{
        EventKind,
        view::{EventBundle, GapBundle},
    },
    time::UnixMillis,
};
use sqlx::AssertSqlSafe;
use std::{collections::BTreeMap, ops::Range};

impl Database {
    /// Gaps of a range that are older than `before`, of all connections. Those of a connection that share a bucket are one
    /// bundle: at most as many bundles a connection as the range has buckets.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn gap_bundles(
        &self,
        range: Range<UnixMillis>,
        before: GapKey,
        bucket_seconds: u32,
    ) -> Result<Vec<GapBundle>, QueryError> {
        let (from, to) = bounds(&range);
        let query = "SELECT connection_id,
                    (CASE WHEN started_at_ms > $1 THEN started_at_ms ELSE $1 END - $1) / $5 AS begins_in,
                    (CASE WHEN ended_at_ms < $2 THEN ended_at_ms ELSE $2 END - $1) / $5 AS ends_in,
                    MIN(started_at_ms), MAX(COALESCE(ended_at_ms, $2)), COUNT(*)
             FROM history_gaps WHERE started_at_ms < $2 AND (ended_at_ms IS NULL OR ended_at_ms >= $1)
             AND (started_at_ms, id) < ($3, $4) GROUP BY 1, 2, 3 ORDER BY 1, 2";
        let rows: Vec<(i64, i64, i64, i64, i64, i64)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(from)
            .bind(to)
            .bind(before.started_at.0)
            .bind(before.id)
            .bind(i64::from(bucket_seconds) * 1000)
            .fetch_all(db))?;
        let mut bundles: Vec<(GapBundle, i64)> = Vec::new();
        for (connection_id, begins_in, ends_in, started, ended, gaps) in rows {
            let connection_id: ConnectionId = narrow("connection_id", connection_id)?;
            let next =
                GapBundle { connection_id, from: UnixMillis(started), to: UnixMillis(ended), count: count(gaps) };
            match bundles.last_mut() {
                Some((last, last_in)) if last.connection_id == connection_id && begins_in <= *last_in => {
                    (last.to, last.count) = (last.to.max(next.to), last.count + next.count);
                    *last_in = ends_in.max(*last_in);
                }
                _ => bundles.push((next, ends_in)),
            }
        }
        Ok(bundles.into_iter().map(|(bundle, _)| bundle).collect())
    }

    /// How many events each bucket of a range has that are of a kind that `is_wanted`, of the connection that it names; acts
    /// of administrators among them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn event_bundles(
        &self,
        range: Range<UnixMillis>,
        bucket_seconds: u32,
        is_wanted: impl Fn(EventKind, Option<ConnectionId>) -> bool,
    ) -> Result<Vec<EventBundle>, QueryError> {
        let (from, to) = bounds(&range);
        let bucket_ms = i64::from(bucket_seconds) * 1000;
        let query = "SELECT (at_ms - $1) / $3, connection_id, kind, COUNT(*) FROM history_events
             WHERE at_ms >= $1 AND at_ms < $2 GROUP BY 1, 2, 3";
        let events: Vec<(i64, Option<i64>, String, i64)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(from)
            .bind(to)
            .bind(bucket_ms)
            .fetch_all(db))?;
        let acts = format!("SELECT (at_ms - $1) / $3, COUNT(*) FROM audit WHERE {ACTS} GROUP BY 1");
        let acts: Vec<(i64, i64)> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(acts))
            .bind(from)
            .bind(to)
            .bind(bucket_ms)
            .fetch_all(db))?;
        let mut counts: BTreeMap<i64, u64> = BTreeMap::new();
        for (place, connection_id, kind, events) in events {
            let connection_id = connection_id.map(|id| narrow("connection_id", id)).transpose()?;
            if is_wanted(value_of("kind", &kind)?, connection_id) {
                *counts.entry(place).or_default() += count(events);
            }
        }
        for (place, acts) in acts.into_iter().filter(|_| is_wanted(EventKind::Audit, None)) {
            *counts.entry(place).or_default() += count(acts);
        }
        let bundle = |(place, count)| EventBundle { at: UnixMillis(from + place * bucket_ms), count };
        Ok(counts.into_iter().map(bundle).collect())
    }
}
