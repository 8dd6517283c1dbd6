//! `/healthz`, `/readyz`, `/metrics`.

use crate::util::{RedisServer, TestServer, eventually};

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

/// A request as through a proxy: a stranger's.
async fn through_a_proxy(server: &TestServer, path: &str, header: (&str, &str)) -> (u16, String) {
    let request = reqwest::Client::new().get(server.url(path)).header("x-forwarded-for", "192.0.2.1");
    let answer = request.header(header.0, header.1).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

const TOKEN: &str = "3f9ac1d2e8b4570611aa93cd2b7e4f10";
const BEARER: (&str, &str) = ("authorization", "Bearer 3f9ac1d2e8b4570611aa93cd2b7e4f10");
const NOTHING: (&str, &str) = ("accept", "*/*");

#[tokio::test(flavor = "multi_thread")]
async fn why_it_is_not_ready_is_for_those_who_run_it() {
    let mut redis = RedisServer::start().await;
    let server = TestServer::start([("REDIS_URL", redis.url.as_str()), ("METRICS_TOKEN", TOKEN)]).await;
    let admin = server.admin().await;
    redis.kill();
    let here = eventually("Redis is missed", || async {
        let here: serde_json::Value = reqwest::get(server.url("/readyz")).await.unwrap().json().await.unwrap();
        here["ingest"]["reason"].is_string().then_some(here)
    })
    .await;
    assert_eq!(here["database"], serde_json::json!({"ok": true, "reason": null}), "this machine");
    let (status, stranger) = through_a_proxy(&server, "/readyz", NOTHING).await;
    assert_eq!(status, 503);
    assert_eq!(stranger, r#"{"ready":false,"role":"collector","ingest":{"ok":false},"database":{"ok":true}}"#);
    let cookie = admin.cookie.clone().unwrap();
    for header in [BEARER, ("cookie", cookie.as_str())] {
        let (_, told) = through_a_proxy(&server, "/readyz", header).await;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        assert!(told["ingest"]["reason"].is_string(), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_per_connection_and_are_for_this_machine_without_a_token() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let text = admin.get("/metrics", 200).await;
    assert!(text.contains(r#"tickstock_connection_up{connection="1",name="primary"} 1"#), "{text}");
    assert!(
        text.contains("tickstock_audit_over_size 0") && text.contains("tickstock_audit_refusals_unrecorded_total 0")
    );
    let lured = reqwest::Client::new().get(server.url("/metrics")).header("host", "evil.example");
    assert_eq!(lured.send().await.unwrap().status().as_u16(), 421);
    assert_eq!(through_a_proxy(&server, "/metrics", NOTHING).await.0, 403);

    // A proxy that says nothing of itself, as nginx does unless told to: where there is one, loopback proves nothing.
    for behind in [("TRUSTED_PROXIES", "127.0.0.1"), ("COOKIE_SECURE", "true")] {
        TestServer::start([behind]).await.stranger().get("/metrics", 403).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_want_the_token_of_everybody_where_there_is_one() {
    let server = TestServer::start([("METRICS_TOKEN", TOKEN)]).await;
    // Through a proxy that puts no header in and hands on the name that was asked for.
    let port = server.address.port();
    for host in ["localhost".to_owned(), format!("127.0.0.1:{port}")] {
        let request = reqwest::Client::new().get(server.url("/metrics")).header("host", host);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 403);
    }
    assert_eq!(through_a_proxy(&server, "/metrics", BEARER).await.0, 200);
    let wrong = format!("Bearer {}1", &TOKEN[..31]);
    for header in [("authorization", wrong.as_str()), ("authorization", "Bearer "), ("authorization", TOKEN)] {
        assert_eq!(through_a_proxy(&server, "/metrics", header).await.0, 403, "{header:?}");
    }
}
