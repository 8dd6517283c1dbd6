//! What is asked for on one server and done by another.

use super::Cluster;
use crate::util::{TestServer, eventually};
use serde_json::Value;
use std::{
    fs,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_on_a_standby_is_done_by_the_collector_and_answered_and_on_record_on_both() {
    let cluster = Cluster::start().await;
    let (first, [second]) = cluster.with_standbys(["b:2"]).await;
    let (admin, of_first) = (second.process.admin().await, first.process.admin().await);
    // Each server has its own settings; what the collector changed is what is answered.
    for server in [&first, &second] {
        fs::write(server.process.folder.path().join(".env"), "WEBSOCKET_CONNECTION_1_NAME=renamed").unwrap();
    }
    let hash = async || admin.get_json("/api/admin/servers", 200).await["servers"][1]["configuration"].take();
    let before = hash().await;
    let since = Instant::now();
    let answer = admin.post("/api/admin/config/refresh", "", 200).await;
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(answer.contains("renamed"), "{answer}");
    eventually("the collector has the new name", || async {
        (of_first.status().await["connections"][0]["name"] == "renamed").then_some(())
    })
    .await;
    eventually("the standby has read its own again too", || async { (hash().await != before).then_some(()) }).await;
    let records = of_first.get("/api/admin/audit?action=config_refresh&from=-15m", 200).await;
    assert!(records.contains("asked for by admin@localhost on b:2"), "{records}");
    let records = admin.get("/api/admin/audit?action=config_refresh&from=-15m", 200).await;
    assert!(records.contains("the collector"), "{records}");

    // It is connected, says the one that knows.
    let refused = admin.post("/api/admin/connections/1/retry", "", 409).await;
    assert!(refused.contains("conflict"), "{refused}");
    admin.post("/api/admin/connections/9/retry", "", 404).await;
    assert_eq!(second.gate.arrivals(), 0);
    // Read again where it is collected, the others follow.
    for server in [&first, &second] {
        fs::write(server.process.folder.path().join(".env"), "WEBSOCKET_CONNECTION_1_NAME=again").unwrap();
    }
    of_first.post("/api/admin/config/refresh", "", 200).await;
    let log = "Configuration reloaded: connection 1: name: renamed → again";
    let mut said = second.process;
    let mut lines = said.log();
    tokio::task::spawn_blocking(move || crate::util::Monitor::log_until(&mut lines, log)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_or_with_one_that_stands_still_it_is_refused_in_time() {
    let cluster = Cluster::start().await;
    let dashboard = TestServer::start([
        ("REDIS_URL", cluster.redis.url.as_str()),
        ("MONITOR_ROLE", "dashboard"),
        ("SERVER_NAME", "d:4"),
    ])
    .await;
    let admin = dashboard.admin().await;
    let refused: Value = serde_json::from_str(&admin.post("/api/admin/config/refresh", "", 503).await).unwrap();
    assert_eq!(refused["error"]["code"], "no_collector", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("nobody collects at the moment"), "{message}");

    let first = cluster.server("a:1").await;
    first.until_it_collects().await;
    admin.wait_for_state(1, "connected").await;
    first.process.signal("-STOP");
    let since = Instant::now();
    let refused = admin.post("/api/admin/connections/1/retry", "", 503).await;
    assert!(since.elapsed() < Duration::from_secs(6), "{:?}", since.elapsed());
    assert!(
        refused.contains("a:1, which collects, did not answer within 5 s") || refused.contains("nobody"),
        "{refused}"
    );
    first.process.signal("-CONT");
    first.until_it_collects().await;
    let records = first.process.admin().await.get("/api/admin/audit?action=connection_retry&from=-15m", 200).await;
    assert!(!records.contains("d:4"), "what is late is not done: {records}");
}
