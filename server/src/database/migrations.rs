//! The tables of both databases, as every version since the first has made them: a file each in `server/migrations/sqlite` and
//! `server/migrations/postgres`, of one name. Not by `sqlx::migrate!`, for which sqlx with both databases, SQLite's C among it, is
//! compiled a second time, for the compiler.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};
use std::sync::LazyLock;

/// Names and texts of one database's files.
macro_rules! files {
    ($folder:literal) => {
        files!(
            $folder,
            "0001_accounts",
            "0002_security",
            "0003_history",
            "0004_gap_hours",
            "0005_audit_emitted",
            "0006_sign_in",
            "0007_gap_causes",
            "0008_gap_notes",
            "0009_collector",
            "0010_alerts",
            "0011_tokens_and_factors",
            "0012_screens",
            "0013_oidc",
            "0014_alert_lease"
        )
    };
    ($folder:literal, $($name:literal),*) => {
        [$(($name, include_str!(concat!("../../migrations/", $folder, "/", $name, ".sql")))),*]
    };
}

/// SQLite's.
pub(super) static SQLITE: LazyLock<Migrator> = LazyLock::new(|| migrator(&files!("sqlite")));

/// PostgreSQL's.
pub(super) static POSTGRES: LazyLock<Migrator> = LazyLock::new(|| migrator(&files!("postgres")));

fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(name, sql): &(&'static str, &'static str)| {
        let (version, description) = name.split_once('_').unwrap_or((name, ""));
        let version = version.parse().expect("a file's name begins with its number");
        Migration::new(version, description.replace('_', " ").into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Databases know migrations by number and checksum, and are not opened where one differs.
    #[tokio::test]
    async fn every_file_is_a_migration_as_sqlx_itself_reads_it() {
        for (folder, ours) in [("migrations/sqlite", &SQLITE), ("migrations/postgres", &POSTGRES)] {
            let read = Migrator::new(Path::new(folder)).await.expect(folder);
            let all = |migrator: &Migrator| {
                let migrations = migrator.iter().cloned();
                migrations
                    .map(|m| (m.version, m.description, m.migration_type, m.checksum, m.no_tx))
                    .collect::<Vec<_>>()
            };
            assert_eq!(all(ours), all(&read), "{folder}: is every file in the list?");
        }
    }
}
