//! What the admin side costs and how fast it is: real hub, real sockets on loopback, everything in one process and one
//! run, so that the rows can be compared with each other.
//!
//! ```text
//!  publisher ──publish_ticks──▶ bus ──▶ monitor ──▶ hub ──ws──▶ K admins that decode every frame
//!      └ timed                                                      └ timed against the publisher's clock
//! ```
//!
//! A tick's volume is its number, by which an admin finds out when it was published. Prints a table, and the same as
//! JSON on the last line.

mod admin;
mod ingest;
mod rig;

use hdrhistogram::Histogram;
use rig::Rig;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Symbols: three universes of a hundred, as on the first run.
const SYMBOLS: usize = 300;
const SECONDS: u64 = 5;
/// The publisher wakes every millisecond, as a provider's frames come in bursts.
const BURST: Duration = Duration::from_millis(1);

/// One measurement.
struct Row {
    admins: usize,
    ticks_per_second: u64,
    /// Nanoseconds that a call of `publish_ticks` takes, divided by its ticks.
    publish_ns: Histogram<u64>,
    /// Microseconds from publishing to an admin having decoded the frame.
    latency_us: Histogram<u64>,
    published: u64,
    counted: Vec<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{SECONDS} s a row, {SYMBOLS} symbols, bursts every {} ms, frames every 10 ms\n", BURST.as_millis());
    println!(
        "| admins | ticks/s | publish p50 / p99 per tick | added per tick, p99 | publish to admin p50 / p99 | counts |"
    );
    println!("|---:|---:|---:|---:|---:|---|");
    let mut results = Vec::new();
    for ticks_per_second in [1_000, 10_000, 100_000] {
        let mut floor_ns = 0;
        for admins in [0, 1, 10] {
            let row = measure(admins, ticks_per_second).await?;
            let p99 = row.publish_ns.value_at_quantile(0.99);
            if admins == 0 {
                floor_ns = p99;
            }
            results.push(print(&row, p99.saturating_sub(floor_ns)));
        }
    }
    let ingest = ingest::measure().await?;
    println!("\n{}", json!({"rows": results, "ingest": ingest}));
    Ok(())
}

async fn measure(admins: usize, ticks_per_second: u64) -> anyhow::Result<Row> {
    let rig = Rig::start(SYMBOLS, admins).await?;
    let mut publish_ns = Histogram::new(3)?;
    let batch = (ticks_per_second / 1000).max(1) as usize;
    let mut ticker = interval(BURST);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let mut published = 0;
    while Instant::now() < end {
        ticker.tick().await;
        let took = rig.publish(&mut published, batch);
        publish_ns.record((took.as_nanos() as u64 / batch as u64).max(1))?;
    }
    let (latency_us, counted) = rig.finish(published).await?;
    Ok(Row { admins, ticks_per_second, publish_ns, latency_us, published, counted })
}

fn print(row: &Row, added_ns: u64) -> serde_json::Value {
    let publish = |quantile| row.publish_ns.value_at_quantile(quantile);
    let latency = |quantile| row.latency_us.value_at_quantile(quantile);
    let exact = row.counted.iter().all(|count| *count == row.published);
    let counts = match (row.admins, exact) {
        (0, _) => "–",
        (_, true) => "exact",
        (_, false) => "WRONG",
    };
    let latency_text = if row.admins == 0 {
        "–".to_owned()
    } else {
        format!("{:.1} / {:.1} ms", latency(0.5) as f64 / 1000.0, latency(0.99) as f64 / 1000.0)
    };
    println!(
        "| {} | {} | {} / {} ns | {added_ns} ns | {latency_text} | {counts} |",
        row.admins,
        row.ticks_per_second,
        publish(0.5),
        publish(0.99),
    );
    json!({
        "admins": row.admins, "ticks_per_second": row.ticks_per_second, "published": row.published, "counts": counts,
        "publish_ns": {"p50": publish(0.5), "p99": publish(0.99)}, "added_ns_p99": added_ns,
        "latency_us": {"p50": latency(0.5), "p99": latency(0.99)},
    })
}
