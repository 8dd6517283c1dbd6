//! The outbox: what a destination has to be told, in order, until it has been or it is too late.

use super::of_json;
use crate::database::{
    Database, QueryError,
    pool::{on, run},
};
use app::model::{alert::Transition, time::UnixMillis};

/// What is read of what waits for a destination at once.
const WAITING_MAX: i64 = 100;

/// How a delivery ended, or that it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Not yet.
    Pending,
    /// It was taken.
    Delivered,
    /// It was refused for good, or it was too late.
    GivenUp,
}

impl Outcome {
    /// Its name in the database, the API and the metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// A step that waits to be told to a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The step.
    pub step: Transition,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next_at: UnixMillis,
}

/// What came of trying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// How it ended.
    pub outcome: Outcome,
    /// How often it was tried by now.
    pub attempts: u32,
    /// When that was; with [`Outcome::Pending`] when it is tried next.
    pub at: UnixMillis,
    /// What the destination answered, or what was wrong.
    pub answer: String,
}

/// A delivery, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The alert; empty for a test.
    pub alert_id: String,
    /// What was told of it.
    pub kind: String,
    /// The alert's title.
    pub title: String,
    /// When it was to be told.
    pub at: UnixMillis,
    /// `pending`, `delivered` or `given_up`.
    pub outcome: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What the destination answered last.
    pub answer: Option<String>,
}

impl Database {
    /// What waits for a destination, the next one first: of each alert the first step that is not told yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn waiting_deliveries(&self, destination: &str) -> Result<Vec<Waiting>, QueryError> {
        let rows: Vec<(String, i64, i64)> = on!(&self.pool, db => sqlx::query_as(
            "SELECT step.data, waits.attempts, waits.next_at_ms FROM alert_deliveries AS waits
             JOIN alert_transitions AS step ON step.id = waits.transition_id
             WHERE waits.destination = $1 AND waits.state = 'pending' AND NOT EXISTS (
                 SELECT 1 FROM alert_deliveries AS earlier WHERE earlier.destination = waits.destination
                 AND earlier.state = 'pending' AND earlier.alert_id = waits.alert_id AND earlier.number < waits.number)
             ORDER BY waits.next_at_ms, waits.created_at_ms, waits.transition_id LIMIT $2",
        )
        .bind(destination.to_owned())
        .bind(WAITING_MAX).fetch_all(db))?;
        let waiting = |(data, attempts, next_at): (String, i64, i64)| {
            let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
            Ok(Waiting { step: of_json("data", &data)?, attempts, next_at: UnixMillis(next_at) })
        };
        Ok(rows.into_iter().map(waiting).collect::<sqlx::Result<_>>()?)
    }

    /// Notes what came of a delivery, unless it is over already. False when the outbox does not have it, as what it tells is not
    /// written yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_delivery(
        &self,
        transition_id: &str,
        destination: &str,
        delivered: &Delivered,
    ) -> Result<bool, QueryError> {
        let is_over = delivered.outcome != Outcome::Pending;
        let mut change = self.change().await?;
        let done =
            run!(change.tx.connection(), sqlx::query(
            "UPDATE alert_deliveries SET state = $1, attempts = $2, next_at_ms = $3, ended_at_ms = $4, answer = $5
             WHERE transition_id = $6 AND destination = $7 AND state = 'pending'",
        )
        .bind(delivered.outcome.name())
        .bind(i64::from(delivered.attempts))
        .bind(delivered.at.0)
        .bind(is_over.then_some(delivered.at.0))
        .bind(delivered.answer.clone())
        .bind(transition_id.to_owned())
        .bind(destination.to_owned()))?;
        change.commit().await?;
        if done > 0 {
            return Ok(true);
        }
        let query = "SELECT COUNT(*) FROM alert_deliveries WHERE transition_id = $1 AND destination = $2";
        let known: i64 = on!(&self.pool, db => sqlx::query_scalar(query)
            .bind(transition_id.to_owned())
            .bind(destination.to_owned()).fetch_one(db))?;
        Ok(known > 0)
    }

    /// Gives up what waits for destinations that are configured no more.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_up_other_deliveries(&self, names: &[String], now: UnixMillis) -> Result<u64, QueryError> {
        let query = "SELECT DISTINCT destination FROM alert_deliveries WHERE state = 'pending'";
        let waiting: Vec<(String,)> = on!(&self.pool, db => sqlx::query_as(query).fetch_all(db))?;
        let mut count = 0;
        for (gone,) in waiting.into_iter().filter(|(name,)| !names.contains(name)) {
            count += self.give_up_deliveries(&gone, "the destination is not configured any more", now).await?;
        }
        Ok(count)
    }

    /// Gives up all that waits for a destination.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_up_deliveries(&self, destination: &str, why: &str, now: UnixMillis) -> Result<u64, QueryError> {
        let mut change = self.change().await?;
        let done = run!(
            change.tx.connection(),
            sqlx::query(
                "UPDATE alert_deliveries SET state = 'given_up', ended_at_ms = $1, answer = $2
             WHERE destination = $3 AND state = 'pending'",
            )
            .bind(now.0)
            .bind(why.to_owned())
            .bind(destination.to_owned())
        )?;
        change.commit().await?;
        Ok(done)
    }

    /// The last deliveries to a destination, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_deliveries(&self, destination: &str, limit: u32) -> Result<Vec<Delivery>, QueryError> {
        type Row = (String, String, String, i64, String, i64, Option<String>);
        let rows: Vec<Row> = on!(&self.pool, db => sqlx::query_as(
            "SELECT alert_id, kind, title, created_at_ms, state, attempts, answer FROM alert_deliveries
             WHERE destination = $1 ORDER BY created_at_ms DESC, transition_id DESC LIMIT $2",
        )
        .bind(destination.to_owned())
        .bind(i64::from(limit)).fetch_all(db))?;
        let delivery = |(alert_id, kind, title, at, outcome, attempts, answer): Row| Delivery {
            alert_id,
            kind,
            title,
            at: UnixMillis(at),
            outcome,
            attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
            answer,
        };
        Ok(rows.into_iter().map(delivery).collect())
    }

    /// Puts what came of a test among a destination's deliveries.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_test_delivery(
        &self,
        id: &str,
        destination: &str,
        delivered: &Delivered,
    ) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        run!(change.tx.connection(), sqlx::query(
            "INSERT INTO alert_deliveries (transition_id, destination, alert_id, number, kind, title, created_at_ms,
             state, attempts, next_at_ms, ended_at_ms, answer) VALUES ($1, $2, '', 0, 'test', 'Test', $3, $4, 1, $3, $3, $5)",
        )
        .bind(id.to_owned())
        .bind(destination.to_owned())
        .bind(delivered.at.0)
        .bind(delivered.outcome.name())
        .bind(delivered.answer.clone()))?;
        change.commit().await
    }

    /// Since when a destination is gone, by its own word; `None` while it is not, or its address is another one by now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn destination_gone(&self, name: &str, address_hash: &str) -> Result<Option<UnixMillis>, QueryError> {
        let query = "SELECT gone_at_ms FROM alert_destinations_gone WHERE name = $1 AND address_hash = $2";
        let row: Option<(i64,)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(name.to_owned())
            .bind(address_hash.to_owned()).fetch_optional(db))?;
        Ok(row.map(|(at,)| UnixMillis(at)))
    }

    /// Notes that a destination is gone, or (`None`) that it is there again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_destination_gone(
        &self,
        name: &str,
        address_hash: &str,
        gone_at: Option<UnixMillis>,
    ) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        run!(
            change.tx.connection(),
            sqlx::query("DELETE FROM alert_destinations_gone WHERE name = $1").bind(name.to_owned())
        )?;
        if let Some(at) = gone_at {
            run!(
                change.tx.connection(),
                sqlx::query("INSERT INTO alert_destinations_gone (name, address_hash, gone_at_ms) VALUES ($1, $2, $3)")
                    .bind(name.to_owned())
                    .bind(address_hash.to_owned())
                    .bind(at.0)
            )?;
        }
        change.commit().await
    }
}
