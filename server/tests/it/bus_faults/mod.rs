//! What goes wrong with Redis, and what of it is told: each tick that is published arrives at Redis' subscribers, or is counted;
//! each that arrives there arrives at our own inbox too. `BUS_FAULT_SECONDS` makes the faults that last longer.

mod away;
mod refused;
mod sentinel;

use crate::util::{Listener, PATIENCE};
use app::model::{
    status::{BusStatus, StatusReport},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use server::{
    bus::{self, Delivery, Inbox, Role, TickBus, read_tick},
    config::RedisConfig,
    tasks::Tasks,
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const CHANNEL: &str = "test:market:ticks";
const SYMBOLS: [&str; 6] = ["AAPL", "BRK.B", "JPM", "MSFT", "NVDA", "XOM"];

/// A bus as a collector has it, and what its inbox was given.
struct Collector {
    bus: Arc<dyn TickBus>,
    inbox: Inbox,
    delivery: Delivery,
    shutdown: CancellationToken,
    /// The newest word on the bus, and how often there was another one.
    status: BusStatus,
    told: usize,
    /// Volumes are the ticks' numbers.
    seen: Vec<u64>,
    /// So many of them were checked already.
    agreed: usize,
    published: u64,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Collector {
    fn open(url: &str) -> Self {
        let config = RedisConfig { url: url.into(), key_prefix: "test:".into(), publish_ticks: true };
        let shutdown = CancellationToken::new();
        let role = Role::Collector { source: "simulator" };
        let (bus, inbox) = bus::open(Some(&config), role, &Tasks::new(shutdown.clone())).unwrap();
        Self {
            bus,
            inbox,
            delivery: Delivery::default(),
            shutdown,
            status: BusStatus::default(),
            told: 0,
            seen: Vec::new(),
            agreed: 0,
            published: 0,
        }
    }

    async fn connected(url: &str) -> Self {
        let mut collector = Self::open(url);
        collector.until("the bus carries ticks", |bus| bus.connected).await;
        collector
    }

    /// The next ticks, of all symbols in turn.
    fn publish(&mut self, count: u64) {
        let ticks: Vec<_> = (self.published..self.published + count)
            .map(|n| Tick {
                connection_id: Some(1),
                symbol: Symbol::parse(SYMBOLS[n as usize % SYMBOLS.len()]).unwrap(),
                price: n as f64 + 0.25,
                volume: n,
                timestamp: UnixMillis(1_705_853_696_123),
            })
            .collect();
        self.published += count;
        self.bus.publish_ticks(&ticks);
    }

    fn publish_status(&self) {
        self.bus.publish_status(Arc::new(StatusReport::default()));
    }

    fn look(&mut self) {
        if self.inbox.take_now(&mut self.delivery) {
            self.read();
        }
    }

    /// Waits until something comes, and takes it; not for ever.
    async fn news(&mut self) {
        if timeout(PATIENCE, self.inbox.take(&mut self.delivery)).await.is_ok() {
            self.read();
        }
    }

    fn read(&mut self) {
        assert!(self.delivery.conflated.is_empty());
        self.seen.extend(self.delivery.ticks.iter().map(|tick| tick.volume));
        if let Some(status) = self.delivery.bus.take() {
            self.status = status;
            self.told += 1;
        }
    }

    async fn until(&mut self, what: &str, is_so: impl Fn(&BusStatus) -> bool) {
        let since = Instant::now();
        loop {
            self.look();
            if is_so(&self.status) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}; {:?}", self.status);
            self.news().await;
        }
    }

    /// Publishes for a while, some ticks every 5 ms, a status now and then.
    async fn publish_for(&mut self, time: Duration, count: u64) {
        let since = Instant::now();
        for round in 0.. {
            if since.elapsed() >= time {
                return;
            }
            self.publish(count);
            if round % 20 == 0 {
                self.publish_status();
            }
            self.look();
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until each tick has come to Redis' subscribers and to our own inbox, or is counted; checks all counts against it.
    async fn agree(&mut self, listener: &mut Listener) {
        let mut theirs = Vec::new();
        self.until_accounted(listener, &mut theirs).await;
        let unpublished = self.status.unpublished_ticks_total;
        let mut newest = self.published - SYMBOLS.len() as u64..self.published;
        assert!(newest.all(|n| self.seen.contains(&n)), "the latest of each symbol was published");
        // Nothing comes late: what is published now comes right behind it.
        self.publish(SYMBOLS.len() as u64);
        self.until_accounted(listener, &mut theirs).await;
        assert_eq!(self.status.unpublished_ticks_total, unpublished, "and it stays so");
        assert_eq!(self.status.conflated_ticks_total, unpublished);
        let distinct: BTreeSet<_> = theirs.iter().collect();
        assert_eq!(distinct.len(), theirs.len(), "nothing was published twice");
        let ours = &self.seen[self.agreed..];
        assert!(ours == theirs, "our own inbox has the same, in the same order: {} and {}", ours.len(), theirs.len());
        self.agreed = self.seen.len();
    }

    async fn until_accounted(&mut self, listener: &mut Listener, theirs: &mut Vec<u64>) {
        let since = Instant::now();
        loop {
            let sum = (self.agreed + theirs.len()) as u64 + self.status.unpublished_ticks_total;
            if self.status.connected && sum == self.published && self.seen.len() == self.agreed + theirs.len() {
                return;
            }
            let counts = (theirs.len(), self.seen.len() - self.agreed, self.published);
            assert!(since.elapsed() < PATIENCE, "theirs, ours, published: {counts:?}; {:?}", self.status);
            tokio::select! {
                () = self.news() => {}
                message = listener.next() => theirs.push(read_tick(message.as_bytes(), UnixMillis::now()).unwrap().volume),
            }
        }
    }
}
