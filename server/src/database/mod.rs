//! What survives a restart: accounts, sessions, the audit log, history. The only place that knows SQL.
//!
//! ```text
//! DATABASE_URL ──▶ open ──▶ Database ──▶ accounts   who may sign in
//!                (folder,      │    ├──▶ sessions   who is signed in
//!                 file,        │    ├──▶ audit      what was done
//!                 migrations)  │    ├──▶ history    samples, events, gaps
//!                              │    └──▶ change     one writer at a time: a change and its record
//!                              └───────▶ is_reachable, for /readyz
//! ```
//!
//! One SQLite file in WAL mode: readers never wait for the writer, and what the `user` command changes in another process is
//! seen by the next query here. Ticks never come near it: history is written from summaries, once a second.

mod accounts;
mod audit;
mod audit_check;
mod change;
pub mod history;
mod open;
mod sessions;
mod sign_in;

pub use accounts::{AccountError, NewAccount};
pub use audit::AuditFilter;
pub(crate) use audit_check::AuditReading;
pub use change::Change;
pub use open::DatabaseError;
pub use sessions::{SessionStore, SessionsToEnd};
pub use sign_in::Attempted;

use open::Place;
use sqlx::SqlitePool;
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, Semaphore};

/// Where the database is when `DATABASE_URL` does not say.
pub const DEFAULT_URL: &str = "sqlite://data/monitor.db";

/// Can a database be behind this URL, as far as the URL says?
#[must_use]
pub fn is_database_url(url: &str) -> bool {
    open::parse(url).is_ok()
}

/// How long [`Database::is_reachable`] waits for an answer.
const REACHABLE_WITHIN: Duration = Duration::from_secs(1);

/// A handle to the database; cheap to clone, all clones share one pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
    /// Whose turn it is to change something: one at a time, see [`Database::change`].
    turn: Arc<Semaphore>,
    /// Told whenever this process has continued the audit log.
    audit_appended: Arc<Notify>,
    place: Arc<Place>,
}

/// A query that the database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct QueryError(#[from] sqlx::Error);

impl QueryError {
    /// What is wrong, in one short sentence for an administrator: what the database said, without the library's words.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.0 {
            sqlx::Error::Database(error) => error.message().to_owned(),
            sqlx::Error::PoolTimedOut => "the database is busy".to_owned(),
            sqlx::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        }
    }
}

impl Database {
    /// Opens the file that a `sqlite://` URL names, making folder and file when they are missing, and brings its tables up
    /// to date.
    ///
    /// # Errors
    /// [`DatabaseError`] names the path and what is wrong with it.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        let (pool, place) = open::open(url).await?;
        Ok(Self { pool, turn: Arc::new(Semaphore::new(1)), audit_appended: Arc::default(), place: Arc::new(place) })
    }

    /// Does the database answer a query on one of its tables, and soon?
    pub async fn is_reachable(&self) -> bool {
        let query = sqlx::query("SELECT id FROM accounts LIMIT 1").fetch_optional(&self.pool);
        self.check_in_place().is_ok() && matches!(tokio::time::timeout(REACHABLE_WITHIN, query).await, Ok(Ok(_)))
    }

    /// SQLite writes on into a file that was deleted or replaced, and everything is lost at the next start: is it where it
    /// was opened?
    fn check_in_place(&self) -> Result<(), QueryError> {
        self.place.check().map_err(|error| QueryError(sqlx::Error::Io(error)))
    }

    /// Ends every connection, so that SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Ways to break a real database, for tests of those who use it.
#[cfg(test)]
mod breaking {
    use super::Database;
    use sqlx::{Sqlite, pool::PoolConnection};

    /// The one lock that a writer needs, held from elsewhere.
    pub(crate) struct Lock(PoolConnection<Sqlite>);

    impl Lock {
        pub(crate) async fn release(&mut self) {
            sqlx::query("ROLLBACK").execute(&mut *self.0).await.unwrap();
        }
    }

    impl Database {
        /// Keeps every other writer out until it is released.
        pub(crate) async fn lock(&self) -> Lock {
            let mut connection = self.pool.acquire().await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut *connection).await.unwrap();
            Lock(connection)
        }
    }
}
