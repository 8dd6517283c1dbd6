//! What the page is told when connections break, each fault made by the simulated provider.

use crate::util::{RedisServer, TestServer, eventually};
use serde_json::{Value, json};
use server::auth::Role;

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

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_waits_for_minutes_is_tried_at_once_when_an_administrator_says_so() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    let retry = |id: &str| format!("/api/admin/connections/{id}/retry");
    assert!(admin.post(&retry("3"), "", 409).await.contains("connection 3 is connected and waits for no attempt"));
    for unknown in ["9", "0", "x", "300"] {
        admin.post(&retry(unknown), "", 404).await;
    }
    server.stranger().post(&retry("3"), "", 401).await;
    server.sign_in(Role::Moderator).await.post(&retry("3"), "", 403).await;

    server.fault(json!({"fault": "refuse_key", "connection": 3})).await;
    server.fault(json!({"fault": "drop", "connection": 3})).await;
    let status = admin.wait_for_state(3, "failed").await;
    let attempt = status["connections"][2]["reconnect"]["attempt"].as_u64().unwrap();
    // Refused again: it waits on, and the provider is not called as often as somebody clicks.
    admin.post(&retry("3"), "", 200).await;
    eventually("it was tried", || async {
        let connection = admin.status().await["connections"][2].clone();
        let is_tried = connection["reconnect"]["attempt"].as_u64() > Some(attempt);
        (is_tried && connection["state"] == "failed").then_some(())
    })
    .await;
    server.fault(json!({"fault": "clear"})).await;
    let answer: Value = serde_json::from_str(&admin.post(&retry("3"), "", 200).await).unwrap();
    assert_eq!(answer, json!({"retried": 3}));
    admin.wait_for_state(3, "connected").await;
    for id in [1, 2] {
        let reconnects = &admin.status().await["connections"][id - 1]["metrics"]["reconnects_total"];
        assert_eq!(reconnects, 0, "the others do not notice");
    }
    let log = admin.get("/api/admin/audit?action=connection_retry&format=csv", 200).await;
    assert_eq!(log.matches("connection 3").count(), 2, "what was not done is no record of it: {log}");
    assert!(log.contains("admin@example.com"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_are_few_and_an_ordinary_wait_ends_too() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    server.fault(json!({"fault": "refuse_key", "connection": 2})).await;
    server.fault(json!({"fault": "drop", "connection": 2})).await;
    let mut given = 0;
    let refused = loop {
        admin.wait_for_state(2, "failed").await;
        let url = format!("{}/api/admin/connections/2/retry", admin.base);
        let answer = admin.http.post(url).send().await.unwrap();
        match answer.status().as_u16() {
            200 => given += 1,
            409 => {}
            _ => break answer,
        }
        assert!(given <= 3, "it goes on");
    };
    assert_eq!((refused.status().as_u16(), given), (429, 3));
    assert!(refused.headers().contains_key("retry-after"));
    eventually("the refusal is on record", || async {
        let log = admin.get("/api/admin/audit?action=connection_retry&outcome=refused", 200).await;
        log.contains("too many requests").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_retries_no_more_by_turning_to_other_connections() {
    let settings: [(String, String); 18] = std::array::from_fn(|place| match (place, place / 2) {
        (0, _) => ("USE_MULTI_CONNECTION".into(), "true".into()),
        (1, _) => ("WEBSOCKET_CONNECTIONS_MAX".into(), "8".into()),
        (place, id) if place % 2 == 0 => (format!("WEBSOCKET_CONNECTION_{id}_ENABLED"), "true".into()),
        (_, id) => (format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS"), format!("S{id}")),
    });
    let server = TestServer::start(settings.each_ref().map(|(name, value)| (name.as_str(), value.as_str()))).await;
    let admin = server.admin().await;
    admin.wait_for_state(8, "connected").await;
    for id in 1..=8 {
        server.fault(json!({"fault": "refuse_key", "connection": id})).await;
        server.fault(json!({"fault": "drop", "connection": id})).await;
    }
    let begun = std::time::Instant::now();
    let mut given = 0;
    // Each connection could be tried three times.
    let refused = 'all: loop {
        for id in 1..=8 {
            let url = format!("{}/api/admin/connections/{id}/retry", admin.base);
            let answer = admin.http.post(url).send().await.unwrap();
            match answer.status().as_u16() {
                200 => given += 1,
                409 => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                _ => break 'all answer,
            }
            assert!(given < 24, "it goes on");
        }
    };
    assert_eq!(refused.status().as_u16(), 429);
    let allowed = 16 + begun.elapsed().as_secs() / 2;
    assert!((16..=allowed.min(23)).contains(&given), "{given} given, {allowed} allowed");
    // Nobody else pays for it.
    let other = server.sign_in(Role::Super).await;
    other.wait_for_state(8, "failed").await;
    other.post("/api/admin/connections/8/retry", "", 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asked_to_wait_is_not_called_before() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    // Answers every handshake with a time to wait.
    let provider = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/stocks", provider.local_addr().unwrap());
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = std::sync::Arc::clone(&calls);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = provider.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let _ = socket.read(&mut [0; 4_096]).await;
            let answer = "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n";
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    let server = TestServer::start([
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", "any"),
        ("MASSIVE_WEBSOCKET_URL", url.as_str()),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL"),
    ])
    .await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "reconnecting").await;
    let answer = admin.post("/api/admin/connections/1/retry", "", 409).await;
    assert!(answer.contains("asked_to_wait") && answer.contains("the provider asked this account to wait"), "{answer}");
    assert_eq!(calls.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_process_has_the_connections_nothing_is_tried() {
    let redis = RedisServer::start().await;
    let server = TestServer::start([
        ("MARKET_FEED", "redis"),
        ("REDIS_URL", redis.url.as_str()),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL"),
    ])
    .await;
    let admin = server.admin().await;
    assert!(admin.post("/api/admin/connections/1/retry", "", 409).await.contains("another process"));
}

#[tokio::test(flavor = "multi_thread")]
async fn why_it_was_lost_is_said_until_it_is_well_again() {
    let server = TestServer::start([]).await;
    let admin = all_connected(&server).await;
    // Opens and says nothing to the key.
    server.fault(json!({"fault": "mute_pings", "connection": 2, "seconds": 60})).await;
    server.fault(json!({"fault": "close", "connection": 2, "code": 1008})).await;
    let status = admin.wait_for_state(2, "authenticating").await;
    let connection = &status["connections"][1];
    assert!(connection["reason"].as_str().is_some_and(|reason| reason.contains("1008")), "{connection}");
    assert_eq!(connection["health"]["transport"]["state"], "bad");
    server.fault(json!({"fault": "clear"})).await;
}
