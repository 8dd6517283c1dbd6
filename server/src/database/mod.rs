//! What survives a restart: accounts, sessions, the audit log. The only place that knows SQL.
//!
//! ```text
//! DATABASE_URL ──▶ open ──▶ Database ──▶ accounts   who may sign in
//!                (folder,      │    ├──▶ sessions   who is signed in
//!                 file,        │    ├──▶ audit      what was done
//!                 migrations)  │    └──▶ change     one writer at a time: a change and its record
//!                              └───────▶ is_reachable, for /readyz
//! ```
//!
//! One SQLite file in WAL mode: readers never wait for the writer, and what the `user` command changes in another process is
//! seen by the next query here. Live market data never comes near it.

mod accounts;
mod audit;
mod change;
mod open;
mod sessions;

pub use accounts::{AccountError, NewAccount};
pub use audit::AuditFilter;
pub use change::Change;
pub use open::DatabaseError;
pub use sessions::{SessionStore, SessionsToEnd};

use sqlx::SqlitePool;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Where the database is when `DATABASE_URL` does not say.
pub const DEFAULT_URL: &str = "sqlite://data/monitor.db";

/// How long [`Database::is_reachable`] waits for an answer.
const REACHABLE_WITHIN: Duration = Duration::from_secs(1);

/// A handle to the database; cheap to clone, all clones share one pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
    /// Whose turn it is to change something: one at a time, see [`Database::change`].
    turn: Arc<Semaphore>,
}

/// A query that the database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct QueryError(#[from] sqlx::Error);

impl Database {
    /// Opens the file that a `sqlite://` URL names, making folder and file when they are missing, and brings its tables up
    /// to date.
    ///
    /// # Errors
    /// [`DatabaseError`] names the path and what is wrong with it.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        open::open(url).await.map(|pool| Self { pool, turn: Arc::new(Semaphore::new(1)) })
    }

    /// Does the database answer a query on one of its tables, and soon?
    pub async fn is_reachable(&self) -> bool {
        let query = sqlx::query("SELECT id FROM accounts LIMIT 1").fetch_optional(&self.pool);
        matches!(tokio::time::timeout(REACHABLE_WITHIN, query).await, Ok(Ok(_)))
    }

    /// Ends every connection, so that SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
