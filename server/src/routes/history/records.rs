//! The three kinds of record, as rows of named values: one list of fields from which JSON, CSV and the API's description are
//! made, so that an export and the API never differ.

use super::asked::Asked;
use crate::{
    database::{
        Database, QueryError,
        history::{EventFilter, EventKey, GapKey, Retention, Sample, SampleKey},
    },
    history::query,
};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    history::{
        EventKind, HistoryEvent, Phase,
        gap::{Acknowledgement, Gap, GapCause},
    },
    time::UnixMillis,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// A row: names and values, in the order of a CSV file's columns.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// A row that tells its columns in order.
pub(super) trait Row: JsonSchema + Serialize {
    const COLUMNS: &'static [&'static str];

    fn fields(self) -> Fields;
}

/// Declares a row.
macro_rules! row {
    ($(#[$of_row:meta])* $name:ident { $($(#[$of_field:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$of_row])*
        #[derive(Serialize, JsonSchema)]
        pub(in crate::routes) struct $name {
            $($(#[$of_field])* $field: $kind,)*
        }

        impl Row for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn fields(self) -> Fields {
                vec![$((stringify!($field), json!(self.$field))),*]
            }
        }
    };
}

row! {
    /// What a connection did in a stretch of time.
    SampleRow {
        /// When it begins.
        at: UnixMillis,
        /// The connection.
        connection_id: ConnectionId,
        /// How much of it was looked at, in milliseconds.
        covered_ms: u64,
        /// Ticks in it.
        ticks: u64,
        /// Ticks a second; `None` where nothing was looked at.
        ticks_per_second: Option<f64>,
        /// The highest rate in it.
        ticks_per_second_max: f64,
        /// WebSocket messages in it.
        messages: u64,
        /// Messages a second; `None` where nothing was looked at.
        messages_per_second: Option<f64>,
        /// Bytes of WebSocket messages.
        bytes: u64,
        /// Errors.
        errors: u64,
        /// Connections lost and attempted again.
        reconnects: u64,
        /// Exchange to received: half are faster. `None` without trades and quotes.
        latency_p50_ms: Option<f64>,
        /// 95 of 100 are faster.
        latency_p95_ms: Option<f64>,
        /// 99 of 100 are faster.
        latency_p99_ms: Option<f64>,
        /// The highest 99th percentile in it.
        latency_p99_ms_max: Option<f64>,
        /// How long it was up and well.
        connected_ms: u64,
        /// How long it was up in part, or late.
        degraded_ms: u64,
        /// How long it was on its way up.
        connecting_ms: u64,
        /// How long it was up and silent.
        mute_ms: u64,
        /// How long it was refused.
        failed_ms: u64,
        /// How long it was switched off.
        disabled_ms: u64,
    }
}

row! {
    /// One thing that happened.
    EventRow {
        /// Its number, in the order of writing.
        id: i64,
        /// When.
        at: UnixMillis,
        /// To which connection; `None` to all of them.
        connection_id: Option<ConnectionId>,
        /// What kind of thing.
        kind: EventKind,
        /// The connection's state after it, when that changed.
        state: Option<ConnectionState>,
        /// What, in words.
        text: String,
    }
}

row! {
    /// One outage of a connection, or of the bus.
    GapRow {
        /// Its number in the ledger.
        id: i64,
        /// How it is called: `#2-7` is the seventh of connection 2, `bus-3` the third of the bus.
        name: String,
        /// The connection; `None` for the bus.
        connection_id: Option<ConnectionId>,
        /// Its number among the connection's, from 1.
        number: u32,
        /// The last sign of life before.
        started_at: UnixMillis,
        /// The first tick after, or when silence became normal; `None` while it lasts.
        ended_at: Option<UnixMillis>,
        /// How long it was, or is so far.
        duration_ms: u64,
        /// The last tick before.
        last_tick_at: Option<UnixMillis>,
        /// The first tick after.
        first_tick_at: Option<UnixMillis>,
        /// Why: the gravest of its causes.
        cause: GapCause,
        /// All causes that it went through, the gravest first.
        causes: Vec<GapCause>,
        /// The code of the close frame, where there was one (RFC 6455, 7.4).
        close_code: Option<u16>,
        /// The whole reason in one sentence.
        words: String,
        /// Symbols that the connection carried.
        symbols_count: u32,
        /// The first 50 of them.
        symbols: Vec<String>,
        /// Ticks that were missed, estimated; `None` when nothing is known.
        missed_ticks_estimate: Option<u64>,
        /// What the estimate rests on.
        estimate_basis: Option<String>,
        /// Ticks that Redis did not take meanwhile, exactly: of the bus's gaps alone.
        unpublished_ticks: Option<u64>,
        /// Attempts to connect while it lasted.
        attempts: u32,
        /// When somebody acknowledged it.
        acknowledged_at: Option<UnixMillis>,
        /// Who.
        acknowledged_by: Option<String>,
        /// What they said.
        note: Option<String>,
        /// What was said of it afterwards, oldest first.
        further_notes: Vec<Acknowledgement>,
    }
}

/// A kind of record that can be asked for.
pub(super) trait RecordKind: Sized + Send + Sync + 'static {
    /// What the list is called in JSON, and the file.
    const NAME: &'static str;
    /// The parameters that it takes.
    const PARAMETERS: &'static [&'static str];
    /// What the database hands out.
    type Row: Send + Sync;

    fn new(asked: &Asked, retention: &Retention, now: UnixMillis) -> Self;

    /// How a row is told.
    type Told: Row;
    /// What the answer says of itself beside the rows, in whole numbers.
    const ABOUT: &'static [&'static str] = &[];

    fn about(&self) -> Vec<u32> {
        Vec::new()
    }

    fn page(
        &self,
        database: &Database,
        after: Option<(UnixMillis, i64)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Self::Row>, QueryError>> + Send;

    /// Where a page that ends with this row ended.
    fn key(row: &Self::Row) -> (UnixMillis, i64);

    fn told(&self, row: &Self::Row) -> Self::Told;
}

/// What an answer with a list of records holds.
pub(super) fn list_schema<T: RecordKind>(generator: &mut SchemaGenerator) -> Schema {
    let time = generator.subschema_for::<UnixMillis>();
    let row = generator.subschema_for::<T::Told>();
    let mut properties = Map::new();
    properties.insert("from".to_owned(), time.clone().into());
    properties.insert("to".to_owned(), time.into());
    properties.extend(T::ABOUT.iter().map(|name| ((*name).to_owned(), json!({"type": "integer", "minimum": 0}))));
    properties.insert(T::NAME.to_owned(), json!({"type": "array", "items": row}));
    properties.insert("next_cursor".to_owned(), json!({"type": ["string", "null"]}));
    let required: Vec<_> = properties.keys().cloned().collect();
    json_schema!({"type": "object", "properties": properties, "required": required})
}

pub(super) struct Samples {
    asked: Asked,
    resolution_seconds: u32,
}

impl RecordKind for Samples {
    const NAME: &'static str = "samples";
    const PARAMETERS: &'static [&'static str] =
        &["from", "to", "connection", "resolution", "limit", "cursor", "format"];
    type Row = Sample;
    type Told = SampleRow;
    const ABOUT: &'static [&'static str] = &["resolution_seconds"];

    fn new(asked: &Asked, retention: &Retention, now: UnixMillis) -> Self {
        let automatic = || query::grain(asked.range.start, asked.range.end, retention, now).0;
        Self { asked: asked.clone(), resolution_seconds: asked.resolution_seconds.unwrap_or_else(automatic) }
    }

    fn about(&self) -> Vec<u32> {
        vec![self.resolution_seconds]
    }

    async fn page(
        &self,
        database: &Database,
        after: Option<(UnixMillis, i64)>,
        limit: u32,
    ) -> Result<Vec<Sample>, QueryError> {
        let after = after.map(|(at, id)| SampleKey { at, connection_id: id.clamp(0, 255) as ConnectionId });
        let Asked { range, connections, .. } = &self.asked;
        database.history_samples(self.resolution_seconds, range.clone(), *connections, after, limit).await
    }

    fn key(row: &Sample) -> (UnixMillis, i64) {
        (row.at, i64::from(row.connection_id))
    }

    fn told(&self, row: &Sample) -> SampleRow {
        let per_second = |count: u64| match row.covered_ms {
            0 => None,
            covered => Some((count as f64 * 100_000.0 / covered as f64).round() / 100.0),
        };
        let millis = |place: usize| row.latency_us.map(|micros| micros[place] as f64 / 1000.0);
        let phase = |phase: Phase| row.phase_ms[phase as usize];
        SampleRow {
            at: row.at,
            connection_id: row.connection_id,
            covered_ms: row.covered_ms,
            ticks: row.ticks,
            ticks_per_second: per_second(row.ticks),
            ticks_per_second_max: (row.ticks_per_second_max * 100.0).round() / 100.0,
            messages: row.messages,
            messages_per_second: per_second(row.messages),
            bytes: row.bytes,
            errors: row.errors,
            reconnects: row.reconnects,
            latency_p50_ms: millis(0),
            latency_p95_ms: millis(1),
            latency_p99_ms: millis(2),
            latency_p99_ms_max: millis(3),
            connected_ms: phase(Phase::Connected),
            degraded_ms: phase(Phase::Degraded),
            connecting_ms: phase(Phase::Busy),
            mute_ms: phase(Phase::Mute),
            failed_ms: phase(Phase::Failed),
            disabled_ms: phase(Phase::Disabled),
        }
    }
}

pub(super) struct Events(EventFilter);

impl RecordKind for Events {
    const NAME: &'static str = "events";
    const PARAMETERS: &'static [&'static str] = &["from", "to", "connection", "kind", "limit", "cursor", "format"];
    type Row = HistoryEvent;
    type Told = EventRow;

    fn new(asked: &Asked, _retention: &Retention, _now: UnixMillis) -> Self {
        Self(EventFilter { range: asked.range.clone(), connections: asked.connections, kind: asked.kind })
    }

    async fn page(
        &self,
        database: &Database,
        after: Option<(UnixMillis, i64)>,
        limit: u32,
    ) -> Result<Vec<HistoryEvent>, QueryError> {
        database.history_events(&self.0, after.map(|(at, id)| EventKey { at, id }), limit).await
    }

    fn key(row: &HistoryEvent) -> (UnixMillis, i64) {
        (row.at, row.id)
    }

    fn told(&self, row: &HistoryEvent) -> EventRow {
        let HistoryEvent { id, at, connection_id, kind, state, text, alert: _ } = row.clone();
        EventRow { id, at, connection_id, kind, state, text }
    }
}

pub(super) struct Gaps {
    asked: Asked,
    now: UnixMillis,
}

impl RecordKind for Gaps {
    const NAME: &'static str = "gaps";
    const PARAMETERS: &'static [&'static str] = &["from", "to", "connection", "limit", "cursor", "format"];
    type Row = Gap;
    type Told = GapRow;

    fn new(asked: &Asked, _retention: &Retention, now: UnixMillis) -> Self {
        Self { asked: asked.clone(), now }
    }

    async fn page(
        &self,
        database: &Database,
        after: Option<(UnixMillis, i64)>,
        limit: u32,
    ) -> Result<Vec<Gap>, QueryError> {
        let before = after.map(|(started_at, id)| GapKey { started_at, id });
        database.history_gaps(self.asked.range.clone(), self.asked.connections, before, limit).await
    }

    fn key(row: &Gap) -> (UnixMillis, i64) {
        (row.started_at, row.id)
    }

    fn told(&self, row: &Gap) -> GapRow {
        GapRow::of(row, self.now)
    }
}

impl GapRow {
    pub(super) fn of(gap: &Gap, now: UnixMillis) -> Self {
        let rate = gap.ticks_per_second_before.map(|rate| format!("{rate:.1} ticks/s, "));
        let said = gap.acknowledged.as_ref();
        Self {
            id: gap.id,
            name: gap.name(),
            connection_id: gap.connection(),
            number: gap.number,
            started_at: gap.started_at,
            ended_at: gap.ended_at,
            duration_ms: gap.duration_ms(now),
            last_tick_at: gap.last_tick_at,
            first_tick_at: gap.first_tick_at,
            cause: gap.cause,
            causes: gap.causes.iter().map(|step| step.cause).collect(),
            close_code: gap.close_code,
            words: gap.words.clone(),
            symbols_count: gap.symbols_count,
            symbols: gap.symbols.clone(),
            missed_ticks_estimate: gap.missed_ticks(now),
            estimate_basis: gap.basis().map(|basis| rate.unwrap_or_default() + &basis),
            unpublished_ticks: gap.unpublished_ticks,
            attempts: gap.attempts,
            acknowledged_at: said.map(|said| said.at),
            acknowledged_by: said.map(|said| said.by.clone()),
            note: said.map(|said| said.note.clone()),
            further_notes: gap.notes.clone(),
        }
    }
}
