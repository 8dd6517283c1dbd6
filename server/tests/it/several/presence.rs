//! Servers know of each other, and say what differs.

use super::Cluster;
use crate::util::{RedisServer, TestServer, eventually};
use serde_json::{Value, json};

async fn names(admin: &crate::util::Client) -> Vec<(String, String)> {
    let said = admin.get_json("/api/admin/servers", 200).await;
    let text = |server: &Value, field: &str| server[field].as_str().unwrap().to_owned();
    said["servers"].as_array().unwrap().iter().map(|server| (text(server, "name"), text(server, "role"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_knows_all_and_a_lost_one_is_shown_until_it_is_forgotten() {
    let cluster = Cluster::start().await;
    let (mut first, [second]) = cluster.with_standbys(["b:2"]).await;
    let admin = second.process.admin().await;
    let pair = |first: &str, second: &str| {
        [("a:1", first), ("b:2", second)].map(|(name, role)| (name.to_owned(), role.to_owned())).to_vec()
    };
    eventually("both are known", || async { (names(&admin).await == pair("collector", "standby")).then_some(()) })
        .await;
    let _socket = first.process.admin().await.socket(None).await;
    let said = eventually("its socket is counted", || async {
        let said = admin.get_json("/api/admin/servers", 200).await;
        (said["servers"][0]["sockets"] == 1).then_some(said)
    })
    .await;
    assert_eq!(said["this"], "b:2");
    let [a, b] = [0, 1].map(|place| said["servers"][place].clone());
    assert_eq!((&a["version"], &a["build"]), (&b["version"], &b["build"]), "{said}");
    assert_ne!(a["configuration"], b["configuration"], "each has its own way to the provider here: {said}");
    assert!(a["build"].as_str().unwrap().len() == 12 && a["version"] == env!("CARGO_PKG_VERSION"), "{said}");
    assert!(!said.to_string().contains("\"k\""), "no key: {said}");
    // The page has them too, its own server first.
    let status = second.status().await;
    assert_eq!((&status["servers"][0]["name"], &status["servers"][1]["name"]), (&json!("b:2"), &json!("a:1")));

    first.process.kill();
    second.until_it_collects().await;
    let seen = |said: &Value| said["servers"][0]["last_seen"].as_str().map(str::to_owned);
    let before = seen(&admin.get_json("/api/admin/servers", 200).await);
    assert!(before.is_some(), "lost, and still known");
    first.process.start_again();
    first.until_it_is("standby").await;
    eventually("it is back, once", || async { (names(&admin).await == pair("standby", "collector")).then_some(()) })
        .await;
    first.process.signal("-TERM");
    first.process.end().await;
    eventually("one that ends says so", || async { (names(&admin).await.len() == 1).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_has_another_hash_and_a_secret_has_none() {
    let redis = RedisServer::start().await;
    let url = redis.url.as_str();
    let start = async |name: &'static str, more: (&'static str, &'static str)| {
        TestServer::start([("REDIS_URL", url), ("SERVER_NAME", name), ("MONITOR_ROLE", "dashboard"), more]).await
    };
    let first = start("a:1", ("METRICS_TOKEN", "6fd0c2b48e1a4f7793a5d2e8c1b09f46")).await;
    let _second = start("b:2", ("METRICS_TOKEN", "c87e01d95b3a42f6ae40917f2c6bd835")).await;
    let _third = start("c:3", ("SESSION_IDLE_HOURS", "5")).await;
    let admin = first.admin().await;
    let hashes = eventually("all are known", || async {
        let said = admin.get_json("/api/admin/servers", 200).await;
        let hash = |place: usize| said["servers"][place]["configuration"].as_str().map(str::to_owned);
        Some([hash(0)?, hash(1)?, hash(2)?])
    })
    .await;
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], hashes[2]);
    // What anybody puts there breaks nothing, and what is too long is dropped.
    redis.command(&format!("HSET tickstock:servers junk junk long 1{}", "0".repeat(5_000))).await.unwrap();
    eventually("it is dropped", || async {
        let kept: bool = redis::from_redis_value(redis.command("HEXISTS tickstock:servers long").await.ok()?).ok()?;
        (!kept).then_some(())
    })
    .await;
    assert_eq!(names(&admin).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_alone_is_one() {
    let server = TestServer::start([("SERVER_NAME", "alone")]).await;
    let admin = server.admin().await;
    let said = admin.get_json("/api/admin/servers", 200).await;
    assert_eq!((&said["this"], said["servers"].as_array().unwrap().len()), (&json!("alone"), 1));
    assert_eq!(said["servers"][0]["role"], "collector");
    assert_eq!(admin.status().await["servers"], json!([]));
}
