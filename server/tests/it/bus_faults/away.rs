//! A Redis that is gone, late, or does not answer; and connections to it that end.

use super::{CHANNEL, Collector, SYMBOLS};
use crate::util::{PATIENCE, Proxy, RedisServer, eventually};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How long a fault lasts that takes its time.
fn fault_time() -> Duration {
    Duration::from_secs(std::env::var("BUS_FAULT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connection_that_died_silently_swallowed_is_published_or_counted() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
    let mut listener = redis.listen(CHANNEL).await;
    let mut collector = Collector::connected(&format!("redis://127.0.0.1:{}", proxy.port)).await;
    collector.publish_for(Duration::from_millis(200), 10).await;
    collector.agree(&mut listener).await;
    proxy.forget_connections();
    collector.publish(20);
    let since = Instant::now();
    collector.until("it is noticed", |bus| !bus.connected).await;
    collector.publish(40);
    collector.until("it is mended", |bus| bus.connected).await;
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    collector.publish(60);
    collector.agree(&mut listener).await;
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
    collector.agree(&mut listener).await;
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
    collector.agree(&mut listener).await;
    assert!(collector.status.unpublished_ticks_total > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_100_ms_away_takes_12_000_ticks_a_second_and_the_way_is_measured() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
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
    collector.agree(&mut listener).await;
    assert_eq!(collector.status.unpublished_ticks_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_behind_is_said_to_be_by_how_much() {
    let redis = RedisServer::start().await;
    let proxy = Proxy::start(redis.port).await;
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
            assert!(since.elapsed() < Duration::from_secs(3), "outage {outage}: {newest:?} of {:?}", collector.seen);
            collector.news().await;
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
        collector.news().await;
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
    collector.agree(&mut listener).await;
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
    collector.agree(&mut listener).await;
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
