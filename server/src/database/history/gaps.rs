//! The gap ledger, newest first.

use super::{bind, bounds, count, join, json_of, name_of, of_json, value_of};
use crate::{
    database::{
        Database, QueryError,
        pool::{Columns, Connection, narrow, on, run},
    },
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
use sqlx::AssertSqlSafe;
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
    AND ($3 = 0 OR connection_id = 0 OR ($3 >> CAST(connection_id AS INTEGER)) & 1 = 1)";

const COLUMNS: &str = "id, connection_id, number, started_at_ms, ended_at_ms, last_tick_at_ms, first_tick_at_ms, cause,
    close_code, words, symbols_count, symbols, ticks_per_second_before, rate_seconds, attempts, acknowledged_at_ms,
    acknowledged_by, note, calendar, causes, rate_basis, session_rates, unpublished_ticks, notes";

/// Writes a gap as it is now; who acknowledged it is not touched.
pub(super) async fn put(connection: Connection<'_>, gap: &Gap) -> sqlx::Result<()> {
    let query = "INSERT INTO history_gaps (connection_id, number, started_at_ms, ended_at_ms, last_tick_at_ms, first_tick_at_ms,
         cause, close_code, words, symbols_count, symbols, ticks_per_second_before, rate_seconds, attempts, calendar,
         causes, rate_basis, session_rates, unpublished_ticks)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (connection_id, number) DO UPDATE SET ended_at_ms = excluded.ended_at_ms,
         cause = excluded.cause, close_code = excluded.close_code, words = excluded.words, causes = excluded.causes,
         first_tick_at_ms = excluded.first_tick_at_ms, attempts = excluded.attempts,
         unpublished_ticks = excluded.unpublished_ticks";
    let (causes, rate_basis) = (json_of(&gap.causes)?, json_of(gap.rate_basis)?);
    let session_rates = json_of(gap.session_rates)?;
    run!(
        connection,
        sqlx::query(query)
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
            .bind(causes)
            .bind(rate_basis)
            .bind(session_rates)
            .bind(gap.unpublished_ticks.map(bind))
    )?;
    Ok(())
}

struct GapRow(Gap);

impl<R: Columns> sqlx::FromRow<'_, R> for GapRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        gap(row).map(Self)
    }
}

fn gap(row: &impl Columns) -> sqlx::Result<Gap> {
    let time = |column| row.read(column).map(|at: Option<i64>| at.map(UnixMillis));
    let symbols: &str = row.read("symbols")?;
    let acknowledged_by: Option<String> = row.read("acknowledged_by")?;
    let acknowledged = match (time("acknowledged_at_ms")?, acknowledged_by) {
        (Some(at), Some(by)) => {
            Some(Acknowledgement { at, by, note: row.read::<Option<String>>("note")?.unwrap_or_default() })
        }
        _ => None,
    };
    Ok(Gap {
        id: row.read("id")?,
        connection_id: row.number("connection_id")?,
        number: row.number("number")?,
        started_at: UnixMillis(row.read("started_at_ms")?),
        ended_at: time("ended_at_ms")?,
        last_tick_at: time("last_tick_at_ms")?,
        first_tick_at: time("first_tick_at_ms")?,
        cause: value_of("cause", row.read("cause")?)?,
        close_code: row.number_or_none("close_code")?,
        words: row.read("words")?,
        symbols_count: row.number("symbols_count")?,
        symbols: symbols.split(',').filter(|symbol| !symbol.is_empty()).map(str::to_owned).collect(),
        ticks_per_second_before: row.read("ticks_per_second_before")?,
        rate_seconds: row.number("rate_seconds")?,
        attempts: row.number("attempts")?,
        calendar: value_of("calendar", row.read("calendar")?)?,
        causes: of_json("causes", row.read("causes")?)?,
        rate_basis: of_json("rate_basis", row.read("rate_basis")?)?,
        session_rates: of_json("session_rates", row.read("session_rates")?)?,
        unpublished_ticks: row.read::<Option<i64>>("unpublished_ticks")?.map(count),
        acknowledged,
        notes: of_json("notes", row.read("notes")?)?,
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
            "SELECT {COLUMNS} FROM history_gaps WHERE {WANTED} AND (started_at_ms, id) < ($4, $5)
             ORDER BY started_at_ms DESC, id DESC LIMIT $6"
        );
        let connections = connections.into().bits();
        let rows: Vec<GapRow> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(connections)
            .bind(before.started_at.0)
            .bind(before.id)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows.into_iter().map(|GapRow(gap)| gap).collect())
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
        let connections = connections.into().bits();
        let gaps = on!(&self.pool, db => sqlx::query_scalar(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(connections)
            .fetch_one(db));
        Ok(count(gaps?))
    }

    /// One gap.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_gap(&self, id: i64) -> Result<Option<Gap>, QueryError> {
        let query = format!("SELECT {COLUMNS} FROM history_gaps WHERE id = $1");
        let row: Option<GapRow> =
            on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query)).bind(id).fetch_optional(db))?;
        Ok(row.map(|GapRow(gap)| gap))
    }

    /// Notes that somebody has seen a gap, together with the record of the act. Answers false, and leaves no record, when
    /// there is no such gap or somebody was first.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn acknowledge_gap(&self, id: i64, said: &Acknowledgement, act: &AuditAct) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        let query = "UPDATE history_gaps SET acknowledged_at_ms = $1, acknowledged_by = $2, note = $3
             WHERE id = $4 AND acknowledged_at_ms IS NULL";
        let acknowledged =
            run!(change.tx.connection(), sqlx::query(query).bind(said.at.0).bind(&said.by).bind(&said.note).bind(id))?;
        if acknowledged == 0 {
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
        let query = "SELECT notes FROM history_gaps WHERE id = $1 AND acknowledged_at_ms IS NOT NULL";
        let kept: Option<String> =
            on!(change.tx.connection(), db => sqlx::query_scalar(query).bind(id).fetch_optional(db))?;
        let Some(kept) = kept else { return Ok(false) };
        let mut notes: Vec<Acknowledgement> = of_json("notes", &kept)?;
        if notes.len() >= NOTES_MAX {
            return Ok(false);
        }
        notes.push(said.clone());
        let (notes, query) = (json_of(&notes)?, "UPDATE history_gaps SET notes = $1 WHERE id = $2");
        run!(change.tx.connection(), sqlx::query(query).bind(notes).bind(id))?;
        change.record(act).await?;
        change.commit().await?;
        Ok(true)
    }

    /// The newest gap of each connection that has any.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn last_outages(&self) -> Result<Vec<(ConnectionId, LastOutage)>, QueryError> {
        let query = "SELECT connection_id, number, started_at_ms, ended_at_ms, cause FROM history_gaps AS gap
             WHERE number = (SELECT MAX(number) FROM history_gaps WHERE connection_id = gap.connection_id)";
        let rows: Vec<(i64, i64, i64, Option<i64>, String)> =
            on!(&self.pool, db => sqlx::query_as(query).fetch_all(db))?;
        let outage = |(connection_id, number, started, ended, cause): (_, _, _, Option<i64>, String)| {
            let (connection_id, number) = (narrow("connection_id", connection_id)?, narrow("number", number)?);
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
        let query = "SELECT connection_id, started_at_ms, ended_at_ms, calendar
             FROM history_gaps WHERE started_at_ms < $2 AND (ended_at_ms IS NULL OR ended_at_ms >= $1)";
        let rows: Vec<(i64, i64, Option<i64>, String)> =
            on!(&self.pool, db => sqlx::query_as(query).bind(from).bind(to).fetch_all(db))?;
        let mut spent = BTreeMap::new();
        for (id, started, ended, calendar) in rows {
            let calendar: Calendar = value_of("calendar", &calendar)?;
            let ended = ended.map_or(to, |ended| ended.min(to));
            *spent.entry(narrow("connection_id", id)?).or_default() +=
                calendar.open_ms(UnixMillis(started.max(from)), UnixMillis(ended));
        }
        Ok(spent)
    }

    pub(super) async fn open_gaps(&self) -> Result<Vec<Gap>, QueryError> {
        let query =
            format!("SELECT {COLUMNS} FROM history_gaps WHERE ended_at_ms IS NULL ORDER BY connection_id, number");
        let rows: Vec<GapRow> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query)).fetch_all(db))?;
        Ok(rows.into_iter().map(|GapRow(gap)| gap).collect())
    }

    pub(super) async fn gap_numbers(&self) -> Result<Vec<(ConnectionId, u32)>, QueryError> {
        let query = "SELECT connection_id, MAX(number) FROM history_gaps GROUP BY connection_id ORDER BY connection_id";
        let rows: Vec<(i64, i64)> = on!(&self.pool, db => sqlx::query_as(query).fetch_all(db))?;
        let number = |(id, number)| Ok((narrow("connection_id", id)?, narrow("number", number)?));
        Ok(rows.into_iter().map(number).collect::<sqlx::Result<_>>()?)
    }
}
