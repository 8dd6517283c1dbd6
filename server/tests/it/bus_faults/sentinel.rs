//! Redis servers that are watched by Sentinels, and what they do when the master goes.

use super::{CHANNEL, Collector, SYMBOLS};
use crate::util::{RedisServer, Watched, eventually, free_port};
use app::model::time::UnixMillis;
use server::bus::read_tick;

/// What is published from now on comes to the subscribers of the master; all of before came back or is counted.
async fn goes_on_at(master: &RedisServer, collector: &mut Collector) {
    // What waited meanwhile goes out before.
    until_all_is_accounted(collector).await;
    let mut listener = master.listen(CHANNEL).await;
    let first = collector.published;
    collector.publish(60);
    for number in first..first + 60 {
        let tick = read_tick(listener.next().await.as_bytes(), UnixMillis::now()).unwrap();
        assert_eq!(tick.volume, number);
    }
    until_all_is_accounted(collector).await;
}

async fn until_all_is_accounted(collector: &mut Collector) {
    while collector.seen.len() as u64 + collector.status.unpublished_ticks_total != collector.published {
        collector.news().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fail_over_that_is_ordered_is_survived() {
    let watched = Watched::start().await;
    let mut collector = Collector::connected(&watched.url).await;
    goes_on_at(&watched.first, &mut collector).await;
    watched.fail_over().await;
    collector.until("the end of the connections is noticed", |bus| !bus.connected).await;
    collector.publish(60);
    collector.until("it is back", |bus| bus.connected).await;
    goes_on_at(&watched.second, &mut collector).await;
    assert!(collector.status.unpublished_ticks_total <= 60 - SYMBOLS.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed_is_replaced() {
    let mut watched = Watched::start().await;
    // One of the Sentinels is down.
    let url = watched.url.replacen("127.0.0.1", &format!("127.0.0.1:{},127.0.0.1", free_port()), 1);
    let mut collector = Collector::connected(&url).await;
    watched.first.kill();
    collector.until("the loss is noticed", |bus| !bus.connected).await;
    collector.publish(60);
    collector.until("it is back", |bus| bus.connected).await;
    goes_on_at(&watched.second, &mut collector).await;
    assert_eq!(watched.master().await, watched.second.port);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_was_made_a_replica_and_hangs_up_on_nobody_is_left() {
    let watched = Watched::start().await;
    let mut collector = Collector::connected(&watched.url).await;
    // By hand: Sentinels end the connections.
    watched.sentinel.command("SENTINEL REMOVE main").await.unwrap();
    watched.second.command("REPLICAOF NO ONE").await.unwrap();
    watched.first.command(&format!("REPLICAOF 127.0.0.1 {}", watched.second.port)).await.unwrap();
    watched.monitor(watched.second.port).await;
    collector.publish(60);
    collector.publish_status();
    collector.until("the old one is left", |bus| bus.reason.is_some()).await;
    collector.until("the new one is found", |bus| bus.connected).await;
    goes_on_at(&watched.second, &mut collector).await;
    let clients = watched.first.command("CLIENT LIST TYPE pubsub").await.unwrap();
    let clients: String = redis::from_redis_value(clients).unwrap();
    assert!(clients.lines().all(|line| line.contains("name=sentinel-")), "nobody else is subscribed: {clients}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_sentinels_is_said() {
    let mut redis = RedisServer::start().await;
    redis.command("ACL SETUSER default resetpass >swordfish").await.unwrap();
    let port = redis.port;
    let sentinel = RedisServer::start_sentinel().await;
    sentinel.command(&format!("SENTINEL MONITOR main 127.0.0.1 {port} 1")).await.unwrap();
    let nobody = free_port();
    let at = sentinel.port;
    for (url, words) in [
        (format!("127.0.0.1:{nobody}/main"), format!("the Sentinel 127.0.0.1:{nobody}: Connection refused")),
        (format!("127.0.0.1:{at}/other"), format!("the Sentinel 127.0.0.1:{at} knows no master named \"other\"")),
        (format!("127.0.0.1:{at}/main"), format!("the master 127.0.0.1:{port} that the Sentinels name: ")),
        (format!(":wrong@127.0.0.1:{at}/main"), "Password authentication failed".to_owned()),
        (format!("127.0.0.1:{at}/main?sentinel_password=wrong"), format!("the Sentinel 127.0.0.1:{at}: ")),
        (
            format!("127.0.0.1:{port}/main?sentinel_password=swordfish"),
            format!("127.0.0.1:{port} is a Redis and no Sentinel"),
        ),
    ] {
        let mut collector = Collector::open(&format!("redis+sentinel://{url}"));
        let says =
            |bus: &app::model::status::BusStatus| bus.reason.as_ref().is_some_and(|reason| reason.contains(&words));
        collector.until(&words, says).await;
        let said = format!("{:?}", collector.status);
        assert!(!said.contains("wrong") && !said.contains("swordfish"), "{said}");
    }
    let mut collector = Collector::connected(&format!("redis+sentinel://:swordfish@127.0.0.1:{at}/main")).await;

    // The Sentinels want a password as well, and tell nothing without it.
    sentinel.command("ACL SETUSER default resetpass >sesame").await.unwrap();
    let other = format!("redis+sentinel://:swordfish@127.0.0.1:{at}/main?sentinel_password=sesame");
    Collector::connected(&other).await;
    redis.kill();
    collector
        .until("it says which password", |bus| {
            bus.reason.as_ref().is_some_and(|reason| reason.contains("wants a password: sentinel_password"))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_counted_on_the_master_and_on_the_next_one() {
    use crate::util::Monitor;
    let mut watched = Watched::start().await;
    let monitor = Monitor::start(&[("REDIS_URL", &watched.url)]);
    monitor.until_ready().await;
    let admin = monitor.admin().await;
    let count = |redis: &RedisServer| {
        let client = redis.client();
        async move {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            let keys: Vec<String> =
                redis::cmd("KEYS").arg("tickstock:limits:*").query_async(&mut connection).await.ok()?;
            (!keys.is_empty()).then_some(())
        }
    };
    // The place of a socket counts for a while, and its rate for a moment.
    let _socket = admin.socket(None).await;
    eventually("limits are on the master", || count(&watched.first)).await;
    watched.first.kill();
    eventually("the other is the master", || async { (watched.master().await == watched.second.port).then_some(()) })
        .await;
    watched.second.command("FLUSHALL").await.unwrap();
    eventually("limits are on the next master", || async {
        // Not more of them than an account may have.
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let _socket = admin.socket(None).await;
        count(&watched.second).await
    })
    .await;
}
