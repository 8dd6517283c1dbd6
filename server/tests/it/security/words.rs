//! What others say, as a provider or a producer on Redis that means harm would say it: in the log, on the page, in files.

use crate::util::{RedisServer, TestServer, eventually};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::{
    accept_async,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

/// A line of the audit log, forged; what clears a screen; what turns text around; what nobody sees.
const WORDS: &str = "no\r\n{\"timestamp\":\"2026-01-01T00:00:00Z\",\"level\":\"INFO\",\"target\":\"audit\",\"action\":\"forged\"}\r\n\
                     \u{1b}[2J\u{9b}31m\0 \u{202e}txt\u{2066} \u{200b}end";

/// None of it may be anywhere.
fn is_raw(text: &str) -> bool {
    text.contains(['\u{1b}', '\u{9b}', '\0', '\u{202e}', '\u{2066}', '\u{200b}'])
}

/// A provider that answers every other connection with HTTP, and the rest with words.
async fn provider() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for n in 0_u32..=u32::MAX {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                if n % 4 == 3 {
                    let mut head = [0; 1_024];
                    let _ = stream.read(&mut head).await;
                    let answer = b"HTTP/1.1 403 \x1b[2JNo\r\nserver: \x1b[2J\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(answer).await;
                    return;
                }
                let Ok(mut socket) = accept_async(stream).await else { return };
                let say = |status: &str| json!([{"ev": "status", "status": status, "message": WORDS}]).to_string();
                for text in [say("strange"), say("error"), say("success"), "{".to_owned(), say("connected")] {
                    let _ = socket.send(Message::text(text)).await;
                }
                let _ = socket.next().await;
                if n % 4 == 0 {
                    let _ = socket.send(Message::text(say("auth_failed"))).await;
                } else {
                    // A close frame has room for 123 bytes.
                    let reason = format!("{}\u{202e}\u{1b}[2J", &WORDS[..100]);
                    let close = CloseFrame { code: CloseCode::from(4_001), reason: reason.into() };
                    let _ = socket.close(Some(close)).await;
                }
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    format!("ws://{address}/stocks")
}

fn variables(provider: &str) -> [(&str, &str); 6] {
    [
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", "any"),
        ("MASSIVE_WEBSOCKET_URL", provider),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_cannot_write_lines_of_the_log() {
    let provider = provider().await;
    let folder = tempfile::tempdir().unwrap();
    let lines = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"));
        command.env_clear().envs(variables(&provider)).env("LEPTOS_SITE_ADDR", "127.0.0.1:0").env("RUST_LOG", "debug");
        // Two more connections, so that each kind of end comes soon.
        for n in ["2", "3"] {
            command.env(format!("WEBSOCKET_CONNECTION_{n}_ENABLED"), "true");
            command.env(format!("WEBSOCKET_CONNECTION_{n}_SYMBOLS"), format!("T{n}"));
        }
        command.env("NO_COLOR", "1").current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut monitor = command.spawn().unwrap();
        let mut lines = Vec::new();
        let (mut said, mut refused, mut closed) = (false, false, false);
        for line in BufReader::new(monitor.stderr.take().unwrap()).lines() {
            let line = line.unwrap();
            said |= line.contains("the provider says: no");
            refused |= line.contains("Key refused by the provider");
            closed |= line.contains("Closed by the provider with code 4001");
            lines.push(line);
            if said && refused && closed {
                break;
            }
        }
        monitor.kill().unwrap();
        monitor.wait().unwrap();
        lines
    })
    .await
    .unwrap();
    for line in &lines {
        assert!(!is_raw(line), "{line:?}");
        if let Ok(record) = serde_json::from_str::<Value>(line) {
            assert_ne!(record["action"], "forged", "{line}");
        }
    }
    let shown = lines.iter().find(|line| line.contains("the provider says")).unwrap();
    assert!(shown.contains(r#"no\u{d}\u{a}{"timestamp""#) && shown.contains(r"\u{202e}txt"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_words_are_harmless_on_the_page_and_in_files() {
    let provider = provider().await;
    let server = TestServer::start(variables(&provider)).await;
    let admin = server.admin().await;
    let status = eventually("the provider has refused the key", || async {
        let status = admin.get("/api/admin/websocket-status", 200).await;
        status.contains("Key refused by the provider").then_some(status)
    })
    .await;
    let live = &serde_json::from_str::<Value>(&status).unwrap()["connections"][0];
    let words = live["last_loss"]["words"].as_str().unwrap();
    assert!(words.starts_with(r"no\u{d}\u{a}{") && words.len() <= 300, "{words}");
    eventually("the refusal is history", || async {
        let events = admin.get("/api/admin/history/events?format=csv", 200).await;
        assert!(!is_raw(&events), "{events:?}");
        // Every line is a record: its second field is a time.
        let mut times = events.lines().skip(1).map(|line| line.split(',').nth(1).unwrap_or_default());
        assert!(times.all(|time| time.starts_with("20")), "{events}");
        events.contains("Key refused").then_some(())
    })
    .await;
    for path in
        ["/api/admin/history/events", "/api/admin/history/gaps", "/admin/websockets", "/admin/metrics", "/metrics"]
    {
        assert!(!is_raw(&admin.get(path, 200).await), "{path}");
    }
    assert!(!is_raw(&serde_json::from_str::<Value>(&status).unwrap().to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producers_names_and_reasons_are_harmless() {
    let redis = RedisServer::start().await;
    let server = TestServer::start([("MARKET_FEED", "redis"), ("REDIS_URL", redis.url.as_str())]).await;
    let admin = server.admin().await;
    let theirs =
        json!({"connections": {"connection_1": {"name": WORDS, "status": "connected", "last_message_time": 1}}});
    let unknown = json!({"connections": [{"state": WORDS}]});
    eventually("what the producer says is shown", || async {
        redis.publish("tickstock:websocket:status", &theirs.to_string()).await;
        redis.publish("tickstock:websocket:status", &unknown.to_string()).await;
        let status = admin.status().await;
        assert!(!is_raw(&status.to_string()), "{status}");
        let name = status["connections"][0]["name"].as_str().unwrap_or_default();
        (name.starts_with(r"no\u{d}\u{a}{") && status["bus"]["rejections"][0]["reason"] == "status").then_some(())
    })
    .await;
    for path in ["/admin/websockets", "/metrics"] {
        assert!(!is_raw(&admin.get(path, 200).await), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_note_and_a_browsers_name_are_harmless() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    server.fault(json!({"fault": "drop", "connection": 1})).await;
    let gap = eventually("the outage is a gap", || async {
        let gaps = admin.get_json("/api/admin/history/gaps", 200).await;
        let gap = gaps["gaps"].as_array()?.iter().find(|gap| !gap["ended_at"].is_null())?;
        gap["id"].as_i64()
    })
    .await;
    let note = json!({"note": format!("=1+1;=2 {WORDS}")}).to_string();
    admin.post(&format!("/api/admin/history/gaps/{gap}/acknowledge"), &note, 200).await;
    for path in ["/api/admin/history/gaps?format=csv", "/api/admin/audit?format=csv", "/admin/metrics", "/admin/audit"]
    {
        assert!(!is_raw(&admin.get(path, 200).await), "{path}");
    }
    let file = admin.get("/api/admin/history/gaps?format=csv", 200).await;
    assert!(file.contains("\"'=1+1;'=2 no") && file.trim_end().lines().count() < 10, "{file}");
}
