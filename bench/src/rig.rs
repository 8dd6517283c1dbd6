//! Bus, monitor, hub and a web server on loopback, without accounts: what is measured is the way of a tick.

use crate::admin::{self, Seen};
use anyhow::Context;
use app::model::{connection::ConnectionId, status::Feed, symbol::Symbol, tick::Tick, time::UnixMillis};
use axum::{Router, extract::ws::WebSocketUpgrade, routing::get};
use hdrhistogram::Histogram;
use server::{
    bus::{self, Role, TickBus},
    config::{Config, Variables},
    hub::{self, Encoding, Pace},
    monitor::Monitor,
    tasks::Tasks,
    universe::{Universes, plan},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub(crate) struct Rig {
    bus: Arc<dyn TickBus>,
    symbols: Vec<(ConnectionId, Symbol)>,
    started: Instant,
    admins: Vec<JoinHandle<anyhow::Result<Seen>>>,
    /// How many ticks an admin has to wait for before it stops.
    expected: watch::Sender<Option<u64>>,
    shutdown: CancellationToken,
}

impl Rig {
    pub(crate) async fn start(symbol_count: usize, admin_count: usize) -> anyhow::Result<Self> {
        let config = Config::read(&Variables::default()).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let plans = plan(&config.connections, &Universes::load(None)?);
        let symbols: Vec<_> = plans
            .iter()
            .flat_map(|plan| plan.config.symbols.iter().map(|symbol| (plan.id, *symbol)))
            .take(symbol_count)
            .collect();
        let shutdown = CancellationToken::new();
        let (bus, inbox) = bus::open(None, Role::Collector { source: "bench" }, &Tasks::new(shutdown.clone()))?;
        let pace = Pace {
            frame_interval: config.dashboard.frame_interval,
            metrics_interval: config.dashboard.metrics_interval,
        };
        let monitor = Monitor::new(Feed::Simulator, plans, UnixMillis::now());
        let (hub, task) = hub::hub(monitor, inbox, pace, watch::channel(None).1, tokio::runtime::Handle::current());
        tokio::spawn(shutdown.clone().run_until_cancelled_owned(task));
        let address = serve(hub, &shutdown).await?;

        let started = Instant::now();
        let (expected, told) = watch::channel(None);
        let mut admins = Vec::new();
        for _ in 0..admin_count {
            let admin = admin::connect(address).await.context("an admin cannot connect")?;
            admins.push(tokio::spawn(admin::watch(admin, started, told.clone())));
        }
        Ok(Self { bus, symbols, started, admins, expected, shutdown })
    }

    /// Publishes a batch and says how long the call took.
    pub(crate) fn publish(&self, published: &mut u64, batch: usize) -> Duration {
        let micros = self.started.elapsed().as_micros() as u64;
        let ticks: Vec<_> = (0..batch)
            .map(|_| {
                let (connection_id, symbol) = self.symbols[*published as usize % self.symbols.len()];
                *published += 1;
                let price = 100.0 + (*published % 100) as f64 / 100.0;
                // The volume carries the time of publishing.
                Tick { connection_id: Some(connection_id), symbol, price, volume: micros, timestamp: UnixMillis::now() }
            })
            .collect();
        let before = Instant::now();
        self.bus.publish_ticks(&ticks);
        before.elapsed()
    }

    /// Waits until every admin has counted every tick, or has stopped hearing of any.
    pub(crate) async fn finish(self, published: u64) -> anyhow::Result<(Histogram<u64>, Vec<u64>)> {
        self.expected.send_replace(Some(published));
        let mut latency_us = Histogram::new(3)?;
        let mut counted = Vec::new();
        for admin in self.admins {
            let seen = admin.await??;
            latency_us.add(&seen.latency_us)?;
            counted.push(seen.ticks);
        }
        self.shutdown.cancel();
        Ok((latency_us, counted))
    }
}

async fn serve(hub: hub::Hub, shutdown: &CancellationToken) -> anyhow::Result<SocketAddr> {
    let stop = shutdown.clone();
    let upgrade = move |upgrade: WebSocketUpgrade| {
        let (hub, stop) = (hub.clone(), stop.clone());
        let upgrade = upgrade.protocols(Encoding::SUBPROTOCOLS);
        async move {
            upgrade.on_upgrade(move |socket| hub::serve(socket, hub, Encoding::Binary, std::future::pending(), stop))
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = Router::new().route("/admin-ws", get(upgrade));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(axum::serve(listener, service).into_future()));
    Ok(address)
}
