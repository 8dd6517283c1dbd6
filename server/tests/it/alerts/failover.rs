//! Servers that share a database: one of them sends, and another one goes on when it is killed.

use super::hurry;
use crate::util::{Hook, Monitor, Postgres, RedisServer, eventually};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A server that watches what others collect.
fn watcher(name: &str, redis: &RedisServer, database: &str, hook: &Hook) -> Monitor {
    Monitor::start(&[
        ("SERVER_NAME", name),
        ("MARKET_FEED", "redis"),
        ("REDIS_URL", &redis.url),
        ("DATABASE_URL", database),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ("ALERT_WEBHOOK_URL", &hook.url),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_watchers_one_sends_and_the_other_goes_on_where_it_was_killed() {
    let (redis, hook) = (RedisServer::start().await, Hook::start().await);
    let database = Postgres::shared().empty_database().await;
    let start = async |name: &str| {
        let server = watcher(name, &redis, &database.url, &hook);
        eventually("it answers", || async { server.get("/healthz").await }).await;
        server
    };
    let (mut first, second) = (start("a:1").await, start("b:2").await);
    let admin = second.admin().await;
    hurry(&admin, &["server_lost"]).await;
    let mut third = start("c:3").await;
    let senders = async || {
        let said = admin.get_json("/api/admin/servers", 200).await;
        said["servers"].as_array().unwrap().iter().map(|server| server["sends_alerts"] == true).collect::<Vec<_>>()
    };
    eventually("the first one sends", || async { (senders().await == [true, false, false]).then_some(()) }).await;
    third.kill();
    let told = hook.until_told("firing server_lost:c:3").await;
    let id = told.body["data"]["id"].as_str().unwrap().to_owned();

    first.kill();
    let path = format!("/api/admin/alerts/{id}/acknowledge");
    admin.post(&path, r#"{"note":"seen on b"}"#, 200).await;
    hook.until_told("acknowledged server_lost:c:3").await;
    hook.until_told("firing server_lost:a:1").await;
    first.start_again();
    third.start_again();
    for name in ["a:1", "c:3"] {
        hook.until_told(&format!("resolved server_lost:{name}")).await;
    }
    assert_eq!(senders().await, [false, true, false], "who was killed does not take it back");

    let mut of_alerts: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for told in hook.told() {
        let steps = of_alerts.entry(told.body["data"]["fingerprint"].as_str().unwrap().to_owned()).or_default();
        // A repetition has the same id.
        if steps.iter().all(|(id, _)| *id != told.id()) {
            steps.push((told.id(), told.body["type"].clone()));
        }
    }
    let kinds = |fingerprint: &str| of_alerts[fingerprint].iter().map(|(_, kind)| kind.clone()).collect::<Vec<_>>();
    let kinds_of = |kinds: &[&str]| kinds.iter().map(|kind| json!(format!("alert.{kind}"))).collect::<Vec<_>>();
    assert_eq!(kinds("server_lost:c:3"), kinds_of(&["firing", "acknowledged", "resolved"]));
    assert_eq!(kinds("server_lost:a:1"), kinds_of(&["firing", "resolved"]));
    assert_eq!(of_alerts.len(), 2, "{of_alerts:?}");
}
