//! `GET /api/admin/websocket-status`: the contract's JSON with 0 to 3 connections and in single mode.

use crate::util::{TestServer, eventually};
use serde_json::{Value, json};

/// The running numbers made equal, so that the rest can be compared to the letter.
fn snapshot(name: &str, status: &Value) {
    insta::assert_json_snapshot!(name, status, {
        ".generated_at" => "[time]",
        ".summary.ticks_total" => "[count]",
        ".connections[].state_since" => insta::dynamic_redaction(|value, _| if value.is_nil() { value } else { "[time]".into() }),
        ".connections[].first_tick_at" => insta::dynamic_redaction(|value, _| if value.is_nil() { value } else { "[time]".into() }),
        ".connections[].last_heartbeat" => insta::dynamic_redaction(|value, _| if value.is_nil() { value } else { "[time]".into() }),
        ".connections[].uptime_seconds" => "[seconds]",
        ".connections[].config.symbols" => insta::dynamic_redaction(|value, _| {
            let count = value.as_slice().map_or(0, <[_]>::len);
            if count > 5 { format!("[{count} symbols]").into() } else { value }
        }),
        ".connections[].coverage.mute_after_ms" => insta::dynamic_redaction(|value, _| if value.is_nil() { value } else { "[milliseconds]".into() }),
        ".connections[].metrics.messages_per_second" => "[rate]",
        ".connections[].metrics.ticks_per_second" => "[rate]",
        ".connections[].metrics.last_update" => insta::dynamic_redaction(|value, _| if value.is_nil() { value } else { "[time]".into() }),
        ".connections[].metrics.messages_total" => "[count]",
        ".connections[].metrics.ticks_total" => "[count]",
        ".connections[].metrics.bytes_total" => "[count]",
    });
}

async fn settled<const N: usize>(pairs: [(&str, &str); N], up: u64) -> Value {
    let server = TestServer::start(pairs).await;
    let admin = server.admin().await;
    eventually("all that run are connected and have ticked", || async {
        let status = admin.status().await;
        let flows = |connection: &Value| {
            connection["state"] != json!("connected")
                || (connection["health"]["data"]["state"] == "good" && !connection["metrics"]["latency_note"].is_null())
        };
        let done = status["summary"]["connected"] == json!(up)
            && status["connections"].as_array().unwrap().iter().all(flows)
            && status["connections"][0]["subscription"]["acknowledged"]
                == status["connections"][0]["subscription"]["requested"];
        done.then_some(status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_connections() {
    snapshot("three_connections", &settled([], 3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_connections_and_a_warning() {
    let status = settled(
        [
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,NVDA"),
            ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_2_NAME", "banks"),
            ("WEBSOCKET_CONNECTION_2_UNIVERSE_KEY", "nonesuch"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "JPM,AAPL"),
        ],
        2,
    )
    .await;
    snapshot("two_connections_and_a_warning", &status);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_mode() {
    let status = settled(
        [
            ("USE_MULTI_CONNECTION", "false"),
            ("SYMBOL_UNIVERSE_KEY", "dow30"),
            ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "AAPL"),
        ],
        1,
    )
    .await;
    snapshot("single_mode", &status);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection() {
    snapshot("no_connection", &settled([("USE_MULTI_CONNECTION", "true")], 0).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_symbols_fails_aloud() {
    let pairs = [("USE_MULTI_CONNECTION", "true"), ("WEBSOCKET_CONNECTION_1_ENABLED", "true")];
    let connection = &settled(pairs, 0).await["connections"][0];
    assert_eq!((&connection["state"], &connection["reason"]), (&json!("failed"), &json!("No symbols configured")));
}
