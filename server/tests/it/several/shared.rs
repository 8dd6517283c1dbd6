//! Servers that share a PostgreSQL: what is done on one is true on all.

use crate::util::{Client, Monitor, Postgres, RedisServer, eventually};
use std::time::{Duration, Instant};

fn start(name: &str, redis: &RedisServer, database: &str) -> Monitor {
    Monitor::start(&[
        ("SERVER_NAME", name),
        ("REDIS_URL", &redis.url),
        ("DATABASE_URL", database),
        // One address for people, whichever server answers.
        ("PUBLIC_URL", "http://127.0.0.1:3000"),
    ])
}

async fn until_it_is(role: &str, server: &Monitor) {
    eventually(role, || async { (server.ready().await["role"] == role).then_some(()) }).await;
}

/// The same browser, led to another server.
fn led_to(server: &Monitor, browser: &Client) -> Client {
    Client { base: format!("http://127.0.0.1:{}", server.port), ..browser.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_good_on_every_server_and_over_on_every_one_within_a_second_and_so_is_what_was_acknowledged() {
    let redis = RedisServer::start().await;
    let database = Postgres::shared().empty_database().await;
    let mut first = start("a:1", &redis, &database.url);
    until_it_is("collector", &first).await;
    first.until_ready().await;
    let second = start("b:2", &redis, &database.url);
    until_it_is("standby", &second).await;
    second.until_ready().await;

    let on_first = first.admin().await;
    let on_second = led_to(&second, &on_first);
    assert_eq!(on_second.get_json("/api/admin/servers", 200).await["this"], "b:2");
    let mut socket = on_second.socket(None).await;
    socket.event().await;

    // A takeover, and its gap acknowledged on the one that stands by.
    first.kill();
    until_it_is("collector", &second).await;
    let id = eventually("the gap is in the ledger, and over", || async {
        let gaps = on_second.get_json("/api/admin/history/gaps?from=-15m", 200).await;
        let gap = gaps["gaps"].as_array()?.iter().find(|gap| gap["ended_at"].is_string())?;
        Some(gap["id"].to_string())
    })
    .await;
    first.start_again();
    until_it_is("standby", &first).await;
    first.until_ready().await;
    let path = format!("/api/admin/history/gaps/{id}/acknowledge");
    on_first.post(&path, r#"{"note":"seen on a"}"#, 200).await;
    assert!(on_second.get("/api/admin/history/gaps?from=-15m", 200).await.contains("seen on a"));

    on_first.form("/logout", "", &[]).await;
    let since = Instant::now();
    eventually("the session is over there too", || async {
        let answer = on_second.http.get(format!("{}/api/admin/servers", on_second.base)).send().await.ok()?;
        (answer.status() == 401).then_some(())
    })
    .await;
    assert_eq!(socket.close_code().await, 4001);
    assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
}
