//! What else goes wrong, and what only looks like it: the alerts of each fault, and no others.

use super::{all_connected, hurry};
use crate::util::{Hook, RedisServer, TestServer, eventually};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn errors_and_missing_channels_are_told_and_what_is_normal_is_not() {
    let hook = Hook::start().await;
    let server = TestServer::start([
        ("ALERT_WEBHOOK_URL", hook.url.as_str()),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_SYMBOLS", "NVDA,JPM"),
        ("WEBSOCKET_CONNECTION_2_CHANNELS", "A,T"),
        ("WEBSOCKET_CONNECTION_3_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_3_SYMBOLS", "AMD,INTC"),
    ])
    .await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["degraded", "errors"]).await;
    for fault in [
        json!({"fault": "garbage", "connection": 1, "seconds": 4}),
        json!({"fault": "deny_channel", "connection": 2, "channel": "T"}),
        json!({"fault": "drop", "connection": 2}),
        // Nothing of this is wrong for longer than a moment.
        json!({"fault": "duplicate_bar", "connection": 3}),
        json!({"fault": "revise_bar", "connection": 3}),
        json!({"fault": "large_frame", "connection": 3}),
        json!({"fault": "strange_events", "connection": 3}),
        json!({"fault": "close", "connection": 3}),
    ] {
        server.fault(fault).await;
    }
    hook.until_told("firing errors:1").await;
    hook.until_told("firing degraded:2").await;
    server.fault(json!({"fault": "clear"})).await;
    server.fault(json!({"fault": "drop", "connection": 2})).await;
    hook.until_told("resolved degraded:2").await;
    admin.wait_for_state(3, "connected").await;
    let mut told = hook.whats();
    // Errors are counted over a minute: it ends after that.
    told.sort();
    assert_eq!(told, ["firing degraded:2", "firing errors:1", "resolved degraded:2"], "and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_bus_is_one_alert_whatever_follows_from_it() {
    let mut redis = RedisServer::start().await;
    let hook = Hook::start().await;
    let url = redis.url.clone();
    let server = TestServer::start([
        ("REDIS_URL", url.as_str()),
        ("ALERT_WEBHOOK_URL", hook.url.as_str()),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ])
    .await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["bus", "no_collector", "gap", "mute", "degraded"]).await;
    redis.kill();
    hook.until_told("firing bus").await;
    server.fault(json!({"fault": "drop"})).await;
    redis.restart().await;
    hook.until_told("resolved bus").await;
    eventually("it is over", || async {
        let open = admin.get_json("/api/admin/alerts", 200).await;
        open["alerts"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(hook.whats(), ["firing bus", "resolved bus"]);
}
