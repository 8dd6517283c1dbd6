//! The audit log's rows. The chain's rules are the table's own, see the migration; what a record is, is `audit`'s affair.

use super::{Database, QueryError};
use crate::audit::{Act, Action, Actor, Anchor, Hash, Hex, Outcome, pruned_target};
use app::model::{audit::AuditRecord, connection::ConnectionId, time::UnixMillis};
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

const COLUMNS: &str =
    "seq, at_ms, actor, role, address, user_agent, action, target, outcome, reason, occurrences, hash";

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
    /// On a gap of this connection: so far the only thing of one connection alone that anybody acts on.
    pub connection_id: Option<ConnectionId>,
    /// Older than this record, to go on where a page ended.
    pub before: Option<i64>,
}

impl Database {
    /// Continues the log by one record.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn append_audit(
        &self,
        act: &Act,
        at: UnixMillis,
        occurrences: i64,
    ) -> Result<AuditRecord, QueryError> {
        let mut change = self.change().await?;
        let record = append(&mut change.transaction, act, at, occurrences).await?;
        change.commit().await?;
        Ok(record)
    }

    /// The newest records that fit, newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_records(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRecord>, QueryError> {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM audit WHERE TRUE"));
        let AuditFilter { from, to, actor, action, outcome, address, connection_id, before } = filter;
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
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(limit);
        let rows: Vec<RecordRow> = query.build_query_as().fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
    }

    /// Where the log starts, and its first records, oldest first: both as of one moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_start(&self, limit: i64) -> Result<(Anchor, Vec<AuditRecord>), QueryError> {
        let mut reading = self.pool.begin().await?;
        let row = sqlx::query("SELECT pruned_through, pruned_hash FROM audit_anchor").fetch_one(&mut *reading).await?;
        let anchor =
            Anchor { pruned_through: row.try_get("pruned_through")?, pruned_hash: hash_in(&row, "pruned_hash")? };
        let records = after(&mut reading, anchor.pruned_through, limit).await?;
        Ok((anchor, records))
    }

    /// The records after one, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_after(&self, seq: i64, limit: i64) -> Result<Vec<AuditRecord>, QueryError> {
        Ok(after(&mut *self.pool.acquire().await?, seq, limit).await?)
    }

    /// Deletes the records before a time, and puts that on record; answers that record, or `None` when none was so old.
    ///
    /// # Errors
    /// When the database does not answer; then nothing was deleted.
    pub async fn prune_audit(&self, before: UnixMillis) -> Result<Option<AuditRecord>, QueryError> {
        let mut change = self.change().await?;
        // Where a clock was set back, what came after it stays a while longer.
        let last_old = "SELECT seq, hash FROM audit WHERE seq < \
                        (SELECT COALESCE((SELECT MIN(seq) FROM audit WHERE at_ms >= ?), 9223372036854775807)) \
                        ORDER BY seq DESC LIMIT 1";
        let Some(last) = sqlx::query(last_old).bind(before.0).fetch_optional(&mut *change.transaction).await? else {
            return Ok(None);
        };
        let (through, hash): (i64, Hash) = (last.try_get("seq")?, hash_in(&last, "hash")?);
        let act = Actor::server().does(Action::AuditPrune).to(pruned_target(through)).because(Hex(&hash).to_string());
        let record = append(&mut change.transaction, &act, UnixMillis::now(), 1).await?;
        sqlx::query("UPDATE audit_anchor SET pruned_through = ?, pruned_hash = ?")
            .bind(through)
            .bind(hash.as_slice())
            .execute(&mut *change.transaction)
            .await?;
        sqlx::query("DELETE FROM audit WHERE seq <= ?").bind(through).execute(&mut *change.transaction).await?;
        change.commit().await?;
        Ok(Some(record))
    }

    /// As a disk that has room for so many pages of the file in all; with 0, for those it has.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, pages: u32) {
        let pages = pages.max(1);
        // The limit is a connection's own: set on those that will be opened, and on all that can be open now.
        let options = self.pool.connect_options().as_ref().clone();
        self.pool.set_connect_options(options.pragma("max_page_count", pages.to_string()));
        let mut connections = Vec::new();
        for _ in 0..self.pool.options().get_max_connections() {
            connections.push(self.pool.acquire().await.unwrap());
        }
        for connection in &mut connections {
            sqlx::query(&format!("PRAGMA max_page_count = {pages}")).execute(&mut **connection).await.unwrap();
        }
    }

    /// What somebody with the file and a SQLite shell can do.
    #[cfg(test)]
    pub(crate) async fn tamper(&self, statement: &str) -> Result<u64, sqlx::Error> {
        sqlx::query(statement).execute(&self.pool).await.map(|done| done.rows_affected())
    }
}

/// Continues the log within a transaction that has begun as the only writer: nobody comes in between.
pub(super) async fn append(
    connection: &mut SqliteConnection,
    act: &Act,
    at: UnixMillis,
    occurrences: i64,
) -> sqlx::Result<AuditRecord> {
    let last = "SELECT seq, hash FROM audit UNION ALL SELECT pruned_through, pruned_hash FROM audit_anchor \
                ORDER BY seq DESC LIMIT 1";
    let row = sqlx::query(last).fetch_one(&mut *connection).await?;
    let previous = hash_in(&row, "hash")?;
    let record = act.record(row.try_get("seq")?, &previous, at, occurrences);
    sqlx::query(
        "INSERT INTO audit (seq, at_ms, actor, role, address, user_agent, action, target, outcome, reason, \
         occurrences, previous_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
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
    .bind(crate::audit::hash(&record, &previous).as_slice())
    .execute(connection)
    .await?;
    Ok(record)
}

async fn after(connection: &mut SqliteConnection, seq: i64, limit: i64) -> sqlx::Result<Vec<AuditRecord>> {
    let query = format!("SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows: Vec<RecordRow> = sqlx::query_as(&query).bind(seq).bind(limit).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
}

fn hash_in(row: &SqliteRow, column: &str) -> sqlx::Result<Hash> {
    let bytes: &[u8] = row.try_get(column)?;
    let bad = |source: std::array::TryFromSliceError| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: source.into(),
    };
    bytes.try_into().map_err(bad)
}

/// A record as a row has it.
struct RecordRow(AuditRecord);

impl sqlx::FromRow<'_, SqliteRow> for RecordRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self(AuditRecord {
            seq: row.try_get("seq")?,
            at: UnixMillis(row.try_get("at_ms")?),
            actor: row.try_get("actor")?,
            role: row.try_get("role")?,
            address: row.try_get("address")?,
            user_agent: row.try_get("user_agent")?,
            action: row.try_get("action")?,
            target: row.try_get("target")?,
            outcome: row.try_get("outcome")?,
            reason: row.try_get("reason")?,
            occurrences: row.try_get("occurrences")?,
            hash: Hex(row.try_get::<&[u8], _>("hash")?).to_string(),
        }))
    }
}
