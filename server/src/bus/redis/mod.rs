//! The bus over Redis pub/sub. Publisher and subscriber have a task and a connection each and reconnect by themselves:
//!
//! ```text
//!  publish_ticks ──▶ mailbox ──▶ publisher ──PUBLISH, pipelines in flight──▶ Redis ──▶ subscriber ──▶ inbox
//!                                    └── what is under way ──▶ transit ◀── what came back ──┘
//!  publish_status ──▶ mailbox ──▶ publisher ──SET EX 10, PUBLISH──▶ Redis             (status only as a watcher)
//!            └──────────────────────── our own status, without the detour ──────────────────────▶ inbox
//!
//!  inbox ──▶ hub ──frames──▶ outlet ──▶ publisher ──▶ Redis ──▶ subscriber elsewhere ──▶ follower ──▶ its inbox
//! ```
//!
//! Dashboards elsewhere take frames, batches of what the collector's board was told ([`frames`](super::frames)), instead of one
//! JSON message a tick. With `REDIS_PUBLISH_TICKS=false` there are no others: the collector's ticks reach its own inbox without
//! the detour, and Redis in frames alone.
//!
//! A collector's own status does not go through Redis and back: when Redis is gone, the page must still tell that the
//! upstream connections are up.
//!
//! Of several servers one collects, by a lease on Redis (`lease.rs`); what it publishes goes through a script that compares its
//! epoch (`fence.rs`). The others have the same three tasks, and take ticks and status from Redis as a watcher does.
//!
//! The bus carries ticks when Redis takes `PUBLISH`, and nothing else is asked of it: one that cannot write to its disk, is out
//! of memory or is a replica refuses the status key, which is a trouble of its own, and passes ticks on. Where Sentinels say which
//! server is the master, a replica was one: then both connections move.

mod address;
mod asker;
mod connection;
mod fence;
mod follower;
mod frames;
pub(super) mod handover;
mod health;
pub(super) mod lease;
pub(super) mod orders;
pub(super) mod presence;
mod publisher;
mod sentinel;
mod subscriber;
mod transit;
mod waiting;

use super::{
    BusError, RedisConfig, Right, Role, TickBus,
    frames::Outlet,
    mailbox::{Inbox, Outbox, mailbox},
};
use crate::{backoff::doubling, tasks::Tasks, text::tidy};
pub(crate) use address::RedisAddress;
use app::model::{status::StatusReport, tick::Tick, time::UnixMillis};
use frames::Frames;
use futures_util::future::BoxFuture;
use health::Health;
use lease::LeaseNames;
use publisher::Publisher;
use redis::{Client, ConnectionInfo, RedisError, RedisResult, ServerError, io::tcp::TcpSettings};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use subscriber::Subscriber;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{sleep, timeout},
};
use transit::Transit;

/// The time for connecting and for any answer. Loopback and data-centre answers take a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// What Redis says is cut off here.
const WORDS_BYTES_MAX: usize = 200;

fn client(info: ConnectionInfo) -> RedisResult<Client> {
    // What is small goes at once. A firewall that forgets silent connections is reminded.
    let keepalive = redis::io::tcp::socket2::TcpKeepalive::new().with_time(Duration::from_secs(15));
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    Client::open(info.set_tcp_settings(tcp))
}

/// Keys and channels.
struct Names {
    ticks: String,
    status: String,
    /// Frames for our own dashboards.
    frames: String,
    /// A message here asks the collector for its board.
    ask: String,
    /// Nobody reads it: what is published there shows that Redis takes what is published.
    probe: String,
    lease: LeaseNames,
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self {
            ticks: format!("{prefix}market:ticks"),
            status: format!("{prefix}websocket:status"),
            frames: format!("{prefix}market:frames"),
            ask: format!("{prefix}market:frames:ask"),
            probe: format!("{prefix}market:probe"),
            lease: LeaseNames::new(prefix),
        }
    }
}

pub(super) fn open(config: &RedisConfig, role: Role, tasks: &Tasks) -> Result<(Arc<dyn TickBus>, Inbox), BusError> {
    let address = RedisAddress::parse(config.url.expose_secret()).map_err(BusError::Address)?;
    let names = Arc::new(Names::new(&config.key_prefix));
    let (outbox, inbox) = mailbox();
    let (to_redis, from_us) = mailbox();
    let transit = Arc::new(Transit::new(outbox.clone()));
    let health = Arc::new(Health::new(outbox.clone(), Arc::clone(&transit), role.clone()));
    let outlet = Arc::new(Outlet::default());
    let (board_wanted, is_board_wanted) = watch::channel(false);

    let subscriber = Subscriber {
        address: address.clone(),
        names: Arc::clone(&names),
        role: role.clone(),
        outbox: outbox.clone(),
        health: Arc::clone(&health),
        transit: Arc::clone(&transit),
        epoch: AtomicU64::default(),
        outlet: Arc::clone(&outlet),
        board_wanted,
    };
    tasks.spawn_vital("subscriber of the bus", subscriber.run());
    tasks.spawn_vital("health of the bus", Arc::clone(&health).run());
    let asker = asker::run(address.clone(), Arc::clone(&names), Arc::clone(&health), is_board_wanted);
    tasks.spawn_vital("asker of the bus", asker);
    let (flushes, flush) = mpsc::channel(1);
    let right = match &role {
        Role::Candidate { right, .. } => Some(right.clone()),
        Role::Collector { .. } | Role::Watcher => None,
    };
    match (&role, &right) {
        (Role::Collector { .. }, _) => outlet.begin(0),
        (_, Some(right)) => {
            tasks.spawn_vital("frames of the bus", frames::by_right(Arc::clone(&outlet), right.clone()));
        }
        _ => {}
    }
    let frames = Frames::new(Arc::clone(&outlet), !config.publish_ticks);
    let published = Arc::clone(&health);
    if let Some(publisher) = Publisher::new(address, names, &role, from_us, health, transit, frames) {
        tasks.spawn_vital("publisher of the bus", publisher.run(flush));
    }
    let bus =
        RedisBus { to_redis, to_us: outbox, publish_ticks: config.publish_ticks, right, flushes, health: published };
    Ok((Arc::new(bus), inbox.with_outlet(outlet)))
}

struct RedisBus {
    to_redis: Outbox,
    to_us: Outbox,
    /// One JSON message a tick, which comes back to us.
    publish_ticks: bool,
    right: Option<Right>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    health: Arc<Health>,
}

impl TickBus for RedisBus {
    fn publish_ticks(&self, ticks: &[Tick]) {
        // Otherwise Redis gets them in frames, which are made of what our own board was told.
        if self.publish_ticks { self.to_redis.put_ticks(ticks) } else { self.to_us.put_ticks(ticks) }
    }

    fn publish_status(&self, status: Arc<StatusReport>) {
        self.to_us.put_status(Arc::clone(&status));
        self.to_redis.put_status(status);
    }

    fn right(&self) -> Option<&Right> {
        self.right.as_ref()
    }

    fn published_until(&self, now: UnixMillis) -> UnixMillis {
        // In the order of their way, so that none is overlooked that moves on meanwhile.
        let waiting_since = self.to_redis.ticks_since();
        waiting_since.into_iter().chain(self.health.unconfirmed_since(now)).fold(now, UnixMillis::min)
    }

    fn flushed(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let (done, flushed) = oneshot::channel();
            if self.flushes.send(done).await.is_ok() {
                let _ = flushed.await;
            }
        })
    }
}

/// Waits that double, with jitter; back to the first after a success that lasted.
#[derive(Default)]
struct Retry {
    failures: u32,
}

impl Retry {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(1);

    fn reset(&mut self) {
        self.failures = 0;
    }

    fn next(&mut self) -> Duration {
        let wait = doubling(Self::FIRST, Self::LONGEST, self.failures, rand::random());
        self.failures = self.failures.saturating_add(1);
        wait
    }

    async fn wait(&mut self) {
        sleep(self.next()).await;
    }
}

pub(super) async fn answered<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
    }
}

/// What went wrong, in a line; never an address, which may hold a password.
pub(crate) fn words(error: &RedisError) -> String {
    if error.is_timeout() {
        return "it did not answer within 2 s".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), detail) => refusal(code, detail),
        (None, Some(detail)) => cut(detail),
        (None, None) if error.is_connection_dropped() && !error.is_connection_refusal() => {
            "it closed the connection".to_owned()
        }
        (None, None) => cut(&error.to_string()),
    }
}

/// The same of a connection that is being made.
fn words_when_connecting(error: &RedisError) -> String {
    if error.is_connection_dropped() && !error.is_connection_refusal() {
        // It says why to whoever reads before writing, and the library writes first.
        return "it closes new connections at once, as it does when it has too many clients (maxclients)".to_owned();
    }
    words(error)
}

/// What Redis answered instead of doing it.
fn words_of(error: &ServerError) -> String {
    refusal(error.code(), error.details())
}

fn refusal(code: &str, detail: Option<&str>) -> String {
    let detail = detail.unwrap_or_default();
    if detail.contains("Sentinel") {
        return format!("this is the port of a Sentinel, not of a Redis ({})", cut(detail));
    }
    // `ERR` says nothing.
    if code == "ERR" { cut(detail) } else { cut(format!("{code} {detail}").trim_end()) }
}

/// As words from outside are shown, and no longer than a line.
fn cut(text: &str) -> String {
    tidy(text, WORDS_BYTES_MAX)
}
