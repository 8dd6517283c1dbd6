//! The way from a frame of the provider to the bus: parsing alone, then all of it over a real socket.
//!
//! ```text
//!  provider (here) ──ws──▶ connection: read, parse, follow the rhythm, count ──publish_ticks──▶ bus ──▶ counted
//! ```

use anyhow::Context;
use app::model::{connection::Channel, status::ConnectionConfig, symbol::Symbol, time::UnixMillis};
use futures_util::{SinkExt, StreamExt};
use server::{
    bus::{self, Delivery, Inbox, Role},
    tasks::Tasks,
    universe::ConnectionPlan,
    upstream::{Endpoint, Manager, Policy, massive},
};
use std::{
    hint::black_box,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

/// Every symbol that the provider has, a bar each: what comes once a second with `A.*`.
const UNIVERSE: usize = 11_000;
/// Events in a frame (`docs/provider.md`, "Rates").
const EVENTS_PER_FRAME: usize = 500;
const BURSTS: usize = 20;
const STREAM_SECONDS: usize = 50;

/// Prints the rows and answers them as JSON.
pub(crate) async fn measure() -> anyhow::Result<serde_json::Value> {
    println!("\n| frame → bus, bars of a second, {EVENTS_PER_FRAME} to a frame | per tick | in all |");
    println!("|---|---:|---:|");
    let parse_ns = parse();
    println!("| read a frame | {parse_ns} ns | |");

    let mut rig = Rig::start().await?;
    rig.burst(1).await.context("the first burst")?;
    let mut bursts = Vec::new();
    for second in 2..BURSTS + 2 {
        bursts.push(rig.burst(second).await?);
    }
    bursts.sort_unstable();
    let (median, worst) = (bursts[BURSTS / 2], bursts[BURSTS - 1]);
    let each = |took: Duration, ticks: usize| took.as_nanos() as u64 / ticks as u64;
    let ms = |took: Duration| took.as_secs_f64() * 1000.0;
    println!(
        "| a burst of {UNIVERSE}, socket to bus | {} ns | median {:.1} ms, worst of {BURSTS} {:.1} ms |",
        each(median, UNIVERSE),
        ms(median),
        ms(worst)
    );
    let ticks = UNIVERSE * STREAM_SECONDS;
    let stream = rig.stream(BURSTS + 2).await?;
    let per_second = ticks as f64 / stream.as_secs_f64();
    println!("| {ticks} without a pause, socket to bus | {} ns | {per_second:.0} ticks/s |", each(stream, ticks));
    rig.shutdown.cancel();
    Ok(serde_json::json!({
        "read_frame_ns": parse_ns,
        "burst": {"ticks": UNIVERSE, "median_ms": ms(median), "worst_ms": ms(worst)},
        "stream": {"ticks": ticks, "ns_per_tick": each(stream, ticks), "ticks_per_second": per_second},
    }))
}

/// Nanoseconds an event that reading a frame takes, of the quickest of many rounds.
fn parse() -> u64 {
    let frames = frames(1);
    let (mut reading, now) = (massive::Reading::default(), UnixMillis::now());
    let mut round = || {
        let started = Instant::now();
        for frame in &frames {
            massive::read_frame(black_box(frame), 1, now, &mut reading);
            black_box(&reading.ticks);
        }
        started.elapsed()
    };
    let quickest = (0..50).map(|_| round()).min().unwrap_or_default();
    quickest.as_nanos() as u64 / UNIVERSE as u64
}

/// The bars of one second, of the form and size that the wire has (`docs/provider.md`, "Events").
fn frames(second: usize) -> Vec<String> {
    // The last of them are of the present: what is far from now is no tick.
    static FIRST: LazyLock<i64> = LazyLock::new(|| UnixMillis::now().0 / 1000 * 1000 - 60_000);
    let start = *FIRST + second as i64 * 1000;
    let bars: Vec<String> = (0..UNIVERSE)
        .map(|n| {
            format!(
                concat!(
                    r#"{{"ev":"A","sym":"B{0}","v":4989,"av":4332125,"op":25.66,"vw":25.3981,"o":25.39,"c":{1}.25,"h":25.4,"#,
                    r#""l":25.38,"a":25.3714,"z":50,"s":{2},"e":{3},"dv":"4989.0","dav":"4332125.038360"}}"#
                ),
                n,
                100 + n % 50,
                start,
                start + 1000
            )
        })
        .collect();
    bars.chunks(EVENTS_PER_FRAME).map(|chunk| format!("[{}]", chunk.join(","))).collect()
}

/// A provider and a connection manager that is connected to it.
struct Rig {
    frames: mpsc::Sender<Vec<String>>,
    inbox: Inbox,
    shutdown: CancellationToken,
}

impl Rig {
    async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("ws://{}/stocks", listener.local_addr()?);
        let (frames, waiting) = mpsc::channel(1);
        tokio::spawn(provide(listener, waiting));

        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(shutdown.clone());
        let (bus, inbox) = bus::open(None, Role::Collector { source: "bench" }, &tasks)?;
        let config = ConnectionConfig {
            symbols: vec![Symbol::parse("*")?],
            channels: vec![Channel::SecondBars],
            ..ConnectionConfig::default()
        };
        let plan =
            ConnectionPlan { id: 1, name: "bench".into(), enabled: true, config, carried_elsewhere: Arc::default() };
        let endpoint = Endpoint::massive(url, "key".into());
        let _manager = Manager::start(vec![plan], endpoint, bus, Policy::default(), Duration::from_secs(1), &tasks);
        Ok(Self { frames, inbox, shutdown })
    }

    /// One second's bars at once: the time until the bus has them all.
    async fn burst(&mut self, second: usize) -> anyhow::Result<Duration> {
        self.send(frames(second), UNIVERSE).await
    }

    /// Many seconds' bars without a pause.
    async fn stream(&mut self, second: usize) -> anyhow::Result<Duration> {
        let all = (second..second + STREAM_SECONDS).flat_map(frames).collect();
        self.send(all, UNIVERSE * STREAM_SECONDS).await
    }

    async fn send(&mut self, frames: Vec<String>, expected: usize) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.frames.send(frames).await?;
        let mut delivery = Delivery::default();
        let mut count = 0;
        while count < expected {
            timeout(Duration::from_secs(30), self.inbox.take(&mut delivery)).await.context("ticks are missing")?;
            let conflated: usize = delivery.conflated.iter().map(|(_, count)| *count as usize).sum();
            count += delivery.ticks.len() + conflated;
        }
        anyhow::ensure!(count == expected, "{count} ticks where {expected} were sent");
        Ok(started.elapsed())
    }
}

/// Greets, takes any key, acknowledges, and then sends what it is given.
async fn provide(listener: TcpListener, mut frames: mpsc::Receiver<Vec<String>>) -> anyhow::Result<()> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    let mut socket: WebSocketStream<TcpStream> = accept_async(stream).await?;
    let status = |status: &str, message: &str| {
        Message::text(serde_json::json!([{"ev": "status", "status": status, "message": message}]).to_string())
    };
    socket.send(status("connected", "Connected Successfully")).await?;
    socket.next().await.context("a key")??;
    socket.send(status("auth_success", "authenticated")).await?;
    socket.next().await.context("a subscription")??;
    socket.send(status("success", "subscribed to: A.*")).await?;
    let (mut sink, mut stream) = socket.split();
    // Pings are answered while somebody reads.
    tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
    while let Some(frames) = frames.recv().await {
        for frame in frames {
            sink.feed(Message::text(frame)).await?;
        }
        sink.flush().await?;
    }
    Ok(())
}
