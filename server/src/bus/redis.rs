//! The bus over Redis pub/sub. Two tasks, each with its own connection, each reconnecting by itself:
//!
//! ```text
//!  publish_ticks ──▶ mailbox ──▶ publisher ──PUBLISH, in pipelines──▶ Redis ──▶ subscriber ──▶ inbox
//!  publish_status ──▶ mailbox ──▶ publisher ──SET EX 10 + PUBLISH──▶ Redis       (status only as a watcher)
//!            └──────────────────────── our own status, without the detour ────────────────────▶ inbox
//! ```
//!
//! A collector's own status does not go through Redis and back: when Redis is gone, the page must still tell that the
//! upstream connections are up.

use super::{
    BusError, Role, TickBus,
    mailbox::{Delivery, Inbox, Outbox, mailbox},
    wire,
};
use crate::{config::RedisConfig, tasks::Tasks};
use app::model::{
    status::{BusKind, BusStatus, Collector, RejectionCount, StatusReport},
    tick::Tick,
    time::UnixMillis,
};
use futures_util::{FutureExt, StreamExt};
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use secrecy::ExposeSecret;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, interval, sleep, timeout};
use tracing::{info, warn};

/// The time for connecting and for any answer. Loopback and data-centre answers take a millisecond.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A subscription can look healthy and deliver nothing: a ping that is not answered in [`ANSWER_TIMEOUT`] ends it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(1);
const PUBLISHES_PER_PIPELINE: usize = 500;
/// Ticks read from Redis that are handed over together.
const TICKS_PER_DELIVERY: usize = 256;
const STATUS_EXPIRY_SECONDS: u64 = 10;

pub(super) fn client(url: &str) -> RedisResult<Client> {
    Client::open(url)
}

/// Keys and channels.
struct Names {
    ticks: String,
    status: String,
}

impl Names {
    fn new(prefix: &str) -> Self {
        Self { ticks: format!("{prefix}market:ticks"), status: format!("{prefix}websocket:status") }
    }
}

pub(super) fn open(config: &RedisConfig, role: Role, tasks: &Tasks) -> Result<(Arc<dyn TickBus>, Inbox), BusError> {
    let client = client(config.url.expose_secret()).map_err(|error| BusError::Address(error.category().to_owned()))?;
    let names = Arc::new(Names::new(&config.key_prefix));
    let (outbox, inbox) = mailbox();
    let (to_redis, from_us) = mailbox();
    let health = Arc::new(Health::new(outbox.clone(), role));

    let subscriber = Subscriber {
        client: client.clone(),
        names: Arc::clone(&names),
        role,
        outbox: outbox.clone(),
        health: Arc::clone(&health),
    };
    tasks.spawn_vital("subscriber of the bus", subscriber.run());
    if let Role::Collector { source } = role {
        let collector = this_collector();
        let publisher = Publisher { client, names, source, collector, inbox: from_us, health };
        tasks.spawn_vital("publisher of the bus", publisher.run());
    }
    Ok((Arc::new(RedisBus { to_redis, to_us: outbox }), inbox))
}

/// Who publishes here. The host's name alone would be the same for two servers on one host.
fn this_collector() -> Collector {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "unknown host".to_owned());
    let server = format!("{} (process {})", host.trim(), std::process::id());
    Collector { server, since: UnixMillis::now() }
}

struct RedisBus {
    to_redis: Outbox,
    to_us: Outbox,
}

impl TickBus for RedisBus {
    fn publish_ticks(&self, ticks: &[Tick]) {
        self.to_redis.put_ticks(ticks);
    }

    fn publish_status(&self, status: Arc<StatusReport>) {
        self.to_us.put_status(Arc::clone(&status));
        self.to_redis.put_status(status);
    }
}

/// What both tasks know of Redis, told to the inbox whenever it changes.
struct Health {
    known: Mutex<Known>,
    outbox: Outbox,
}

#[derive(Clone)]
struct Known {
    publishing: Option<String>,
    subscribed: Option<String>,
    conflated_ticks_total: u64,
    rejected_total: u64,
    last_rejection: Option<String>,
    /// By reason; there are seven.
    rejections: BTreeMap<&'static str, u64>,
}

impl Known {
    fn status(&self) -> BusStatus {
        let reason = self.subscribed.clone().or_else(|| self.publishing.clone());
        BusStatus {
            kind: BusKind::Redis,
            connected: reason.is_none(),
            reason,
            conflated_ticks_total: self.conflated_ticks_total,
            rejected_total: self.rejected_total,
            last_rejection: self.last_rejection.clone(),
            rejections: self
                .rejections
                .iter()
                .map(|(reason, total)| RejectionCount { reason: (*reason).to_owned(), total: *total })
                .collect(),
            ..BusStatus::default()
        }
    }
}

impl Health {
    fn new(outbox: Outbox, role: Role) -> Self {
        let not_yet = || Some("connecting to Redis".to_owned());
        let known = Known {
            publishing: if role == Role::Watcher { None } else { not_yet() },
            subscribed: not_yet(),
            conflated_ticks_total: 0,
            rejected_total: 0,
            last_rejection: None,
            rejections: BTreeMap::new(),
        };
        let health = Self { known: Mutex::new(known), outbox };
        health.change(|_| {});
        health
    }

    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = self.lock();
        change(&mut known);
        // Told under the lock, so that the two tasks cannot overtake each other.
        self.outbox.put_bus(known.status());
    }

    fn status(&self) -> BusStatus {
        self.lock().status()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rejected(&self, reason: &'static str, why: String) {
        self.change(|known| {
            known.rejected_total += 1;
            *known.rejections.entry(reason).or_default() += 1;
            known.last_rejection = Some(why);
        });
    }
}

/// Waits that double from [`RETRY_FIRST`] to [`RETRY_LONGEST`], with jitter; back to the first after a success.
struct Retry(Duration);

impl Retry {
    fn reset(&mut self) {
        self.0 = RETRY_FIRST;
    }

    async fn wait(&mut self) {
        sleep(self.0.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        self.0 = (self.0 * 2).min(RETRY_LONGEST);
    }
}

struct Publisher {
    client: Client,
    names: Arc<Names>,
    source: &'static str,
    collector: Collector,
    inbox: Inbox,
    health: Arc<Health>,
}

impl Publisher {
    async fn run(mut self) {
        let mut retry = Retry(RETRY_FIRST);
        loop {
            let error = match self.connect().await {
                Ok(connection) => {
                    retry.reset();
                    self.publish(connection).await
                }
                Err(error) => error,
            };
            let why = format!("Redis does not take ticks: {error}");
            warn!("{why}");
            self.health.change(|known| known.publishing = Some(why));
            retry.wait().await;
        }
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let _: String = redis::cmd("PING").query_async(&mut connection).await?;
        Ok(connection)
    }

    /// Publishes until Redis fails.
    async fn publish(&mut self, mut connection: MultiplexedConnection) -> RedisError {
        let mut delivery = Delivery::default();
        // What gathered while Redis was away is history: only the present is worth publishing.
        self.inbox.take_now(&mut delivery);
        let conflated = keep_latest(&mut delivery);
        self.health.change(|known| {
            known.publishing = None;
            known.conflated_ticks_total += conflated;
        });
        info!("Publishing to Redis");
        loop {
            if let Err(error) = self.publish_one(&mut connection, &mut delivery).await {
                return error;
            }
            self.inbox.take(&mut delivery).await;
        }
    }

    async fn publish_one(&self, connection: &mut MultiplexedConnection, delivery: &mut Delivery) -> RedisResult<()> {
        let conflated = delivery.lost + delivery.conflated.iter().map(|(_, count)| u64::from(*count) - 1).sum::<u64>();
        delivery.ticks.extend(delivery.conflated.drain(..).map(|(tick, _)| tick));
        let mut unsent = delivery.ticks.len() as u64;
        let sent = self.send(connection, delivery, &mut unsent).await;
        if conflated + unsent > 0 {
            self.health.change(|known| known.conflated_ticks_total += conflated + unsent);
        }
        sent
    }

    /// Status first, then ticks; `unsent` counts down with what Redis took.
    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        delivery: &Delivery,
        unsent: &mut u64,
    ) -> RedisResult<()> {
        if let Some(status) = &delivery.status {
            let mut status = StatusReport::clone(status);
            status.head.bus = self.health.status();
            let json = wire::write_status(&status, &self.collector);
            redis::pipe()
                .set_ex(&self.names.status, &json, STATUS_EXPIRY_SECONDS)
                .ignore()
                .publish(&self.names.status, &json)
                .ignore()
                .query_async::<()>(connection)
                .await?;
        }
        let mut json = String::new();
        for ticks in delivery.ticks.chunks(PUBLISHES_PER_PIPELINE) {
            let mut pipeline = redis::Pipeline::with_capacity(ticks.len());
            for tick in ticks {
                json.clear();
                wire::write_tick(tick, self.source, &mut json);
                pipeline.publish(&self.names.ticks, &json).ignore();
            }
            pipeline.query_async::<()>(connection).await?;
            *unsent -= ticks.len() as u64;
        }
        Ok(())
    }
}

/// Keeps the latest tick of each symbol; answers how many ticks went.
fn keep_latest(delivery: &mut Delivery) -> u64 {
    let before = delivery.ticks.len() as u64;
    let mut latest: HashMap<_, _> = HashMap::new();
    for tick in &delivery.ticks {
        latest.insert((tick.connection_id, tick.symbol), *tick);
    }
    for (tick, _) in &delivery.conflated {
        latest.remove(&(tick.connection_id, tick.symbol));
    }
    delivery.ticks.clear();
    delivery.ticks.extend(latest.into_values());
    before - delivery.ticks.len() as u64
}

struct Subscriber {
    client: Client,
    names: Arc<Names>,
    role: Role,
    outbox: Outbox,
    health: Arc<Health>,
}

impl Subscriber {
    async fn run(self) {
        let mut retry = Retry(RETRY_FIRST);
        loop {
            let subscribed = Instant::now();
            let why = match self.listen().await {
                Ok(()) => "the connection ended".to_owned(),
                Err(error) => error.to_string(),
            };
            let why = format!("Redis delivers no ticks: {why}");
            warn!("{why}");
            self.health.change(|known| known.subscribed = Some(why));
            if subscribed.elapsed() > RETRY_LONGEST * 2 {
                retry.reset();
            }
            retry.wait().await;
        }
    }

    async fn listen(&self) -> RedisResult<()> {
        let pubsub = answered(self.client.get_async_pubsub()).await?;
        let (mut sink, mut messages) = pubsub.split();
        answered(sink.subscribe(&self.names.ticks)).await?;
        if self.role == Role::Watcher {
            answered(sink.subscribe(&self.names.status)).await?;
            self.read_last_status().await?;
        }
        info!("Subscribed to ticks on Redis");
        self.health.change(|known| known.subscribed = None);

        let mut ping = interval(PING_INTERVAL);
        let mut ticks = Vec::with_capacity(TICKS_PER_DELIVERY);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return Ok(()) };
                    self.read(&message, &mut ticks);
                    // What has come with it is handed over with it.
                    while ticks.len() < TICKS_PER_DELIVERY
                        && let Some(Some(message)) = messages.next().now_or_never()
                    {
                        self.read(&message, &mut ticks);
                    }
                    self.outbox.put_ticks(&ticks);
                    ticks.clear();
                }
                _ = ping.tick() => {
                    answered(sink.ping::<redis::Value>()).await?;
                }
            }
        }
    }

    /// A collector that said how it is before we came need not say it again.
    async fn read_last_status(&self) -> RedisResult<()> {
        let mut connection = answered(self.client.get_multiplexed_async_connection()).await?;
        let status: Option<Vec<u8>> =
            answered(redis::cmd("GET").arg(&self.names.status).query_async(&mut connection)).await?;
        if let Some(status) = status {
            self.read_status(&status);
        }
        Ok(())
    }

    fn read(&self, message: &redis::Msg, ticks: &mut Vec<Tick>) {
        let payload = message.get_payload_bytes();
        if message.get_channel_name() == self.names.status {
            self.read_status(payload);
            return;
        }
        match wire::read_tick(payload) {
            Ok(tick) => ticks.push(tick),
            Err(why) => self.health.rejected(why.reason(), why.to_string()),
        }
    }

    fn read_status(&self, payload: &[u8]) {
        match wire::read_status(payload) {
            Ok(report) => self.outbox.put_status(Arc::new(report)),
            Err(why) => self.health.rejected("status", why),
        }
    }
}

pub(super) async fn answered<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut))),
    }
}
