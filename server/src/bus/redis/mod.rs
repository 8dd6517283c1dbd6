//! The bus over Redis pub/sub. Three tasks; publisher and subscriber have a connection each and reconnect by themselves:
//!
//! ```text
//!  publish_ticks ──▶ mailbox ──▶ publisher ──PUBLISH, pipelines in flight──▶ Redis ──▶ subscriber ──▶ inbox
//!                                    └── what is under way ──▶ transit ◀── what came back ──┘
//!  publish_status ──▶ mailbox ──▶ publisher ──SET EX 10, PUBLISH──▶ Redis             (status only as a watcher)
//!            └──────────────────────── our own status, without the detour ──────────────────────▶ inbox
//! ```
//!
//! A collector's own status does not go through Redis and back: when Redis is gone, the page must still tell that the
//! upstream connections are up.
//!
//! Of several servers one collects, by a lease on Redis (`lease.rs`); what it publishes goes through a script that compares its
//! epoch (`fence.rs`). The others have the same three tasks, and take ticks and status from Redis as a watcher does.
//!
//! The bus carries ticks when Redis takes `PUBLISH`, and nothing else is asked of it: one that cannot write to its disk, is out
//! of memory or is a replica refuses the status key, which is a trouble of its own, and passes ticks on.

mod connection;
mod fence;
mod health;
pub(super) mod lease;
mod publisher;
mod subscriber;
mod transit;
mod waiting;

use super::{
    BusError, RedisConfig, Right, Role, TickBus,
    mailbox::{Inbox, Outbox, mailbox},
};
use crate::{backoff::doubling, tasks::Tasks, text::tidy};
use app::model::{status::StatusReport, tick::Tick};
use futures_util::future::BoxFuture;
use health::Health;
use lease::LeaseNames;
use publisher::Publisher;
use redis::{Client, IntoConnectionInfo, RedisError, RedisResult, ServerError, io::tcp::TcpSettings};
use secrecy::ExposeSecret;
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};
use subscriber::Subscriber;
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use transit::Transit;

/// The time for connecting and for any answer. Loopback and data-centre answers take a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// What Redis says is cut off here.
const WORDS_BYTES_MAX: usize = 200;

pub(super) fn client(url: &str) -> RedisResult<Client> {
    let info = url.into_connection_info()?;
    // What is small goes at once. A firewall that forgets silent connections is reminded.
    let keepalive = redis::io::tcp::socket2::TcpKeepalive::new().with_time(Duration::from_secs(15));
    let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    Client::open(info.set_tcp_settings(tcp))
}

/// Keys and channels.
struct Names {
    ticks: String,
    status: String,
    /// Nobody reads it: what is published there shows that Redis takes what is published.
    probe: String,
    lease: LeaseNames,
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self {
            ticks: format!("{prefix}market:ticks"),
            status: format!("{prefix}websocket:status"),
            probe: format!("{prefix}market:probe"),
            lease: LeaseNames::new(prefix),
        }
    }
}

pub(super) fn open(config: &RedisConfig, role: Role, tasks: &Tasks) -> Result<(Arc<dyn TickBus>, Inbox), BusError> {
    let client = client(config.url.expose_secret()).map_err(|error| BusError::Address(error.category().to_owned()))?;
    let names = Arc::new(Names::new(&config.key_prefix));
    let (outbox, inbox) = mailbox();
    let (to_redis, from_us) = mailbox();
    let transit = Arc::new(Transit::new(outbox.clone()));
    let health = Arc::new(Health::new(outbox.clone(), Arc::clone(&transit), role.clone()));

    let subscriber = Subscriber {
        client: client.clone(),
        names: Arc::clone(&names),
        role: role.clone(),
        outbox: outbox.clone(),
        health: Arc::clone(&health),
        transit: Arc::clone(&transit),
        epoch: AtomicU64::default(),
    };
    tasks.spawn_vital("subscriber of the bus", subscriber.run());
    tasks.spawn_vital("health of the bus", Arc::clone(&health).run());
    let (flushes, flush) = mpsc::channel(1);
    let right = match &role {
        Role::Candidate { right, .. } => Some(right.clone()),
        Role::Collector { .. } | Role::Watcher => None,
    };
    if let Some(publisher) = Publisher::new(client, names, &role, from_us, health, transit) {
        tasks.spawn_vital("publisher of the bus", publisher.run(flush));
    }
    Ok((Arc::new(RedisBus { to_redis, to_us: outbox, right, flushes }), inbox))
}

struct RedisBus {
    to_redis: Outbox,
    to_us: Outbox,
    right: Option<Right>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
}

impl TickBus for RedisBus {
    fn publish_ticks(&self, ticks: &[Tick]) {
        self.to_redis.put_ticks(ticks);
    }

    fn publish_status(&self, status: Arc<StatusReport>) {
        self.to_us.put_status(Arc::clone(&status));
        self.to_redis.put_status(status);
    }

    fn right(&self) -> Option<&Right> {
        self.right.as_ref()
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
pub(super) fn words(error: &RedisError) -> String {
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
