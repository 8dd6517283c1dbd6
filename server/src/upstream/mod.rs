//! The connection manager: one task a connection, independent of each other, and one that reports on all of them.
//!
//! ```text
//!  provider ──ws──▶ connection.rs (I/O) ──massive.rs──▶ pulse.rs ──fresh ticks──▶ bus
//!                     │   ▲                               │
//!                events   actions     flow, coverage ◀────┘     telemetry.rs ──▶ report.rs ──status──▶ bus
//!                     ▼   │              ▼                            ▲
//!                    state.rs ◀──────────┘────────────────────────────┘
//! ```
//!
//! `dial.rs` opens sockets and says in words why one cannot be opened or broke, `trust.rs` who may vouch for the other end.
//! `backoff.rs` and `policy.rs` are the patience, `quota.rs` keeps our own connections from putting each other out and waits as long as
//! the provider asks of the account, `latency.rs` measures, `wakefulness.rs` notices when this process itself did not run. Deliberately
//! absent: anything that waits for the bus, and any knowledge of who reads it.

mod backoff;
mod comeback;
mod connection;
mod dial;
mod hearing;
mod latency;
mod loss;
pub mod massive;
mod policy;
mod pulse;
mod quota;
mod report;
mod state;
mod telemetry;
mod trust;
mod wakefulness;
mod watch;

pub use crate::rhythm::PulsePolicy;
pub use backoff::Backoff;
pub use policy::Policy;

use crate::{bus::TickBus, tasks::Tasks, universe::ConnectionPlan};
use app::model::{
    connection::{ConnectionId, ConnectionState},
    status::Feed,
    symbol::Symbol,
    symbol_detail::SymbolIngest,
    time::{UnixMillis, format_seconds},
};
use connection::{Connection, Orders, Parts};
use quota::Quota;
use report::Slot;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use telemetry::Telemetry;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at},
};

/// Where the connections go and the key that they present.
#[derive(Clone, Debug)]
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

    fn is_same(&self, other: &Self) -> bool {
        self.url == other.url && self.key() == other.key() && self.feed == other.feed
    }
}

/// The connection manager. Cheap to clone; the connections end with [`end`](Manager::end), or with the tasks they were started
/// among.
#[derive(Clone)]
pub struct Manager(Arc<Inner>);

struct Inner {
    bus: Arc<dyn TickBus>,
    policy: Arc<Policy>,
    tasks: Tasks,
    /// Wakes the reporter.
    changed: Arc<Notify>,
    quota: Arc<Quota>,
    slots: Mutex<Vec<Slot>>,
    running: Mutex<Running>,
}

/// The connections that run, and where they go.
struct Running {
    endpoint: Arc<Endpoint>,
    connections: BTreeMap<ConnectionId, (Orders, JoinHandle<()>)>,
}

impl Manager {
    /// Starts a task for every connection that has something to carry, and the reporter.
    #[must_use]
    pub fn start(
        plans: Vec<ConnectionPlan>,
        endpoint: Endpoint,
        bus: Arc<dyn TickBus>,
        policy: Policy,
        metrics_interval: Duration,
        tasks: &Tasks,
    ) -> Self {
        let feed = endpoint.feed;
        let tasks = tasks.until(tasks.shutdown().child_token());
        let manager = Self(Arc::new(Inner {
            bus,
            policy: Arc::new(policy),
            tasks: tasks.clone(),
            changed: Arc::default(),
            quota: Arc::default(),
            slots: Mutex::default(),
            running: Mutex::new(Running { endpoint: Arc::new(endpoint), connections: BTreeMap::new() }),
        }));
        manager.0.take_over(plans);
        manager.0.start_missing();
        tasks.spawn_vital("reporter of the connections", Arc::clone(&manager.0).keep_reporting(feed, metrics_interval));
        manager
    }

    /// Ends all connections with a goodbye, and the reports; resolves when they have ended.
    pub async fn end(&self) {
        let running = std::mem::take(&mut self.0.lock_running().connections);
        self.0.tasks.shutdown().cancel();
        for (_, ended) in running.into_values() {
            // A task that panicked is an accident that `tasks` deals with.
            let _ = ended.await;
        }
    }

    /// Those that run, in the order in which they matter, and how often each was lost so far; `None`: it is not up.
    #[must_use]
    pub fn running(&self) -> Vec<(ConnectionId, Option<u64>)> {
        let slots = self.0.lock_slots();
        let running = self.0.lock_running();
        let mut slots: Vec<_> = slots.iter().filter(|slot| running.connections.contains_key(&slot.plan.id)).collect();
        slots.sort_by_key(|slot| (slot.plan.config.priority, slot.plan.id));
        let losses =
            |slot: &Slot| slot.telemetry.face().state.is_up().then(|| slot.telemetry.counters.reconnects.load(Relaxed));
        slots.into_iter().map(|slot| (slot.plan.id, losses(slot))).collect()
    }

    /// Ends one connection with a goodbye, and leaves the others as they are; resolves when it has ended.
    pub async fn end_one(&self, id: ConnectionId) {
        let running = self.0.lock_running().connections.remove(&id);
        if let Some((orders, ended)) = running {
            orders.stop.cancel();
            // A task that panicked is an accident that `tasks` deals with.
            let _ = ended.await;
        }
    }

    /// Whether a connection can be tried at once instead of when its wait is over. What the provider asked of the whole
    /// account is respected.
    ///
    /// # Errors
    /// Why not.
    pub fn retry(&self, id: ConnectionId) -> Result<RetryOrder, CannotRetry> {
        let slots = self.0.lock_slots();
        let slot = slots.iter().find(|slot| slot.plan.id == id).ok_or(CannotRetry::Unknown(id))?;
        let running = self.0.lock_running();
        let waits = |state| matches!(state, ConnectionState::Reconnecting | ConnectionState::Failed);
        let (face, now) = (slot.telemetry.face(), Instant::now());
        match running.connections.get(&id) {
            None => Err(CannotRetry::Idle(id)),
            Some(_) if !waits(face.state) => Err(CannotRetry::NotWaiting(id, face.state)),
            // Its key would put out one that streams.
            Some(_) if face.reconnect.next_at.is_none() => Err(CannotRetry::StandsBack(id)),
            Some((orders, _)) => match self.0.quota.closed(now) {
                Some(closed) => {
                    let wait = closed.until.saturating_duration_since(now);
                    Err(CannotRetry::AskedToWait { seconds: wait.as_secs() + 1 })
                }
                None => Ok(RetryOrder(Arc::clone(&orders.hurry))),
            },
        }
    }

    /// Makes the connections anew whose plan changed in what they do, starts and stops those that were switched on or off,
    /// and lets the others run on untouched; one that waits because it was refused tries again at once. The caller sees to
    /// it that nobody else does the same meanwhile.
    pub async fn apply(&self, plans: Vec<ConnectionPlan>, endpoint: Endpoint) {
        let inner = &self.0;
        let outdated = inner.take_outdated(&plans, endpoint);
        // Their successors must not be connections too many for the account: first the goodbyes, all at once.
        outdated.iter().for_each(|(_, (orders, _))| orders.stop.cancel());
        for (id, (_, ended)) in outdated {
            // A task that panicked is an accident that `tasks` deals with.
            let _ = ended.await;
            if let Some(slot) = inner.lock_slots().iter().find(|slot| slot.plan.id == id) {
                slot.telemetry.reset(UnixMillis::now());
            }
        }
        inner.take_over(plans);
        inner.lock_running().connections.values().for_each(|(orders, _)| orders.retry.notify_waiters());
        inner.start_missing();
        inner.changed.notify_one();
    }

    /// What a connection knows of a symbol, which it watches from now on; `None` where there is no such connection.
    #[must_use]
    pub fn symbol(&self, id: ConnectionId, symbol: Symbol, now: UnixMillis) -> Option<SymbolIngest> {
        let slots = self.0.lock_slots();
        slots.iter().find(|slot| slot.plan.id == id).map(|slot| slot.telemetry.watches.ask(symbol, now))
    }
}

/// A connection that waits and can be tried at once.
#[derive(Debug)]
pub struct RetryOrder(Arc<Notify>);

impl RetryOrder {
    /// It does not wait any longer.
    pub fn give(self) {
        self.0.notify_one();
    }
}

/// Why a connection cannot be tried now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotRetry {
    /// There is no such connection.
    #[error("there is no connection {0}")]
    Unknown(ConnectionId),
    /// It is disabled, or has no symbols.
    #[error("connection {0} does not run: it is disabled or has no symbols")]
    Idle(ConnectionId),
    /// It waits for nothing.
    #[error("connection {0} is {state} and waits for no attempt", state = .1.label())]
    NotWaiting(ConnectionId, ConnectionState),
    /// The account has no place for it beside those that come before it.
    #[error("connection {0} stands back: other connections of this account come first")]
    StandsBack(ConnectionId),
    /// The provider told the account how long to stay away.
    #[error("the provider asked this account to wait; connections reconnect in {}", format_seconds(*.seconds))]
    AskedToWait {
        /// For so long.
        seconds: u64,
    },
}

/// Does it do the same: the same symbols over the same channels, or nothing?
fn does_the_same(old: &ConnectionPlan, new: &ConnectionPlan) -> bool {
    old.runs() == new.runs()
        && old.config.symbols == new.config.symbols
        && old.config.channels == new.config.channels
        && old.carried_elsewhere == new.carried_elsewhere
}

impl Inner {
    fn lock_slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections that cannot run on as they are.
    fn take_outdated(
        &self,
        plans: &[ConnectionPlan],
        endpoint: Endpoint,
    ) -> Vec<(ConnectionId, (Orders, JoinHandle<()>))> {
        let slots = self.lock_slots();
        let mut running = self.lock_running();
        let is_moved = !running.endpoint.is_same(&endpoint);
        if is_moved {
            self.quota.reopen();
        }
        let goes_on = |id: &ConnectionId| {
            let old = slots.iter().find(|slot| slot.plan.id == *id);
            let new = plans.iter().find(|plan| plan.id == *id);
            !is_moved && old.zip(new).is_some_and(|(old, new)| does_the_same(&old.plan, new))
        };
        let outdated: Vec<_> = running.connections.keys().copied().filter(|id| !goes_on(id)).collect();
        running.endpoint = Arc::new(endpoint);
        outdated.into_iter().filter_map(|id| Some((id, running.connections.remove(&id)?))).collect()
    }

    /// From now on these plans are what is reported. What was counted of a slot counts on.
    fn take_over(&self, plans: Vec<ConnectionPlan>) {
        let mut slots = self.lock_slots();
        let mut old = std::mem::take(&mut *slots);
        *slots = plans
            .into_iter()
            .map(|plan| {
                self.quota.rank(plan.id, plan.config.priority);
                let known = old.iter().position(|slot| slot.plan.id == plan.id).map(|place| old.swap_remove(place));
                match known {
                    Some(slot) => slot.with(Arc::new(plan)),
                    None => Slot::new(Arc::new(plan), Arc::new(Telemetry::new(Arc::clone(&self.changed)))),
                }
            })
            .collect();
    }

    /// Starts what has something to carry and does not run.
    fn start_missing(&self) {
        let slots = self.lock_slots();
        let mut running = self.lock_running();
        for slot in slots.iter().filter(|slot| slot.plan.runs()) {
            let id = slot.plan.id;
            if running.connections.contains_key(&id) {
                continue;
            }
            let orders = Orders { stop: self.tasks.shutdown().child_token(), ..Orders::default() };
            let parts = Parts {
                endpoint: Arc::clone(&running.endpoint),
                policy: Arc::clone(&self.policy),
                telemetry: Arc::clone(&slot.telemetry),
                bus: Arc::clone(&self.bus),
                place: self.quota.place(id, slot.plan.config.priority),
                orders: orders.clone(),
            };
            let task = Connection::new(&slot.plan, parts).run();
            let ended = self.tasks.spawn_vital_until("task of a connection", orders.stop.clone(), task);
            running.connections.insert(id, (orders, ended));
        }
    }

    /// A report at once, on every change, and every metrics interval.
    async fn keep_reporting(self: Arc<Self>, feed: Feed, metrics_interval: Duration) {
        let mut measured = Instant::now();
        let mut ticker = interval_at(measured + metrics_interval, metrics_interval);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.changed.notify_one();
        loop {
            tokio::select! {
                _ = ticker.tick() => {
                    report::measure(&mut self.lock_slots(), measured.elapsed().as_secs_f64());
                    measured = Instant::now();
                }
                () = self.changed.notified() => {}
            }
            let report = report::compose(&self.lock_slots(), feed, UnixMillis::now());
            self.bus.publish_status(Arc::new(report));
        }
    }
}
