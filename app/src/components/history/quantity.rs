//! What the charts show beside states: each a value of a bucket.

use crate::{
    components::format,
    model::history::series::{Bucket, Percentile},
};

/// What a chart shows.
#[derive(Clone, Copy)]
pub struct Quantity {
    /// Its name in the page.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// Decimals of a value; none of a count, which is drawn as columns.
    pub decimals: u32,
    /// The value; `None` where nothing is known.
    pub of: fn(&Bucket, Percentile) -> Option<f64>,
    /// What is said when nothing is known of it.
    pub nothing: &'static str,
}

impl Quantity {
    /// Is it a number of things?
    #[must_use]
    pub fn is_count(&self) -> bool {
        self.decimals == 0
    }

    /// Does it have percentiles to choose from?
    #[must_use]
    pub fn is_latency(&self) -> bool {
        self.id == "latency"
    }

    /// A value as it is shown.
    #[must_use]
    pub fn text(&self, bucket: Option<&Bucket>, percentile: Percentile) -> String {
        let value = bucket.and_then(|bucket| (self.of)(bucket, percentile));
        value.map_or_else(|| format::NOTHING.to_owned(), |value| format::fixed(value, self.decimals))
    }
}

/// What is said where nobody looked.
pub const NO_DATA: &str = "No data";

/// Every chart below the states, from top to bottom.
pub const QUANTITIES: [Quantity; 4] = [
    Quantity {
        id: "ticks",
        title: "Throughput",
        unit: "ticks/s",
        decimals: 1,
        of: |bucket, _| bucket.per_second(bucket.ticks),
        nothing: NO_DATA,
    },
    Quantity {
        id: "latency",
        title: "Latency, exchange to server",
        unit: "ms",
        decimals: 1,
        of: |bucket, percentile| bucket.latency_us(percentile).map(|micros| micros as f64 / 1000.0),
        nothing: "No data: latency is measured on trades and quotes, not on bars.",
    },
    Quantity {
        id: "errors",
        title: "Errors",
        unit: "errors",
        decimals: 0,
        of: |bucket, _| counted(bucket, bucket.errors),
        nothing: NO_DATA,
    },
    Quantity {
        id: "reconnects",
        title: "Reconnects",
        unit: "reconnects",
        decimals: 0,
        of: |bucket, _| counted(bucket, bucket.reconnects),
        nothing: NO_DATA,
    },
];

/// None seen is zero; nobody looking is nothing.
fn counted(bucket: &Bucket, count: u64) -> Option<f64> {
    (bucket.covered_ms > 0).then_some(count as f64)
}
