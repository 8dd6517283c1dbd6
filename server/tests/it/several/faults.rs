//! Servers that stand still or are cut off, and a Redis that is away or lost what it knew.

use super::Cluster;
use crate::util::{Clock, Proxy, RedisServer, eventually};
use server::{
    bus::{Asker, LeaseOnRedis, Right},
    collector::keep,
    config::RedisConfig,
};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_stood_still_is_fenced_and_stands_by_and_never_connects_again() {
    let cluster = Cluster::start().await;
    let (first, [second]) = cluster.with_standbys(["b:2"]).await;
    let epoch = cluster.epoch();
    first.process.signal("-STOP");
    let (_, new) = cluster.seen.first_after(epoch).await;
    sleep(Duration::from_secs(1)).await;
    first.process.signal("-CONT");
    first.until_it_is("standby").await;
    second.until_it_collects().await;
    cluster.until_ticks_come().await;
    cluster.seen.epochs_never_fall();
    assert_eq!((cluster.epoch(), first.gate.arrivals(), second.gate.arrivals()), (new, 2, 2));
    eventually("its connections have ended", || async { (first.gate.open() == 0).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_cut_off_from_redis_is_followed_by_another_one_and_stands_by_when_it_is_back() {
    let cluster = Cluster::start().await;
    let proxy = Proxy::start(cluster.redis.port).await;
    let first = cluster.server_through("a:1", &format!("redis://127.0.0.1:{}", proxy.port)).await;
    first.until_it_collects().await;
    let second = cluster.server("b:2").await;
    second.until_it_is("standby").await;
    cluster.until_ticks_come().await;
    let epoch = cluster.epoch();
    sleep(Duration::from_millis(500)).await;
    proxy.shut(true);
    proxy.forget_connections();
    cluster.seen.first_after(epoch).await;
    second.until_it_collects().await;
    assert!(cluster.market.sessions().await <= 3);
    proxy.shut(false);
    first.until_it_is("standby").await;
    cluster.until_ticks_come().await;
    cluster.seen.epochs_never_fall();
    assert_eq!(first.gate.arrivals(), 2, "it never connected again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_or_stands_still_costs_no_connection_and_no_gap() {
    let mut cluster = Cluster::start().await;
    let (first, [second]) = cluster.with_standbys(["b:2"]).await;
    let mut epoch = cluster.epoch();
    for fault in ["restart", "pause", "flush"] {
        sleep(Duration::from_millis(500)).await;
        match fault {
            "restart" => {
                cluster.redis.kill();
                sleep(Duration::from_secs(3)).await;
                cluster.redis.restart().await;
            }
            "pause" => {
                cluster.redis.hang();
                sleep(Duration::from_secs(5)).await;
                cluster.redis.go_on();
            }
            _ => drop(cluster.redis.command("FLUSHALL").await.unwrap()),
        }
        cluster.until_ticks_come().await;
        let holder = if first.role().await == "collector" { &first } else { &second };
        assert!(cluster.epoch() >= epoch, "{fault}");
        epoch = cluster.epoch();
        if fault == "pause" {
            assert_eq!((holder.name, second.gate.arrivals()), ("a:1", 0), "nobody else could have taken over: {fault}");
        }
    }
    cluster.seen.epochs_never_fall();
    let gaps = first.gaps().await;
    if second.gate.arrivals() == 0 {
        assert_eq!(first.gate.arrivals(), 2);
        assert!(gaps.iter().all(|gap| gap["connection_id"].is_null()), "of the bus alone: {gaps:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_jumps_ahead_and_back_changes_nothing_about_the_lease() {
    let cluster = Cluster::start().await;
    let clock = Clock::ahead(0);
    let time = clock.variables();
    let time = time.each_ref().map(|(name, value)| (*name, value.as_str()));
    let first = cluster.server_with("a:1", &cluster.redis.url, &time).await;
    first.until_it_collects().await;
    let second = cluster.server("b:2").await;
    second.until_it_is("standby").await;
    cluster.until_ticks_come().await;
    let epoch = cluster.epoch();
    let hour = 3_600_000;
    for jump in [hour, -2 * hour, hour] {
        clock.advance(jump);
        // Longer than a lease that is not renewed.
        sleep(Duration::from_millis(1_800)).await;
        assert_eq!((&*first.role().await, &*second.role().await), ("collector", "standby"));
    }
    cluster.until_ticks_come().await;
    assert!(cluster.seen.all().iter().all(|(_, seen)| *seen == epoch), "one tenure");
    assert_eq!((first.gate.arrivals(), second.gate.arrivals()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_beside_a_redis_that_lost_its_data_lets_whoever_collected_go_first() {
    let redis = RedisServer::start().await;
    redis.command("FLUSHALL").await.unwrap();
    let config = RedisConfig { url: redis.url.as_str().into(), key_prefix: "tickstock:".into(), publish_ticks: true };
    let asker = Asker { server: "b:2".into(), host: "b".into(), build: "1".into() };
    let (keeper, task) = keep(LeaseOnRedis::new(&config, asker).unwrap(), Right::default(), "b:2".into(), true);
    let since = Instant::now();
    let _task = AbortOnDropHandle::new(tokio::spawn(task));
    let mut standing = keeper.standing();
    standing.wait_for(|standing| standing.tenure.is_some()).await.unwrap();
    assert!(since.elapsed() >= Duration::from_millis(600), "{:?}: before a holder could ask again", since.elapsed());
}
