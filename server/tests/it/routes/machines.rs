//! `/healthz`, `/readyz`, `/metrics`.

use crate::util::TestServer;

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_what_is_missing() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    let ready = admin.get_json("/readyz", 200).await;
    assert_eq!(ready["ready"], true, "{ready}");

    server.fault(serde_json::json!({"fault": "refuse_key"})).await;
    server.fault(serde_json::json!({"fault": "drop"})).await;
    for id in 1..=3 {
        admin.wait_for_state(id, "failed").await;
    }
    let not_ready = admin.get_json("/readyz", 503).await;
    assert_eq!(not_ready["ingest"]["reason"], "none of 3 connections is up");
    assert_eq!(not_ready["database"]["ok"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_per_connection_and_want_a_token_through_a_proxy() {
    let server = TestServer::start([("METRICS_TOKEN", "scrape-me")]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let text = admin.get("/metrics", 200).await;
    assert!(text.contains(r#"tickstock_connection_up{connection="1",name="primary"} 1"#), "{text}");
    assert!(
        text.contains("tickstock_audit_over_size 0") && text.contains("tickstock_audit_refusals_unrecorded_total 0")
    );

    let proxied = |token: &'static str| {
        let request = reqwest::Client::new().get(server.url("/metrics")).header("x-forwarded-for", "192.0.2.1");
        async move { request.bearer_auth(token).send().await.unwrap().status().as_u16() }
    };
    let lured = reqwest::Client::new().get(server.url("/metrics")).header("host", "evil.example");
    assert_eq!(lured.send().await.unwrap().status().as_u16(), 403);
    assert_eq!(proxied("scrape-me").await, 200);
    assert_eq!(proxied("scrape-you").await, 403);
}
