//! Samples, merged into rows of four resolutions as they are written, and read as buckets or as they are.

use super::{PastRate, Quarter, Sample, bind, bounds, count};
use crate::database::{
    Database, QueryError,
    pool::{Columns, Connection, narrow, on, run},
};
use app::model::{
    connection::{ConnectionId, ConnectionSet},
    history::series::{Bucket, floor_to},
    time::UnixMillis,
};
use sqlx::AssertSqlSafe;
use std::ops::Range;

/// The spans that are kept, in seconds, each for its time (see [`Retention`](super::Retention)). The longest only makes
/// months quick to read.
pub const RESOLUTIONS_SECONDS: [u32; 4] = [1, 10, 60, 900];

/// Where a page of samples ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleKey {
    /// The begin of the last sample's span.
    pub at: UnixMillis,
    /// Its connection.
    pub connection_id: ConnectionId,
}

const SUMS: [&str; 16] = [
    "covered_ms",
    "messages",
    "ticks",
    "bytes",
    "errors",
    "reconnects",
    "latency_samples",
    "latency_p50_us_sum",
    "latency_p95_us_sum",
    "latency_p99_us_sum",
    "disabled_ms",
    "connected_ms",
    "degraded_ms",
    "busy_ms",
    "mute_ms",
    "failed_ms",
];
const MAXIMA: [&str; 2] = ["ticks_per_second_max", "latency_p99_us_max"];

/// The statement that merges a span into a row, made once.
fn merging() -> &'static str {
    static STATEMENT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let columns: Vec<_> = SUMS.into_iter().chain(MAXIMA).collect();
        let parameters: Vec<_> = (4..4 + columns.len()).map(|place| format!("${place}")).collect();
        let sums = SUMS.map(|name| format!("{name} = history_samples.{name} + excluded.{name}"));
        // MAX of two is SQLite's word, GREATEST is PostgreSQL's.
        let maxima = MAXIMA.map(|name| {
            format!(
                "{name} = CASE WHEN excluded.{name} > history_samples.{name} \
                 THEN excluded.{name} ELSE history_samples.{name} END"
            )
        });
        format!(
            "INSERT INTO history_samples (resolution_seconds, at_ms, connection_id, {}) VALUES ($1, $2, $3, {}) \
             ON CONFLICT (resolution_seconds, at_ms, connection_id) DO UPDATE SET {}, {}",
            columns.join(", "),
            parameters.join(", "),
            sums.join(", "),
            maxima.join(", "),
        )
    });
    &STATEMENT
}

pub(super) async fn merge(mut connection: Connection<'_>, sample: &Sample) -> sqlx::Result<()> {
    // The last millisecond that it saw decides where it belongs: a second that ends on the minute belongs to the minute.
    let last = UnixMillis(sample.at.0 - 1);
    let [p50, p95, p99, worst] = sample.latency_us.unwrap_or_default();
    let latency_samples = u64::from(sample.latency_us.is_some());
    let counts = [sample.covered_ms, sample.messages, sample.ticks, sample.bytes, sample.errors, sample.reconnects];
    for resolution in RESOLUTIONS_SECONDS {
        let counts = counts.into_iter().chain([latency_samples, p50, p95, p99]).chain(sample.phase_ms);
        run!(connection.again(), {
            let query = sqlx::query(merging())
                .bind(i64::from(resolution))
                .bind(floor_to(last, resolution).0)
                .bind(i64::from(sample.connection_id));
            let query = counts.fold(query, |query, value| query.bind(bind(value)));
            query.bind(sample.ticks_per_second_max).bind(bind(worst))
        })?;
    }
    Ok(())
}

/// The sums of a group of rows. In PostgreSQL a sum of big integers is a decimal number unless it is cast.
fn summed() -> String {
    let sums = SUMS.map(|name| format!("CAST(SUM({name}) AS BIGINT) AS {name}"));
    let maxima = MAXIMA.map(|name| format!("MAX({name}) AS {name}"));
    [sums.join(", "), maxima.join(", ")].join(", ")
}

/// The means of the percentiles and the worst, in microseconds.
fn latency(row: &impl Columns) -> sqlx::Result<Option<[u64; 4]>> {
    let samples = count(row.read("latency_samples")?);
    if samples == 0 {
        return Ok(None);
    }
    let mean = |column| row.read(column).map(|sum| count(sum) / samples);
    Ok(Some([
        mean("latency_p50_us_sum")?,
        mean("latency_p95_us_sum")?,
        mean("latency_p99_us_sum")?,
        count(row.read("latency_p99_us_max")?),
    ]))
}

fn phases(row: &impl Columns) -> sqlx::Result<[u64; 6]> {
    let of = |column| row.read(column).map(count);
    Ok([of("disabled_ms")?, of("connected_ms")?, of("degraded_ms")?, of("busy_ms")?, of("mute_ms")?, of("failed_ms")?])
}

impl<R: Columns> sqlx::FromRow<'_, R> for Sample {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        let of = |column| row.read(column).map(count);
        Ok(Self {
            connection_id: row.number("connection_id")?,
            at: UnixMillis(row.read("at_ms")?),
            covered_ms: of("covered_ms")?,
            messages: of("messages")?,
            ticks: of("ticks")?,
            bytes: of("bytes")?,
            errors: of("errors")?,
            reconnects: of("reconnects")?,
            ticks_per_second_max: row.read("ticks_per_second_max")?,
            latency_us: latency(row)?,
            phase_ms: phases(row)?,
        })
    }
}

fn bucket(sample: Sample) -> (ConnectionId, UnixMillis, Bucket) {
    let [p50, p95, p99, worst] = sample.latency_us.map_or([None; 4], |latency| latency.map(Some));
    let bucket = Bucket {
        covered_ms: sample.covered_ms,
        ticks: sample.ticks,
        messages: sample.messages,
        errors: sample.errors,
        reconnects: sample.reconnects,
        p50_us: p50,
        p95_us: p95,
        p99_us: p99,
        p99_us_max: worst,
        phase_ms: sample.phase_ms,
    };
    (sample.connection_id, sample.at, bucket)
}

impl Database {
    /// Rows of one resolution, joined into buckets of `bucket_seconds`; those that nobody looked at are not there. Of all
    /// connections when the set is empty.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_buckets(
        &self,
        resolution_seconds: u32,
        bucket_seconds: u32,
        range: Range<UnixMillis>,
        connections: impl Into<ConnectionSet>,
    ) -> Result<Vec<(ConnectionId, UnixMillis, Bucket)>, QueryError> {
        let (from, to) = bounds(&range);
        let query = format!(
            "SELECT connection_id, at_ms / $1 * $1 AS at_ms, {} FROM history_samples
             WHERE resolution_seconds = $2 AND at_ms >= $3 AND at_ms < $4
             AND ($5 = 0 OR ($5 >> CAST(connection_id AS INTEGER)) & 1 = 1)
             GROUP BY 1, 2 ORDER BY 1, 2",
            summed()
        );
        let connections = connections.into().bits();
        let rows: Vec<Sample> = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(i64::from(bucket_seconds) * 1000)
            .bind(i64::from(resolution_seconds))
            .bind(from)
            .bind(to)
            .bind(connections)
            .fetch_all(db))?;
        Ok(rows.into_iter().map(bucket).collect())
    }

    /// Samples of one resolution, oldest first, after `after`; of all connections when the set is empty.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_samples(
        &self,
        resolution_seconds: u32,
        range: Range<UnixMillis>,
        connections: impl Into<ConnectionSet>,
        after: Option<SampleKey>,
        limit: u32,
    ) -> Result<Vec<Sample>, QueryError> {
        let (from, to) = bounds(&range);
        let after = after.unwrap_or(SampleKey { at: UnixMillis(from - 1), connection_id: ConnectionId::MAX });
        let query = format!(
            "SELECT connection_id, at_ms, {}, {} FROM history_samples
             WHERE resolution_seconds = $1 AND (at_ms, connection_id) > ($2, $3) AND at_ms < $4
             AND ($5 = 0 OR ($5 >> CAST(connection_id AS INTEGER)) & 1 = 1) ORDER BY at_ms, connection_id LIMIT $6",
            SUMS.join(", "),
            MAXIMA.join(", ")
        );
        let connections = connections.into().bits();
        let rows = on!(&self.pool, db => sqlx::query_as(AssertSqlSafe(query))
            .bind(i64::from(resolution_seconds))
            .bind(after.at.0)
            .bind(i64::from(after.connection_id))
            .bind(to)
            .bind(connections)
            .bind(i64::from(limit))
            .fetch_all(db))?;
        Ok(rows)
    }

    /// When the first run that is on record started.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_run(&self) -> Result<Option<UnixMillis>, QueryError> {
        let first: Option<i64> =
            on!(&self.pool, db => sqlx::query_scalar("SELECT MIN(started_at_ms) FROM history_runs").fetch_one(db))?;
        Ok(first.map(UnixMillis))
    }

    /// When the oldest sample begins.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_begin(&self) -> Result<Option<UnixMillis>, QueryError> {
        let coarsest = RESOLUTIONS_SECONDS[RESOLUTIONS_SECONDS.len() - 1];
        let query = "SELECT MIN(at_ms) FROM history_samples WHERE resolution_seconds = $1";
        let oldest: Option<i64> =
            on!(&self.pool, db => sqlx::query_scalar(query).bind(i64::from(coarsest)).fetch_one(db))?;
        Ok(oldest.map(UnixMillis))
    }

    pub(super) async fn past_rates(&self, end: UnixMillis) -> Result<Vec<PastRate>, QueryError> {
        let query = "SELECT connection_id, MAX(CASE WHEN ticks > 0 THEN at_ms END), CAST(SUM(ticks) AS BIGINT),
             CAST(SUM(connected_ms + degraded_ms) AS BIGINT) FROM history_samples
             WHERE resolution_seconds = 1 AND at_ms >= $1 AND at_ms <= $2 GROUP BY connection_id ORDER BY connection_id";
        let rows: Vec<(i64, Option<i64>, i64, i64)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(end.0 - i64::from(super::Past::RATE_SECONDS) * 1000)
            .bind(end.0)
            .fetch_all(db))?;
        let rate = |(connection_id, at, ticks, up_ms): (_, Option<i64>, _, _)| {
            Ok(PastRate {
                connection_id: narrow("connection_id", connection_id)?,
                last_tick_at: at.map(|at| UnixMillis(at + 1000).min(end)),
                ticks: count(ticks),
                up_ms: count(up_ms),
            })
        };
        Ok(rows.into_iter().map(rate).collect::<sqlx::Result<_>>()?)
    }

    /// The quarters of an hour of the last [`Past::USUAL_DAYS`](super::Past::USUAL_DAYS) in which a connection was up.
    pub(super) async fn quarters(&self, end: UnixMillis) -> Result<Vec<Quarter>, QueryError> {
        let query = "SELECT connection_id, at_ms, ticks, connected_ms + degraded_ms FROM history_samples
             WHERE resolution_seconds = 900 AND at_ms >= $1 AND at_ms <= $2 AND connected_ms + degraded_ms > 0
             ORDER BY at_ms, connection_id";
        let rows: Vec<(i64, i64, i64, i64)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(end.0 - super::Past::USUAL_DAYS * 86_400_000)
            .bind(end.0)
            .fetch_all(db))?;
        let quarter = |(connection_id, at, ticks, up_ms)| {
            Ok(Quarter {
                connection_id: narrow("connection_id", connection_id)?,
                at: UnixMillis(at),
                ticks: count(ticks),
                up_ms: count(up_ms),
            })
        };
        Ok(rows.into_iter().map(quarter).collect::<sqlx::Result<_>>()?)
    }
}
