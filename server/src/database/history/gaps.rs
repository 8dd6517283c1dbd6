//! The gap ledger, newest first.

use super::{bind, bounds, count, join, json_of, name_of, of_json, value_of};
use crate::{
    database::{Database, QueryError},
    model::AuditAct,
};
use app::model::{
    connection::{ConnectionId, ConnectionSet},
    history::{
        LastOutage,
        gap::{Acknowledgement, Gap, GapCause, NOTES_MAX},
    },
    market::Calendar,
    time::UnixMillis,
};
use sqlx::{AssertSqlSafe, Row, SqliteConnection, sqlite::SqliteRow};
use std::{collections::BTreeMap, ops::Range};

/// Where a page of gaps ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GapKey {
    /// When the last one started.
    pub started_at: UnixMillis,
    /// Its number in the database.
    pub id: i64,
}

/// A gap belongs to a range when any part of it does, and a gap of the bus (0) to every connection. Of the connections, a bit
/// each, none is all.
const WANTED: &str = "started_at_ms < $2 AND (ended_at_ms IS NULL OR ended_at_ms >= $1)
    AND ($3 = 0 OR connection_id = 0 OR ($3 >> connection_id) & 1 = 1)";

/// Writes a gap as it is now; who acknowledged it is not touched.
pub(super) async fn put(connection: &mut SqliteConnection, gap: &Gap) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO history_gaps (connection_id, number, started_at_ms, ended_at_ms, last_tick_at_ms, first_tick_at_ms,
         cause, close_code, words, symbols_count, symbols, ticks_per_second_before, rate_seconds, attempts, calendar,
         causes, rate_basis, session_rates, unpublished_ticks)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (connection_id, number) DO UPDATE SET ended_at_ms = excluded.ended_at_ms,
         cause = excluded.cause, close_code = excluded.close_code, words = excluded.words, causes = excluded.causes,
         first_tick_at_ms = excluded.first_tick_at_ms, attempts = excluded.attempts,
         unpublished_ticks = excluded.unpublished_ticks",
    )
    .bind(i64::from(gap.connection_id))
    .bind(i64::from(gap.number))
    .bind(gap.started_at.0)
    .bind(gap.ended_at.map(|at| at.0))
    .bind(gap.last_tick_at.map(|at| at.0))
    .bind(gap.first_tick_at.map(|at| at.0))
    .bind(name_of(gap.cause))
    .bind(gap.close_code.map(i64::from))
    .bind(&gap.words)
    .bind(bind(u64::from(gap.symbols_count)))
    .bind(join(gap.symbols.iter()))
    .bind(gap.ticks_per_second_before)
    .bind(i64::from(gap.rate_seconds))
    .bind(i64::from(gap.attempts))
    .bind(name_of(gap.calendar))
    .bind(json_of(&gap.causes)?)
    .bind(json_of(gap.rate_basis)?)
    .bind(json_of(gap.session_rates)?)
    .bind(gap.unpublished_ticks.map(bind))
    .execute(connection)
    .await?;
    Ok(())
}

fn gap(row: &SqliteRow) -> sqlx::Result<Gap> {
    let time = |column| row.try_get(column).map(|at: Option<i64>| at.map(UnixMillis));
    let symbols: &str = row.try_get("symbols")?;
    let acknowledged_by: Option<String> = row.try_get("acknowledged_by")?;
    let acknowledged = match (time("acknowledged_at_ms")?, acknowledged_by) {
        (Some(at), Some(by)) => {
            Some(Acknowledgement { at, by, note: row.try_get::<Option<_>, _>("note")?.unwrap_or_default() })
        }
        _ => None,
    };
    Ok(Gap {
        id: row.try_get("id")?,
        connection_id: row.try_get("connection_id")?,
        number: row.try_get("number")?,
        started_at: UnixMillis(row.try_get("started_at_ms")?),
        ended_at: time("ended_at_ms")?,
        last_tick_at: time("last_tick_at_ms")?,
        first_tick_at: time("first_tick_at_ms")?,
        cause: value_of("cause", row.try_get("cause")?)?,
        close_code: row.try_get("close_code")?,
        words: row.try_get("words")?,
        symbols_count: row.try_get("symbols_count")?,
        symbols: symbols.split(',').filter(|symbol| !symbol.is_empty()).map(str::to_owned).collect(),
        ticks_per_second_before: row.try_get("ticks_per_second_before")?,
        rate_seconds: row.try_get("rate_seconds")?,
        attempts: row.try_get("attempts")?,
        calendar: value_of("calendar", row.try_get("calendar")?)?,
        causes: of_json("causes", row.try_get("causes")?)?,
        rate_basis: of_json("rate_basis", row.try_get("rate_basis")?)?,
        session_rates: of_json("session_rates", row.try_get("session_rates")?)?,
        unpublished_ticks: row.try_get::<Option<_>, _>("unpublished_ticks")?.map(count),
        acknowledged,
        notes: of_json("notes", row.try_get("notes")?)?,
    })
}

impl Database {
    /// Gaps of a range, newest first, older than `before`; of all connections when the set is empty.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_gaps(
        &self,
        range: Range<UnixMillis>,
        connections: impl Into<ConnectionSet>,
        before: Option<GapKey>,
        limit: u32,
    ) -> Result<Vec<Gap>, QueryError> {
        let (from, to) = bounds(&range);
        let before = before.unwrap_or(GapKey { started_at: UnixMillis(to), id: 0 });
        let query = format!(
            "SELECT * FROM history_gaps WHERE {WANTED} AND (started_at_ms, id) < ($4, $5)
             ORDER BY started_at_ms DESC, id DESC LIMIT $6"
        );
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(connections.into().bits())
            .bind(before.started_at.0)
            .bind(before.id)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        Ok(rows.iter().map(gap).collect::<sqlx::Result<_>>()?)
    }

    /// How many gaps a range has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_gap_count(
        &self,
        range: Range<UnixMillis>,
        connections: impl Into<ConnectionSet>,
    ) -> Result<u64, QueryError> {
        let (from, to) = bounds(&range);
        let query = format!("SELECT COUNT(*) FROM history_gaps WHERE {WANTED}");
        let gaps = sqlx::query_scalar(AssertSqlSafe(query)).bind(from).bind(to).bind(connections.into().bits());
        Ok(count(gaps.fetch_one(&self.pool).await?))
    }

    /// One gap.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_gap(&self, id: i64) -> Result<Option<Gap>, QueryError> {
        let row = sqlx::query("SELECT * FROM history_gaps WHERE id = $1").bind(id).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(gap).transpose()?)
    }

    /// Notes that somebody has seen a gap, together with the record of the act. Answers false, and leaves no record, when
    /// there is no such gap or somebody was first.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn acknowledge_gap(&self, id: i64, said: &Acknowledgement, act: &AuditAct) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        let done = sqlx::query(
            "UPDATE history_gaps SET acknowledged_at_ms = $1, acknowledged_by = $2, note = $3
             WHERE id = $4 AND acknowledged_at_ms IS NULL",
        )
        .bind(said.at.0)
        .bind(&said.by)
        .bind(&said.note)
        .bind(id)
        .execute(&mut *change.transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        change.record(act).await?;
        change.commit().await?;
        Ok(true)
    }

    /// Adds a note to a gap that is acknowledged, together with the record of the act. Answers false, and leaves no record, when
    /// there is no such gap, or it has [`NOTES_MAX`].
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn add_gap_note(&self, id: i64, said: &Acknowledgement, act: &AuditAct) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        let kept: Option<String> =
            sqlx::query_scalar("SELECT notes FROM history_gaps WHERE id = $1 AND acknowledged_at_ms IS NOT NULL")
                .bind(id)
                .fetch_optional(&mut *change.transaction)
                .await?;
        let Some(kept) = kept else { return Ok(false) };
        let mut notes: Vec<Acknowledgement> = of_json("notes", &kept)?;
        if notes.len() >= NOTES_MAX {
            return Ok(false);
        }
        notes.push(said.clone());
        sqlx::query("UPDATE history_gaps SET notes = $1 WHERE id = $2")
            .bind(json_of(&notes)?)
            .bind(id)
            .execute(&mut *change.transaction)
            .await?;
        change.record(act).await?;
        change.commit().await?;
        Ok(true)
    }

    /// The newest gap of each connection that has any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_outages(&self) -> Result<Vec<(ConnectionId, LastOutage)>, QueryError> {
        let rows: Vec<(ConnectionId, u32, i64, Option<i64>, String)> = sqlx::query_as(
            "SELECT connection_id, number, started_at_ms, ended_at_ms, cause FROM history_gaps AS gap
             WHERE number = (SELECT MAX(number) FROM history_gaps WHERE connection_id = gap.connection_id)",
        )
        .fetch_all(&self.pool)
        .await?;
        let outage = |(connection_id, number, started, ended, cause): (_, _, _, Option<i64>, String)| {
            let cause: GapCause = value_of("cause", &cause)?;
            let (started_at, ended_at) = (UnixMillis(started), ended.map(UnixMillis));
            Ok((connection_id, LastOutage { number, started_at, ended_at, cause: cause.label().to_owned() }))
        };
        Ok(rows.into_iter().map(outage).collect::<sqlx::Result<_>>()?)
    }

    /// Milliseconds of a range that each connection with gaps spent in them while the market was open.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn gap_ms(&self, range: Range<UnixMillis>) -> Result<BTreeMap<ConnectionId, u64>, QueryError> {
        let (from, to) = bounds(&range);
        let rows: Vec<(ConnectionId, i64, Option<i64>, String)> = sqlx::query_as(
            "SELECT connection_id, started_at_ms, ended_at_ms, calendar
             FROM history_gaps WHERE started_at_ms < $2 AND (ended_at_ms IS NULL OR ended_at_ms >= $1)",
        )
        .bind(from)
        .bind(to)
        .fetch_all(&self.pool)
        .await?;
        let mut spent = BTreeMap::new();
        for (id, started, ended, calendar) in rows {
            let calendar: Calendar = value_of("calendar", &calendar)?;
            let ended = ended.map_or(to, |ended| ended.min(to));
            *spent.entry(id).or_default() += calendar.open_ms(UnixMillis(started.max(from)), UnixMillis(ended));
        }
        Ok(spent)
    }

    pub(super) async fn open_gaps(&self) -> Result<Vec<Gap>, QueryError> {
        let query = "SELECT * FROM history_gaps WHERE ended_at_ms IS NULL ORDER BY connection_id, number";
        Ok(sqlx::query(query).fetch_all(&self.pool).await?.iter().map(gap).collect::<sqlx::Result<_>>()?)
    }

    pub(super) async fn gap_numbers(&self) -> Result<Vec<(ConnectionId, u32)>, QueryError> {
        let query = "SELECT connection_id, MAX(number) FROM history_gaps GROUP BY connection_id";
        Ok(sqlx::query_as(query).fetch_all(&self.pool).await?)
    }
}
