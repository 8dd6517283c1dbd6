//! What Redis refuses: to write, to publish, to take us as a client at all.

use super::{CHANNEL, Collector};
use crate::util::{PATIENCE, RedisServer, TestServer, eventually};
use app::model::status::BusStatus;
use std::time::Duration;
use tokio::time::timeout;

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
        collector.agree(&mut listener).await;
        assert_eq!(collector.status.unpublished_ticks_total, 0, "{fault}");

        // One that is begun under it is no worse off.
        let mut late = Collector::connected(&redis.url).await;
        late.publish(100);
        late.agree(&mut listener).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_lost_its_disk_leaves_the_server_ready() {
    let redis = RedisServer::start().await;
    let server = TestServer::start([("REDIS_URL", redis.url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    redis.lose_the_disk().await;
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
    collector.agree(&mut listener).await;
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
    collector.agree(&mut listener).await;
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
    collector.agree(&mut listener).await;
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
async fn a_redis_whose_clients_are_too_many_is_said_to_hang_up() {
    let redis = RedisServer::start().await;
    let _listener = redis.listen(CHANNEL).await;
    redis.command("CONFIG SET maxclients 1").await.unwrap();
    let mut collector = Collector::open(&redis.url);
    let says_so = |bus: &BusStatus| bus.reason.as_ref().is_some_and(|reason| reason.contains("clients"));
    timeout(PATIENCE, collector.until("it says why", says_so)).await.unwrap();
    assert!(collector.status.reason.as_ref().unwrap().len() < 200);
}
