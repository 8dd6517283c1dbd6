//! One server dies, or is told to stop, and another one takes over.

use super::Cluster;
use crate::util::eventually;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_collects_and_the_other_shows_what_it_publishes_and_says_who_collects() {
    let cluster = Cluster::start().await;
    let (first, [second]) = cluster.with_standbys(["b:2"]).await;
    assert_eq!((first.gate.arrivals(), second.gate.arrivals(), second.gate.open()), (2, 0, 0));
    let status = eventually("the standby has the collector's status", || async {
        let status = second.status().await;
        let is_up = |n: usize| status["connections"][n]["state"] == "connected";
        (is_up(0) && is_up(1) && status["status_source"] == "reported").then_some(status)
    })
    .await;
    assert_eq!((&status["role"], &status["collector"]["server"]), (&json!("standby"), &json!("a:1")));
    assert_eq!(status["collector"]["epoch"], cluster.epoch());
    assert_eq!(first.status().await["collector"], status["collector"]);
    assert!(status["connections"][0]["metrics"]["ticks_total"].as_u64() > Some(0), "{status}");

    let ready = second.process.ready().await;
    assert_eq!((&ready["ready"], &ready["role"]), (&json!(true), &json!("standby")), "{ready}");
    let metrics = first.process.get("/metrics").await.unwrap();
    assert!(metrics.contains("tickstock_collector 1"), "{metrics}");
    assert!(metrics.contains(&format!("tickstock_lease_epoch {}", cluster.epoch())), "{metrics}");
    assert!(metrics.contains("tickstock_lease_renew_seconds{quantile=\"0.99\"}"), "{metrics}");
    assert!(second.process.get("/metrics").await.unwrap().contains("tickstock_collector 0"));
    assert_eq!(second.gate.arrivals(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_collector_is_killed_another_one_publishes_within_two_seconds_and_its_ledger_has_the_gap() {
    let _measuring = super::MEASURING.read().await;
    let cluster = Cluster::start().await;
    let (mut first, [second, third]) = cluster.with_standbys(["b:2", "c:3"]).await;
    let epoch = cluster.epoch();
    let killed = Instant::now();
    first.process.kill();
    let (at, _) = cluster.seen.first_after(epoch).await;
    assert!(at - killed < Duration::from_secs(2), "{:?}", at - killed);
    let (new, other) = if second.role().await == "collector" { (second, third) } else { (third, second) };
    new.until_it_collects().await;
    other.until_it_is("standby").await;
    assert_eq!((new.gate.arrivals(), other.gate.arrivals()), (2, 0), "one of two");
    let gaps = eventually("the ledger has both gaps", || async {
        let gaps = new.gaps().await;
        (gaps.len() == 2 && gaps.iter().all(|gap| gap["ended_at"].is_string())).then_some(gaps)
    })
    .await;
    for gap in gaps {
        assert_eq!(gap["cause"], "failover", "{gap}");
        let length = gap["duration_ms"].as_u64().unwrap();
        let seen = (at - killed).as_millis() as u64;
        assert!(length.abs_diff(seen) < 400, "{length} ms, {seen} ms on Redis: {gap}");
    }
    cluster.seen.epochs_never_fall();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_told_to_stop_hands_over_within_half_a_second() {
    let _measuring = super::MEASURING.read().await;
    let cluster = Cluster::start().await;
    let (mut first, [second]) = cluster.with_standbys(["b:2"]).await;
    let epoch = cluster.epoch();
    let _stuck = first.process.stuck_request();
    // It has been seen to stand by since the last renewal.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let told = Instant::now();
    first.process.signal("-TERM");
    let (at, _) = cluster.seen.first_after(epoch).await;
    assert!(at - told < Duration::from_millis(500), "{:?}", at - told);
    second.until_it_collects().await;
    assert_eq!((first.gate.open(), cluster.market.sessions().await), (0, 2), "the old one ended its own first");
    let gaps = eventually("the ledger has both gaps", || async {
        let gaps = second.gaps().await;
        (gaps.len() == 2 && gaps.iter().all(|gap| gap["ended_at"].is_string())).then_some(gaps)
    })
    .await;
    for gap in gaps {
        assert_eq!(gap["cause"], "handover", "{gap}");
        assert!(gap["duration_ms"].as_u64() < Some(600), "{gap}");
    }
    cluster.seen.epochs_never_fall();
    assert!(first.process.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_collects_says_when_nobody_does() {
    let cluster = Cluster::start().await;
    let dashboard = crate::util::TestServer::start([
        ("REDIS_URL", cluster.redis.url.as_str()),
        ("MONITOR_ROLE", "dashboard"),
        ("SERVER_NAME", "d:4"),
    ])
    .await;
    let admin = dashboard.admin().await;
    let status = admin.wait_for_state(1, "failed").await;
    assert_eq!((&status["role"], &status["collector"]), (&json!("dashboard"), &json!(null)));
    let reason = status["connections"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("No server collects since "), "{reason}");
    let first = cluster.server("a:1").await;
    first.until_it_collects().await;
    admin.wait_for_state(1, "connected").await;
    eventually("it says who collects", || async {
        (admin.status().await["collector"]["server"] == "a:1").then_some(())
    })
    .await;
}
