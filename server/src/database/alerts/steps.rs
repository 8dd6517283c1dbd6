//! Steps of alerts as the timeline has them, beside the events of history.

use super::of_json;
use crate::database::{Database, QueryError, pool::on};
use app::model::{
    alert::{Alert, Rule, Transition},
    connection::ConnectionSet,
    history::{HistoryEvent, view::EventBundle},
    time::UnixMillis,
};
use sqlx::AssertSqlSafe;
use std::ops::Range;

/// Steps in a range, `$1` to `$2`, of alerts about one of these connections, or about the whole; of all when there are none.
fn wanted(connections: ConnectionSet) -> String {
    let whole = Rule::ALL.into_iter().filter(|rule| !rule.is_of_connections());
    let whole = whole.map(|rule| ["'", rule.name(), "'"].concat()).collect::<Vec<_>>().join(", ");
    // A fingerprint is `mute:1` or `not_connected:1,2,3`.
    let theirs =
        connections.iter().map(|id| format!(" OR REPLACE(alerts.fingerprint, ':', ',') || ',' LIKE '%,{id},%'"));
    let theirs = if connections.is_empty() {
        String::new()
    } else {
        format!(" AND (alerts.rule IN ({whole}){})", theirs.collect::<String>())
    };
    // The alerts' own times first, as there are indexes on them.
    format!(
        "FROM alert_transitions AS steps JOIN alerts ON alerts.id = steps.alert_id
         WHERE alerts.started_at_ms < $2 AND (alerts.resolved_at_ms IS NULL OR alerts.resolved_at_ms >= $1)
         AND steps.at_ms >= $1 AND steps.at_ms < $2{theirs}"
    )
}

impl Database {
    /// Steps of alerts, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_steps(
        &self,
        range: Range<UnixMillis>,
        connections: ConnectionSet,
        limit: u32,
    ) -> Result<Vec<HistoryEvent>, QueryError> {
        let wanted = wanted(connections);
        let query = format!("SELECT steps.data {wanted} ORDER BY steps.at_ms DESC, steps.id DESC LIMIT $3");
        let rows: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(range.start.0)
            .bind(range.end.0)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows.iter().map(|(data,)| step_of(data)).collect::<sqlx::Result<_>>()?)
    }

    /// How many there are in each bucket of a range that has any, from left to right.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_step_bundles(
        &self,
        range: Range<UnixMillis>,
        connections: ConnectionSet,
        bucket_seconds: u32,
    ) -> Result<Vec<EventBundle>, QueryError> {
        let (from, bucket_ms) = (range.start.0, i64::from(bucket_seconds) * 1000);
        let query = format!("SELECT (steps.at_ms - $1) / $3, COUNT(*) {} GROUP BY 1 ORDER BY 1", wanted(connections));
        let rows: Vec<(i64, i64)> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(from)
            .bind(range.end.0)
            .bind(bucket_ms)
            .fetch_all(db))?;
        let bundle = |(place, count): (i64, i64)| EventBundle {
            at: UnixMillis(from + place * bucket_ms),
            count: count.unsigned_abs(),
        };
        Ok(rows.into_iter().map(bundle).collect())
    }

    /// All steps of one alert, the first one first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn steps_of_alert(&self, id: &str) -> Result<Vec<HistoryEvent>, QueryError> {
        let query = "SELECT data FROM alert_transitions WHERE alert_id = $1 ORDER BY number";
        let rows: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(query).bind(id.to_owned()).fetch_all(db))?;
        Ok(rows.iter().map(|(data,)| step_of(data)).collect::<sqlx::Result<_>>()?)
    }

    /// The alerts that were open at any time of a range, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alerts_during(&self, range: Range<UnixMillis>, limit: u32) -> Result<Vec<Alert>, QueryError> {
        let query =
            "SELECT data FROM alerts WHERE started_at_ms < $2 AND (resolved_at_ms IS NULL OR resolved_at_ms >= $1)
             ORDER BY started_at_ms DESC, id DESC LIMIT $3";
        let rows: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(range.start.0)
            .bind(range.end.0)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows.iter().map(|(data,)| of_json("data", data)).collect::<sqlx::Result<_>>()?)
    }
}

fn step_of(data: &str) -> sqlx::Result<HistoryEvent> {
    let Transition { kind, at, alert, .. } = of_json("data", data)?;
    Ok(alert.step(kind, at))
}
