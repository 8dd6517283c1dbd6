//! Our side of a row, in a process of its own: bus, monitor and hub behind a web server on loopback, without accounts,
//! and the connection manager where ticks come from a provider. What is measured is the way of a tick.

use crate::{
    pace::{Publish, pace},
    product::connections,
    scenario::{Market, Scenario, Source, WARM_UP},
    usage::GENERATOR,
};
use anyhow::Context;
use app::model::{alert::OpenAlerts, history::HistoryNews, status::Feed, tick::Tick, time::UnixMillis};
use axum::{Router, extract::Request, response::IntoResponse, routing::get};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use server::{
    bus::{self, Role, TickBus},
    config::{Config, RedisConfig, Variables},
    front::{self, Places},
    hub::{self, Encoding, Handshake, Hub, Pace},
    monitor::Monitor,
    tasks::Tasks,
    thread::Thread,
    universe::{ConnectionPlan, Universes, plan},
    upstream::{self, Manager},
};
use std::{
    future::pending,
    io::BufRead,
    net::SocketAddr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

/// What the generator inside the process did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) ticks: u64,
    /// Nanoseconds of a `publish_ticks` call by tick: half, 99 of 100, 999 of 1000 are faster.
    pub(crate) call_ns: [u64; 3],
    /// Seconds spent inside those calls once warm. Theirs is the ingest path, so it counts as the server's.
    pub(crate) calls_seconds: f64,
}

/// Runs a rig until standard input ends. `source` is where the provider or Redis is, if the scenario has one.
pub(crate) fn run(scenario: &Scenario, source: Option<&str>) -> anyhow::Result<()> {
    // As the server does it.
    let workers = thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let shutdown = CancellationToken::new();
    let threads = [Thread::start("ingest")?, Thread::start("hub")?];
    let (address, bus) = runtime.block_on(start(scenario, source, &threads, &shutdown))?;
    println!("{address}");
    for line in std::io::stdin().lock().lines() {
        if line? == "go" {
            let (scenario, bus) = (scenario.clone(), Arc::clone(&bus));
            thread::Builder::new().name(GENERATOR.into()).spawn(move || {
                let published = generate(scenario, bus).expect("the bus takes everything");
                println!("{}", serde_json::json!(published));
            })?;
        }
    }
    shutdown.cancel();
    Ok(())
}

async fn start(
    scenario: &Scenario,
    source: Option<&str>,
    [ingest_thread, hub_thread]: &[Thread; 2],
    shutdown: &CancellationToken,
) -> anyhow::Result<(SocketAddr, Arc<dyn TickBus>)> {
    let (config, plans) = configure(scenario)?;
    let tasks = Tasks::new(shutdown.clone());
    let ingest_tasks = tasks.on(ingest_thread.runtime());
    let redis = source.filter(|_| matches!(scenario.source, Source::Redis | Source::Frames)).map(|url| RedisConfig {
        url: url.into(),
        key_prefix: "tickstock:".into(),
        publish_ticks: true,
    });
    let (role, feed) = match scenario.source {
        Source::Redis | Source::Frames => (Role::Watcher, Feed::Redis),
        Source::Bus | Source::Provider | Source::TlsProvider => (Role::Collector { source: "bench" }, Feed::Simulator),
    };
    let (bus, inbox) = bus::open(redis.as_ref(), role, &ingest_tasks)?;
    let pace =
        Pace { frame_interval: config.dashboard.frame_interval, metrics_interval: config.dashboard.metrics_interval };
    if matches!(scenario.source, Source::Provider | Source::TlsProvider) {
        let url = source.context("a provider's address")?.to_owned();
        let endpoint = upstream::Endpoint::massive(url, "any".into());
        let policy = upstream::Policy::default();
        let _manager =
            Manager::start(plans.clone(), endpoint, Arc::clone(&bus), policy, pace.metrics_interval, &ingest_tasks);
    }
    let monitor = Monitor::new(feed, plans, UnixMillis::now());
    let (hub, task) = hub::hub(
        monitor,
        inbox,
        pace,
        watch::channel(HistoryNews::default()).1,
        watch::channel(OpenAlerts::default()).1,
        hub_thread.runtime().clone(),
    );
    tasks.on(hub_thread.runtime()).spawn_vital("hub", task);
    Ok((serve(hub, shutdown).await?, bus))
}

fn configure(scenario: &Scenario) -> anyhow::Result<(Config, Vec<ConnectionPlan>)> {
    let variables: Variables = connections(scenario.symbols, scenario.connections).into_iter().collect();
    let config = Config::read(&variables).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let plans = plan(&config.connections, &Universes::load(None)?);
    Ok((config, plans))
}

async fn serve(hub: Hub, shutdown: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let stop = shutdown.clone();
    let upgrade = move |mut request: Request| {
        let (hub, stop) = (hub.clone(), stop.clone());
        async move {
            let handshake = match Handshake::read(&mut request) {
                Ok(handshake) => handshake,
                Err(error) => return (error.status(), error.to_string()).into_response(),
            };
            let (answer, socket) = handshake.accept();
            tokio::spawn(async move {
                if let Some(socket) = socket.await {
                    hub::serve(socket, hub, Encoding::Binary, pending(), stop).await;
                }
            });
            answer
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let routes = Router::new().route("/admin-ws", get(upgrade));
    let places = Places::new(front::raise_descriptor_limit(), Arc::default());
    tokio::spawn(front::serve(listener, None, routes, places, shutdown.clone()));
    Ok(address)
}

/// Publishes on the bus itself.
struct Generator {
    market: Market,
    scenario: Scenario,
    bus: Arc<dyn TickBus>,
    ticks: Vec<Tick>,
    started: Instant,
    call_ns: Histogram<u64>,
    in_calls: Duration,
}

impl Publish for Generator {
    fn publish(&mut self, first: u64, count: u64) -> anyhow::Result<()> {
        let now_us = self.scenario.now_us();
        self.ticks.clear();
        self.ticks.extend((first..first + count).map(|n| self.market.tick(n, now_us)));
        let before = Instant::now();
        self.bus.publish_ticks(&self.ticks);
        let took = before.elapsed();
        if before - self.started > WARM_UP {
            self.in_calls += took;
            self.call_ns.record((took.as_nanos() as u64 / count).max(1))?;
        }
        Ok(())
    }
}

fn generate(scenario: Scenario, bus: Arc<dyn TickBus>) -> anyhow::Result<Published> {
    let (rate, spacing, length) = (scenario.ticks_per_second, scenario.spacing, scenario.length());
    let mut generator = Generator {
        market: Market::new(&scenario),
        scenario,
        bus,
        ticks: Vec::new(),
        started: Instant::now(),
        call_ns: Histogram::new(3)?,
        in_calls: Duration::ZERO,
    };
    let ticks = pace(rate, spacing, length, &mut generator)?;
    let call_ns = [0.5, 0.99, 0.999].map(|quantile| generator.call_ns.value_at_quantile(quantile));
    Ok(Published { ticks, call_ns, calls_seconds: generator.in_calls.as_secs_f64() })
}
