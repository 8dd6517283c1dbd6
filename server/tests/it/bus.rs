//! The same expectations of both buses.

use crate::util::{RedisServer, eventually};
use app::model::{status::StatusReport, symbol::Symbol, tick::Tick, time::UnixMillis};
use server::{
    bus::{self, Delivery, Inbox, Role, TickBus},
    config::RedisConfig,
    tasks::Tasks,
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const ROLE: Role = Role::Collector { source: "simulator" };

struct Opened {
    bus: Arc<dyn TickBus>,
    inbox: Inbox,
    shutdown: CancellationToken,
    _redis: Option<RedisServer>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn open(redis: Option<&RedisConfig>, role: Role) -> (Arc<dyn TickBus>, Inbox, CancellationToken) {
    let shutdown = CancellationToken::new();
    let (bus, inbox) = bus::open(redis, role, &Tasks::new(shutdown.clone())).unwrap();
    (bus, inbox, shutdown)
}

fn config(redis: &RedisServer) -> RedisConfig {
    RedisConfig { url: redis.url.as_str().into(), key_prefix: "test:".into(), publish_ticks: true }
}

/// Both buses, ready to carry.
async fn both() -> [Opened; 2] {
    let (bus, inbox, shutdown) = open(None, ROLE);
    let mut memory = Opened { bus, inbox, shutdown, _redis: None };
    wait_until_connected(&mut memory.inbox).await;

    let redis = RedisServer::start().await;
    let (bus, inbox, shutdown) = open(Some(&config(&redis)), ROLE);
    let mut over_redis = Opened { bus, inbox, shutdown, _redis: Some(redis) };
    wait_until_connected(&mut over_redis.inbox).await;
    [memory, over_redis]
}

async fn wait_until_connected(inbox: &mut Inbox) {
    let mut delivery = Delivery::default();
    let connected = async {
        loop {
            inbox.take(&mut delivery).await;
            if delivery.bus.as_ref().is_some_and(|bus| bus.connected) {
                return;
            }
        }
    };
    timeout(crate::util::PATIENCE, connected).await.expect("the bus connects");
}

fn tick(n: u32) -> Tick {
    Tick {
        connection_id: Some(1 + (n % 3) as u8),
        symbol: Symbol::parse(["AAPL", "BRK.B", "JPM"][n as usize % 3]).unwrap(),
        price: f64::from(n) + 0.25,
        volume: u64::from(n),
        timestamp: UnixMillis(1_705_853_696_123 + i64::from(n)),
    }
}

async fn take_ticks(inbox: &mut Inbox, count: usize) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let mut delivery = Delivery::default();
    let taking = async {
        while ticks.len() < count {
            inbox.take(&mut delivery).await;
            ticks.append(&mut delivery.ticks);
        }
    };
    timeout(crate::util::PATIENCE, taking).await.expect("all ticks arrive");
    ticks
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_arrive_whole_and_in_order() {
    for mut opened in both().await {
        let sent: Vec<_> = (1..=5_000).map(tick).collect();
        sent.chunks(70).for_each(|ticks| opened.bus.publish_ticks(ticks));
        assert_eq!(take_ticks(&mut opened.inbox, sent.len()).await, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_status_arrives() {
    for mut opened in both().await {
        let mut report = StatusReport::default();
        for generated_at in 1..=3 {
            report.head.generated_at = UnixMillis(generated_at);
            opened.bus.publish_status(Arc::new(report.clone()));
        }
        let mut delivery = Delivery::default();
        let newest = async {
            loop {
                opened.inbox.take(&mut delivery).await;
                if delivery.statuses.last().is_some_and(|status| status.head.generated_at == UnixMillis(3)) {
                    return;
                }
            }
        };
        timeout(crate::util::PATIENCE, newest).await.expect("the third status");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_never_waits_for_a_redis_that_is_not_there() {
    let nowhere = format!("redis://127.0.0.1:{}", crate::util::free_port());
    let config = RedisConfig { url: nowhere.as_str().into(), key_prefix: "test:".into(), publish_ticks: true };
    let (bus, mut inbox, shutdown) = open(Some(&config), ROLE);
    let batch: Vec<_> = (0..1_000).map(tick).collect();
    let publishing = tokio::task::spawn_blocking(move || (0..1_000).for_each(|_| bus.publish_ticks(&batch)));
    timeout(Duration::from_secs(10), publishing).await.expect("a million ticks do not wait").unwrap();
    let mut delivery = Delivery::default();
    let reason = eventually("the bus says why", || {
        inbox.take_now(&mut delivery);
        let reason = delivery.bus.take().and_then(|bus| bus.reason).filter(|reason| reason.contains("refused"));
        async move { reason }
    })
    .await;
    assert!(!reason.contains("127.0.0.1"), "no address, which may hold a password: {reason}");
    shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_only_the_present_is_published_and_the_rest_is_counted() {
    let mut redis = RedisServer::start().await;
    let (bus, mut inbox, shutdown) = open(Some(&config(&redis)), ROLE);
    wait_until_connected(&mut inbox).await;
    redis.kill();
    let mut delivery = Delivery::default();
    eventually("the loss is noticed", || {
        inbox.take_now(&mut delivery);
        let lost = delivery.bus.as_ref().is_some_and(|bus| !bus.connected);
        async move { lost.then_some(()) }
    })
    .await;
    bus.publish_ticks(&(1..=300).map(tick).collect::<Vec<_>>());
    redis.restart().await;
    let mut seen = Vec::new();
    let mut counted = 0;
    eventually("three symbols' latest ticks", || {
        inbox.take_now(&mut delivery);
        seen.append(&mut delivery.ticks);
        counted = delivery.bus.as_ref().map_or(counted, |bus| bus.conflated_ticks_total);
        // The publisher may be back before the subscriber: then nobody hears the present, and a new tick is needed.
        if seen.is_empty() {
            bus.publish_ticks(&[tick(301), tick(302), tick(303)]);
        }
        let done = seen.len() >= 3 && counted >= 297;
        async move { done.then_some(()) }
    })
    .await;
    assert!(seen.iter().all(|tick| tick.price >= 298.0), "nothing old: {seen:?}");
    shutdown.cancel();
}
