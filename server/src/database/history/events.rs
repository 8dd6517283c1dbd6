//! Events, newest first.

use super::{NewEvent, bounds, count, value_of};
use crate::database::{
    Database, QueryError,
    pool::{Columns, Connection, on, run},
};
use app::model::{
    connection::ConnectionSet,
    history::{EventKind, HistoryEvent},
    time::UnixMillis,
};
use sqlx::AssertSqlSafe;
use std::ops::Range;

/// Which events are wanted.
#[derive(Clone, Debug)]
pub struct EventFilter {
    /// When.
    pub range: Range<UnixMillis>,
    /// Of which connections, those of all connections together included; any when empty.
    pub connections: ConnectionSet,
    /// Of which kind; any when `None`.
    pub kind: Option<EventKind>,
}

/// Where a page of events ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventKey {
    /// When the last one was.
    pub at: UnixMillis,
    /// Its number.
    pub id: i64,
}

const WANTED: &str =
    "at_ms >= $1 AND at_ms < $2 AND ($3 = 0 OR connection_id IS NULL OR ($3 >> CAST(connection_id AS INTEGER)) & 1 = 1)
    AND ($4 IS NULL OR kind = $4)";

/// Acts that explain what a chart shows.
pub(super) const ACTS: &str =
    "at_ms >= $1 AND at_ms < $2 AND action IN ('config_refresh', 'gap_acknowledge', 'account_add',
    'account_disable', 'account_enable', 'account_role', 'account_password')";

pub(super) async fn insert(connection: Connection<'_>, event: &NewEvent) -> sqlx::Result<()> {
    let query = "INSERT INTO history_events (at_ms, connection_id, kind, state, text) VALUES ($1, $2, $3, $4, $5)";
    run!(
        connection,
        sqlx::query(query)
            .bind(event.at.0)
            .bind(event.connection_id.map(i64::from))
            .bind(event.kind.name())
            .bind(event.state.map(super::name_of))
            .bind(&event.text)
    )?;
    Ok(())
}

struct EventRow(HistoryEvent);

impl<R: Columns> sqlx::FromRow<'_, R> for EventRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        let state: Option<&str> = row.read("state")?;
        Ok(Self(HistoryEvent {
            id: row.read("id")?,
            at: UnixMillis(row.read("at_ms")?),
            connection_id: row.number_or_none("connection_id")?,
            kind: value_of("kind", row.read("kind")?)?,
            state: state.map(|state| value_of("state", state)).transpose()?,
            text: row.read("text")?,
            alert: None,
        }))
    }
}

/// An act of the audit log, as an event.
struct ActRow(HistoryEvent);

impl<R: Columns> sqlx::FromRow<'_, R> for ActRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        let text = |column| row.read(column).map(|text: Option<String>| text.unwrap_or_default());
        let (actor, action, target, outcome) = (text("actor")?, text("action")?, text("target")?, text("outcome")?);
        let mut words = [&actor, ": ", &action.replace('_', " ")].concat();
        if !target.is_empty() {
            words.push_str(&[" ", &target].concat());
        }
        if outcome != "ok" {
            words.push_str(&[" (", &outcome, ")"].concat());
        }
        Ok(Self(HistoryEvent {
            id: row.read("seq")?,
            at: UnixMillis(row.read("at_ms")?),
            connection_id: None,
            kind: EventKind::Audit,
            state: None,
            text: words,
            alert: None,
        }))
    }
}

impl Database {
    /// Events, newest first, older than `before`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_events(
        &self,
        filter: &EventFilter,
        before: Option<EventKey>,
        limit: u32,
    ) -> Result<Vec<HistoryEvent>, QueryError> {
        let (from, to) = bounds(&filter.range);
        let before = before.unwrap_or(EventKey { at: UnixMillis(to), id: 0 });
        let query = format!(
            "SELECT id, at_ms, connection_id, kind, state, text FROM history_events WHERE {WANTED}
             AND (at_ms, id) < ($5, $6) ORDER BY at_ms DESC, id DESC LIMIT $7"
        );
        let rows: Vec<EventRow> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(filter.connections.bits())
            .bind(filter.kind.map(EventKind::name))
            .bind(before.at.0)
            .bind(before.id)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows.into_iter().map(|EventRow(event)| event).collect())
    }

    /// What administrators did to the system, newest first, at most `limit`; looking at it is not among them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audited_acts(&self, range: Range<UnixMillis>, limit: u32) -> Result<Vec<HistoryEvent>, QueryError> {
        let (from, to) = bounds(&range);
        let query = format!(
            "SELECT seq, at_ms, actor, action, target, outcome FROM audit WHERE {ACTS} ORDER BY at_ms DESC, seq DESC LIMIT $3"
        );
        let rows: Vec<ActRow> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows.into_iter().map(|ActRow(act)| act).collect())
    }

    /// How many such acts there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn audited_act_count(&self, range: Range<UnixMillis>) -> Result<u64, QueryError> {
        let (from, to) = bounds(&range);
        let query = format!("SELECT COUNT(*) FROM audit WHERE {ACTS}");
        let acts = on!(&self.pool, db => sqlx::query_scalar(AssertSqlSafe(query)).bind(from).bind(to).fetch_one(db));
        Ok(count(acts?))
    }

    /// How many events there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_event_count(&self, filter: &EventFilter) -> Result<u64, QueryError> {
        let (from, to) = bounds(&filter.range);
        let query = format!("SELECT COUNT(*) FROM history_events WHERE {WANTED}");
        let events = on!(&self.pool, db => sqlx::query_scalar(AssertSqlSafe(query))
            .bind(from)
            .bind(to)
            .bind(filter.connections.bits())
            .bind(filter.kind.map(EventKind::name))
            .fetch_one(db));
        Ok(count(events?))
    }
}
