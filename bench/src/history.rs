//! What history costs: the way of a tick with the recorder and without, and how long questions to ninety days take.

use anyhow::Context;
use app::model::{
    alert::OpenAlerts,
    connection::{ConnectionId, ConnectionState},
    history::{
        EventKind, HistoryNews,
        gap::Gap,
        selection::{RANGES, Range, Selection},
    },
    status::{ConnectionLive, ConnectionStatus, Feed, StatusReport},
    tick::Tick,
    time::UnixMillis,
};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use server::{
    bus::{self, Role},
    config::{Config, Variables},
    database::{
        Database,
        history::{Batch, NewEvent, Retention, Run, Sample},
    },
    history::{Keeper, query},
    hub::{self, Pace},
    monitor::Monitor,
    tasks::Tasks,
    universe::{Universes, plan},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{runtime::Runtime, sync::watch};
use tokio_util::sync::CancellationToken;

const CONNECTIONS: ConnectionId = 3;
const DAYS: i64 = 90;
const EVENTS: usize = 100_000;
const GAPS: u32 = 1_000;
const REPETITIONS: usize = 20;
const TICKS_PER_SECOND: u64 = 10_000;
const SECONDS: u64 = 5;
const TURNS: usize = 3;

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Only writes the ninety days into this new database, to look at the page with.
    #[arg(long)]
    fill: Option<PathBuf>,
}

/// Both measurements; the same as JSON on the last line.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build()?;
    if let Some(path) = &options.fill {
        return runtime.block_on(async {
            let database = open(path).await?;
            fill(&database, UnixMillis::now()).await?;
            database.close().await;
            Ok(())
        });
    }
    let folder = tempfile::tempdir()?;
    let ingest = beside_ingest(&runtime, folder.path())?;
    let queries = runtime.block_on(ninety_days(folder.path()))?;
    println!("\n{}", json!({"ingest": ingest, "queries": queries}));
    Ok(())
}

/// The way of a tick, turn by turn without and with history, so that a machine that warms up favours neither.
fn beside_ingest(runtime: &Runtime, folder: &Path) -> anyhow::Result<Value> {
    println!("| history | ticks/s | publish per tick, p50 / p99 | the hub answers, p50 / p99 |");
    println!("|---|---:|---:|---:|");
    let mut results = Vec::new();
    for turn in 0..TURNS {
        for keeps in [false, true] {
            let name = format!("ingest-{turn}.db");
            let (publish_ns, answer_us) = runtime.block_on(way_of_a_tick(keeps.then(|| folder.join(name))))?;
            let at = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile);
            let publish = (at(&publish_ns, 0.5), at(&publish_ns, 0.99));
            let answer = (at(&answer_us, 0.5), at(&answer_us, 0.99));
            let word = if keeps { "kept" } else { "none" };
            println!(
                "| {word} | {TICKS_PER_SECOND} | {} / {} ns | {} / {} µs |",
                publish.0, publish.1, answer.0, answer.1
            );
            results.push(json!({"history": keeps, "publish_ns": publish, "hub_answers_us": answer}));
        }
    }
    Ok(json!(results))
}

/// Publishes for some seconds in bursts, and asks the hub in between how soon it answers: what it folds is folded by then.
async fn way_of_a_tick(database: Option<PathBuf>) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
    let config = Config::read(&Variables::default()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let plans = plan(&config.connections, &Universes::load(None)?);
    let symbols: Vec<_> =
        plans.iter().flat_map(|plan| plan.config.symbols.iter().map(|symbol| (plan.id, *symbol))).collect();
    let shutdown = CancellationToken::new();
    let (bus, inbox) = bus::open(None, Role::Collector { source: "bench" }, &Tasks::new(shutdown.clone()))?;
    let keeper = match database {
        Some(path) => Some(Keeper::open(open(&path).await?, retention(), Feed::Simulator).await?),
        None => None,
    };
    let news = keeper.as_ref().map_or_else(|| watch::channel(HistoryNews::default()).1, Keeper::news);
    let pace =
        Pace { frame_interval: config.dashboard.frame_interval, metrics_interval: config.dashboard.metrics_interval };
    let monitor = Monitor::new(Feed::Simulator, plans, UnixMillis::now());
    let (hub, task) = hub::hub(
        monitor,
        inbox,
        pace,
        news,
        watch::channel(OpenAlerts::default()).1,
        tokio::runtime::Handle::current(),
    );
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(task));
    let keeping = keeper.map(|keeper| tokio::spawn(keeper.keep(hub.reports(), shutdown.clone())));

    let (mut publish_ns, mut answer_us) = (Histogram::new(3)?, Histogram::new(3)?);
    let mut bursts = tokio::time::interval(Duration::from_millis(1));
    let batch = (TICKS_PER_SECOND / 1000) as usize;
    let mut published = 0_usize;
    let end = Instant::now() + Duration::from_secs(SECONDS);
    while Instant::now() < end {
        bursts.tick().await;
        let ticks: Vec<_> = (0..batch)
            .map(|_| {
                let (connection_id, symbol) = symbols[published % symbols.len()];
                published += 1;
                let price = 100.0 + (published % 100) as f64 / 100.0;
                Tick { connection_id: Some(connection_id), symbol, price, volume: 1, timestamp: UnixMillis::now() }
            })
            .collect();
        let before = Instant::now();
        bus.publish_ticks(&ticks);
        publish_ns.record((before.elapsed().as_nanos() as u64 / batch as u64).max(1))?;
        if published.is_multiple_of(batch * 10) {
            let before = Instant::now();
            hub.first_view().await.context("the hub is gone")?;
            answer_us.record((before.elapsed().as_micros() as u64).max(1))?;
        }
    }
    shutdown.cancel();
    if let Some(keeping) = keeping {
        keeping.await?;
    }
    Ok((publish_ns, answer_us))
}

/// Size and questions of ninety days of three connections.
async fn ninety_days(folder: &Path) -> anyhow::Result<Value> {
    let database = open(&folder.join("history.db")).await?;
    let now = UnixMillis::now();
    let began = Instant::now();
    fill(&database, now).await?;
    let megabytes = database.bytes_used().await? as f64 / 1e6;
    println!(
        "\n{DAYS} days of {CONNECTIONS} connections, {EVENTS} events, {GAPS} gaps: {megabytes:.1} MB, made in {:.0} s\n",
        began.elapsed().as_secs_f64()
    );
    println!("| range | buckets | median | worst of {REPETITIONS} |");
    println!("|---|---:|---:|---:|");
    let report = StatusReport {
        connections: (1..=CONNECTIONS)
            .map(|id| ConnectionStatus {
                live: ConnectionLive {
                    id,
                    enabled: true,
                    state: ConnectionState::Connected,
                    ..ConnectionLive::default()
                },
                ..ConnectionStatus::default()
            })
            .collect(),
        ..StatusReport::default()
    };
    let mut results = Vec::new();
    for (name, _, seconds) in RANGES {
        let selection = Selection { range: Range::Last(seconds), ..Selection::default() };
        let mut took = Vec::new();
        let mut buckets = 0;
        for _ in 0..REPETITIONS {
            let began = Instant::now();
            let view = query::view(&database, &retention(), &report, &selection, None, now).await?;
            took.push(began.elapsed());
            buckets = view.length();
        }
        took.sort_unstable();
        let ms = |took: Duration| took.as_secs_f64() * 1e3;
        let (median, worst) = (ms(took[REPETITIONS / 2]), ms(took[REPETITIONS - 1]));
        println!("| {name} | {buckets} | {median:.1} ms | {worst:.1} ms |");
        results.push(json!({"range": name, "buckets": buckets, "median_ms": median, "worst_ms": worst}));
    }
    database.close().await;
    Ok(json!({"megabytes": megabytes, "ranges": results}))
}

async fn open(path: &Path) -> anyhow::Result<Database> {
    Ok(Database::open(&format!("sqlite://{}", path.display())).await?)
}

fn retention() -> Retention {
    let hours = |hours| Duration::from_secs(hours * 3_600);
    Retention { seconds: hours(1), ten_seconds: hours(24), rest: hours(24 * DAYS as u64), bytes_max: u64::MAX }
}

/// Rows as they would be by now: minutes for ninety days, ten seconds for the last, seconds for the last hour.
async fn fill(database: &Database, now: UnixMillis) -> anyhow::Result<()> {
    let retention = retention();
    let stretches = [(DAYS * 86_400, 86_400, 60), (86_400, 3_600, 10), (3_600, 0, 1)];
    for (from, to, step) in stretches {
        let mut batch = Vec::new();
        for ago in (to..from).rev().step_by(step as usize) {
            let at = UnixMillis(now.0 - ago * 1000);
            batch.extend((1..=CONNECTIONS).map(|id| sample(id, at, step as u64)));
            if batch.len() >= 3_000 {
                write(database, now, Batch { samples: std::mem::take(&mut batch), ..Batch::default() }).await?;
                database.prune_history(&retention, now).await?;
            }
        }
        write(database, now, Batch { samples: batch, ..Batch::default() }).await?;
    }
    let span_ms = DAYS * 86_400_000;
    let events = (0..EVENTS).map(|n| NewEvent {
        at: UnixMillis(now.0 - span_ms + span_ms / EVENTS as i64 * n as i64),
        connection_id: Some((n % 3 + 1) as ConnectionId),
        kind: EventKind::State,
        state: Some(ConnectionState::Reconnecting),
        text: "Closed by the provider with code 1008: Maximum number of websocket connections exceeded.".to_owned(),
    });
    write(database, now, Batch { events: events.collect(), ..Batch::default() }).await?;
    let gaps = (0..GAPS).map(|n| {
        let started = now.0 - span_ms + span_ms / i64::from(GAPS) * i64::from(n);
        Gap {
            ended_at: Some(UnixMillis(started + 9_000)),
            ..Gap::blank((n % 3 + 1) as ConnectionId, n / 3 + 1, UnixMillis(started))
        }
    });
    write(database, now, Batch { gaps: gaps.collect(), ..Batch::default() }).await
}

async fn write(database: &Database, now: UnixMillis, batch: Batch) -> anyhow::Result<()> {
    let run = Run { started_at: UnixMillis(1), last_seen_at: now, ..Run::default() };
    Ok(database.write_history(&Batch { run, ..batch }).await?)
}

fn sample(connection_id: ConnectionId, at: UnixMillis, seconds: u64) -> Sample {
    let ticks = seconds * (60 + at.0.unsigned_abs() / 7_000 % 40);
    Sample {
        connection_id,
        at,
        covered_ms: seconds * 1000,
        messages: ticks / 3,
        ticks,
        bytes: ticks * 190,
        errors: u64::from(ticks.is_multiple_of(97)),
        reconnects: u64::from(ticks.is_multiple_of(997)),
        ticks_per_second_max: 99.0,
        latency_us: Some([1_200, 3_400, 5_600, 9_900]),
        phase_ms: [0, seconds * 1000, 0, 0, 0, 0],
    }
}
