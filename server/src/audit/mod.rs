//! The audit log: everything that administrators do, and everything that was refused, on record.
//!
//! ```text
//!  guard, handler ──▶ Actor::does(Action) ──▶ record, record_often ──▶ database ──▶ keeper ──▶ log line, target `audit`
//!        │                                                                ▲  one more link of the chain
//!        └──────────▶ Actor::is_refused ────▶ record_refusal ──▶ gathered ┤  (once a second, and before the next act)
//!  user command ────▶ Change::record, with the change itself ─────────────┘
//! ```
//!
//! The function that performs an act puts it on record, **before** it performs it: what cannot be recorded is refused
//! ([`NotRecorded`] answers 503), whatever the reason, be it a full disk or a locked file. What came of an act, where
//! that is not known before, is a second record. Ingest and open sockets know nothing of all this and go on.
//!
//! A stranger's refusal waits for no transaction, and how many of them become records is bounded: see `budget`.
//!
//! Deliberately absent: a way to change or delete a record. Retention cuts off the beginning, and says so in a record.

mod budget;
pub mod cli;
mod gathered;
mod keeper;
mod repeats;
mod verify;

pub use crate::model::{Action, Actor, Anchor, AuditAct, Break, Chain, Hash, Outcome, Whole, hash};
pub use verify::verify;

use crate::{database::Database, model::Entry};
use app::model::{audit::AuditRecord, time::UnixMillis};
use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use gathered::Gathered;
use keeper::Keeper;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// A way to the audit log; cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    database: Database,
    gathered: Arc<Mutex<Gathered>>,
    size: Arc<Mutex<Size>>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Records that are older are deleted.
    pub days: u64,
    /// Bytes of the log beyond which refusals of strangers are only counted. No record is deleted for it.
    pub bytes_max: u64,
}

/// How large the log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes at the last look, at most an hour ago.
    pub bytes: u64,
    /// Bytes that are allowed; 0 before the first look.
    pub bytes_max: u64,
}

impl Size {
    /// Is it larger than it may be?
    #[must_use]
    pub fn is_over(self) -> bool {
        self.bytes > self.bytes_max
    }

    /// What to tell administrators when it is.
    #[must_use]
    pub fn alarm(self) -> Option<String> {
        self.is_over().then(|| {
            format!(
                "The audit log takes {} MB, more than the {} MB of AUDIT_SIZE_MAX_MB: refusals of people who are not signed in are \
                 only counted, everything else is still recorded. Raise AUDIT_SIZE_MAX_MB, or lower AUDIT_RETENTION_DAYS.",
                self.bytes.div_ceil(1_000_000),
                self.bytes_max / 1_000_000
            )
        })
    }
}

/// The act could not be put on record, so it must not be done. Answers 503.
#[derive(Debug, thiserror::Error)]
#[error("refused because it cannot be recorded in the audit log right now; try again in a few seconds")]
pub struct NotRecorded;

impl IntoResponse for NotRecorded {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": {"code": "not_recorded", "message": self.to_string()}}));
        (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], body).into_response()
    }
}

impl Audit {
    /// The audit log of a database. One per server: its clones share what is being gathered.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, gathered: Arc::default(), size: Arc::default() }
    }

    /// Puts an act on record, before it is performed.
    ///
    /// # Errors
    /// When it could not be written, and must be refused for that reason.
    pub async fn record(&self, act: AuditAct) -> Result<(), NotRecorded> {
        self.write(act, UnixMillis::now()).await
    }

    /// Puts an act on record that may come many times a minute, such as a call of the API: the first time at once, what
    /// repeats it to the letter within a minute as one more record with a count.
    ///
    /// # Errors
    /// When the first one could not be written.
    pub async fn record_often(&self, act: AuditAct) -> Result<(), NotRecorded> {
        let now = UnixMillis::now();
        if self.gathered().is_again(&act, now) {
            return Ok(());
        }
        let written = self.write(act.clone(), now).await;
        if written.is_err() {
            self.gathered().forget(&act);
        }
        written
    }

    /// Puts on record what came of an act that is on record already: within a second, so that nobody waits for it.
    pub fn record_outcome(&self, act: AuditAct) {
        let now = UnixMillis::now();
        let mut gathered = self.gathered();
        if !gathered.is_again(&act, now) {
            gathered.add(act, now);
        }
    }

    /// Puts a refusal on record: an account's at once, a stranger's within a second, so that strangers make nobody wait.
    /// The answer is no in any case; that it is not on record is an error in the log. Beyond what the budget allows,
    /// refusals are counted.
    pub async fn record_refusal(&self, act: AuditAct) {
        let now = UnixMillis::now();
        let at_once = self.gathered().refused(act, now);
        if let Some(act) = at_once
            && self.write(act.clone(), now).await.is_err()
        {
            self.gathered().forget(&act);
        }
    }

    /// Writes what waits, cuts off what is too old and writes every record out as a line, until stopped; then writes the
    /// last counts.
    pub async fn keep(self, retention: Retention, stop: CancellationToken) {
        Keeper::new(self, retention).keep(stop).await;
    }

    /// How large the log was at the last look.
    #[must_use]
    pub fn size(&self) -> Size {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many refusals since the start are part of a count alone.
    #[must_use]
    pub fn unrecorded_total(&self) -> u64 {
        self.gathered().unrecorded_total()
    }

    /// Takes note of how large the log is.
    fn measured(&self, bytes: u64, bytes_max: u64) {
        let size = Size { bytes, bytes_max };
        if let Some(alarm) = size.alarm() {
            tracing::warn!("{alarm}");
        }
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = size;
        self.gathered().is_full = size.is_over();
    }

    /// Writes what waits and the counts whose minute is over at `now`. What cannot be written is tried again the next time.
    async fn flush(&self, now: UnixMillis) {
        let due = self.gathered().take_due(now);
        if !due.is_empty()
            && let Err(due) = self.append(due).await
        {
            self.gathered().put_back(due);
        }
    }

    /// Writes an act, and before it what was refused before it. In a task of its own: whose request is given up meanwhile
    /// must not take along what waited.
    async fn write(&self, act: AuditAct, at: UnixMillis) -> Result<(), NotRecorded> {
        let audit = self.clone();
        let writing = async move {
            let mut entries = audit.gathered().take_waiting();
            entries.push(Entry { act, at, occurrences: 1 });
            audit.append(entries).await.map_err(|mut entries| {
                entries.pop();
                audit.gathered().put_back(entries);
                NotRecorded
            })
        };
        tokio::spawn(writing.in_current_span()).await.unwrap_or(Err(NotRecorded))
    }

    /// All of them or none; gives them back when they could not be written.
    async fn append(&self, entries: Vec<Entry>) -> Result<(), Vec<Entry>> {
        match self.database.append_audit(&entries).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let actions: Vec<_> = entries.iter().rev().take(3).map(|entry| entry.act.action.as_str()).collect();
                tracing::error!(%error, count = entries.len(), ?actions, "Audit records could not be written");
                Err(entries)
            }
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record as a line of the log, for who collects logs elsewhere: the hash there is what a log rewritten here would
/// have to match.
fn log(record: &AuditRecord) {
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
