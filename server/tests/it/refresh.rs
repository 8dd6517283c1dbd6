//! The configuration is read again while everything runs: what changed is made anew, the rest is not touched.

use crate::util::{Client, RedisServer, TestServer, eventually};
use serde_json::{Value, json};
use server::auth::Role;

const TWO: &str = "USE_MULTI_CONNECTION=true
WEBSOCKET_CONNECTION_1_ENABLED=true
WEBSOCKET_CONNECTION_1_SYMBOLS=AAPL,MSFT
WEBSOCKET_CONNECTION_2_ENABLED=true
WEBSOCKET_CONNECTION_2_SYMBOLS=JPM,GS
";

async fn refresh(admin: &Client) -> Value {
    serde_json::from_str(&admin.post("/api/admin/config/refresh", "", 200).await).unwrap()
}

/// Starts with the demonstration and goes over to two connections of two symbols.
async fn with_two() -> (TestServer, Client) {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    server.write_env(TWO);
    let outcome = refresh(&admin).await;
    assert_eq!(outcome["changed"].as_array().map(Vec::len), Some(3), "{outcome}");
    admin.wait_for_state(1, "connected").await;
    admin.wait_for_state(2, "connected").await;
    (server, admin)
}

fn of(status: &Value, id: usize) -> Value {
    status["connections"][id - 1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_connection_is_made_anew_and_the_others_run_on_untouched() {
    let (server, admin) = with_two().await;
    let before = admin.status().await;
    assert_eq!(of(&before, 3)["state"], "disabled", "what is switched off is off");

    server.write_env(&TWO.replace("JPM,GS", "JPM,GS,BAC"));
    let outcome = refresh(&admin).await;
    let expected = json!({
        "changed": [{"connection": 2, "what": ["symbols: 2 → 3"]}], "unchanged": [1, 3], "refused": [], "needs_restart": [],
    });
    assert_eq!(outcome, expected);
    let after = eventually("connection 2 carries its new symbol", || async {
        let status = admin.status().await;
        let two = of(&status, 2);
        (two["subscription"]["acknowledged"] == 3 && two["state"] == "connected").then_some(status)
    })
    .await;
    assert_eq!(of(&after, 2)["config"]["symbols"], json!(["BAC", "GS", "JPM"]));
    assert_eq!(of(&after, 1)["state_since"], of(&before, 1)["state_since"], "connection 1 noticed nothing");
    for id in [1, 2] {
        assert_eq!(of(&after, id)["metrics"]["reconnects_total"], 0, "a wish is no loss");
        let ticks = |status: &Value| of(status, id)["metrics"]["ticks_total"].as_u64();
        assert!(ticks(&after) >= ticks(&before), "what was counted counts on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_description_changes_without_a_new_connection() {
    let (server, admin) = with_two().await;
    let since = of(&admin.status().await, 1)["state_since"].clone();
    server.write_env(&format!("{TWO}WEBSOCKET_CONNECTION_1_NAME=tech\nWEBSOCKET_CONNECTION_1_PRIORITY=low\n"));
    let outcome = refresh(&admin).await;
    let what = json!([{"connection": 1, "what": ["name: primary → tech", "priority: high → low"]}]);
    assert_eq!(outcome["changed"], what);
    let status = eventually("the name is shown", || async {
        let status = admin.status().await;
        (of(&status, 1)["name"] == "tech").then_some(status)
    })
    .await;
    assert_eq!(of(&status, 1)["state_since"], since);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_setting_leaves_its_connection_as_it_was_and_is_named() {
    let (server, admin) = with_two().await;
    server.write_env(&format!("{TWO}WEBSOCKET_CONNECTION_2_PRIORITY=urgent\nWEBSOCKET_CONNECTION_9_NAME=x\n"));
    let outcome = refresh(&admin).await;
    let refused = outcome["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 2, "{outcome}");
    assert_eq!(
        refused[1],
        json!({"variable": "WEBSOCKET_CONNECTION_2_PRIORITY", "value": "urgent", "accepted": "high, normal or low"})
    );
    let status = eventually("the dashboard says so", || async {
        let status = admin.status().await;
        (of(&status, 2)["config"]["warnings"].as_array().map(Vec::len) == Some(1)).then_some(status)
    })
    .await;
    assert_eq!(of(&status, 2)["state"], "connected");
    assert!(of(&status, 2)["config"]["warnings"][0].as_str().unwrap().starts_with("rejected: "), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_or_a_bad_value_refuses_everything_and_no_secret_is_told() {
    let (server, admin) = with_two().await;
    for (text, variable) in [
        ("MASSIVE_API_KEY=hush\nthis is no line\n", ".env"),
        ("METRICS_INTERVAL_MS=5\nREDIS_URL=http://:hush@x\n", "REDIS_URL"),
    ] {
        server.write_env(text);
        let outcome = refresh(&admin).await;
        assert_eq!(outcome["refused"][0]["variable"], variable, "{outcome}");
        assert_eq!((&outcome["changed"], &outcome["unchanged"]), (&json!([]), &json!([1, 2, 3])));
        assert!(!outcome.to_string().contains("hush"));
    }
    assert_eq!(of(&admin.status().await, 2)["state"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_at_a_start_alone_is_named_and_the_feed_is_part_of_it() {
    let (server, admin) = with_two().await;
    server.write_env(&format!("{TWO}FRAME_INTERVAL_MS=20\n"));
    let outcome = refresh(&admin).await;
    assert_eq!(outcome["needs_restart"], json!(["FRAME_INTERVAL_MS"]));
    server.write_env(&format!("{}MASSIVE_API_KEY=hush\n", TWO.replace("JPM", "BAC")));
    let outcome = refresh(&admin).await;
    assert_eq!((&outcome["needs_restart"], &outcome["changed"]), (&json!(["MASSIVE_API_KEY"]), &json!([])));
    assert!(!outcome.to_string().contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_tries_again_at_once() {
    let (server, admin) = with_two().await;
    server.fault(json!({"fault": "refuse_key", "connection": 1})).await;
    server.fault(json!({"fault": "drop", "connection": 1})).await;
    admin.wait_for_state(1, "failed").await;
    server.fault(json!({"fault": "clear"})).await;
    assert_eq!(refresh(&admin).await["unchanged"], json!([1, 2, 3]));
    admin.wait_for_state(1, "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_is_on_record_with_what_came_of_it() {
    let (_server, admin) = with_two().await;
    let log = admin.get("/api/admin/audit?action=config_refresh&format=csv", 200).await;
    let records: Vec<_> = log.lines().filter(|line| line.contains("config_refresh")).collect();
    assert_eq!(records.len(), 2, "{log}");
    assert!(log.contains("admin@example.com") && log.contains("connection 3: switched: on → off"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_refreshes_at_once_are_two_refreshes_one_after_the_other() {
    let (server, admin) = with_two().await;
    server.write_env(&TWO.replace("JPM,GS", "JPM"));
    let outcomes = futures_util::future::join_all((0..4).map(|_| refresh(&admin))).await;
    let changed: Vec<_> = outcomes.iter().filter(|outcome| outcome["changed"] != json!([])).collect();
    assert_eq!(changed.len(), 1, "{outcomes:?}");
    admin.wait_for_state(2, "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_refresh() {
    let server = TestServer::start([]).await;
    server.stranger().post("/api/admin/config/refresh", "", 401).await;
    server.sign_in(Role::User).await.post("/api/admin/config/refresh", "", 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_universe_on_redis_resolves_and_follows_when_it_changes() {
    let redis = RedisServer::start().await;
    redis.add("tickstock:universe:desk:tech", &["AAPL", "MSFT", "no symbol"]).await;
    let server = TestServer::start([
        ("REDIS_URL", redis.url.as_str()),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "desk:tech:dow30"),
    ])
    .await;
    let admin = server.admin().await;
    let status = admin.wait_for_state(1, "connected").await;
    assert_eq!(of(&status, 1)["config"]["source"], "universe");
    // Dow 30 has both.
    assert_eq!(of(&status, 1)["config"]["ticker_count"], 30);
    redis.add("tickstock:universe:desk:tech", &["TSLA"]).await;
    assert_eq!(refresh(&admin).await["changed"], json!([{"connection": 1, "what": ["symbols: 30 → 31"]}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_universe_on_redis_is_a_warning_of_its_connection() {
    let redis = RedisServer::start().await;
    redis.add_bytes("tickstock:universe:bad:members", &[b"AAPL", b"NVDA", b"\xff\xfe"]).await;
    redis.set("tickstock:universe:bad:kind", "AAPL,MSFT").await;
    let server = TestServer::start([
        ("REDIS_URL", redis.url.as_str()),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "bad:members"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_UNIVERSE_KEY", "bad:kind"),
        ("WEBSOCKET_CONNECTION_2_SYMBOLS", "MSFT"),
    ])
    .await;
    let admin = server.admin().await;
    let status = admin.wait_for_state(1, "connected").await;
    assert_eq!(
        of(&status, 1)["config"]["warnings"],
        json!(["the universe \"bad:members\" on Redis has 1 member that is no symbol (\"\u{fffd}\u{fffd}\")"])
    );
    assert_eq!(
        of(&status, 2)["config"]["warnings"],
        json!([
            r#"the universe "bad:kind" on Redis is no set and is not read"#,
            r#"universe key "bad:kind" is unknown or empty; using the symbol list instead"#
        ])
    );
    let page = admin.get("/admin/websockets", 200).await;
    assert!(page.contains("on Redis is no set and is not read"), "on the page too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_universe_on_a_redis_that_is_down_at_the_start_comes_when_redis_does() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let url = redis.url.clone();
    let server = TestServer::start([
        ("REDIS_URL", url.as_str()),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "desk:tech"),
        ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_2_UNIVERSE_KEY", "dow30"),
    ])
    .await;
    let admin = server.admin().await;
    let status = admin.wait_for_state(1, "failed").await;
    let warning = |status: &Value, id| of(status, id)["config"]["warnings"][0].as_str().unwrap_or_default().to_owned();
    let unknown = warning(&status, 1);
    assert!(unknown.contains("desk:tech") && unknown.contains("Redis could not be asked"), "{unknown}");
    let shipped = warning(&status, 2);
    assert!(shipped.contains("dow30") && shipped.ends_with("using the list that ships with the server"), "{shipped}");
    redis.restart().await;
    redis.add("tickstock:universe:desk:tech", &["NFLX"]).await;
    let status = admin.wait_for_state(1, "connected").await;
    assert_eq!(warning(&status, 2), "", "Redis has no other list");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_enabled_while_redis_is_away_waits_for_its_universe_instead_of_starting_without() {
    const KEYED: &str = "USE_MULTI_CONNECTION=true
WEBSOCKET_CONNECTION_1_UNIVERSE_KEY=dow30
WEBSOCKET_CONNECTION_2_ENABLED=true
WEBSOCKET_CONNECTION_2_SYMBOLS=JPM
";
    let enabled = format!("{KEYED}WEBSOCKET_CONNECTION_1_ENABLED=true\n");
    let mut redis = RedisServer::start().await;
    redis.add("tickstock:universe:dow30", &["AAPL"]).await;
    let url = redis.url.clone();
    let server = TestServer::start([("REDIS_URL", url.as_str())]).await;
    let admin = server.admin().await;
    server.write_env(&enabled);
    refresh(&admin).await;
    let own = json!(["AAPL"]);
    assert_eq!(of(&admin.wait_for_state(1, "connected").await, 1)["config"]["symbols"], own, "not the shipped ones");

    redis.kill();
    server.write_env(KEYED);
    assert_eq!(refresh(&admin).await["refused"], json!([]), "what is switched off needs no universe");
    server.write_env(&enabled);
    let outcome = refresh(&admin).await;
    assert_eq!(
        (&outcome["changed"], &outcome["refused"][0]["variable"]),
        (&json!([]), &json!("REDIS_URL")),
        "{outcome}"
    );
    assert_eq!(of(&admin.status().await, 1)["state"], "disabled");

    redis.restart().await;
    redis.add("tickstock:universe:dow30", &["AAPL"]).await;
    assert_eq!(refresh(&admin).await["refused"], json!([]));
    assert_eq!(of(&admin.wait_for_state(1, "connected").await, 1)["config"]["symbols"], own);
}
