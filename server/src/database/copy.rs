//! `tickstock-monitor database copy`: everything that is in one database, into another one, of whichever kinds they are.
//!
//! Read as of one moment, written in one transaction: the target has all of it or nothing.

use super::{
    Database, DatabaseError, QueryError,
    pool::{Columns, Connection, Either, Tx, run, unhurried},
    postgres, sqlite,
};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

/// How many rows are written by one statement.
const ROWS: usize = 200;
/// What counts the changes of a database or says who works with it, and means nothing in another one.
const LEFT_OUT: [&str; 3] = ["auth_revision", "alert_revision", "alert_lease"];

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the two cannot be opened.
    #[error(transparent)]
    Open(#[from] DatabaseError),
    /// There is something in the target.
    #[error("the database to copy to is not empty: there are rows in {}; name a new one", .0.join(", "))]
    NotEmpty(Vec<String>),
    /// A table has not as many rows in the target as were read.
    #[error("{table}: {read} rows were read, and {written} are in the copy; nothing was kept")]
    Count {
        /// Which.
        table: String,
        /// In the source.
        read: u64,
        /// In the target.
        written: u64,
    },
    /// A table cannot be copied.
    #[error("{table} cannot be copied: {cause}")]
    Table {
        /// Which.
        table: String,
        /// Why.
        cause: QueryError,
    },
    /// One of the two did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(error.into())
    }
}

/// What a column holds, by its type.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    Real,
    Boolean,
    Text,
    Bytes,
}

/// What a row holds in a column.
enum Value {
    Number(Option<i64>),
    Real(Option<f64>),
    Boolean(Option<bool>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Kind {
    fn of(kind: &str) -> Self {
        match kind.to_uppercase().as_str() {
            "BOOLEAN" => Self::Boolean,
            "DOUBLE PRECISION" => Self::Real,
            "TEXT" => Self::Text,
            "BLOB" | "BYTEA" => Self::Bytes,
            _ => Self::Number,
        }
    }

    fn read(self, row: &impl Columns, column: &str) -> sqlx::Result<Value> {
        Ok(match self {
            Self::Number => Value::Number(row.read(column)?),
            Self::Real => Value::Real(row.read(column)?),
            Self::Boolean => Value::Boolean(row.read(column)?),
            Self::Text => Value::Text(row.read(column)?),
            Self::Bytes => Value::Bytes(row.read(column)?),
        })
    }
}

/// A table as both have it.
struct Table {
    name: String,
    columns: Vec<(String, Kind)>,
}

/// The same question to either catalog.
macro_rules! ask {
    ($connection:expr, $question:ident $(, $argument:expr)*) => {
        match $connection {
            Either::Sqlite(connection) => sqlite::catalog::$question(connection $(, $argument)*).await,
            Either::Postgres(connection) => postgres::catalog::$question(connection $(, $argument)*).await,
        }
    };
}

impl Database {
    /// Copies everything into another database, which has to be empty. Answers the tables with their numbers of rows.
    ///
    /// # Errors
    /// [`CopyError`] says why not; then nothing was copied.
    pub async fn copy_to(&self, target: &Self) -> Result<Vec<(String, u64)>, CopyError> {
        let mut from = self.begin_reading().await?;
        let mut to = target.begin_alone().await?;
        ask!(to.connection(), without_limits)?;
        let tables = tables(&mut to).await?;
        refuse_rows(&mut to, &tables).await?;
        let triggers = ask!(to.connection(), triggers_off)?;
        for table in tables.iter().rev() {
            let delete = format!("DELETE FROM {}", table.name);
            run!(to.connection(), sqlx::query(AssertSqlSafe(delete)))?;
        }
        let mut copied = Vec::new();
        for table in &tables {
            let failed = |cause: sqlx::Error| CopyError::Table { table: table.name.clone(), cause: cause.into() };
            let read = copy(&mut from, &mut to, table).await.map_err(failed)?;
            let written = count(&mut to, &table.name).await?;
            if read != written {
                return Err(CopyError::Count { table: table.name.clone(), read, written });
            }
            if let Some(last) = ask!(from.connection(), counter, &table.name)? {
                ask!(to.connection(), set_counter, &table.name, last)?;
            }
            copied.push((table.name.clone(), written));
        }
        for trigger in triggers {
            run!(to.connection(), sqlx::raw_sql(AssertSqlSafe(trigger)))?;
        }
        to.commit().await?;
        Ok(copied)
    }
}

/// The tables, each behind those that its rows refer to.
async fn tables(tx: &mut Tx) -> sqlx::Result<Vec<Table>> {
    let mut waiting = Vec::new();
    for name in ask!(tx.connection(), tables)? {
        let columns = ask!(tx.connection(), columns, &name)?;
        let columns = columns.into_iter().map(|(column, kind)| (column, Kind::of(&kind))).collect();
        let needs = ask!(tx.connection(), references, &name)?;
        if !LEFT_OUT.contains(&name.as_str()) {
            waiting.push((Table { name, columns }, needs));
        }
    }
    let mut sorted: Vec<Table> = Vec::new();
    while !waiting.is_empty() {
        let is_there = |need: &String| sorted.iter().any(|table| table.name == *need);
        let is_next =
            |(table, needs): &(Table, Vec<String>)| needs.iter().all(|need| *need == table.name || is_there(need));
        // Tables in a circle would be refused by the database.
        let next = waiting.iter().position(is_next).unwrap_or(0);
        sorted.push(waiting.remove(next).0);
    }
    Ok(sorted)
}

/// A database that a server or a command has used.
async fn refuse_rows(tx: &mut Tx, tables: &[Table]) -> Result<(), CopyError> {
    let mut full = Vec::new();
    for Table { name, .. } in tables {
        let is_used = ["accounts", "audit", "sessions"].contains(&name.as_str()) || name.starts_with("history_");
        if is_used && count(tx, name).await? > 0 {
            full.push(name.clone());
        }
    }
    if full.is_empty() { Ok(()) } else { Err(CopyError::NotEmpty(full)) }
}

async fn count(tx: &mut Tx, table: &str) -> sqlx::Result<u64> {
    let query = format!("SELECT COUNT(*) FROM {table}");
    let rows: i64 = unhurried!(tx.connection(), db => sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(db))?;
    Ok(rows.cast_unsigned())
}

/// Copies the rows of a table; answers how many were read.
async fn copy(from: &mut Tx, to: &mut Tx, table: &Table) -> sqlx::Result<u64> {
    let names: Vec<_> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let query = format!("SELECT {} FROM {}", names.join(", "), table.name);
    let (mut chunk, mut read) = (Vec::new(), 0);
    // The rows of the two kinds are of two types.
    macro_rules! each_row {
        ($db:expr) => {{
            let mut rows = sqlx::query(AssertSqlSafe(query)).fetch($db);
            while let Some(row) = rows.try_next().await? {
                for (name, kind) in &table.columns {
                    chunk.push(kind.read(&row, name)?);
                }
                read += 1;
                if chunk.len() >= ROWS * table.columns.len() {
                    insert(to.connection(), table, std::mem::take(&mut chunk)).await?;
                }
            }
        }};
    }
    match from.connection() {
        Either::Sqlite(db) => each_row!(db),
        Either::Postgres(db) => each_row!(db),
    }
    if !chunk.is_empty() {
        insert(to.connection(), table, chunk).await?;
    }
    Ok(read)
}

async fn insert(connection: Connection<'_>, table: &Table, values: Vec<Value>) -> sqlx::Result<()> {
    let width = table.columns.len();
    let row = |row: usize| {
        let places: Vec<_> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", places.join(", "))
    };
    let names: Vec<_> = table.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let rows: Vec<_> = (0..values.len() / width).map(row).collect();
    let query = format!("INSERT INTO {} ({}) VALUES {}", table.name, names.join(", "), rows.join(", "));
    run!(connection, {
        values.into_iter().fold(sqlx::query(AssertSqlSafe(query)), |query, value| match value {
            Value::Number(value) => query.bind(value),
            Value::Real(value) => query.bind(value),
            Value::Boolean(value) => query.bind(value),
            Value::Text(value) => query.bind(value),
            Value::Bytes(value) => query.bind(value),
        })
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Action, Actor, Audit, verify},
        auth::{Role, testing},
        database::history::{Batch, Run, Sample},
    };
    use app::model::time::UnixMillis;

    /// A database that was used, its audit log cut by retention.
    async fn fill(database: &Database) {
        let audit = Audit::new(database.clone());
        for page in 0..5 {
            audit.record(Actor::server().does(Action::PageView).to(page.to_string())).await.unwrap();
        }
        database.prune_audit(UnixMillis(i64::MAX)).await.unwrap().unwrap();
        audit.record(Actor::server().does(Action::Export)).await.unwrap();
        let id = testing::account(database, "ann@x", Role::Admin).await;
        let mut change = database.change().await.unwrap();
        change.record(&Actor::server().does(Action::SignIn)).await.unwrap();
        change.commit().await.unwrap();
        let session = tower_sessions::session::Id::default();
        let actor = Actor { address: "192.0.2.1".parse().ok(), ..Actor::default() };
        database.session_started(&session, id, &actor, UnixMillis(7)).await.unwrap();
        let sample =
            |second: i64| Sample { connection_id: 1, at: UnixMillis(second * 1000), ticks: 7, ..Sample::default() };
        let run = Run { connection_ids: vec![1], ..Run::default() };
        let batch = Batch { run, samples: (1..1_000).map(sample).collect(), ..Batch::default() };
        database.write_history(&batch).await.unwrap();
    }

    #[tokio::test]
    async fn a_copy_has_everything_and_goes_on_where_the_other_was() {
        for (_home, source) in testing::databases().await {
            fill(&source).await;
            for (_home, target) in testing::databases().await {
                let copied = source.copy_to(&target).await.unwrap();
                assert!(copied.iter().any(|(table, rows)| table == "history_samples" && *rows > 1_100), "{copied:?}");
                let whole = verify(&source, &[]).await.unwrap().unwrap();
                assert_eq!(verify(&target, &[]).await.unwrap().unwrap(), whole, "the chain is the same one");
                assert_eq!(whole.pruned_through, 5);
                let all = UnixMillis(0)..UnixMillis(i64::MAX);
                assert_eq!(
                    target.history_samples(10, all.clone(), None, None, 1_000).await.unwrap(),
                    source.history_samples(10, all, None, None, 1_000).await.unwrap()
                );
                let typed = "not an account";
                let word = async |database: &Database| {
                    database.attempted(typed, [192, 0, 2, 1].into(), UnixMillis(8)).await.unwrap().name
                };
                assert_eq!(word(&source).await, word(&target).await, "the key of the hashes");
                let known = target.attempted("ann@x", [192, 0, 2, 1].into(), UnixMillis(8)).await.unwrap();
                assert!(known.from_known_network);
                // It goes on: the log is continued, and a number is given only once.
                testing::account(&target, "bob@x", Role::Admin).await;
                Audit::new(target.clone()).record(Actor::server().does(Action::Export)).await.unwrap();
                assert_eq!(verify(&target, &[]).await.unwrap().unwrap().records, whole.records + 1);
                let error = source.copy_to(&target).await.unwrap_err().to_string();
                assert!(error.contains("is not empty: there are rows in accounts, audit, history_runs"), "{error}");
            }
        }
    }
}
