//! The audit log's rows. The chain's rules are the table's own, see the migration; what a record is, is `audit`'s affair.

use super::{
    Database, QueryError,
    pool::{Columns, Connection, Either, on, run},
    postgres, sqlite,
};
use crate::model::{self, Action, Actor, Entry, Hash, Hex, Outcome, pruned_target};
use app::model::{audit::AuditRecord, connection::ConnectionId, time::UnixMillis};
use sqlx::QueryBuilder;

/// A query for whole records; `$rest` says which.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, at_ms, actor, role, address, user_agent, action, target, outcome, reason, occurrences, hash \
             FROM audit ",
            $rest
        )
    };
}

/// Which records are wanted; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// At or after this.
    pub from: Option<UnixMillis>,
    /// Before this.
    pub to: Option<UnixMillis>,
    /// By this account.
    pub actor: Option<String>,
    /// This was done.
    pub action: Option<Action>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// From this address.
    pub address: Option<String>,
    /// On a gap of this connection. Attempts that somebody asked for (`connection_retry`) are not among them.
    pub connection_id: Option<ConnectionId>,
    /// Older than this record, to go on where a page ended.
    pub before: Option<i64>,
}

impl Database {
    /// Continues the log by these, all of them or none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn append_audit(&self, entries: &[Entry]) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        for entry in entries {
            change.append(entry).await?;
        }
        change.commit().await
    }

    /// Waits until this process has continued the log.
    pub(crate) async fn audit_appended(&self) {
        self.audit_appended.notified().await;
    }

    /// The newest records that fit, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_records(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRecord>, QueryError> {
        let AuditFilter { from, to, actor, action, outcome, address, connection_id, before } = filter;
        let rows: Vec<RecordRow> = on!(&self.pool, db => {
            let mut query = QueryBuilder::new(select!("WHERE TRUE"));
            if let Some(from) = from {
                query.push(" AND at_ms >= ").push_bind(from.0);
            }
            if let Some(to) = to {
                query.push(" AND at_ms < ").push_bind(to.0);
            }
            if let Some(actor) = actor {
                query.push(" AND actor = ").push_bind(actor);
            }
            if let Some(action) = action {
                query.push(" AND action = ").push_bind(action.as_str());
            }
            if let Some(outcome) = outcome {
                query.push(" AND outcome = ").push_bind(outcome.as_str());
            }
            if let Some(address) = address {
                query.push(" AND address = ").push_bind(address);
            }
            if let Some(id) = connection_id {
                query.push(" AND target LIKE ").push_bind(format!("#{id}-%"));
            }
            if let Some(before) = before {
                query.push(" AND seq < ").push_bind(before);
            }
            query.push(" ORDER BY seq DESC LIMIT ").push_bind(i64::from(limit));
            async move { query.build_query_as().fetch_all(db).await }
        })?;
        Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
    }

    /// The records after one, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_after(&self, seq: i64, limit: i64) -> Result<Vec<AuditRecord>, QueryError> {
        let rows: Vec<RecordRow> = on!(&self.pool, db => sqlx::query_as(AFTER).bind(seq).bind(limit).fetch_all(db))?;
        Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
    }

    /// Through which record a server has written the log out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn audit_emitted(&self) -> Result<i64, QueryError> {
        Ok(on!(&self.pool, db => sqlx::query_scalar("SELECT through FROM audit_emitted").fetch_one(db))?)
    }

    /// Notes through which record the log was written out, unless another server is further.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn mark_audit_emitted(&self, through: i64) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        let query = "UPDATE audit_emitted SET through = $1 WHERE through < $1";
        run!(change.tx.connection(), sqlx::query(query).bind(through))?;
        change.commit().await
    }

    /// Bytes of the pages that hold the log and its indexes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn audit_bytes(&self) -> Result<u64, QueryError> {
        let bytes = match &self.pool {
            Either::Sqlite(pool) => sqlite::audit_bytes(pool).await,
            Either::Postgres(pool) => postgres::audit_bytes(pool).await,
        };
        Ok(u64::try_from(bytes?).unwrap_or(0))
    }

    /// Deletes the records before a time, and puts that on record; answers through which record, or `None` when none was so
    /// old.
    ///
    /// # Errors
    /// When the database does not answer; then nothing was deleted.
    pub async fn prune_audit(&self, before: UnixMillis) -> Result<Option<i64>, QueryError> {
        let mut change = self.change().await?;
        // Where a clock was set back, what came after it stays a while longer.
        let last_old = "SELECT seq, hash FROM audit WHERE seq < \
                        (SELECT COALESCE((SELECT MIN(seq) FROM audit WHERE at_ms >= $1), 9223372036854775807)) \
                        ORDER BY seq DESC LIMIT 1";
        let last: Option<Link> =
            on!(change.tx.connection(), db => sqlx::query_as(last_old).bind(before.0).fetch_optional(db))?;
        let Some(Link { seq: through, hash }) = last else { return Ok(None) };
        let act = Actor::server().does(Action::AuditPrune).to(pruned_target(through)).because(Hex(&hash).to_string());
        change.record(&act).await?;
        let moved = "UPDATE audit_anchor SET pruned_through = $1, pruned_hash = $2";
        run!(change.tx.connection(), sqlx::query(moved).bind(through).bind(hash.as_slice()))?;
        run!(change.tx.connection(), sqlx::query("DELETE FROM audit WHERE seq <= $1").bind(through))?;
        change.commit().await?;
        Ok(Some(through))
    }
}

/// Continues the log within a transaction that has begun as the only writer: nobody comes in between.
pub(super) async fn append(mut connection: Connection<'_>, entry: &Entry) -> sqlx::Result<()> {
    let last = "SELECT seq, hash FROM audit UNION ALL SELECT pruned_through, pruned_hash FROM audit_anchor \
                ORDER BY seq DESC LIMIT 1";
    let Link { seq, hash: previous } = on!(connection.again(), db => sqlx::query_as(last).fetch_one(db))?;
    let record = entry.act.record(seq, &previous, entry.at, entry.occurrences);
    let query = "INSERT INTO audit (seq, at_ms, actor, role, address, user_agent, action, target, outcome, reason, \
                 occurrences, previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    run!(
        connection,
        sqlx::query(query)
            .bind(record.seq)
            .bind(record.at.0)
            .bind(&record.actor)
            .bind(&record.role)
            .bind(&record.address)
            .bind(&record.user_agent)
            .bind(&record.action)
            .bind(&record.target)
            .bind(&record.outcome)
            .bind(&record.reason)
            .bind(record.occurrences)
            .bind(previous.as_slice())
            .bind(model::hash(&record, &previous).as_slice())
    )?;
    Ok(())
}

/// The records after one, oldest first, so many.
pub(super) const AFTER: &str = select!("WHERE seq > $1 ORDER BY seq LIMIT $2");

pub(super) fn hash_in(row: &impl Columns, column: &str) -> sqlx::Result<Hash> {
    let bytes: &[u8] = row.read(column)?;
    let bad = |source: std::array::TryFromSliceError| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: source.into(),
    };
    bytes.try_into().map_err(bad)
}

/// A record as the next one needs it.
pub(super) struct Link {
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

impl<R: Columns> sqlx::FromRow<'_, R> for Link {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        Ok(Self { seq: row.read("seq")?, hash: hash_in(row, "hash")? })
    }
}

/// A record as a row has it.
pub(super) struct RecordRow(pub(super) AuditRecord);

impl<R: Columns> sqlx::FromRow<'_, R> for RecordRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        Ok(Self(AuditRecord {
            seq: row.read("seq")?,
            at: UnixMillis(row.read("at_ms")?),
            actor: row.read("actor")?,
            role: row.read("role")?,
            address: row.read("address")?,
            user_agent: row.read("user_agent")?,
            action: row.read("action")?,
            target: row.read("target")?,
            outcome: row.read("outcome")?,
            reason: row.read("reason")?,
            occurrences: row.read("occurrences")?,
            hash: Hex(row.read::<&[u8]>("hash")?).to_string(),
        }))
    }
}
