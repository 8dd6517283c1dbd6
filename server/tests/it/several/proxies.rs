//! Proxies in front of two servers, configured as docs/operations.md says.

use crate::util::{Client, Front, PASSWORD, RedisServer, TestServer, email_of, eventually, free_port};
use server::auth::Role;
use std::net::SocketAddr;

/// By which a test knows who answers.
const TOKENS: [&str; 2] = ["6fd0c2b48e1a4f7793a5d2e8c1b09f46", "c87e01d95b3a42f6ae40917f2c6bd835"];

async fn one_is_lost_and_the_other_answers(front: impl AsyncFnOnce(u16, Vec<SocketAddr>) -> Front) {
    let redis = RedisServer::start().await;
    let start = async |name: &'static str, token: &'static str| {
        let proxy = ("TRUSTED_PROXIES", "127.0.0.1");
        let own = [("REDIS_URL", redis.url.as_str()), ("SERVER_NAME", name), ("METRICS_TOKEN", token), proxy];
        TestServer::start(own).await
    };
    let (mut first, second) = (start("a:1", TOKENS[0]).await, start("b:2", TOKENS[1]).await);
    let front = front(free_port(), vec![first.address, second.address]).await;
    let origin = front.origin();
    let http = reqwest::Client::new();
    for token in TOKENS {
        eventually("both are asked", || async {
            let answer = http.get(format!("{origin}/metrics")).bearer_auth(token).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }
    first.stop().await;
    for _ in 0..20 {
        let answer = http.get(format!("{origin}/login")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "nobody notices");
    }
    let mut browser = Client::at(origin.clone());
    let answer = browser.try_sign_in(&email_of(Role::Admin), PASSWORD, &[("origin", &origin)]).await;
    assert_eq!(answer.status(), 303);
    browser.keep_cookie(&answer);
    let mut socket = browser.socket(Some("tickstock.v1.bin")).await;
    socket.frame().await;
    let said = browser.get_json("/api/admin/servers", 200).await;
    assert_eq!(said["this"], "b:2");
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_in_front_of_two_servers_leads_past_the_one_that_is_lost() {
    one_is_lost_and_the_other_answers(Front::nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn haproxy_in_front_of_two_servers_leads_past_the_one_that_is_lost() {
    one_is_lost_and_the_other_answers(Front::haproxy).await;
}
