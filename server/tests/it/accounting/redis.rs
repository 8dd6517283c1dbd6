//! What Redis does, and the way to it: what is missing there was counted, and the page has what Redis has.

use super::{Books, readers, spawn};
use crate::util::{Proxy, RedisServer, eventually};
use app::model::history::gap::{BUS, GapCause};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// Nothing on Redis is lost when it only pauses: what waits is sent afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_pauses_writing_gets_every_tick_afterwards() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.redis.command("CLIENT PAUSE 1500 WRITE").await.unwrap();
    books.provider.trade(50).await;
    books.agree().await;
    assert_eq!(books.bus().await["unpublished_ticks_total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refuses_is_missing_there_alone_and_counted_to_the_tick() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.agree().await;
    books.redis.command("ACL SETUSER default -publish").await.unwrap();
    books.provider.trade(50).await;
    books.until_the_bus_is(false).await;
    books.provider.trade(50).await;
    books.redis.command("ACL SETUSER default +publish").await.unwrap();
    books.until_the_bus_is(true).await;
    books.provider.trade(20).await;
    let missing = books.only_what_was_not_published_is_missing().await;
    assert!(missing > 0, "it was refused for a while");
    let gap = books.gaps().await.remove(0);
    assert_eq!((gap.connection_id, gap.cause), (BUS, GapCause::BusDown), "{gap:?}");
}

/// Publishing needs neither its disk nor its memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_to_write_costs_no_tick() {
    let books = Books::open().await;
    books.redis.lose_the_disk().await;
    books.provider.trade(50).await;
    books.agree().await;
    books.redis.command("CONFIG SET maxmemory 1").await.unwrap();
    books.provider.trade(50).await;
    books.agree().await;
    let bus = books.bus().await;
    assert!(bus["status_trouble"].is_string(), "{bus}");
    assert_eq!((&bus["connected"], &bus["unpublished_ticks_total"]), (&Value::from(true), &Value::from(0)), "{bus}");
    assert_eq!(books.gaps().await, []);
}

/// Redis ends the publisher's connections while nothing is under way, as a firewall does.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_redis_that_end_while_they_are_idle_cost_what_is_counted() {
    let books = Books::open().await;
    for _ in 0..5 {
        books.provider.trade(20).await;
        books.redis.command("CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
        books.provider.trade(20).await;
        books.until_the_bus_is(true).await;
    }
    books.provider.trade(1).await;
    books.only_what_was_not_published_is_missing().await;
}

/// Its subscribers and its publisher are all gone at once; what comes meanwhile waits, the latest of each symbol.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_and_started_again_misses_what_was_counted() {
    let (mut books, proxy) = Books::open_through_a_proxy().await;
    books.provider.trade(20).await;
    books.agree().await;
    books.redis.kill();
    books.until_the_bus_is(false).await;
    books.provider.trade(50).await;
    books.start_redis_again(&proxy).await;
    books.provider.trade(20).await;
    assert_eq!(books.only_what_was_not_published_is_missing().await, 7 * 49);
}

/// What it had taken and not passed on nobody knows but our own subscription, which ends with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_amid_the_ticks_took_what_the_page_has_and_the_rest_is_counted() {
    let (mut books, proxy) = Books::open_through_a_proxy().await;
    books.provider.trade(20).await;
    books.agree().await;
    let seen = Arc::clone(&books.seen);
    let on_redis = || seen.lock().unwrap().redis.values().map(Vec::len).sum::<usize>();
    let before = on_redis();
    let death = async {
        eventually("it is in the midst of it", || async { (on_redis() > before + 100).then_some(()) }).await;
        books.redis.kill();
    };
    tokio::join!(books.provider.trade(600), death);
    books.until_the_bus_is(false).await;
    books.until_ticks_are_lost().await;
    books.start_redis_again(&proxy).await;
    books.provider.trade(20).await;
    let sent: u64 = books.sent_to().iter().sum();
    let unpublished = eventually("what the page does not have was not published", || async {
        let page: u64 = books.seen.lock().unwrap().page.binary.values().sum();
        let unpublished = books.unpublished().await;
        (page + unpublished == sent).then_some(unpublished)
    })
    .await;
    assert!(unpublished > 0, "it was away");
    books.in_order_on_redis();
    let page = books.seen.lock().unwrap().page.binary.clone();
    books.agree_that_the_page_has(&page).await;
    books.the_ledger_misses(unpublished).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_takes_what_it_was_sent_and_misses_what_was_counted() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.redis.hang();
    books.provider.trade(50).await;
    books.until_ticks_are_lost().await;
    books.redis.go_on();
    books.until_the_bus_is(true).await;
    books.provider.trade(20).await;
    assert!(books.only_what_was_not_published_is_missing().await > 0);
}

/// Longer than it may take to answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_pauses_writing_for_long_misses_what_was_counted() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.redis.command("CLIENT PAUSE 3500 WRITE").await.unwrap();
    books.provider.trade(50).await;
    books.until_ticks_are_lost().await;
    books.until_the_bus_is(true).await;
    books.provider.trade(20).await;
    assert!(books.only_what_was_not_published_is_missing().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_100_ms_away_gets_every_tick_and_the_way_is_measured() {
    let (books, proxy) = Books::open_through_a_proxy().await;
    proxy.delay(Duration::from_millis(50));
    for _ in 0..20 {
        books.provider.trade(100).await;
    }
    books.agree().await;
    let bus = eventually("the way is measured", || async {
        Some(books.bus().await).filter(|bus| bus["lag_ms"].as_u64() >= Some(100))
    })
    .await;
    assert_eq!((&bus["connected"], &bus["unpublished_ticks_total"]), (&Value::from(true), &Value::from(0)), "{bus}");
    assert_eq!(books.gaps().await, []);
}

/// A replica of another Redis knows nothing of the lease, and may be the replica of one on which somebody else collects.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_becomes_a_replica_misses_what_was_counted_until_it_is_a_primary_again() {
    let (books, primary) = tokio::join!(Books::open(), RedisServer::start());
    books.provider.trade(20).await;
    books.redis.command(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).await.unwrap();
    books.until_the_bus_is(false).await;
    books.until_ticks_are_lost().await;
    books.redis.command("REPLICAOF NO ONE").await.unwrap();
    books.until_the_bus_is(true).await;
    books.provider.trade(50).await;
    assert!(books.only_what_was_not_published_is_missing().await > 0);
}

impl Books {
    /// What Redis was sent before it may still take; what comes once it has not answered for long waits or is lost.
    async fn until_ticks_are_lost(&self) {
        eventually("ticks are lost", || async {
            self.provider.trade(5).await;
            (self.unpublished().await > 0).then_some(())
        })
        .await;
    }

    /// Redis is back, and has a subscriber who counts before the server finds it.
    async fn start_redis_again(&mut self, proxy: &Proxy) {
        proxy.shut(true);
        self.redis.restart().await;
        self.redis_reader = spawn(readers::read_redis(&self.redis, Arc::clone(&self.seen)).await);
        proxy.shut(false);
        self.until_the_bus_is(true).await;
    }
}
