//! Alerts: what fires, what people said of it, and the outbox of what has to be told.
//!
//! ```text
//!  machine ──▶ write_transitions: alert, step, deliveries, in one transaction ──▶ outbox ──▶ sender
//!  people ───▶ acknowledge, silence, rules, each with its record; the revision moves on ──▶ every server reads them
//! ```
//!
//! Statements keep to what SQLite and PostgreSQL both understand.

mod lease;
mod outbox;
mod said;
mod steps;
#[cfg(test)]
mod tests;

pub use lease::AlertLease;
pub use outbox::{Delivered, Delivery, Outcome, Waiting};
pub use said::Acknowledged;

use super::{
    Database, QueryError,
    pool::{on, run},
};
use app::model::{
    alert::{Alert, RuleSetting, Silence, Transition, TransitionKind},
    history::gap::Acknowledgement,
    time::UnixMillis,
};
use serde::{Serialize, de::DeserializeOwned};

/// More open alerts than there can be: every rule for every connection.
const OPEN_MAX: i64 = 1_000;

/// What people said, and how often anybody did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// Rules that were changed.
    pub settings: Vec<RuleSetting>,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
    /// Acknowledgements of open alerts.
    pub acknowledgements: Vec<(String, Acknowledgement)>,
}

/// Which alerts are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertFilter {
    /// Those that are open alone?
    pub open: bool,
    /// Started from then on.
    pub from: UnixMillis,
    /// Started before.
    pub to: UnixMillis,
    /// Where the page before ended: when its last one started, and its id.
    pub before: Option<(UnixMillis, String)>,
}

impl Database {
    /// The open alerts, the oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_alerts(&self) -> Result<Vec<Alert>, QueryError> {
        let query = "SELECT data FROM alerts WHERE resolved_at_ms IS NULL ORDER BY started_at_ms, id LIMIT $1";
        let rows: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(query).bind(OPEN_MAX).fetch_all(db))?;
        Ok(rows.iter().map(|(data,)| of_json("data", data)).collect::<sqlx::Result<_>>()?)
    }

    /// Alerts, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alerts(&self, filter: &AlertFilter, limit: u32) -> Result<Vec<Alert>, QueryError> {
        let (at, id) = filter.before.clone().unwrap_or((filter.to, String::new()));
        let rows: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(
            "SELECT data FROM alerts WHERE started_at_ms >= $1 AND started_at_ms < $2
             AND (started_at_ms < $3 OR (started_at_ms = $3 AND id < $4)) AND ($5 = 0 OR resolved_at_ms IS NULL)
             ORDER BY started_at_ms DESC, id DESC LIMIT $6",
        )
        .bind(filter.from.0)
        .bind(filter.to.0)
        .bind(at.0)
        .bind(id)
        .bind(i64::from(filter.open))
        .bind(i64::from(limit)).fetch_all(db))?;
        Ok(rows.iter().map(|(data,)| of_json("data", data)).collect::<sqlx::Result<_>>()?)
    }

    /// One alert.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert(&self, id: &str) -> Result<Option<Alert>, QueryError> {
        let query = "SELECT data FROM alerts WHERE id = $1";
        let row: Option<(String,)> =
            on!(&self.pool, db => sqlx::query_as(query).bind(id.to_owned()).fetch_optional(db))?;
        Ok(row.map(|(data,)| of_json("data", &data)).transpose()?)
    }

    /// How often each rule fired since a moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_counts(&self, since: UnixMillis) -> Result<Vec<(String, i64)>, QueryError> {
        let query = "SELECT rule, COUNT(*) FROM alerts WHERE started_at_ms >= $1 GROUP BY rule";
        Ok(on!(&self.pool, db => sqlx::query_as(query).bind(since.0).fetch_all(db))?)
    }

    /// Writes steps, their alerts and the deliveries that tell them: all of it or nothing. What is written already stays as it
    /// is. False when `run` does not hold the lease of alerts: then nothing is written.
    ///
    /// # Errors
    /// When the database does not take it; then nothing of it is written.
    pub async fn write_transitions(&self, run: &str, steps: &[Transition]) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        // Nobody takes the lease while a change is under way.
        let query = "SELECT run FROM alert_lease";
        let holder: String = on!(change.tx.connection(), db => sqlx::query_scalar(query).fetch_one(db))?;
        if holder != run {
            return Ok(false);
        }
        for step in steps {
            let alert = &step.alert;
            let resolved = (step.kind == TransitionKind::Resolved).then_some(step.at.0);
            run!(
                change.tx.connection(),
                sqlx::query(
                    "INSERT INTO alerts (id, fingerprint, rule, started_at_ms, resolved_at_ms, data)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO UPDATE SET resolved_at_ms = excluded.resolved_at_ms, data = excluded.data",
                )
                .bind(alert.id.clone())
                .bind(alert.fingerprint.clone())
                .bind(alert.rule.name())
                .bind(alert.started_at.0)
                .bind(resolved)
                .bind(json_of(alert)?)
            )?;
            let number = i64::from(alert.transitions);
            run!(
                change.tx.connection(),
                sqlx::query(
                    "INSERT INTO alert_transitions (id, alert_id, number, kind, at_ms, data)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO NOTHING",
                )
                .bind(step.id.clone())
                .bind(alert.id.clone())
                .bind(number)
                .bind(step.kind.name())
                .bind(step.at.0)
                .bind(json_of(step)?)
            )?;
            for destination in &step.to {
                run!(
                    change.tx.connection(),
                    sqlx::query(
                        "INSERT INTO alert_deliveries (transition_id, destination, alert_id, number, kind, title,
                     created_at_ms, state, attempts, next_at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', 0, $7)
                     ON CONFLICT (transition_id, destination) DO NOTHING",
                    )
                    .bind(step.id.clone())
                    .bind(destination.clone())
                    .bind(alert.id.clone())
                    .bind(number)
                    .bind(step.kind.name())
                    .bind(alert.title.clone())
                    .bind(step.at.0)
                )?;
            }
        }
        change.commit().await?;
        Ok(true)
    }

    /// Forgets resolved alerts of before a moment, with their steps and deliveries, and silences that were over then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_alerts(&self, before: UnixMillis) -> Result<(), QueryError> {
        const OLD: &str = "SELECT id FROM alerts WHERE resolved_at_ms < $1";
        let mut change = self.change().await?;
        for query in [
            format!("DELETE FROM alert_deliveries WHERE alert_id IN ({OLD})"),
            format!("DELETE FROM alert_transitions WHERE alert_id IN ({OLD})"),
            format!("DELETE FROM alert_acknowledgements WHERE alert_id IN ({OLD})"),
            "DELETE FROM alert_deliveries WHERE kind = 'test' AND created_at_ms < $1".to_owned(),
            "DELETE FROM alerts WHERE resolved_at_ms < $1".to_owned(),
            "DELETE FROM alert_silences WHERE until_ms < $1".to_owned(),
        ] {
            run!(change.tx.connection(), sqlx::query(sqlx::AssertSqlSafe(query)).bind(before.0))?;
        }
        change.commit().await
    }
}

fn json_of(value: impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(&value).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn of_json<T: DeserializeOwned>(column: &str, json: &str) -> sqlx::Result<T> {
    serde_json::from_str(json)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}
