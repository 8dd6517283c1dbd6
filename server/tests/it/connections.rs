//! What the page is told when connections break, each fault made by the simulated provider.

use crate::util::{TestServer, eventually};
use serde_json::{Value, json};

async fn all_connected(server: &TestServer) -> crate::util::Client {
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    admin
}

fn ticks_of(status: &Value, id: usize) -> u64 {
    status["connections"][id - 1]["metrics"]["ticks_total"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_comes_back_by_itself_and_the_others_do_not_notice() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "drop", "connection": 2})).await;
    let status = admin.wait_for_state(2, "reconnecting").await;
    let connection = &status["connections"][1];
    assert_eq!(connection["reconnect"]["attempt"], 1);
    assert!(connection["reconnect"]["next_at"].is_string() && connection["reason"].is_string(), "{connection}");
    assert!(connection["metrics"]["last_error"]["message"].is_string());

    let status = admin.wait_for_state(2, "connected").await;
    assert_eq!(status["connections"][1]["metrics"]["reconnects_total"], 1);
    for id in [1, 3] {
        assert_eq!(status["connections"][id - 1]["metrics"]["reconnects_total"], 0);
        assert_eq!(status["connections"][id - 1]["state"], "connected");
    }
    let before = ticks_of(&status, 2);
    eventually("connection 2 ticks again", || async { (ticks_of(&admin.status().await, 2) > before).then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_code_is_told_in_the_reason() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "close", "connection": 1, "code": 1008})).await;
    let status = admin.wait_for_state(1, "reconnecting").await;
    let reason = status["connections"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("1008"), "{reason}");
    admin.wait_for_state(1, "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_is_failed_with_the_providers_words_and_is_not_hammered() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "refuse_key", "connection": 3})).await;
    server.fault(json!({"fault": "drop", "connection": 3})).await;
    let status = admin.wait_for_state(3, "failed").await;
    let connection = &status["connections"][2];
    assert_eq!(connection["reason"], "Key refused by the provider: authentication failed");
    assert!(!connection["reconnect"]["next_at"].is_null(), "retried, slowly");
    assert_eq!(admin.state(1).await, "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_connection_is_failed_with_the_providers_words() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "evict", "connection": 1})).await;
    let status = admin.wait_for_state(1, "failed").await;
    let reason = status["connections"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("Maximum number of websocket connections exceeded."), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_counted_and_breaks_nothing() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "garbage", "connection": 2})).await;
    let status = eventually("the error is counted", || async {
        let status = admin.status().await;
        (status["connections"][1]["metrics"]["error_count"].as_u64() > Some(0)).then_some(status)
    })
    .await;
    assert_eq!(status["connections"][1]["state"], "connected");
    assert_eq!(status["connections"][0]["metrics"]["error_count"], 0);
}
