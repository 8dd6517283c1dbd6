//! The audit log as a proof needs it: all of it as of one moment, and what the table's own rules should have kept out.

use super::{
    Database, QueryError,
    audit::{after, hash_in},
    open::MIGRATIONS,
};
use crate::model::Anchor;
use app::model::audit::AuditRecord;
use sqlx::{Connection, Row, Sqlite, SqliteConnection, Transaction};
use std::collections::BTreeMap;

/// The audit log as of one moment, whatever is written or cut off meanwhile.
#[derive(Debug)]
pub(crate) struct AuditReading(Transaction<'static, Sqlite>);

impl Database {
    /// Starts to read the audit log as it is at the first question.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn read_audit(&self) -> Result<AuditReading, QueryError> {
        Ok(AuditReading(self.pool.begin().await?))
    }
}

impl AuditReading {
    /// Where the chain starts; `None` when that is missing or cannot be.
    pub(crate) async fn anchor(&mut self) -> Result<Option<Anchor>, QueryError> {
        let rows = sqlx::query("SELECT pruned_through, pruned_hash FROM audit_anchor").fetch_all(&mut *self.0).await?;
        let [row] = rows.as_slice() else { return Ok(None) };
        let anchor = row.try_get("pruned_through").and_then(|pruned_through| {
            hash_in(row, "pruned_hash").map(|pruned_hash| Anchor { pruned_through, pruned_hash })
        });
        Ok(anchor.ok())
    }

    /// The records after one, oldest first.
    pub(crate) async fn after(&mut self, seq: i64, limit: i64) -> Result<Vec<AuditRecord>, QueryError> {
        Ok(after(&mut self.0, seq, limit).await?)
    }

    /// The number of the first record after one.
    pub(crate) async fn next_after(&mut self, seq: i64) -> Result<Option<i64>, QueryError> {
        let first = sqlx::query_scalar("SELECT MIN(seq) FROM audit WHERE seq > ?").bind(seq);
        Ok(first.fetch_one(&mut *self.0).await?)
    }

    /// The first of the records where the chain has none: those that retention deleted, and before number 1.
    pub(crate) async fn before_start(&mut self, anchor: &Anchor) -> Result<Option<i64>, QueryError> {
        let first = sqlx::query_scalar("SELECT MIN(seq) FROM audit WHERE seq <= ?").bind(anchor.pruned_through);
        Ok(first.fetch_one(&mut *self.0).await?)
    }

    /// The first record that names another one before it than is there.
    pub(crate) async fn wrong_link(&mut self, anchor: &Anchor) -> Result<Option<i64>, QueryError> {
        let query = "SELECT MIN(record.seq) FROM audit AS record LEFT JOIN audit AS before ON before.seq = record.seq - 1 \
                     WHERE record.seq > ?1 AND record.previous_hash IS NOT \
                     CASE record.seq WHEN ?1 + 1 THEN ?2 ELSE before.hash END";
        let first = sqlx::query_scalar(query).bind(anchor.pruned_through).bind(anchor.pruned_hash.as_slice());
        Ok(first.fetch_one(&mut *self.0).await?)
    }

    /// Through which record a server has written the log out.
    pub(crate) async fn emitted(&mut self) -> Result<Option<i64>, QueryError> {
        Ok(sqlx::query_scalar("SELECT MAX(through) FROM audit_emitted").fetch_one(&mut *self.0).await?)
    }

    /// What SQLite finds wrong with the table: rows that its columns forbid, indexes that leave rows out.
    pub(crate) async fn damage(&mut self) -> Result<Vec<String>, QueryError> {
        let said: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(audit)").fetch_all(&mut *self.0).await?;
        Ok(said.into_iter().filter(|line| line != "ok").collect())
    }

    /// The tables, indexes, triggers and views that are not as this program makes them, with what is wrong.
    pub(crate) async fn altered_rules(&mut self) -> Result<Vec<(String, &'static str)>, QueryError> {
        let mut fresh = SqliteConnection::connect("sqlite::memory:").await?;
        MIGRATIONS.run(&mut fresh).await.map_err(|error| sqlx::Error::Migrate(Box::new(error)))?;
        let mut expected = rules(&mut fresh).await?;
        let found = rules(&mut self.0).await?;
        let mut altered = Vec::new();
        for (name, sql) in found {
            match expected.remove(&name) {
                None => altered.push((name, "does not belong there")),
                Some(wanted) if wanted != sql => altered.push((name, "was altered")),
                Some(_) => {}
            }
        }
        altered.extend(expected.into_keys().map(|name| (name, "is missing")));
        Ok(altered)
    }
}

/// What the audit log's tables are, and every trigger and view: one on another table may reach into these.
async fn rules(connection: &mut SqliteConnection) -> sqlx::Result<BTreeMap<String, String>> {
    let query = "SELECT type || ' ' || name, COALESCE(sql, '') FROM sqlite_schema \
                 WHERE tbl_name GLOB 'audit*' OR type IN ('trigger', 'view')";
    let rows: Vec<(String, String)> = sqlx::query_as(query).fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}
