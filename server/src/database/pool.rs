//! The same thing for either database, and how one query runs on whichever it is.

use sqlx::{
    Decode, Error, PgConnection, PgPool, Postgres, Row, Sqlite, SqliteConnection, SqlitePool, Transaction, Type,
};
use std::{io, time::Duration};
use tokio::time::timeout;

/// How long PostgreSQL may take for one statement. It gives up by itself then; this ends the wait when it cannot even say so.
const STATEMENT_WITHIN: Duration = Duration::from_secs(8);

/// A thing of SQLite's or its counterpart of PostgreSQL's.
#[derive(Clone, Debug)]
pub(super) enum Either<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// Connections to the database.
pub(super) type Pool = Either<SqlitePool, PgPool>;
/// A transaction under way.
pub(super) type Tx = Either<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;
/// One connection, within a transaction.
pub(super) type Connection<'c> = Either<&'c mut SqliteConnection, &'c mut PgConnection>;

impl Tx {
    /// Its connection, for statements that are run by a function.
    pub(super) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(transaction) => Either::Sqlite(transaction),
            Self::Postgres(transaction) => Either::Postgres(transaction),
        }
    }

    pub(super) async fn commit(self) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => in_time(transaction.commit()).await,
        }
    }
}

impl Connection<'_> {
    /// The same connection again, for one statement of several.
    pub(super) fn again(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(connection) => Either::Sqlite(connection),
            Self::Postgres(connection) => Either::Postgres(connection),
        }
    }
}

/// Runs a query on whichever database is behind a pool or a connection. The query is compiled for both, so its parameters and
/// columns have to be of types that both have: `i64`, `f64`, `bool`, texts, bytes, and options of these.
///
/// ```ignore
/// let ids: Vec<i64> = on!(&self.pool, db => sqlx::query_scalar("SELECT id FROM accounts WHERE id > $1").bind(7).fetch_all(db))?;
/// ```
macro_rules! on {
    ($on:expr, $db:ident => $query:expr) => {
        match $on {
            $crate::database::pool::Either::Sqlite($db) => $query.await,
            $crate::database::pool::Either::Postgres($db) => $crate::database::pool::in_time($query).await,
        }
    };
}
pub(super) use on;

/// The same for a query that may take as long as it takes.
macro_rules! unhurried {
    ($on:expr, $db:ident => $query:expr) => {
        match $on {
            $crate::database::pool::Either::Sqlite($db) => $query.await,
            $crate::database::pool::Either::Postgres($db) => $query.await,
        }
    };
}
pub(super) use unhurried;

/// Runs a query that answers no rows, and answers how many it has changed.
///
/// ```ignore
/// let gone: u64 = run!(change.tx.connection(), sqlx::query("DELETE FROM accounts WHERE id = $1").bind(7))?;
/// ```
macro_rules! run {
    ($on:expr, $query:expr) => {
        match $on {
            $crate::database::pool::Either::Sqlite(db) => $query.execute(db).await.map(|done| done.rows_affected()),
            $crate::database::pool::Either::Postgres(db) => {
                $crate::database::pool::in_time($query.execute(db)).await.map(|done| done.rows_affected())
            }
        }
    };
}
pub(super) use run;

/// A query of PostgreSQL's, which may be on the other side of a network that swallows everything.
pub(super) async fn in_time<T>(query: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    // What gives up earlier says why.
    let answer = timeout(STATEMENT_WITHIN + Duration::from_secs(1), query).await;
    match answer.unwrap_or(Err(Error::PoolTimedOut)) {
        Err(Error::PoolTimedOut) => {
            Err(Error::Io(io::Error::new(io::ErrorKind::TimedOut, "PostgreSQL cannot be reached or does not answer")))
        }
        answer => answer,
    }
}

/// What a column can be read as, whichever database it is from.
pub(super) trait Column<'r>: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> {}

impl<'r, T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>> Column<'r> for T {}

/// A row of either database.
pub(super) trait Columns: Row {
    /// What a column holds.
    fn read<'r, T: Column<'r>>(&'r self, column: &str) -> sqlx::Result<T>;

    /// A whole number, which the column has more room for than `T`.
    fn number<T: TryFrom<i64>>(&self, column: &str) -> sqlx::Result<T> {
        narrow(column, self.read(column)?)
    }

    /// The same where the column may be empty.
    fn number_or_none<T: TryFrom<i64>>(&self, column: &str) -> sqlx::Result<Option<T>> {
        self.read::<Option<i64>>(column)?.map(|value| narrow(column, value)).transpose()
    }
}

/// A number of a column that has more room for it than `T`.
pub(super) fn narrow<T: TryFrom<i64>>(column: &str, value: i64) -> sqlx::Result<T> {
    let source = || format!("{value} is out of range").into();
    T::try_from(value).map_err(|_| Error::ColumnDecode { index: column.to_owned(), source: source() })
}

impl Columns for sqlx::sqlite::SqliteRow {
    fn read<'r, T: Column<'r>>(&'r self, column: &str) -> sqlx::Result<T> {
        self.try_get(column)
    }
}

impl Columns for sqlx::postgres::PgRow {
    fn read<'r, T: Column<'r>>(&'r self, column: &str) -> sqlx::Result<T> {
        self.try_get(column)
    }
}
