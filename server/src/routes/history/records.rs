//! The three kinds of record, as rows of named values: one list of fields from which JSON and CSV are both written, so
//! that an export and the API never differ.

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
    history::{EventKind, HistoryEvent, Phase, gap::Gap},
    time::UnixMillis,
};
use serde_json::{Map, Value, json};

/// A row: names and values, in the order of a CSV file's columns.
pub(super) type Fields = Vec<(&'static str, Value)>;

/// A kind of record that can be asked for.
pub(super) trait RecordKind: Sized + Send + Sync + 'static {
    /// What the list is called in JSON, and the file.
    const NAME: &'static str;
    /// The parameters that it takes.
    const PARAMETERS: &'static [&'static str];
    /// What the database hands out.
    type Row: Send + Sync;

    fn new(asked: &Asked, retention: &Retention, now: UnixMillis) -> Self;

    /// What the answer says of itself beside the rows.
    fn about(&self) -> Vec<(&'static str, Value)> {
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

    fn fields(&self, row: &Self::Row) -> Fields;

    /// The columns, for a file without rows.
    fn columns(&self) -> Vec<&'static str>;
}

/// A row as a JSON object.
pub(super) fn object(fields: Fields) -> Value {
    Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
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

    fn new(asked: &Asked, retention: &Retention, now: UnixMillis) -> Self {
        let automatic = || query::grain(asked.range.start, asked.range.end, retention, now).0;
        Self { asked: asked.clone(), resolution_seconds: asked.resolution_seconds.unwrap_or_else(automatic) }
    }

    fn about(&self) -> Vec<(&'static str, Value)> {
        vec![("resolution_seconds", json!(self.resolution_seconds))]
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

    fn fields(&self, row: &Sample) -> Fields {
        let per_second = |count: u64| match row.covered_ms {
            0 => Value::Null,
            covered => json!((count as f64 * 100_000.0 / covered as f64).round() / 100.0),
        };
        let latency = row.latency_us.map(|latency| latency.map(|micros| micros as f64 / 1000.0));
        let millis = |place: usize| json!(latency.map(|latency| latency[place]));
        let phase = |phase: Phase| json!(row.phase_ms[phase as usize]);
        vec![
            ("at", json!(row.at)),
            ("connection_id", json!(row.connection_id)),
            ("covered_ms", json!(row.covered_ms)),
            ("ticks", json!(row.ticks)),
            ("ticks_per_second", per_second(row.ticks)),
            ("ticks_per_second_max", json!((row.ticks_per_second_max * 100.0).round() / 100.0)),
            ("messages", json!(row.messages)),
            ("messages_per_second", per_second(row.messages)),
            ("bytes", json!(row.bytes)),
            ("errors", json!(row.errors)),
            ("reconnects", json!(row.reconnects)),
            ("latency_p50_ms", millis(0)),
            ("latency_p95_ms", millis(1)),
            ("latency_p99_ms", millis(2)),
            ("latency_p99_ms_max", millis(3)),
            ("connected_ms", phase(Phase::Connected)),
            ("degraded_ms", phase(Phase::Degraded)),
            ("connecting_ms", phase(Phase::Busy)),
            ("mute_ms", phase(Phase::Mute)),
            ("failed_ms", phase(Phase::Failed)),
            ("disabled_ms", phase(Phase::Disabled)),
        ]
    }

    fn columns(&self) -> Vec<&'static str> {
        names(self.fields(&Sample::default()))
    }
}

pub(super) struct Events(EventFilter);

impl RecordKind for Events {
    const NAME: &'static str = "events";
    const PARAMETERS: &'static [&'static str] = &["from", "to", "connection", "kind", "limit", "cursor", "format"];
    type Row = HistoryEvent;

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

    fn fields(&self, row: &HistoryEvent) -> Fields {
        vec![
            ("id", json!(row.id)),
            ("at", json!(row.at)),
            ("connection_id", json!(row.connection_id)),
            ("kind", json!(row.kind)),
            ("state", json!(row.state)),
            ("text", json!(row.text)),
        ]
    }

    fn columns(&self) -> Vec<&'static str> {
        let (kind, state) = (EventKind::Server, Some(ConnectionState::Disabled));
        let event = HistoryEvent { id: 0, at: UnixMillis(0), connection_id: None, kind, state, text: String::new() };
        names(self.fields(&event))
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

    fn fields(&self, row: &Gap) -> Fields {
        gap_fields(row, self.now)
    }

    fn columns(&self) -> Vec<&'static str> {
        let gap = Gap::blank(0, 0, UnixMillis(0));
        names(gap_fields(&gap, self.now))
    }
}

/// A gap as a JSON object.
pub(super) fn gap_object(gap: &Gap, now: UnixMillis) -> Value {
    object(gap_fields(gap, now))
}

fn gap_fields(gap: &Gap, now: UnixMillis) -> Fields {
    let rate = gap.ticks_per_second_before.map(|rate| format!("{rate:.1} ticks/s, "));
    let basis = gap.basis().map(|basis| rate.unwrap_or_default() + &basis);
    let causes: Vec<_> = gap.causes.iter().map(|step| step.cause).collect();
    let said = gap.acknowledged.as_ref();
    vec![
        ("id", json!(gap.id)),
        ("name", json!(gap.name())),
        ("connection_id", json!(gap.connection())),
        ("number", json!(gap.number)),
        ("started_at", json!(gap.started_at)),
        ("ended_at", json!(gap.ended_at)),
        ("duration_ms", json!(gap.duration_ms(now))),
        ("last_tick_at", json!(gap.last_tick_at)),
        ("first_tick_at", json!(gap.first_tick_at)),
        ("cause", json!(gap.cause)),
        ("causes", json!(causes)),
        ("close_code", json!(gap.close_code)),
        ("words", json!(gap.words)),
        ("symbols_count", json!(gap.symbols_count)),
        ("symbols", json!(gap.symbols)),
        ("missed_ticks_estimate", json!(gap.missed_ticks(now))),
        ("estimate_basis", json!(basis)),
        ("unpublished_ticks", json!(gap.unpublished_ticks)),
        ("attempts", json!(gap.attempts)),
        ("acknowledged_at", json!(said.map(|said| said.at))),
        ("acknowledged_by", json!(said.map(|said| &said.by))),
        ("note", json!(said.map(|said| &said.note))),
        ("further_notes", json!(gap.notes)),
    ]
}

fn names(fields: Fields) -> Vec<&'static str> {
    fields.into_iter().map(|(name, _)| name).collect()
}
