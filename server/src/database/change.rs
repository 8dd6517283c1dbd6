//! One change at a time, with the record of it: both are written, or neither is.

use super::{
    Database, QueryError,
    pool::{Either, Tx, in_time},
    postgres,
};
use crate::model::{AuditAct, Entry};
use app::model::time::UnixMillis;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::timeout,
};

/// How long a change waits for others', in this process and in others.
const TURN_WITHIN: Duration = Duration::from_secs(3);

/// A change under way. Dropped without [`Change::commit`], nothing happened.
#[derive(Debug)]
pub struct Change {
    pub(super) tx: Tx,
    /// Told when records were written.
    appended: Arc<Notify>,
    has_records: bool,
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
            // In line here, not in the database: who waits there holds a connection that readers need.
            let turn = self.turn.clone().acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let tx = self.begin_alone().await?;
            Ok(Change { tx, appended: Arc::clone(&self.audit_appended), has_records: false, _turn: turn })
        };
        timeout(TURN_WITHIN, begin).await.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut)).map_err(QueryError)
    }

    /// All of it as of one moment, however long it takes.
    pub(super) async fn begin_reading(&self) -> sqlx::Result<Tx> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        Ok(match &self.pool {
            Either::Sqlite(pool) => Either::Sqlite(pool.begin().await?),
            Either::Postgres(pool) => {
                let mut transaction = pool.begin_with(BEGIN).await?;
                postgres::catalog::without_limits(&mut transaction).await?;
                Either::Postgres(transaction)
            }
        })
    }

    /// A transaction that is the only one to change something, on all servers: what is read at its start is still so at its
    /// end, whatever other processes do.
    pub(super) async fn begin_alone(&self) -> sqlx::Result<Tx> {
        match &self.pool {
            Either::Sqlite(pool) => Ok(Either::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?)),
            Either::Postgres(pool) => {
                in_time(async {
                    let mut transaction = pool.begin().await?;
                    // The head of the audit log: whoever continues it waits for whoever has it.
                    sqlx::query("SELECT id FROM audit_anchor FOR UPDATE").execute(&mut *transaction).await?;
                    Ok(Either::Postgres(transaction))
                })
                .await
            }
        }
    }
}

impl Change {
    /// Puts an act on record, together with what else changes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn record(&mut self, act: &AuditAct) -> Result<(), QueryError> {
        let entry = Entry { act: act.clone(), at: UnixMillis::now(), occurrences: 1 };
        self.append(&entry).await
    }

    /// Continues the audit log by one record.
    pub(super) async fn append(&mut self, entry: &Entry) -> Result<(), QueryError> {
        super::audit::append(self.tx.connection(), entry).await?;
        self.has_records = true;
        Ok(())
    }

    /// Makes it so.
    ///
    /// # Errors
    /// When it could not be written; then nothing happened.
    pub async fn commit(self) -> Result<(), QueryError> {
        self.tx.commit().await?;
        if self.has_records {
            self.appended.notify_one();
        }
        Ok(())
    }
}
