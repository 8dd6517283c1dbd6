//! What is PostgreSQL's alone: its address, opening it, where every way it can fail is told with what would be right; sizes; and
//! the tables' own rules.
//!
//! Nothing here waits for long: a server that is gone without a word, and one that holds a lock, cost a few seconds at most.

mod address;
pub(super) mod catalog;
#[cfg(test)]
mod tests;

pub(super) use address::parse;

use super::{
    error::{DatabaseError, is_of_the_moment},
    migrations::POSTGRES as MIGRATIONS,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool,
    migrate::MigrateError,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeMap, io, time::Duration};
use tokio::time::timeout;

/// Per server. Nothing here is asked for often.
const CONNECTIONS_MAX: u32 = 8;
/// How long a query waits for a connection, a new one among them.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may take to show that it is alive.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that was used less long ago than this is taken to be alive.
const ALIVE_FOR: Duration = Duration::from_millis(100);
/// How long opening the database may take, tables and all.
const OPEN_WITHIN: Duration = Duration::from_secs(30);
/// The oldest version that is tested: 15.
const VERSION_MIN: i32 = 150_000;
/// What a row costs beside its columns: its head, its place in the page, and its part of the indexes.
const ROW_BYTES: i64 = 48;

/// What PostgreSQL itself puts an end to. A server that was stopped in the middle of a transaction, or whose network is gone,
/// would hold up all others otherwise.
const LIMITS: [(&str, &str); 3] =
    [("statement_timeout", "8s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "5s")];

/// A pool over a database; nothing is opened yet.
pub(super) fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < ALIVE_FOR || is_alive(connection).await.is_ok()) })
        })
        // A query that was given up may have left the connection in the middle of something: it is through with it when it
        // answers. One that does not is closed.
        .after_release(|connection, _| Box::pin(async move { Ok(is_alive(connection).await.is_ok()) }))
        .connect_lazy_with(options.options(LIMITS))
}

async fn is_alive(connection: &mut PgConnection) -> sqlx::Result<()> {
    timeout(PING_TIMEOUT, connection.ping()).await.unwrap_or_else(|_| Err(timed_out("does not answer")))
}

fn timed_out(words: &str) -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, words.to_owned()))
}

/// Brings the tables up to date, and looks whether all that is needed is there.
pub(super) async fn prepare(pool: &PgPool) -> Result<(), DatabaseError> {
    // What changes a large table takes its time, and another server may be at it.
    let options = pool.connect_options().as_ref().clone();
    let options = options.options([("statement_timeout", "0"), ("lock_timeout", "20s")]);
    let opening = Opening { options: &options };
    timeout(OPEN_WITHIN, opening.run()).await.unwrap_or_else(|_| {
        let cause = timed_out("no answer within 30 s");
        Err(DatabaseError::Unreachable { database: opening.database(), cause })
    })
}

struct Opening<'a> {
    options: &'a PgConnectOptions,
}

impl Opening<'_> {
    async fn run(&self) -> Result<(), DatabaseError> {
        let connected = timeout(ACQUIRE_TIMEOUT, self.options.connect()).await;
        let mut connection = connected
            .unwrap_or_else(|_| Err(timed_out("no answer within 2 s")))
            .map_err(|cause| self.refused(cause))?;
        let done = self.look_at(&mut connection).await;
        let _ = connection.close().await;
        done
    }

    async fn look_at(&self, connection: &mut PgConnection) -> Result<(), DatabaseError> {
        let query = "SELECT current_setting('server_version_num')::INTEGER, current_setting('server_version'), \
                     current_setting('server_encoding'), pg_is_in_recovery(), current_schema() IS NOT NULL, \
                     to_regclass('_sqlx_migrations') IS NOT NULL";
        let (number, version, encoding, is_standby, has_schema, is_known): (i32, String, String, bool, bool, bool) =
            sqlx::query_as(query).fetch_one(&mut *connection).await.map_err(|cause| self.refused(cause))?;
        if number < VERSION_MIN {
            return Err(self.unsuitable(format!("PostgreSQL {version}"), "PostgreSQL 15 or newer"));
        }
        if encoding != "UTF8" {
            return Err(self.unsuitable(format!("the encoding {encoding}"), "UTF8"));
        }
        if is_standby {
            return Err(DatabaseError::Standby { database: self.database() });
        }
        if !has_schema {
            return Err(self.rights("use any schema of its search_path".to_owned()));
        }
        if !is_known || !self.is_up_to_date(connection).await? {
            // `run` takes anything that has a connection, of which the compiler cannot prove that it may cross threads.
            MIGRATIONS.run_direct(None, connection, false).await.map_err(|cause| self.not_migrated(cause))?;
        }
        self.check_rights(connection).await
    }

    /// Where another role has made the tables, the one that serves needs no right to make any.
    async fn is_up_to_date(&self, connection: &mut PgConnection) -> Result<bool, DatabaseError> {
        let query = "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
        let applied: Vec<(i64, Vec<u8>)> =
            sqlx::query_as(query).fetch_all(connection).await.map_err(|cause| self.refused(cause))?;
        let ours = MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec()));
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        match applied.last() {
            Some((found, _)) if *found > known => {
                Err(DatabaseError::Newer { database: self.database(), found: *found, known })
            }
            _ => Ok(ours.eq(applied)),
        }
    }

    async fn check_rights(&self, connection: &mut PgConnection) -> Result<(), DatabaseError> {
        let query = "SELECT string_agg(privilege, ', ' ORDER BY privilege) || ' on ' || relname FROM pg_class, \
                     unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege WHERE oid = ANY($1::TEXT[]::REGCLASS[]) \
                     AND NOT has_table_privilege(oid, privilege) GROUP BY relname ORDER BY relname";
        let tables = tables(connection).await.map_err(|cause| self.refused(cause))?;
        let missing: Vec<String> =
            sqlx::query_scalar(query).bind(tables).fetch_all(connection).await.map_err(|cause| self.refused(cause))?;
        if missing.is_empty() { Ok(()) } else { Err(self.rights(missing.join("; "))) }
    }

    /// The database and where it is, without the password.
    fn database(&self) -> String {
        let name = self.options.get_database().unwrap_or_default();
        match self.options.get_socket() {
            Some(socket) => format!("`{name}` at {}", socket.display()),
            None => format!("`{name}` at {}:{}", self.options.get_host(), self.options.get_port()),
        }
    }

    fn role(&self) -> String {
        self.options.get_username().to_owned()
    }

    fn unsuitable(&self, found: String, wanted: &'static str) -> DatabaseError {
        DatabaseError::Unsuitable { database: self.database(), found, wanted }
    }

    fn rights(&self, what: String) -> DatabaseError {
        DatabaseError::Rights { database: self.database(), role: self.role(), what }
    }

    fn refused(&self, cause: sqlx::Error) -> DatabaseError {
        const INSUFFICIENT_PRIVILEGE: &str = "42501";
        let database = self.database();
        let code = cause.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        let said = cause.as_database_error().map_or_else(|| cause.to_string(), |error| error.message().to_owned());
        match (code.as_str(), &cause) {
            // Class 28: authorization; `pg_hba.conf` speaks here, too.
            (code, _) if code.starts_with("28") => DatabaseError::Refused { database, role: self.role(), said },
            ("3D000", _) => DatabaseError::NoDatabase { database, role: self.role() },
            (INSUFFICIENT_PRIVILEGE, _) => self.rights(format!("go on ({said})")),
            (_, sqlx::Error::Tls(_)) => DatabaseError::Tls { database, said },
            (_, sqlx::Error::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                DatabaseError::Tls { database, said }
            }
            // A role without a password in the URL is asked for one.
            (_, sqlx::Error::Configuration(_) | sqlx::Error::Protocol(_)) => {
                DatabaseError::Refused { database, role: self.role(), said }
            }
            _ => DatabaseError::Unreachable { database, cause },
        }
    }

    fn not_migrated(&self, cause: MigrateError) -> DatabaseError {
        const INSUFFICIENT_PRIVILEGE: &str = "42501";
        if let MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) = &cause {
            if is_of_the_moment(error) {
                return DatabaseError::Migrate { database: self.database(), cause };
            }
            if let Some(error) = error.as_database_error()
                && error.code().is_some_and(|code| code == INSUFFICIENT_PRIVILEGE)
            {
                return self.rights(format!("make the tables ({})", error.message()));
            }
        }
        DatabaseError::Migrate { database: self.database(), cause }
    }
}

/// The tables that the migrations have made, in the schema where they are.
pub(super) async fn tables(connection: &mut PgConnection) -> sqlx::Result<Vec<String>> {
    let query = "SELECT relname::TEXT FROM pg_class WHERE relkind = 'r' AND relname <> '_sqlx_migrations' \
                 AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('_sqlx_migrations')) \
                 AND relname = ANY($1) ORDER BY relname";
    sqlx::query_scalar(query).bind(made_tables()).fetch_all(connection).await
}

/// Their names, as the migrations say them: other programs may have tables in the same schema.
fn made_tables() -> Vec<String> {
    let mut tables = Vec::new();
    for migration in MIGRATIONS.iter() {
        let lines = migration.sql.as_str().lines();
        let names = lines.filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split([' ', '(']).next());
        tables.extend(names.map(str::to_owned));
    }
    tables
}

pub(super) async fn audit_bytes(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("SELECT pg_total_relation_size('audit')").fetch_one(pool).await
}

/// Bytes of all tables and their indexes, those of deleted rows among them, which are used again.
pub(super) async fn bytes_used(pool: &PgPool) -> sqlx::Result<i64> {
    let query =
        "SELECT CAST(COALESCE(SUM(pg_total_relation_size(name::REGCLASS)), 0) AS BIGINT) FROM unnest($1) AS name";
    let tables = tables(&mut *pool.acquire().await?).await?;
    sqlx::query_scalar(query).bind(tables).fetch_one(pool).await
}

/// Bytes of the rows of history, and of their part of the indexes. The tables themselves do not become smaller by what is
/// deleted from them. Reads every row: some seconds for a gigabyte.
pub(super) async fn history_bytes(pool: &PgPool) -> sqlx::Result<i64> {
    let mut bytes = 0;
    let mut transaction = pool.begin().await?;
    catalog::without_limits(&mut transaction).await?;
    for table in tables(&mut transaction).await?.iter().filter(|table| table.starts_with("history_")) {
        let query = format!(
            "SELECT CAST(COALESCE(SUM(pg_column_size(row) + {ROW_BYTES}), 0) AS BIGINT) FROM (SELECT {table} AS row FROM {table}) AS rows"
        );
        let rows: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut *transaction).await?;
        bytes += rows;
    }
    Ok(bytes)
}

/// What the audit log's tables are, their constraints and indexes, and every trigger on a table of ours: one on another table
/// may reach into these.
pub(super) async fn rules(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<String, String>> {
    let query = "
        WITH ours AS (
            SELECT oid, relname::TEXT AS name FROM pg_class
            WHERE relkind = 'r' AND relname = ANY($1) AND relnamespace = current_schema()::REGNAMESPACE
        ), audit AS (SELECT * FROM ours WHERE name LIKE 'audit%')
        SELECT 'trigger ' || tgname, pg_get_triggerdef(trigger.oid, TRUE) || tgenabled::TEXT || CAST(
            (SELECT prosrc || prosecdef || COALESCE(proconfig::TEXT, '') FROM pg_proc WHERE oid = tgfoid) AS TEXT)
            FROM pg_trigger AS trigger JOIN ours ON ours.oid = tgrelid WHERE NOT tgisinternal
        UNION ALL SELECT 'rule ' || rulename, pg_get_ruledef(rule.oid, TRUE)
            FROM pg_rewrite AS rule JOIN ours ON ours.oid = ev_class
        UNION ALL SELECT 'table ' || audit.name, string_agg(attname || ' ' || format_type(atttypid, atttypmod) || attnotnull
            || atthasdef, ', ' ORDER BY attnum)
            FROM pg_attribute JOIN audit ON audit.oid = attrelid WHERE attnum > 0 AND NOT attisdropped GROUP BY audit.name
        UNION ALL SELECT 'constraint ' || conname, pg_get_constraintdef(con.oid, TRUE) || convalidated
            FROM pg_constraint AS con JOIN audit ON audit.oid = conrelid
        UNION ALL SELECT 'index ' || indexrelid::REGCLASS, pg_get_indexdef(indexrelid, 0, TRUE) || indisvalid
            FROM pg_index JOIN audit ON audit.oid = indrelid";
    let rows: Vec<(String, String)> = sqlx::query_as(query).bind(made_tables()).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// The same of tables as this version makes them: they are made beside the others, in a transaction that is rolled back. Takes
/// the right to make a schema.
pub(super) async fn fresh_rules(pool: &PgPool) -> sqlx::Result<BTreeMap<String, String>> {
    let mut transaction = pool.begin().await?;
    sqlx::raw_sql("CREATE SCHEMA tickstock_as_it_should_be; SET LOCAL search_path TO tickstock_as_it_should_be")
        .execute(&mut *transaction)
        .await?;
    for migration in MIGRATIONS.iter() {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *transaction).await?;
    }
    let fresh = rules(&mut transaction).await?;
    transaction.rollback().await?;
    Ok(fresh)
}
