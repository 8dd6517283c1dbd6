//! What survives a restart: accounts, sessions, the audit log, history. The only place that knows SQL.
//!
//! ```text
//! DATABASE_URL ──▶ open ──▶ Database ──▶ accounts   who may sign in
//!                (folder,      │    ├──▶ sessions   who is signed in
//!                 file,        │    ├──▶ audit      what was done
//!                 migrations)  │    ├──▶ history    samples, events, gaps
//!                              │    └──▶ change     one writer at a time: a change and its record
//!                              └───────▶ trouble, for /readyz
//! ```
//!
//! [`Claim`] sees to it that one server at a time has it. A server starts without it when the disk fails or is full, and
//! tries again.
//!
//! One SQLite file in WAL mode: readers never wait for the writer, and what the `user` command changes in another process is
//! seen by the next query here. Ticks never come near it: history is written from summaries, once a second.
//!
//! Values are always bound. Where a query is put together at run time and wrapped in `AssertSqlSafe`, every part of it is a constant of
//! this module, so that nothing from outside can become SQL.

mod accounts;
mod audit;
mod audit_check;
mod change;
mod claim;
mod factors;
mod files;
pub mod history;
mod open;
mod screens;
mod sessions;
mod sign_in;
mod tokens;

pub use accounts::{AccountError, NewAccount};
pub use audit::AuditFilter;
pub(crate) use audit_check::AuditReading;
pub use change::Change;
pub use claim::Claim;
pub use open::DatabaseError;
pub use screens::Screen;
pub use sessions::{SessionStore, SessionsToEnd};
pub use sign_in::Attempted;
pub use tokens::{KnownToken, NewToken, TokenError};

use files::Files;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use std::{
    io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync, time::timeout};

/// Where the database is when `DATABASE_URL` does not say.
pub const DEFAULT_URL: &str = "sqlite://data/monitor.db";

/// Can a database be behind this URL, as far as the URL says?
#[must_use]
pub fn is_database_url(url: &str) -> bool {
    open::parse(url).is_ok()
}

/// How long [`Database::is_reachable`] waits for an answer.
const REACHABLE_WITHIN: Duration = Duration::from_secs(1);
/// How long it may take to save what is in a log that was removed.
const SAVE_WITHIN: Duration = Duration::from_secs(2);

/// A handle to the database; cheap to clone, all clones share one pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: SqlitePool,
    /// Whose turn it is to change something: one at a time, see [`Database::change`].
    turn: Arc<sync::Semaphore>,
    /// Told whenever this process has continued the audit log.
    audit_appended: Arc<sync::Notify>,
    opened: Arc<Opened>,
}

/// What is known since the file was opened, and before that.
#[derive(Debug, Default)]
struct Opened {
    files: OnceLock<Files>,
    /// Keeps the files the same ones, whatever the pool does with its connections.
    kept: sync::Mutex<Option<SqliteConnection>>,
    /// Why it could not be opened yet.
    why_not: Mutex<String>,
    /// The log was removed, and what was in it has been saved as far as possible.
    is_saved: AtomicBool,
    /// The last thing that history had to write could not be written.
    is_unwritable: AtomicBool,
}

/// A query that the database did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the database did not answer: {0}")]
pub struct QueryError(#[from] sqlx::Error);

impl QueryError {
    /// Does a row hold what its column never has?
    pub(crate) fn is_of_a_row(&self) -> bool {
        matches!(self.0, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
    }

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
        match Self::open_or_later(url).await? {
            (database, None) => Ok(database),
            (_, Some(error)) => Err(error),
        }
    }

    /// The same for a server, which goes on when the disk is full or fails: then the database answers nothing until
    /// [`prepare`](Self::prepare) succeeds.
    ///
    /// # Errors
    /// [`DatabaseError`] names the path and what is wrong with it, where waiting would not help.
    pub async fn open_or_later(url: &str) -> Result<(Self, Option<DatabaseError>), DatabaseError> {
        let (pool, turn) = (open::pool(url)?, Arc::new(sync::Semaphore::new(1)));
        let database = Self { pool, turn, audit_appended: Arc::default(), opened: Arc::default() };
        match database.prepare().await {
            Ok(()) => Ok((database, None)),
            Err(error) if error.may_pass() => Ok((database, Some(error))),
            Err(error) => Err(error),
        }
    }

    /// Makes what is missing and brings the tables up to date, unless that is done.
    ///
    /// # Errors
    /// [`DatabaseError`] names the path and what is wrong with it.
    pub async fn prepare(&self) -> Result<(), DatabaseError> {
        let mut kept = self.opened.kept.lock().await;
        if self.opened.files.get().is_some() {
            return Ok(());
        }
        match open::prepare(&self.pool).await {
            Ok((connection, files)) => {
                *kept = Some(connection);
                self.opened.files.get_or_init(|| files);
                Ok(())
            }
            Err(error) => {
                *self.opened.why_not.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
                Err(error)
            }
        }
    }

    /// What is wrong with it, in words for everybody: it says nothing of how or where. Neither waits long nor writes.
    pub async fn trouble(&self) -> Option<&'static str> {
        if !self.is_reachable().await {
            return Some("the database does not answer");
        }
        self.opened.is_unwritable.load(Relaxed).then_some("the database cannot be written")
    }

    /// Does the database answer a query on one of its tables, and soon?
    pub async fn is_reachable(&self) -> bool {
        let query = sqlx::query("SELECT id FROM accounts LIMIT 1").fetch_optional(&self.pool);
        self.check_in_place().await.is_ok() && matches!(timeout(REACHABLE_WITHIN, query).await, Ok(Ok(_)))
    }

    /// SQLite writes on into files that were deleted or replaced, and everything is lost at the next start: are they where
    /// they were opened?
    async fn check_in_place(&self) -> Result<(), QueryError> {
        let Some(files) = self.opened.files.get() else {
            let why = self.opened.why_not.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(QueryError(sqlx::Error::Io(io::Error::other(why))));
        };
        let Err(moved) = files.check().map_err(sqlx::Error::Io)? else { return Ok(()) };
        if files.can_be_saved() && !self.opened.is_saved.swap(true, Relaxed) {
            self.save_log().await;
        }
        Err(QueryError(sqlx::Error::Io(io::Error::new(io::ErrorKind::NotFound, moved.to_string()))))
    }

    /// Folds the write-ahead log into the database file while it is still open: its name is gone, and nobody else will find
    /// what is in it.
    async fn save_log(&self) {
        let mut kept = self.opened.kept.lock().await;
        let Some(connection) = kept.as_mut() else { return };
        let checkpoint = sqlx::query("PRAGMA wal_checkpoint(FULL)").execute(connection);
        match timeout(SAVE_WITHIN, checkpoint).await {
            Ok(Ok(_)) => tracing::warn!("The database's side files were removed; what was in them is saved"),
            Ok(Err(error)) => tracing::error!("What was in the database's removed files could not be saved: {error}"),
            Err(_) => tracing::error!("What was in the database's removed files could not be saved in time"),
        }
    }

    /// Ends every connection, so that SQLite folds its write-ahead log into the file; unless that is another one by now.
    pub async fn close(&self) {
        let is_ours = self.opened.files.get().is_none_or(|files| {
            let _ = files.check();
            !files.are_overwritten()
        });
        self.pool.close().await;
        let kept = self.opened.kept.lock().await.take();
        match kept {
            Some(connection) if is_ours => drop(connection.close().await),
            // Only the end of the last connection folds it: this one has none.
            kept => std::mem::forget(kept),
        }
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
