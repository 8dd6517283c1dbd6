//! What goes wrong with Redis, and what of it is told: each tick that is published arrives at Redis' subscribers, or is counted;
//! each that arrives there arrives at our own inbox too. `BUS_FAULT_SECONDS` makes the faults that last longer.

use crate::util::{PATIENCE, Proxy, RedisServer, TestServer, eventually};
use app::model::{
    status::{BusStatus, StatusReport},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use server::{
    bus::{self, Delivery, Inbox, Role, TickBus, read_tick},
    config::RedisConfig,
    tasks::Tasks,
};
use std::{
    collections::{BTreeMap, BTreeSet},
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
    published: u64,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Collector {
    fn open(url: &str) -> Self {
        let config = RedisConfig { url: url.into(), key_prefix: "test:".into() };
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
            assert!(self.delivery.conflated.is_empty());
            self.seen.extend(self.delivery.ticks.iter().map(|tick| tick.volume));
            if let Some(status) = self.delivery.bus.take() {
                self.status = status;
                self.told += 1;
            }
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
            sleep(Duration::from_millis(5)).await;
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

    /// Waits until our own inbox has all that Redis' subscribers have, and no tick is left; checks all counts against it.
    async fn agree(&mut self, messages: Vec<String>) {
        let theirs: Vec<u64> =
            messages.iter().map(|json| read_tick(json.as_bytes(), UnixMillis::now()).unwrap().volume).collect();
        let distinct: BTreeSet<_> = theirs.iter().collect();
        assert_eq!(distinct.len(), theirs.len(), "nothing was published twice");
        let unpublished = self.published - theirs.len() as u64;
        self.until("every tick is accounted for", |bus| bus.connected && bus.unpublished_ticks_total == unpublished)
            .await;
        assert_eq!(self.status.conflated_ticks_total, unpublished);
        let since = Instant::now();
        while self.seen.len() < theirs.len() && since.elapsed() < PATIENCE {
            self.look();
            sleep(Duration::from_millis(5)).await;
        }
        assert!(
            self.seen == theirs,
            "our own inbox has the same, in the same order: {} and {}",
            self.seen.len(),
            theirs.len()
        );
        let latest: BTreeMap<_, _> = theirs.iter().map(|n| (n % SYMBOLS.len() as u64, *n)).collect();
        let newest = (self.published - SYMBOLS.len() as u64..self.published).collect::<BTreeSet<_>>();
        assert_eq!(latest.into_values().collect::<BTreeSet<_>>(), newest, "the latest of each symbol was published");
        sleep(Duration::from_millis(300)).await;
        self.look();
        assert_eq!(self.status.unpublished_ticks_total, unpublished, "and stays so");
    }
}

/// How long a fault lasts that takes its time.
fn fault_time() -> Duration {
    Duration::from_secs(std::env::var("BUS_FAULT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4))
}

fn port_of(redis: &RedisServer) -> u16 {
    redis.url.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_to_write_carries_every_tick_and_the_status_key_is_a_trouble_of_its_own() {
    for fault in ["MISCONF", "OOM", "READONLY"] {
        let redis = RedisServer::start().await;
        let mut listener = redis.listen(CHANNEL).await;
        let mut collector = Collector::connected(&redis.url).await;
        match fault {
            "MISCONF" => redis.lose_the_disk().await,
            "OOM" => drop(redis.command("CONFIG SET maxmemory 1").await.unwrap()),
            _ => drop(redis.command(&format!("REPLICAOF 127.0.0.1 {}", crate::util::free_port())).await.unwrap()),
        }
        collector.publish_for(Duration::from_millis(1_500), 20).await;
        assert!(collector.status.connected, "{fault}: {:?}", collector.status);
        let trouble = collector.status.status_trouble.clone().unwrap_or_default();
        assert!(trouble.contains(fault) && trouble.len() < 300, "{fault}: {trouble}");
        assert!(collector.told < 8, "{fault}: said steadily, not {} times", collector.told);
        collector.agree(listener.rest().await).await;
        assert_eq!(collector.status.unpublished_ticks_total, 0, "{fault}");

        // One that is begun under it is no worse off.
        let mut late = Collector::connected(&redis.url).await;
        late.publish(100);
        late.agree(listener.rest().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_its_disk_leaves_the_server_ready() {
    let redis = RedisServer::start().await;
    redis.lose_the_disk().await;
    let server = TestServer::start([("REDIS_URL", redis.url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let status = eventually("the status says so", || async {
        let status = admin.status().await;
        (status["bus"]["connected"] == true && status["bus"]["status_trouble"].is_string()).then_some(status)
    })
    .await;
    let trouble = status["bus"]["status_trouble"].as_str().unwrap();
    assert!(trouble.starts_with("Redis does not keep the status: MISCONF"), "{trouble}");
    admin.get("/readyz", 200).await;
    let metrics = admin.get("/metrics", 200).await;
    assert!(metrics.contains("tickstock_bus_up 1") && metrics.contains("tickstock_bus_status_kept 0"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_publish_is_said_once_and_steadily_until_it_is_allowed() {
    let redis = RedisServer::start().await;
    redis.command("ACL SETUSER feed on >secret ~* &* +@all -publish").await.unwrap();
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::open(&redis.url_of("feed", "secret"));
    collector.until("it is refused", |bus| bus.reason.as_ref().is_some_and(|reason| reason.contains("NOPERM"))).await;
    let (told, reason) = (collector.told, collector.status.reason.clone());
    collector.publish_for(Duration::from_secs(2), 10).await;
    assert_eq!(collector.status.reason, reason, "the words stay");
    assert!(reason.unwrap().starts_with("Redis does not take ticks: NOPERM"));
    assert!(!collector.status.connected && collector.status.not_publishing_since.is_some());
    assert!(collector.told - told < 12, "counts alone change: {}", collector.told - told);

    redis.command("ACL SETUSER feed +publish").await.unwrap();
    collector.until("it is allowed", |bus| bus.connected && bus.not_publishing_since.is_none()).await;
    collector.publish(60);
    collector.agree(listener.rest().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_that_comes_and_goes_costs_no_tick_that_is_not_counted() {
    let redis = RedisServer::start().await;
    redis.command("ACL SETUSER feed on >secret ~* &* +@all").await.unwrap();
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&redis.url_of("feed", "secret")).await;
    for _ in 0..3 {
        collector.publish_for(Duration::from_millis(100), 50).await;
        redis.command("ACL SETUSER feed -publish").await.unwrap();
        collector.publish_for(Duration::from_millis(200), 50).await;
        assert!(!collector.status.connected);
        redis.command("ACL SETUSER feed +publish").await.unwrap();
        collector.until("it is allowed", |bus| bus.connected).await;
    }
    collector.publish(60);
    collector.agree(listener.rest().await).await;
    assert!(collector.status.unpublished_ticks_total > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_confined_to_the_channels_it_needs_is_no_trouble() {
    let redis = RedisServer::start().await;
    redis
        .command("ACL SETUSER feed on >secret resetchannels &test:market:ticks &test:websocket:status ~test:* +@all")
        .await
        .unwrap();
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::open(&redis.url_of("feed", "secret"));
    collector.publish(60);
    collector.publish_status();
    collector.until("the bus carries ticks", |bus| bus.connected).await;
    collector.agree(listener.rest().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_of_a_sentinel_is_named_as_such_in_a_few_words() {
    let sentinel = RedisServer::start_sentinel().await;
    let mut collector = Collector::open(&sentinel.url);
    collector.publish(600);
    collector.publish_status();
    collector.until("it is refused", |bus| bus.reason.as_ref().is_some_and(|reason| reason.contains("Sentinel"))).await;
    collector.publish_for(Duration::from_secs(1), 10).await;
    let reason = collector.status.reason.clone().unwrap();
    assert!(reason.contains("this is the port of a Sentinel") && reason.len() < 200, "{reason}");
    assert!(!collector.status.connected && collector.told < 12, "{} times: {:?}", collector.told, collector.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_that_died_silently_swallowed_is_published_or_counted() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(port_of(&redis)).await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    collector.publish_for(Duration::from_millis(200), 10).await;
    sleep(Duration::from_millis(300)).await;
    proxy.forget_connections();
    collector.publish(20);
    let since = Instant::now();
    collector.until("it is noticed", |bus| !bus.connected).await;
    collector.publish(40);
    collector.until("it is mended", |bus| bus.connected).await;
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    collector.publish(60);
    collector.agree(listener.rest().await).await;
    assert_eq!(collector.status.unpublished_ticks_total, 60 - SYMBOLS.len() as u64, "the latest of each symbol alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_paused_is_down_until_it_goes_on_and_loses_nothing_that_it_was_sent() {
    let redis = RedisServer::start().await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&redis.url).await;
    collector.publish_for(Duration::from_millis(100), 10).await;
    let since = Instant::now();
    redis.command(&format!("CLIENT PAUSE {} WRITE", fault_time().as_millis())).await.unwrap();
    let mut looks = Vec::new();
    while since.elapsed() < fault_time() - Duration::from_millis(100) {
        collector.publish_for(Duration::from_millis(50), 10).await;
        looks.push((since.elapsed(), collector.status.connected, collector.status.reason.is_some()));
    }
    let wrong = looks.iter().filter(|(at, connected, _)| *at > Duration::from_millis(2_300) && *connected).count();
    assert_eq!(wrong, 0, "after 2 s it is down in every look: {looks:?}");
    let quiet = looks.iter().filter(|(at, _, told)| *at > Duration::from_millis(1_400) && !told).count();
    assert_eq!(quiet, 0, "and before that it is said to be behind: {looks:?}");
    collector.until("it goes on", |bus| bus.connected).await;
    collector.publish(60);
    collector.agree(listener.rest().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stood_still_takes_what_it_was_sent_and_the_rest_is_counted() {
    let redis = RedisServer::start().await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&redis.url).await;
    collector.publish_for(Duration::from_millis(100), 10).await;
    redis.hang();
    collector.publish_for(fault_time(), 10).await;
    assert!(!collector.status.connected);
    redis.go_on();
    collector.until("it goes on", |bus| bus.connected).await;
    collector.publish(60);
    collector.agree(listener.rest().await).await;
    assert!(collector.status.unpublished_ticks_total > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_100_ms_away_takes_12_000_ticks_a_second_and_the_way_is_measured() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(port_of(&redis)).await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    proxy.delay(Duration::from_millis(50));
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        let due = (since.elapsed().as_secs_f64() * 12_000.0) as u64;
        collector.publish(due.saturating_sub(collector.published).max(1));
        collector.look();
        sleep(Duration::from_millis(2)).await;
    }
    collector.until("the way is measured", |bus| bus.lag_ms.is_some_and(|lag| lag >= 100)).await;
    assert!(collector.status.lag_ms < Some(900), "{:?}", collector.status);
    collector.agree(listener.rest().await).await;
    assert_eq!(collector.status.unpublished_ticks_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_behind_is_said_to_be_by_how_much() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(port_of(&redis)).await;
    let mut collector = Collector::connected(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    proxy.delay(Duration::from_millis(700));
    let since = Instant::now();
    while collector.status.reason.is_none() && since.elapsed() < PATIENCE {
        collector.publish_for(Duration::from_millis(100), 5).await;
    }
    assert!(collector.status.connected, "late is not gone: {:?}", collector.status);
    let reason = collector.status.reason.clone().unwrap_or_default();
    assert!(reason.starts_with("Redis is 1.") && reason.ends_with(" s behind"), "{reason}");
    proxy.delay(Duration::ZERO);
    collector.publish_for(Duration::from_millis(500), 5).await;
    collector.until("it caught up", |bus| bus.connected && bus.reason.is_none() && bus.lag_ms < Some(500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_each_outage_our_own_inbox_has_the_latest_of_each_symbol_without_another_tick() {
    let mut redis = RedisServer::start().await;
    let mut collector = Collector::connected(&redis.url).await;
    for outage in 0..4 {
        redis.kill();
        collector.until("the loss is noticed", |bus| !bus.connected && bus.not_publishing_since.is_some()).await;
        collector.publish(60);
        redis.restart().await;
        collector.until("it is back", |bus| bus.connected).await;
        let newest: BTreeSet<_> = (collector.published - SYMBOLS.len() as u64..collector.published).collect();
        let since = Instant::now();
        while !newest.iter().all(|n| collector.seen.contains(n)) {
            collector.look();
            assert!(since.elapsed() < Duration::from_secs(3), "outage {outage}: {newest:?} of {:?}", collector.seen);
            sleep(Duration::from_millis(5)).await;
        }
        let lost = (outage + 1) * (60 - SYMBOLS.len() as u64);
        assert_eq!(collector.status.unpublished_ticks_total, lost, "outage {outage}");
    }
    assert_eq!(collector.seen.len(), 4 * SYMBOLS.len(), "and nothing else: {:?}", collector.seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_redis_dies_in_the_middle_of_each_tick_came_back_or_is_counted() {
    let mut redis = RedisServer::start().await;
    let mut collector = Collector::connected(&redis.url).await;
    for _ in 0..3 {
        collector.publish_for(Duration::from_millis(100), 200).await;
        redis.kill();
        collector.publish_for(Duration::from_millis(100), 200).await;
        collector.until("the loss is noticed", |bus| !bus.connected).await;
        redis.restart().await;
        collector.until("it is back", |bus| bus.connected).await;
    }
    collector.publish(60);
    let published = collector.published;
    let since = Instant::now();
    while collector.seen.len() as u64 + collector.status.unpublished_ticks_total != published {
        let sum = (collector.seen.len(), collector.status.unpublished_ticks_total);
        assert!(since.elapsed() < PATIENCE, "{sum:?} of {published}");
        collector.look();
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(collector.seen.iter().collect::<BTreeSet<_>>().len(), collector.seen.len(), "none twice");
    for symbol in 0..SYMBOLS.len() as u64 {
        let of_symbol = collector.seen.iter().filter(|n| *n % SYMBOLS.len() as u64 == symbol);
        assert!(of_symbol.is_sorted(), "no symbol goes back in time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_faults_by_chance_every_tick_is_accounted_for() {
    let redis = RedisServer::start().await;
    redis.command("ACL SETUSER feed on >secret ~* &* +@all").await.unwrap();
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&redis.url_of("feed", "secret")).await;
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let since = Instant::now();
    while since.elapsed() < fault_time() {
        match random.random_range(0..5) {
            0 => drop(redis.command("CLIENT KILL TYPE normal").await),
            1 => drop(redis.command(&format!("CLIENT KILL ID {}", own_subscription(&redis).await)).await),
            2 => drop(redis.command("CLIENT PAUSE 200 WRITE").await),
            3 => {
                redis.hang();
                collector.publish_for(Duration::from_millis(100), 20).await;
                redis.go_on();
            }
            _ => {
                redis.command("ACL SETUSER feed -publish").await.unwrap();
                collector.publish_for(Duration::from_millis(50), 20).await;
                redis.command("ACL SETUSER feed +publish").await.unwrap();
            }
        }
        let time = Duration::from_millis(random.random_range(0..400));
        collector.publish_for(time, random.random_range(1..100)).await;
    }
    collector.until("it is back", |bus| bus.connected).await;
    collector.publish(60);
    collector.agree(listener.rest().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_own_subscription_misses_is_counted_and_reaches_the_inbox_all_the_same() {
    let redis = RedisServer::start().await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&redis.url).await;
    let own = own_subscription(&redis).await;
    redis.command(&format!("CLIENT KILL ID {own}")).await.unwrap();
    collector.publish(100);
    collector.until("the loss is noticed", |bus| bus.missed_ticks_total == 100).await;
    collector.until("it is back", |bus| bus.connected).await;
    // And in the middle of everything.
    for _ in 0..3 {
        collector.publish_for(Duration::from_millis(50), 40).await;
        let own = own_subscription(&redis).await;
        redis.command(&format!("CLIENT KILL ID {own}")).await.unwrap();
        collector.publish_for(Duration::from_millis(250), 40).await;
    }
    collector.agree(listener.rest().await).await;
    assert!(collector.status.missed_ticks_total > 100);
    assert_eq!(collector.status.unpublished_ticks_total, 0);
}

/// By which number Redis knows the subscription that is not the listener's: the youngest.
async fn own_subscription(redis: &RedisServer) -> u64 {
    let list = eventually("two are subscribed", || async {
        let list: String = redis::from_redis_value(redis.command("CLIENT LIST TYPE pubsub").await.unwrap()).unwrap();
        (list.lines().count() == 2).then_some(list)
    })
    .await;
    let number = |line: &str| line.split(' ').next()?.strip_prefix("id=")?.parse().ok();
    list.lines().filter_map(number).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_whose_clients_are_too_many_is_said_to_hang_up() {
    let redis = RedisServer::start().await;
    let _listener = redis.listen(CHANNEL).await;
    redis.command("CONFIG SET maxclients 1").await.unwrap();
    let mut collector = Collector::open(&redis.url);
    let says_so = |bus: &BusStatus| bus.reason.as_ref().is_some_and(|reason| reason.contains("clients"));
    timeout(PATIENCE, collector.until("it says why", says_so)).await.unwrap();
    assert!(collector.status.reason.as_ref().unwrap().len() < 200);
}
