//! The audit log: everything that administrators do, and everything that was refused, on record.
//!
//! ```text
//!  guard, handler ──▶ Actor::does(Action) ──▶ record ─────────▶ database   one more link of the chain
//!                                        └──▶ record_often        │        (a minute's repetitions are one record)
//!                                                                 ├──▶ log line, target `audit`
//!  user command ──▶ Change::record, with the change itself ───────┘
//! ```
//!
//! The function that performs an act puts it on record, **before** it performs it: what cannot be recorded is refused
//! ([`NotRecorded`] answers 503), whatever the reason, be it a full disk or a locked file. What came of an act, where
//! that is not known before, is a second record. Ingest and open sockets know nothing of all this and go on.
//!
//! Deliberately absent: a way to change or delete a record. Retention cuts off the beginning, and says so in a record.

mod chain;
pub mod cli;
mod record;
mod repeats;

pub use chain::{Anchor, Break, Chain, Whole};
pub use record::{Act, Action, Actor, Hash, Outcome, hash};

pub(crate) use chain::pruned_target;
pub(crate) use record::Hex;

use crate::database::Database;
use app::model::{audit::AuditRecord, time::UnixMillis};
use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use repeats::{Repeats, Seen};
use serde_json::json;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How often repetitions are looked through, and old records cut off.
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
const PRUNE_INTERVAL: Duration = Duration::from_secs(3600);

/// A way to the audit log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    database: Database,
    repeats: Arc<Mutex<Repeats>>,
}

/// The act could not be put on record, so it must not be done. Answers 503.
#[derive(Debug, thiserror::Error)]
#[error("this cannot be put on record now, and is refused for that reason; try again in a few seconds")]
pub struct NotRecorded;

impl IntoResponse for NotRecorded {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": {"code": "not_recorded", "message": self.to_string()}}));
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], body).into_response()
    }
}

impl Audit {
    /// The audit log of a database. One per server: its clones share the repetitions under way.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, repeats: Arc::default() }
    }

    /// Puts an act on record, before it is performed.
    ///
    /// # Errors
    /// When it could not be written, and must be refused for that reason.
    pub async fn record(&self, act: Act) -> Result<(), NotRecorded> {
        self.write(&act, UnixMillis::now(), 1).await
    }

    /// Puts an act on record that may come many times a minute, such as a call of the API or a refusal: the first time at
    /// once, what repeats it to the letter within a minute as one more record with a count.
    ///
    /// # Errors
    /// When the first one could not be written.
    pub async fn record_often(&self, act: Act) -> Result<(), NotRecorded> {
        let now = UnixMillis::now();
        let seen = self.repeats().saw(&act, now);
        match seen {
            Seen::Again => Ok(()),
            Seen::First(act) => {
                let written = self.write(&act, now, 1).await;
                if written.is_err() {
                    self.repeats().forget(&act);
                }
                written
            }
        }
    }

    /// Puts a refusal on record. The answer is no in any case; that it is not on record is an error in the log.
    pub async fn record_refusal(&self, act: Act) {
        let _ = self.record_often(act).await;
    }

    /// Writes counts down and cuts off what is older than `retention_days`, until stopped; then writes the last counts.
    pub async fn keep(self, retention_days: u64, stop: CancellationToken) {
        let mut flushes = tokio::time::interval(FLUSH_INTERVAL);
        let mut prunes = tokio::time::interval(PRUNE_INTERVAL);
        for ticks in [&mut flushes, &mut prunes] {
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = flushes.tick() => self.flush(UnixMillis::now()).await,
                _ = prunes.tick() => self.prune(retention_days).await,
            }
        }
        self.flush(UnixMillis(i64::MAX)).await;
    }

    /// Writes down the repetitions whose minute is over at `now`. What cannot be written is tried again the next time.
    async fn flush(&self, now: UnixMillis) {
        let over = self.repeats().take_over(now);
        for (act, last, times) in over {
            if self.write(&act, last, times).await.is_err() {
                self.repeats().put_back(act, last, times);
            }
        }
    }

    async fn prune(&self, retention_days: u64) {
        let before = UnixMillis(UnixMillis::now().0.saturating_sub_unsigned(retention_days.saturating_mul(86_400_000)));
        match self.database.prune_audit(before).await {
            Ok(Some(record)) => log(&record),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "Old audit records could not be deleted; trying again later"),
        }
    }

    async fn write(&self, act: &Act, at: UnixMillis, occurrences: i64) -> Result<(), NotRecorded> {
        match self.database.append_audit(act, at, occurrences).await {
            Ok(record) => {
                log(&record);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, action = act.action.as_str(), "An act could not be put on record");
                Err(NotRecorded)
            }
        }
    }

    fn repeats(&self) -> MutexGuard<'_, Repeats> {
        self.repeats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record as a line of the log, for who collects logs elsewhere: the hash there is what a log rewritten here would
/// have to match.
pub(crate) fn log(record: &AuditRecord) {
    tracing::info!(
        target: "audit",
        seq = record.seq,
        at = %record.at,
        actor = record.actor,
        role = record.role,
        address = record.address,
        user_agent = record.user_agent,
        action = record.action,
        on = record.target,
        outcome = record.outcome,
        reason = record.reason,
        occurrences = record.occurrences,
        hash = record.hash,
    );
}

#[cfg(test)]
mod tests;
