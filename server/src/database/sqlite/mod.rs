//! What is SQLite's alone: opening the file, where every way it can fail is told with the path and the cause; the file's
//! place; sizes; and the table's own rules.

pub(super) mod catalog;
mod claim;
mod files;

pub use claim::Claim;
pub(super) use files::Files;

use super::{error::DatabaseError, migrations::SQLITE as MIGRATIONS};
use files::{close_to_others, make_folder};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use std::{collections::BTreeMap, fs::OpenOptions, path::Path, str::FromStr, time::Duration};

/// SQLite has one writer at a time; a few readers beside it are enough, as nothing here is asked for often. Each is a thread, and
/// a quarter of a megabyte with its copy of the tables' definitions.
const CONNECTIONS_MAX: u32 = 4;
/// How long a statement waits for another process's write.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a query waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// A pool over the file that a URL names; nothing is opened yet.
pub(super) fn pool(url: &str) -> Result<SqlitePool, DatabaseError> {
    let options = parse(url)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // What is answered to be on record stays so when the power fails.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_release(|connection, _| Box::pin(is_at_rest(connection)));
    Ok(pool.connect_lazy_with(options))
}

/// Makes what is missing, brings the tables up to date, and answers a connection to keep: as long as it is open, the files
/// stay the same ones.
pub(super) async fn prepare(pool: &SqlitePool) -> Result<(SqliteConnection, Files), DatabaseError> {
    let options = pool.connect_options();
    let path = options.get_filename().to_path_buf();
    // Not when it is open already: closing a file gives up all locks that the process has on it.
    if pool.size() == 0 {
        prepare_file(&path)?;
    }
    close_to_others(&path);
    let mut connection = options.connect().await.map_err(|cause| refused(&path, cause))?;
    MIGRATIONS.run(pool).await.map_err(|cause| match cause {
        MigrateError::VersionMissing(found) => {
            let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
            DatabaseError::Newer { database: path.display().to_string(), found, known }
        }
        cause => DatabaseError::Migrate { database: path.display().to_string(), cause },
    })?;
    // With this it has opened the log, too.
    let tables = sqlx::query("SELECT COUNT(*) FROM sqlite_master").fetch_one(&mut connection).await;
    tables.map_err(|cause| refused(&path, cause))?;
    // From here on the file itself says how far it is, see `Files`. A disk that is full now is told when something is written.
    let _ = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&mut connection).await;
    Ok((connection, Files::of(&path)))
}

/// May a connection be lent again? sqlx counts for itself how deep in transactions a connection is, and counts down only
/// when its `COMMIT` or `ROLLBACK` succeeds. When SQLite has rolled back already, as it does by itself when the disk is full
/// or fails, there is no transaction to end, the `ROLLBACK` is refused, and no other could ever begin on that connection;
/// a `BEGIN` that is given up at the wrong moment even leaves its transaction open, with the lock. Such a connection is
/// closed, which ends whatever is open, and the pool opens another.
async fn is_at_rest(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    // A transaction that was dropped is rolled back by a command that may still be queued; it is through when this is.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

pub(super) fn parse(url: &str) -> Result<SqliteConnectOptions, DatabaseError> {
    let Some(rest) = url.strip_prefix("sqlite://") else {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme).to_owned();
        return Err(DatabaseError::UnsupportedScheme { scheme });
    };
    let (file, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    // Every connection of a pool would have a memory of its own.
    if file.is_empty() || file == ":memory:" {
        return Err(DatabaseError::NoFile);
    }
    // What others do, such as `mode=memory` and `immutable`, loses what is written.
    if !matches!(parameters, "" | "mode=rwc") {
        return Err(DatabaseError::Parameters);
    }
    SqliteConnectOptions::from_str(url).map_err(DatabaseError::BadUrl)
}

/// Makes the folder and the file, so that what is wrong with them is told in the operating system's words: SQLite says
/// no more than "unable to open database file".
pub(super) fn prepare_file(path: &Path) -> Result<(), DatabaseError> {
    if path.is_dir() {
        return Err(DatabaseError::IsFolder(path.to_path_buf()));
    }
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder).map_err(|cause| DatabaseError::Folder { folder: folder.to_path_buf(), cause })?;
    }
    let mut file = OpenOptions::new();
    file.create(true).append(true);
    // Password hashes and sessions are for nobody else on the machine; SQLite gives its side files the same mode.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file.open(path).map(drop).map_err(|cause| DatabaseError::File { path: path.to_path_buf(), cause })
}

/// Bytes of the pages of tables and their indexes, counted by SQLite's own list of pages. Reads each of those pages, and
/// because of the order that `CROSS JOIN` prescribes, no others. `which` is a condition of ours, and becomes part of the
/// query as it is.
async fn table_bytes(pool: &SqlitePool, which: &'static str) -> sqlx::Result<i64> {
    let query = format!(
        "SELECT COALESCE(SUM(pages.pgsize), 0) FROM sqlite_schema AS part CROSS JOIN dbstat AS pages \
         ON pages.name = part.name WHERE part.rootpage > 0 AND pages.aggregate = TRUE AND part.{which}"
    );
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(pool).await
}

pub(super) async fn audit_bytes(pool: &SqlitePool) -> sqlx::Result<i64> {
    table_bytes(pool, "tbl_name = 'audit'").await
}

/// All that are used but those of other tables. Those are counted page by page, which takes a second for a gigabyte; to count
/// history itself would take longer, as it is usually the larger part.
pub(super) async fn history_bytes(pool: &SqlitePool) -> sqlx::Result<i64> {
    let others = table_bytes(pool, "tbl_name NOT GLOB 'history_*'").await?;
    Ok(bytes_used(pool).await?.saturating_sub(others))
}

/// Bytes of the file that hold something; deleted pages are used again, the file does not shrink.
pub(super) async fn bytes_used(pool: &SqlitePool) -> sqlx::Result<i64> {
    let query = "SELECT (total.page_count - free.freelist_count) * size.page_size
                 FROM pragma_page_count() AS total, pragma_freelist_count() AS free, pragma_page_size() AS size";
    sqlx::query_scalar(query).fetch_one(pool).await
}

/// What SQLite finds wrong with the audit log's table: rows that its columns forbid, indexes that leave rows out.
pub(super) async fn damage(connection: &mut SqliteConnection) -> sqlx::Result<Vec<String>> {
    let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(audit)").fetch_all(connection).await?;
    Ok(said.into_iter().filter(|line| line != "ok").collect())
}

/// What the audit log's tables are, and every trigger and view: one on another table may reach into these.
pub(super) async fn rules(connection: &mut SqliteConnection) -> sqlx::Result<BTreeMap<String, String>> {
    let query = "SELECT type || ' ' || name, COALESCE(sql, '') FROM sqlite_schema \
                 WHERE tbl_name GLOB 'audit*' OR type IN ('trigger', 'view')";
    let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// The same of tables as this version makes them.
pub(super) async fn fresh_rules() -> sqlx::Result<BTreeMap<String, String>> {
    let mut fresh = SqliteConnection::connect("sqlite::memory:").await?;
    MIGRATIONS.run(&mut fresh).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
    rules(&mut fresh).await
}

fn refused(path: &Path, cause: sqlx::Error) -> DatabaseError {
    const NOT_A_DATABASE: &str = "26";
    let path = path.to_path_buf();
    match cause.as_database_error().and_then(|error| error.code()) {
        Some(code) if code == NOT_A_DATABASE => DatabaseError::NotADatabase(path),
        _ => DatabaseError::Open { path, cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use std::fs;

    async fn message(url: &str) -> String {
        Database::open(url).await.expect_err("opened").to_string()
    }

    #[tokio::test]
    async fn folder_and_file_are_made_and_open_to_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/monitor.db");
        let database = Database::open(&format!("sqlite://{}", path.display())).await.unwrap();
        assert!(database.is_reachable().await);
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("a"), mode("a/b")], [0o700; 2]);
        assert_eq!(["", "-wal", "-shm"].map(|suffix| mode(&format!("a/b/monitor.db{suffix}"))), [0o600; 3]);

        // As an older version, or a backup that was put back, left them.
        for suffix in ["", "-wal", "-shm"] {
            let readable = fs::Permissions::from_mode(0o644);
            fs::set_permissions(folder.path().join(format!("a/b/monitor.db{suffix}")), readable).unwrap();
        }
        Database::open(&format!("sqlite://{}", path.display())).await.unwrap().close().await;
        assert_eq!(["", "-wal", "-shm"].map(|suffix| mode(&format!("a/b/monitor.db{suffix}"))), [0o600; 3]);
        database.close().await;
        assert!(!database.is_reachable().await);
    }

    /// Only `Cargo.lock` says which SQLite is built in; sqlx takes older ones as well.
    #[tokio::test]
    async fn built_in_sqlite_is_new_enough() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&format!("sqlite://{}/monitor.db", folder.path().display())).await.unwrap();
        let version: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&database.sqlite()).await.unwrap();
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        // 3.50.2 has the last fix that scanners ask for (CVE-2025-6965). Before 3.51.3, a checkpoint and a write at the
        // wrong moments could damage a database in WAL mode.
        assert!(parts >= vec![3, 51, 3], "SQLite {version}: run `cargo update -p libsqlite3-sys --precise 0.37.0`");
    }

    #[tokio::test]
    async fn another_kind_of_database_is_refused_without_repeating_its_password() {
        let text = message("mysql://monitor:hunter2@db/monitor").await;
        assert!(text.contains("`mysql`") && text.contains("sqlite:// and postgres:// are supported"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn url_without_a_file_is_refused() {
        for url in ["sqlite://", "sqlite://:memory:", "sqlite://?mode=rwc"] {
            assert!(message(url).await.contains("names no file"), "{url}");
        }
        assert!(message("data/monitor.db").await.contains("sqlite:// and postgres:// are supported"));
        for parameters in ["mode=memory", "mode=rwc&mode=memory", "mode=%6demory", "immutable=true", "x"] {
            let text = message(&format!("sqlite://data/monitor.db?{parameters}")).await;
            assert!(text.contains("takes no parameters"), "{parameters}: {text}");
        }
    }

    #[tokio::test]
    async fn error_names_the_path_and_the_cause() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let text = message(&format!("sqlite://{}", path.display())).await;
        assert!(text.contains(path.to_str().unwrap()) && text.contains("is a folder"), "{text}");

        fs::write(path.join("file"), "not a database, but long enough to have a header of its own ".repeat(20))
            .unwrap();
        let text = message(&format!("sqlite://{}/file", path.display())).await;
        assert!(text.ends_with("/file is not a SQLite database"), "{text}");

        let text = message(&format!("sqlite://{}/file/monitor.db", path.display())).await;
        assert!(text.contains("/file of the database cannot be made: "), "{text}");
    }

    #[tokio::test]
    async fn path_that_cannot_be_written_is_named() {
        // Nobody, root included, makes files there.
        if !Path::new("/proc/self").exists() {
            return;
        }
        let text = message("sqlite:///proc/monitor.db").await;
        assert!(text.starts_with("the database /proc/monitor.db cannot be written: "), "{text}");
    }

    #[tokio::test]
    async fn database_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/monitor.db", folder.path().display());
        let database = Database::open(&url).await.unwrap();
        sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', TRUE, x'00', 0)")
            .execute(&database.sqlite())
            .await
            .unwrap();
        database.close().await;
        let text = message(&url).await;
        assert!(text.contains("up to migration 9999 by a newer version"), "{text}");
    }
}
