//! The whole server at rest: how soon it is there, what it holds, how fast the status API answers.

use crate::{http::Connection, product::Product, provider::Provider, usage};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// As many as the API's limit lets one session ask in a row.
const CALLS: usize = 100;

/// What was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Whole {
    signed_in_ms: f64,
    idle_mb: f64,
    idle_cpu_percent: f64,
    status_p50_ms: f64,
    pub(crate) status_p99_ms: f64,
}

pub(crate) fn run() -> anyhow::Result<Whole> {
    let provider = Provider::start()?;
    let started = Instant::now();
    let mut product = Product::start(provider.address, 300)?;
    let signed_in_ms = started.elapsed().as_secs_f64() * 1000.0;
    sleep(Duration::from_secs(2));
    let idle_mb = usage::resident_mb(product.process.id());
    let before = usage::cpu_seconds(product.process.id())?;
    sleep(Duration::from_secs(5));
    let idle_cpu_percent = (usage::cpu_seconds(product.process.id())? - before) / 5.0 * 100.0;

    let mut connection = Connection::open(product.address)?;
    let mut micros = Histogram::<u64>::new(3)?;
    for _ in 0..CALLS {
        let asked = Instant::now();
        let answer = connection.get("/api/admin/websocket-status", &product.session)?;
        anyhow::ensure!(answer.status == 200, "the status answers {}", answer.status);
        micros.record((asked.elapsed().as_nanos() / 1000) as u64)?;
    }
    let [status_p50_ms, status_p99_ms] = [0.5, 0.99].map(|quantile| micros.value_at_quantile(quantile) as f64 / 1000.0);
    println!("\n### the whole server\n\n| what | figure |\n|---|---:|");
    println!("| from starting the process to signed in | {signed_in_ms:.0} ms |");
    println!("| memory, three connections up, nothing flowing | {idle_mb:.0} MB |");
    println!("| CPU meanwhile | {idle_cpu_percent:.2} % of a core |");
    println!("| tasks meanwhile | {} |", product.tasks()?);
    println!("| status API, {CALLS} calls in a row, p50 / p99 | {status_p50_ms:.2} / {status_p99_ms:.2} ms |");
    Ok(Whole { signed_in_ms, idle_mb, idle_cpu_percent, status_p50_ms, status_p99_ms })
}
