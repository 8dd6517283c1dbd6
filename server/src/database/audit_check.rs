//! The audit log as a proof needs it: all of it as of one moment, and what the table's own rules should have kept out.

use super::{
    Database, QueryError,
    audit::{AFTER, Link, RecordRow, hash_in},
    pool::{Columns, Either, Tx, on, unhurried},
    postgres, sqlite,
};
use crate::model::{Anchor, Hash};
use app::model::audit::AuditRecord;
use sqlx::PgPool;

/// The audit log as of one moment, whatever is written or cut off meanwhile.
#[derive(Debug)]
pub(crate) struct AuditReading {
    tx: Tx,
    /// Where tables can be made to compare with.
    beside: Option<PgPool>,
}

impl Database {
    /// Starts to read the audit log as it is at the first question.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn read_audit(&self) -> Result<AuditReading, QueryError> {
        let beside = match &self.pool {
            Either::Sqlite(_) => None,
            Either::Postgres(pool) => Some(pool.clone()),
        };
        Ok(AuditReading { tx: self.begin_reading().await?, beside })
    }
}

/// The anchor's row, as far as it can be one.
struct AnchorRow(Option<Anchor>);

impl<R: Columns> sqlx::FromRow<'_, R> for AnchorRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        let anchor = row.read("pruned_through").and_then(|pruned_through| {
            hash_in(row, "pruned_hash").map(|pruned_hash| Anchor { pruned_through, pruned_hash })
        });
        Ok(Self(anchor.ok()))
    }
}

impl AuditReading {
    /// Where the chain starts; `None` when that is missing or cannot be.
    pub(crate) async fn anchor(&mut self) -> Result<Option<Anchor>, QueryError> {
        let query = "SELECT pruned_through, pruned_hash FROM audit_anchor";
        let mut rows: Vec<AnchorRow> = on!(self.tx.connection(), db => sqlx::query_as(query).fetch_all(db))?;
        Ok(if rows.len() == 1 { rows.remove(0).0 } else { None })
    }

    /// The records after one, oldest first.
    pub(crate) async fn after(&mut self, seq: i64, limit: i64) -> Result<Vec<AuditRecord>, QueryError> {
        let rows: Vec<RecordRow> =
            on!(self.tx.connection(), db => sqlx::query_as(AFTER).bind(seq).bind(limit).fetch_all(db))?;
        Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
    }

    /// The hash that a record names as the one before it, and which record has that hash, if any has. Looks through all of them.
    pub(crate) async fn link(&mut self, seq: i64, anchor: &Anchor) -> Result<Option<(Hash, Option<i64>)>, QueryError> {
        let query = "SELECT seq, previous_hash AS hash FROM audit WHERE seq = $1";
        let named: Option<Link> = on!(self.tx.connection(), db => sqlx::query_as(query).bind(seq).fetch_optional(db))?;
        let Some(Link { hash, .. }) = named else { return Ok(None) };
        if hash == anchor.pruned_hash {
            return Ok(Some((hash, Some(anchor.pruned_through))));
        }
        let query = "SELECT MIN(seq) FROM audit WHERE hash = $1";
        let seq =
            unhurried!(self.tx.connection(), db => sqlx::query_scalar(query).bind(hash.as_slice()).fetch_one(db))?;
        Ok(Some((hash, seq)))
    }

    /// The number of the first record after one.
    pub(crate) async fn next_after(&mut self, seq: i64) -> Result<Option<i64>, QueryError> {
        let query = "SELECT MIN(seq) FROM audit WHERE seq > $1";
        Ok(on!(self.tx.connection(), db => sqlx::query_scalar(query).bind(seq).fetch_one(db))?)
    }

    /// The first of the records where the chain has none: those that retention deleted, and before number 1.
    pub(crate) async fn before_start(&mut self, anchor: &Anchor) -> Result<Option<i64>, QueryError> {
        let query = "SELECT MIN(seq) FROM audit WHERE seq <= $1";
        Ok(on!(self.tx.connection(), db => sqlx::query_scalar(query).bind(anchor.pruned_through).fetch_one(db))?)
    }

    /// The first record that names another one before it than is there.
    pub(crate) async fn wrong_link(&mut self, anchor: &Anchor) -> Result<Option<i64>, QueryError> {
        let query = "SELECT MIN(record.seq) FROM audit AS record LEFT JOIN audit AS prior ON prior.seq = record.seq - 1 \
                     WHERE record.seq > $1 AND record.previous_hash IS DISTINCT FROM \
                     CASE record.seq WHEN $1 + 1 THEN $2 ELSE prior.hash END";
        Ok(unhurried!(self.tx.connection(), db => sqlx::query_scalar(query)
            .bind(anchor.pruned_through)
            .bind(anchor.pruned_hash.as_slice())
            .fetch_one(db))?)
    }

    /// Through which record a server has written the log out.
    pub(crate) async fn emitted(&mut self) -> Result<Option<i64>, QueryError> {
        let query = "SELECT MAX(through) FROM audit_emitted";
        Ok(on!(self.tx.connection(), db => sqlx::query_scalar(query).fetch_one(db))?)
    }

    /// What SQLite finds wrong with the table: rows that its columns forbid, indexes that leave rows out. PostgreSQL has no
    /// such question that everybody may ask.
    pub(crate) async fn damage(&mut self) -> Result<Vec<String>, QueryError> {
        match &mut self.tx {
            Either::Sqlite(transaction) => Ok(sqlite::damage(transaction).await?),
            Either::Postgres(_) => Ok(Vec::new()),
        }
    }

    /// What keeps the log as it is (tables, indexes, constraints, triggers, views) and is not as this program makes it, with
    /// what is wrong.
    pub(crate) async fn altered_rules(&mut self) -> Result<Vec<(String, &'static str)>, QueryError> {
        let (found, mut expected) = match (&mut self.tx, &self.beside) {
            (Either::Postgres(transaction), Some(pool)) => {
                (postgres::rules(transaction).await?, postgres::fresh_rules(pool).await?)
            }
            (Either::Sqlite(transaction), _) => (sqlite::rules(transaction).await?, sqlite::fresh_rules().await?),
            (Either::Postgres(_), None) => return Ok(Vec::new()),
        };
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
