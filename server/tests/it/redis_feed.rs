//! Beside an existing TickStock: what it publishes on Redis is on the page, and what we publish is as the contract says.

use crate::util::{RedisServer, TestServer, eventually};
use app::model::protocol::Frame;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TICKS: &str = "tickstock:market:ticks";
const STATUS: &str = "tickstock:websocket:status";

fn watcher(redis: &RedisServer) -> [(&str, &str); 6] {
    [
        ("MARKET_FEED", "redis"),
        ("REDIS_URL", &redis.url),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ("FRAME_INTERVAL_MS", "5"),
    ]
}

/// Publishes until the server listens.
async fn publish(redis: &RedisServer, channel: &str, message: &str) {
    eventually("the server is subscribed", || async { (redis.publish(channel, message).await > 0).then_some(()) })
        .await;
}

async fn price_of(admin: &crate::util::Client, symbol: &str) -> f64 {
    let mut socket = admin.socket(None).await;
    loop {
        let tick = socket.event_named("tick_update").await;
        if tick["symbol"] == symbol {
            return tick["price"].as_f64().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_ticks_and_status_are_on_redis_in_the_contracts_form() {
    let redis = RedisServer::start().await;
    let mut ticks = redis.listen(TICKS).await;
    let server = TestServer::start([("REDIS_URL", redis.url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let json = ticks.next().await;
    let tick: Value = serde_json::from_str(&json).unwrap();
    let keys: Vec<_> = tick.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["connection_id", "epoch", "price", "source", "symbol", "timestamp", "type", "volume"], "{json}");
    assert_eq!((&tick["type"], &tick["source"]), (&json!("market_tick"), &json!("simulator")));
    assert!(tick["timestamp"].as_f64().is_some_and(|time| time > 1.7e9), "Unix seconds: {json}");

    let mut statuses = redis.listen(STATUS).await;
    let published: Value = serde_json::from_str(&statuses.next().await).unwrap();
    assert_eq!(published["connections"].as_array().map(Vec::len), Some(3));
    let kept: Value = serde_json::from_str(&redis.get(STATUS).await.expect("kept as a key")).unwrap();
    assert_eq!(kept["feed"], "simulator");
    // And our own page is fed by what went through Redis.
    assert!(price_of(&admin, "AAPL").await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_from_outside_reach_the_socket_and_bad_ones_are_counted_with_their_reason() {
    let redis = RedisServer::start().await;
    let server = TestServer::start(watcher(&redis)).await;
    let admin = server.admin().await;
    publish(
        &redis,
        TICKS,
        r#"{"type":"market_tick","symbol":"AAPL","price":178.23,"volume":10,"timestamp":1705853696.123}"#,
    )
    .await;
    assert_eq!(price_of(&admin, "AAPL").await, 178.23);

    for bad in ["not json", r#"{"symbol":"AAPL"}"#, r#"{"symbol":"AAPL","price":-1}"#] {
        redis.publish(TICKS, bad).await;
    }
    redis.publish(TICKS, r#"{"symbol":"TSLA","price":1}"#).await;
    redis.publish(TICKS, r#"{"ticker":"MSFT","price":2,"timestamp":1705853696123}"#).await;
    assert_eq!(price_of(&admin, "MSFT").await, 2.0);
    let status = eventually("all is counted", || async {
        let status = admin.status().await;
        let is_counted = status["summary"]["unassigned_ticks_total"] == 1 && status["bus"]["rejected_total"] == 3;
        (is_counted && status["connections"][0]["state"] == "connected").then_some(status)
    })
    .await;
    assert_eq!(status["bus"]["last_rejection"], "no usable price");
    let by_reason = json!([{"reason": "not_json", "total": 1}, {"reason": "price", "total": 2}]);
    assert_eq!(status["bus"]["rejections"], by_reason);
    assert_eq!(status["status_source"], "inferred");
}

#[tokio::test(flavor = "multi_thread")]
async fn tickstocks_own_status_is_shown_and_turns_stale() {
    let redis = RedisServer::start().await;
    let server = TestServer::start(watcher(&redis)).await;
    let admin = server.admin().await;
    let theirs = r#"{"connections":{"connection_1":{"name":"primary","status":"connected","assigned_tickers":2,"message_count":10,"error_count":1,"last_message_time":null},
        "connection_2":{"name":"secondary","status":"error","assigned_tickers":0,"message_count":0,"error_count":4,"last_message_time":0}}}"#;
    publish(&redis, STATUS, theirs).await;
    let status = admin.wait_for_state(2, "failed").await;
    assert_eq!(status["status_source"], "reported");
    assert_eq!(
        (&status["summary"]["errors_total"], &status["connections"][0]["state"]),
        (&json!(5), &json!("connected"))
    );
    assert_eq!(status["connections"][0]["config"]["symbols"], json!(["AAPL", "MSFT"]), "from our own configuration");
    eventually("ten seconds later it is stale", || async {
        (admin.status().await["status_source"] == "stale").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_may_die_and_return_and_ticks_resume_within_three_seconds() {
    let mut redis = RedisServer::start().await;
    let url = redis.url.clone();
    let server = TestServer::start([("REDIS_URL", url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    while !matches!(socket.frame().await, Frame::Ticks(_)) {}

    redis.kill();
    let status = eventually("the page is told", || async {
        let status = admin.status().await;
        (status["bus"]["connected"] == false).then_some(status)
    })
    .await;
    assert!(status["bus"]["reason"].as_str().is_some_and(|reason| reason.starts_with("Redis")), "{status}");
    assert_eq!(status["connections"][0]["state"], "connected", "the provider's side is as it was");
    loop {
        if let Frame::Live(live) = socket.frame().await
            && !live.head.bus.connected
        {
            break;
        }
    }

    redis.restart().await;
    let since = Instant::now();
    while !matches!(socket.frame().await, Frame::Ticks(_)) {}
    assert!(since.elapsed() < Duration::from_secs(3), "{:?}", since.elapsed());
    eventually("the page is told", || async { (admin.status().await["bus"]["connected"] == true).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_does_not_hold_up_ingest_and_what_it_misses_is_counted() {
    let redis = RedisServer::start().await;
    let server = TestServer::start([("REDIS_URL", redis.url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    redis.hang();
    eventually("the page is told", || async { (admin.status().await["bus"]["connected"] == false).then_some(()) })
        .await;
    let ticks = |status: &Value| status["connections"][0]["metrics"]["ticks_total"].as_u64().unwrap();
    let before = ticks(&admin.status().await);
    eventually("ingest goes on", || async { (ticks(&admin.status().await) > before + 300).then_some(()) }).await;
    redis.go_on();
    let status = eventually("Redis takes ticks again", || async {
        let status = admin.status().await;
        (status["bus"]["connected"] == true).then_some(status)
    })
    .await;
    assert!(status["bus"]["conflated_ticks_total"].as_u64() > Some(0), "{}", status["bus"]);
    assert_eq!(status["connections"][0]["metrics"]["reconnects_total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dashboard_beside_a_collector_shows_the_collectors_connections() {
    let redis = RedisServer::start().await;
    let _collector = TestServer::start([("REDIS_URL", redis.url.as_str())]).await;
    let dashboard = TestServer::start([("MARKET_FEED", "redis"), ("REDIS_URL", redis.url.as_str())]).await;
    let admin = dashboard.admin().await;
    let status = admin.wait_for_state(3, "connected").await;
    assert_eq!((&status["feed"], &status["connections"][2]["config"]["ticker_count"]), (&json!("redis"), &json!(100)));
    assert!(price_of(&admin, "JPM").await > 0.0);
}

/// What TickStock's own manager says of one connection.
fn theirs(messages: u64) -> String {
    json!({"connections": {"connection_1": {"name": "primary", "status": "connected", "assigned_tickers": 2,
        "message_count": messages, "error_count": 0, "last_message_time": null}}})
    .to_string()
}

async fn history(admin: &crate::util::Client, what: &str) -> Vec<Value> {
    let path = format!("/api/admin/history/{what}?from=-15m&connection=1");
    admin.get_json(&path, 200).await[what].as_array().unwrap().clone()
}

async fn ticks_on_record(admin: &crate::util::Client) -> u64 {
    history(admin, "samples").await.iter().filter_map(|sample| sample["ticks"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_come_late_or_from_somebody_else_make_no_history() {
    let redis = RedisServer::start().await;
    let server = TestServer::start(watcher(&redis)).await;
    let admin = server.admin().await;
    const BASE: u64 = 1_125_855;
    publish(&redis, STATUS, &theirs(BASE)).await;
    admin.wait_for_state(1, "connected").await;
    for step in 1..=8_u64 {
        redis.publish(STATUS, &theirs(BASE + step * 60)).await;
        // Late, and a second producer on the same channel, whose totals are others.
        redis.publish(STATUS, &theirs(BASE + step.saturating_sub(2) * 60)).await;
        if step > 4 {
            redis.publish(STATUS, &theirs(9_000_000 + step)).await;
        }
        eventually("the first one is heard", || async {
            (admin.status().await["connections"][0]["metrics"]["ticks_total"] == BASE + step * 60).then_some(())
        })
        .await;
    }
    redis.publish(STATUS, &theirs(BASE + 492)).await;
    let status = eventually("the page warns", || async {
        let status = admin.status().await;
        let (config, metrics) = (&status["connections"][0]["config"], &status["connections"][0]["metrics"]);
        let is_warned = config["warnings"].to_string().contains("Two producers publish a status on Redis");
        (is_warned && metrics["ticks_total"] == BASE + 492).then_some(status)
    })
    .await;
    assert_eq!(
        (&status["status_source"], &status["connections"][0]["state"]),
        (&json!("reported"), &json!("connected"))
    );
    eventually("what came is on record", || async { (ticks_on_record(&admin).await >= 492).then_some(()) }).await;
    assert_eq!(ticks_on_record(&admin).await, 492);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_producers_on_one_redis_are_a_warning_with_both_names() {
    let redis = RedisServer::start().await;
    let mut statuses = redis.listen(STATUS).await;
    let _first = TestServer::start([("REDIS_URL", redis.url.as_str()), ("SERVER_NAME", "a:1")]).await;
    let dashboard = TestServer::start([("MARKET_FEED", "redis"), ("REDIS_URL", redis.url.as_str())]).await;
    let admin = dashboard.admin().await;
    admin.wait_for_state(1, "connected").await;
    let warnings = |status: &Value| status["connections"][0]["config"]["warnings"].to_string();
    assert!(!warnings(&admin.status().await).contains("Two producers"));
    // One of a version without a lease.
    let mut other: Value = serde_json::from_str(&statuses.next().await).unwrap();
    other["collector"] = json!({"server": "host (process 7)", "since": "2026-01-21T12:34:56.789Z"});
    let other = std::sync::Mutex::new(other);
    let warning = eventually("the page warns", || async {
        let status = {
            let mut other = other.lock().unwrap();
            other["generated_at"] = json!(app::model::time::UnixMillis::now());
            other.to_string()
        };
        redis.publish(STATUS, &status).await;
        Some(warnings(&admin.status().await)).filter(|warnings| warnings.contains("Two producers"))
    })
    .await;
    assert!(warning.contains("a:1 and host (process 7)"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_does_not_take_is_a_gap_of_the_bus_with_its_exact_count() {
    let mut redis = RedisServer::start().await;
    let url = redis.url.clone();
    let server = TestServer::start([("REDIS_URL", url.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let bus = |status: &Value| (status["bus"]["connected"] == true, status["bus"]["unpublished_ticks_total"].as_u64());
    eventually("ticks are published", || async { bus(&admin.status().await).0.then_some(()) }).await;
    let before = bus(&admin.status().await).1;
    redis.kill();
    let gap_of_bus = || async { history(&admin, "gaps").await.into_iter().find(|gap| gap["name"] == "bus-1") };
    let open = eventually("it is in the ledger while it lasts", gap_of_bus).await;
    assert_eq!(
        (&open["connection_id"], &open["cause"], &open["ended_at"]),
        (&Value::Null, &json!("bus_down"), &Value::Null)
    );
    eventually("ticks are lost", || async { (bus(&admin.status().await).1 > before.map(|n| n + 300)).then_some(()) })
        .await;
    redis.restart().await;
    let ended =
        eventually("the gap is over", || async { gap_of_bus().await.filter(|gap| gap["ended_at"].is_string()) }).await;
    let total = bus(&admin.status().await).1.unwrap();
    assert_eq!(ended["unpublished_ticks"], total - before.unwrap(), "{ended}");
    let events = history(&admin, "events").await;
    let told = |part: &str| events.iter().any(|event| event["text"].as_str().unwrap().contains(part));
    assert!(
        told("Ticks are not published to Redis (gap bus-1)") && told("were not published (gap bus-1)"),
        "{events:?}"
    );
    let csv = admin.get("/api/admin/history/gaps?format=csv", 200).await;
    assert!(csv.lines().next().unwrap().contains("unpublished_ticks") && csv.contains("bus-1"), "{csv}");
}
