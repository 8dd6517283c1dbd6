//! One change at a time, with the record of it: both are written, or neither is.

use super::{Database, QueryError};
use crate::audit::{self, Act};
use app::model::{audit::AuditRecord, time::UnixMillis};
use sqlx::{Sqlite, Transaction};
use std::time::Duration;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

/// How long a change waits for others', in this process and in others.
const TURN_WITHIN: Duration = Duration::from_secs(3);

/// A change under way. Dropped without [`Change::commit`], nothing happened.
#[derive(Debug)]
pub struct Change {
    pub(super) transaction: Transaction<'static, Sqlite>,
    records: Vec<AuditRecord>,
    /// Given back after the transaction's end.
    _turn: OwnedSemaphorePermit,
}

impl Database {
    /// Starts a change, as soon as nobody else is changing something.
    ///
    /// # Errors
    /// When the database does not answer, or is not to be had within three seconds.
    pub async fn change(&self) -> Result<Change, QueryError> {
        // A record in a file that was deleted is none.
        self.check_in_place().await?;
        let begin = async {
            // In line here, not in SQLite: who waits there holds a connection that readers need.
            let turn = self.turn.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            // Immediate: what is read at the start of the change is still so at its end, whatever other processes do.
            let transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
            Ok(Change { transaction, records: Vec::new(), _turn: turn })
        };
        timeout(TURN_WITHIN, begin).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut)).map_err(QueryError)
    }
}

impl Change {
    /// Puts an act on record, together with what else changes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record(&mut self, act: &Act) -> Result<(), QueryError> {
        let record = super::audit::append(&mut self.transaction, act, UnixMillis::now(), 1).await?;
        self.records.push(record);
        Ok(())
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When it could not be written; then nothing happened.
    pub async fn commit(self) -> Result<(), QueryError> {
        self.transaction.commit().await?;
        self.records.iter().for_each(audit::log);
        Ok(())
    }
}
