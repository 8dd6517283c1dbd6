//! Several servers on one market and one Redis: processes that are killed, stopped, stood still and cut off, with a log of what a
//! subscriber of Redis sees and of who connected to the market when.

mod crowd;
mod faults;
mod handover;
mod log;
mod market;
mod orders;
mod presence;
mod provider;
mod proxies;
mod schedules;
mod shared;
mod takeover;
mod timeline;
mod times;

use crate::util::{Monitor, RedisServer, eventually};
use futures_util::StreamExt;
use market::{Gate, Market};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::RwLock;
use tokio_util::task::AbortOnDropHandle;

const TICKS: &str = "tickstock:market:ticks";

/// Schedules of faults keep the machine busy: they write here, and whoever measures a time reads, so that these are not beside those.
static MEASURING: RwLock<()> = RwLock::const_new(());

/// One connection a server, so that two have room beside each other where a test wants that.
const SYMBOLS: [(&str, &str); 8] = [
    ("USE_MULTI_CONNECTION", "true"),
    ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
    ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
    ("WEBSOCKET_CONNECTION_1_CHANNELS", "T"),
    ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
    ("WEBSOCKET_CONNECTION_2_SYMBOLS", "NVDA,JPM"),
    ("WEBSOCKET_CONNECTION_2_CHANNELS", "T"),
    ("WEBSOCKET_CONNECTION_3_ENABLED", "false"),
];

/// What a subscriber of Redis saw: when, and of which epoch.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(Instant, u64)>>>);

impl Seen {
    fn all(&self) -> Vec<(Instant, u64)> {
        self.0.lock().unwrap().clone()
    }

    fn last_epoch(&self) -> Option<u64> {
        self.0.lock().unwrap().last().map(|(_, epoch)| *epoch)
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// No tick of an older epoch came after one of a newer one.
    fn epochs_never_fall(&self) {
        let all = self.all();
        let falls = all.windows(2).find(|pair| pair[1].1 < pair[0].1);
        assert!(falls.is_none(), "{falls:?} of {} ticks", all.len());
    }

    /// When the first tick of a later epoch came.
    async fn first_after(&self, epoch: u64) -> (Instant, u64) {
        eventually("another one publishes", || async { self.all().into_iter().find(|(_, seen)| *seen > epoch) }).await
    }
}

/// Servers, market and Redis.
struct Cluster {
    market: Market,
    redis: RedisServer,
    seen: Seen,
    _reader: AbortOnDropHandle<()>,
}

/// One of the servers, and its own way to the market.
struct Server {
    name: &'static str,
    process: Monitor,
    gate: Gate,
}

impl Cluster {
    async fn start() -> Self {
        let (market, redis) = (Market::start().await, RedisServer::start().await);
        let seen = Seen::default();
        let reader = tokio::spawn(read(redis.url.clone(), seen.clone()));
        Self { market, redis, seen, _reader: AbortOnDropHandle::new(reader) }
    }

    async fn server(&self, name: &'static str) -> Server {
        self.server_through(name, &self.redis.url).await
    }

    /// A server that reaches Redis by another address.
    async fn server_through(&self, name: &'static str, redis: &str) -> Server {
        self.server_with(name, redis, &[]).await
    }

    /// The same with more settings.
    async fn server_with(&self, name: &'static str, redis: &str, more: &[(&str, &str)]) -> Server {
        let gate = Gate::start(self.market.address).await;
        let url = gate.url();
        let own = [
            ("SERVER_NAME", name),
            ("REDIS_URL", redis),
            ("MARKET_FEED", "massive"),
            ("MASSIVE_API_KEY", "k"),
            ("MASSIVE_WEBSOCKET_URL", &url),
        ];
        let variables: Vec<_> = SYMBOLS.into_iter().chain(own).chain(more.iter().copied()).collect();
        Server { name, process: Monitor::start(&variables), gate }
    }

    /// A collector, and those that stand by.
    async fn with_standbys<const N: usize>(&self, names: [&'static str; N]) -> (Server, [Server; N]) {
        let first = self.server("a:1").await;
        first.until_it_collects().await;
        let mut others = Vec::new();
        for name in names {
            others.push(self.server(name).await);
        }
        for other in &others {
            other.until_it_is("standby").await;
        }
        self.until_ticks_come().await;
        let Ok(others) = others.try_into() else { unreachable!("as many as there are names") };
        (first, others)
    }

    async fn until_ticks_come(&self) {
        let before = self.seen.count();
        eventually("ticks come over Redis", || async { (self.seen.count() > before + 20).then_some(()) }).await;
    }

    fn epoch(&self) -> u64 {
        self.seen.last_epoch().expect("ticks came")
    }
}

impl Server {
    async fn role(&self) -> String {
        self.process.ready().await["role"].as_str().unwrap_or_default().to_owned()
    }

    async fn until_it_is(&self, role: &str) {
        eventually(&format!("{} is {role}", self.name), || async { (self.role().await == role).then_some(()) }).await;
    }

    async fn until_it_collects(&self) {
        self.until_it_is("collector").await;
        self.process.until_ready().await;
    }

    /// The status, as its page has it.
    async fn status(&self) -> Value {
        self.process.admin().await.status().await
    }

    async fn gaps(&self) -> Vec<Value> {
        let admin = self.process.admin().await;
        admin.get_json("/api/admin/history/gaps?from=-15m", 200).await["gaps"].as_array().unwrap().clone()
    }
}

async fn read(url: String, seen: Seen) {
    loop {
        let Ok(client) = redis::Client::open(url.as_str()) else { return };
        if let Ok(mut pubsub) = client.get_async_pubsub().await
            && pubsub.subscribe(TICKS).await.is_ok()
        {
            let mut messages = pubsub.into_on_message();
            while let Some(message) = messages.next().await {
                let tick: Value = serde_json::from_slice(message.get_payload_bytes()).unwrap();
                let epoch = tick["epoch"].as_u64().expect("every tick says its epoch");
                seen.0.lock().unwrap().push((Instant::now(), epoch));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
