//! A long run of the whole server: ticks at a steady rate, administrators coming and going. In the end every count must
//! be exact, and memory, tasks and sockets what they were.

use crate::{
    pace::pace,
    product::Product,
    provider::Provider,
    scenario::{CONNECTIONS, Contestant, Scenario, Source, Spacing, View, unix_us},
    socket::{Message, Socket},
    usage,
};
use anyhow::{Context, ensure};
use app::model::protocol::{Frame, SUBPROTOCOL_BINARY};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    task::LocalSet,
    time::{sleep, timeout},
};

/// A visitor comes this often. The server takes two a second from one network.
const VISIT_INTERVAL: Duration = Duration::from_secs(2);
/// It stays for 1 to this many intervals: with ten, five are there on average.
const VISIT_INTERVALS_MAX: u64 = 10;
/// Memory may be this much more in the last quarter than in the second: allocators keep a little more each hour.
const GROWTH_MAX_MB: f64 = 5.0;

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    #[arg(long, default_value_t = 10_000)]
    ticks_per_second: u64,
    #[arg(long, default_value_t = 300)]
    symbols: u64,
}

#[derive(Debug)]
struct Sample {
    resident_mb: f64,
    tasks: usize,
    sockets: usize,
}

impl Sample {
    fn take(product: &mut Product) -> anyhow::Result<Self> {
        let process = product.process.id();
        Ok(Self {
            resident_mb: usage::resident_mb(process),
            tasks: product.tasks()?,
            sockets: usage::open_sockets(process),
        })
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scenario = Scenario {
        group: "soak".into(),
        server: Contestant::Ours,
        source: Source::Provider,
        view: View::Latest,
        admins: 0,
        slow_admins: 0,
        connections: CONNECTIONS,
        symbols: options.symbols,
        ticks_per_second: options.ticks_per_second,
        spacing: Spacing::Bursts,
        seconds: options.minutes * 60 - 1,
        epoch_us: unix_us(),
    };
    let provider = Provider::start()?;
    let mut product = Product::start(provider.address, options.symbols)?;
    let mut load = provider.load(&scenario)?;
    // What is made on first use is no leak.
    product.status()?;
    let headers = socket_headers(&product.session);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(visit(product.address, &headers, VISIT_INTERVAL))?;
    thread::sleep(Duration::from_secs(3));
    let at_rest = Sample::take(&mut product)?;
    println!("at rest: {at_rest:?}");

    let visits = Visits::start(product.address, &product.session)?;
    let (rate, spacing, length) = (scenario.ticks_per_second, scenario.spacing, scenario.length());
    let loading = thread::spawn(move || pace(rate, spacing, length, &mut load));
    let samples = watch(&mut product, &visits, length)?;
    let published = loading.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
    let counted = visits.end(published)?;
    judge(&mut product, &at_rest, &samples, published, counted)
}

/// A line a minute.
fn watch(product: &mut Product, visits: &Visits, length: Duration) -> anyhow::Result<Vec<Sample>> {
    println!("| minute | MB | tasks | sockets | visits | CPU of a core |\n|---:|---:|---:|---:|---:|---:|");
    let started = Instant::now();
    let mut samples = Vec::new();
    while started.elapsed() < length {
        let before = usage::cpu_seconds(product.process.id())?;
        let nap = Duration::from_secs(60).min(length.saturating_sub(started.elapsed()));
        thread::sleep(nap);
        let cpu = (usage::cpu_seconds(product.process.id())? - before) / nap.as_secs_f64() * 100.0;
        let sample = Sample::take(product)?;
        let Sample { resident_mb, tasks, sockets } = sample;
        let minute = started.elapsed().as_secs() / 60;
        println!("| {minute} | {resident_mb:.1} | {tasks} | {sockets} | {} | {cpu:.1} % |", visits.count.load(Relaxed));
        samples.push(sample);
    }
    Ok(samples)
}

fn judge(
    product: &mut Product,
    at_rest: &Sample,
    samples: &[Sample],
    published: u64,
    counted: u64,
) -> anyhow::Result<()> {
    let received = received(product, published)?;
    println!("published {published}, received {received}, counted by the one who stayed {counted}");
    ensure!(received == published && counted == published, "a tick was lost or came twice");
    // Sockets that left take a moment to be noticed.
    let deadline = Instant::now() + Duration::from_secs(30);
    let after = loop {
        let sample = Sample::take(product)?;
        if (sample.tasks <= at_rest.tasks && sample.sockets <= at_rest.sockets) || Instant::now() > deadline {
            break sample;
        }
        thread::sleep(Duration::from_millis(500));
    };
    println!("after: {after:?}");
    ensure!(after.tasks <= at_rest.tasks, "{} tasks leaked", after.tasks - at_rest.tasks);
    ensure!(after.sockets <= at_rest.sockets, "{} sockets leaked", after.sockets - at_rest.sockets);
    let quarter = samples.len() / 4;
    let mean = |samples: &[Sample]| samples.iter().map(|s| s.resident_mb).sum::<f64>() / samples.len().max(1) as f64;
    let growth_mb = mean(&samples[samples.len() - quarter..]) - mean(&samples[quarter..2 * quarter]);
    println!("memory, last quarter against the second: {growth_mb:+.1} MB");
    ensure!(quarter == 0 || growth_mb < GROWTH_MAX_MB, "memory grows");
    println!("soak: sound");
    Ok(())
}

/// What the status counts, as soon as it is `published`: it is made anew every second.
fn received(product: &Product, published: u64) -> anyhow::Result<u64> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let received = product.status()?["summary"]["ticks_total"].as_u64().context("no count")?;
        if received == published || Instant::now() > deadline {
            return Ok(received);
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// One administrator who stays, and others who come and go.
struct Visits {
    count: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    expected: Arc<AtomicU64>,
    thread: thread::JoinHandle<anyhow::Result<u64>>,
}

impl Visits {
    fn start(address: SocketAddr, session: &str) -> anyhow::Result<Self> {
        let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let expected = Arc::new(AtomicU64::new(u64::MAX));
        let headers = socket_headers(session);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Before the first tick.
        let stays = runtime.block_on(Socket::open(address, "/admin-ws", &headers))?;
        let (counted, stopped, goal) = (Arc::clone(&count), Arc::clone(&stop), Arc::clone(&expected));
        let thread = thread::spawn(move || {
            LocalSet::new().block_on(&runtime, async {
                tokio::task::spawn_local(come_and_go(address, headers, counted, stopped));
                stay(stays, &goal).await
            })
        });
        Ok(Self { count, stop, expected, thread })
    }

    /// Ends the visits; what the one who stayed has counted.
    fn end(self, published: u64) -> anyhow::Result<u64> {
        self.stop.store(true, Relaxed);
        self.expected.store(published, Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the visitors panicked"))?
    }
}

fn socket_headers(session: &str) -> String {
    format!("{session}Sec-WebSocket-Protocol: {SUBPROTOCOL_BINARY}\r\n")
}

async fn stay(mut socket: Socket, expected: &AtomicU64) -> anyhow::Result<u64> {
    let mut counted = 0;
    let mut patience = 10;
    while counted < expected.load(Relaxed) && patience > 0 {
        match timeout(Duration::from_secs(3), socket.next()).await {
            Err(_) => patience -= 1,
            Ok(message) => count(&socket, &message?, &mut counted)?,
        }
    }
    Ok(counted)
}

fn count(socket: &Socket, message: &Message, counted: &mut u64) -> anyhow::Result<()> {
    match message {
        Message::Close(code) => anyhow::bail!("closed with {code}"),
        Message::Data(range) => match Frame::decode(socket.bytes(range.clone()))? {
            Frame::Snapshot(snapshot) => *counted = snapshot.rows.iter().map(|row| row.ticks_total).sum(),
            Frame::Rows(rows) => *counted += rows.iter().map(|row| row.ticks_total).sum::<u64>(),
            Frame::Ticks(ticks) => *counted += ticks.entries.iter().map(|entry| u64::from(entry.ticks)).sum::<u64>(),
            _ => {}
        },
    }
    Ok(())
}

async fn come_and_go(address: SocketAddr, headers: String, count: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Relaxed) {
        let number = count.fetch_add(1, Relaxed);
        let length = VISIT_INTERVAL * (1 + number % VISIT_INTERVALS_MAX) as u32;
        let headers = headers.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = visit(address, &headers, length).await {
                eprintln!("visit {number}: {error:#}");
            }
        });
        sleep(VISIT_INTERVAL).await;
    }
}

/// Watches for a while and leaves without a word, as a browser that is closed may.
async fn visit(address: SocketAddr, headers: &str, length: Duration) -> anyhow::Result<()> {
    let mut socket = Socket::open(address, "/admin-ws", headers).await?;
    let leaves = Instant::now() + length;
    let mut counted = 0;
    while Instant::now() < leaves {
        if let Ok(message) = timeout(VISIT_INTERVAL, socket.next()).await {
            count(&socket, &message?, &mut counted)?;
        }
    }
    Ok(())
}
