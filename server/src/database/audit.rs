//! The audit log's rows. The chain's rules are the table's own, see the migration; what a record is, is `audit`'s affair.

use super::{Database, QueryError};
use crate::model::{self, Action, Actor, Entry, Hash, Hex, Outcome, pruned_target};
use app::model::{audit::AuditRecord, connection::ConnectionId, time::UnixMillis};
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite, SqliteConnection, sqlite::SqliteRow};

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
        let mut query = QueryBuilder::<Sqlite>::new(select!("WHERE TRUE"));
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

    /// The records after one, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audit_after(&self, seq: i64, limit: i64) -> Result<Vec<AuditRecord>, QueryError> {
        Ok(after(&mut *self.pool.acquire().await?, seq, limit).await?)
    }

    /// Through which record a server has written the log out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn audit_emitted(&self) -> Result<i64, QueryError> {
        Ok(sqlx::query_scalar("SELECT through FROM audit_emitted").fetch_one(&self.pool).await?)
    }

    /// Notes through which record the log was written out, unless another server is further.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn mark_audit_emitted(&self, through: i64) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        sqlx::query("UPDATE audit_emitted SET through = ? WHERE through < ?")
            .bind(through)
            .bind(through)
            .execute(&mut *change.transaction)
            .await?;
        change.commit().await
    }

    /// Bytes of the pages that hold the log and its indexes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn audit_bytes(&self) -> Result<u64, QueryError> {
        self.table_bytes("tbl_name = 'audit'").await
    }

    /// Bytes of the pages of tables and their indexes, counted by SQLite's own list of pages. Reads each of those pages, and
    /// because of the order that `CROSS JOIN` prescribes, no others. `which` is a condition of ours, and becomes
    /// part of the query as it is.
    pub(super) async fn table_bytes(&self, which: &'static str) -> Result<u64, QueryError> {
        let query = format!(
            "SELECT COALESCE(SUM(pages.pgsize), 0) FROM sqlite_schema AS part CROSS JOIN dbstat AS pages \
             ON pages.name = part.name WHERE part.rootpage > 0 AND pages.aggregate = TRUE AND part.{which}"
        );
        let bytes: i64 = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&self.pool).await?;
        Ok(u64::try_from(bytes).unwrap_or(0))
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
                        (SELECT COALESCE((SELECT MIN(seq) FROM audit WHERE at_ms >= ?), 9223372036854775807)) \
                        ORDER BY seq DESC LIMIT 1";
        let Some(last) = sqlx::query(last_old).bind(before.0).fetch_optional(&mut *change.transaction).await? else {
            return Ok(None);
        };
        let (through, hash): (i64, Hash) = (last.try_get("seq")?, hash_in(&last, "hash")?);
        let act = Actor::server().does(Action::AuditPrune).to(pruned_target(through)).because(Hex(&hash).to_string());
        change.record(&act).await?;
        sqlx::query("UPDATE audit_anchor SET pruned_through = ?, pruned_hash = ?")
            .bind(through)
            .bind(hash.as_slice())
            .execute(&mut *change.transaction)
            .await?;
        sqlx::query("DELETE FROM audit WHERE seq <= ?").bind(through).execute(&mut *change.transaction).await?;
        change.commit().await?;
        Ok(Some(through))
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
            let pragma = AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
            sqlx::query(pragma).execute(&mut **connection).await.unwrap();
        }
    }

    /// What somebody with the file and a SQLite shell can do.
    #[cfg(test)]
    pub(crate) async fn tamper(&self, statement: &str) -> Result<u64, sqlx::Error> {
        sqlx::query(AssertSqlSafe(statement)).execute(&self.pool).await.map(|done| done.rows_affected())
    }
}

/// Continues the log within a transaction that has begun as the only writer: nobody comes in between.
pub(super) async fn append(connection: &mut SqliteConnection, entry: &Entry) -> sqlx::Result<()> {
    let last = "SELECT seq, hash FROM audit UNION ALL SELECT pruned_through, pruned_hash FROM audit_anchor \
                ORDER BY seq DESC LIMIT 1";
    let row = sqlx::query(last).fetch_one(&mut *connection).await?;
    let previous = hash_in(&row, "hash")?;
    let record = entry.act.record(row.try_get("seq")?, &previous, entry.at, entry.occurrences);
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
    .bind(model::hash(&record, &previous).as_slice())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn after(connection: &mut SqliteConnection, seq: i64, limit: i64) -> sqlx::Result<Vec<AuditRecord>> {
    let query = select!("WHERE seq > ? ORDER BY seq LIMIT ?");
    let rows: Vec<RecordRow> = sqlx::query_as(query).bind(seq).bind(limit).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|RecordRow(record)| record).collect())
}

pub(super) fn hash_in(row: &SqliteRow, column: &str) -> sqlx::Result<Hash> {
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
