//! The connection manager: one task a connection, independent of each other, and one that reports on all of them.
//!
//! ```text
//!  provider ──ws──▶ connection.rs (I/O) ──ticks──▶ bus
//!                     │   ▲
//!                events   actions        record.rs ──▶ report.rs ──status──▶ bus
//!                     ▼   │                 ▲
//!                    state.rs ──────────────┘
//! ```
//!
//! Deliberately absent: anything that waits for the bus, and any knowledge of who reads it.

mod backoff;
mod connection;
pub mod massive;
mod record;
pub(crate) mod report;
mod state;

use crate::{bus::TickBus, tasks::Tasks, universe::ConnectionPlan};
use app::model::{connection::ConnectionId, status::Feed, time::UnixMillis};
use connection::Connection;
use record::Record;
use report::Slot;
use secrecy::{ExposeSecret, SecretString};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// Where the connections go and the key that they present.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    key: SecretString,
    feed: Feed,
}

impl Endpoint {
    /// The provider, at its own address.
    #[must_use]
    pub fn massive(url: String, key: SecretString) -> Self {
        Self { url, key, feed: Feed::Massive }
    }

    /// The simulated market, which takes any key and is told which connection calls.
    #[must_use]
    pub fn simulator(address: std::net::SocketAddr) -> Self {
        Self { url: format!("ws://{address}/stocks"), key: "simulator".into(), feed: Feed::Simulator }
    }

    fn url_of(&self, id: ConnectionId) -> String {
        match self.feed {
            Feed::Simulator => format!("{}?connection={id}", self.url),
            Feed::Massive | Feed::Redis => self.url.clone(),
        }
    }

    fn key(&self) -> &str {
        self.key.expose_secret()
    }
}

/// Starts a task for every connection that has something to carry, and the reporter.
pub fn start(
    plans: Vec<ConnectionPlan>,
    endpoint: Endpoint,
    bus: Arc<dyn TickBus>,
    metrics_interval: Duration,
    tasks: &Tasks,
) {
    let changed = Arc::new(Notify::new());
    let feed = endpoint.feed;
    let endpoint = Arc::new(endpoint);
    let slots = plans
        .into_iter()
        .map(|plan| {
            let runs = plan.enabled && !plan.config.symbols.is_empty();
            let record = runs.then(|| Arc::new(Record::new(Arc::clone(&changed))));
            if let Some(record) = &record {
                let connection = Connection::new(&plan, Arc::clone(&endpoint), Arc::clone(record), Arc::clone(&bus));
                tasks.spawn_vital("task of a connection", connection.run());
            }
            Slot::new(Arc::new(plan), record)
        })
        .collect();
    let reporting = keep_reporting(slots, feed, bus, metrics_interval, changed);
    tasks.spawn_vital("reporter of the connections", reporting);
}

/// A report at once, on every change, and every metrics interval.
async fn keep_reporting(
    mut slots: Vec<Slot>,
    feed: Feed,
    bus: Arc<dyn TickBus>,
    metrics_interval: Duration,
    changed: Arc<Notify>,
) {
    let mut measured = Instant::now();
    let mut ticker = interval_at(measured + metrics_interval, metrics_interval);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    changed.notify_one();
    loop {
        tokio::select! {
            _ = ticker.tick() => {
                report::measure(&mut slots, measured.elapsed().as_secs_f64());
                measured = Instant::now();
            }
            () = changed.notified() => {}
        }
        bus.publish_status(Arc::new(report::compose(&slots, feed, UnixMillis::now())));
    }
}
