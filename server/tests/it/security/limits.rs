//! How often somebody may come, with one server, with two on a Redis, and with a Redis that dies.

use crate::util::{PASSWORD, Proxy, RedisServer, TestServer, email_of, eventually};
use server::{
    auth::Role,
    config::RedisConfig,
    limits::{API_CALLS, Limits, SOCKETS_PER_ACCOUNT},
};
use std::{net::IpAddr, time::Instant};

const BEHIND_A_PROXY: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.1")];

/// Tries until it is told to wait; answers how often it could, and the answer.
async fn guess(server: &TestServer, email: &str, from: &str) -> (usize, reqwest::Response) {
    for tried in 0..200 {
        let answer = server.stranger().try_sign_in(email, "not the password", &[("x-forwarded-for", from)]).await;
        if answer.status().as_u16() == 429 {
            return (tried, answer);
        }
        assert_eq!(answer.headers()["location"], "/login?error=credentials");
    }
    panic!("200 guesses and no end");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_is_slowed_down_and_locks_nobody_else_out() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let email = email_of(Role::Admin);
    let (tried, answer) = guess(&server, &email, "192.0.2.1").await;
    assert!((5..=7).contains(&tried), "{tried}");
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait >= 1, "{wait}");
    let page = answer.text().await.unwrap();
    assert!(page.contains("Too many attempts") && page.contains("href=\"/login\""), "{page}");

    // The right password is no way around it, or the answer would tell which one is right.
    let right = server.stranger().try_sign_in(&email, PASSWORD, &[("x-forwarded-for", "192.0.2.1")]).await;
    assert_eq!(right.status().as_u16(), 429);
    let elsewhere = server.stranger().try_sign_in(&email, PASSWORD, &[("x-forwarded-for", "192.0.2.2")]).await;
    assert_eq!(elsewhere.headers()["location"], "/admin/websockets");
    let other_account = [("x-forwarded-for", "192.0.2.1")];
    let other = server.stranger().try_sign_in(&email_of(Role::Super), PASSWORD, &other_account).await;
    assert_eq!(other.headers()["location"], "/admin/websockets");
}

#[tokio::test(flavor = "multi_thread")]
async fn trying_one_password_at_many_accounts_is_slowed_down_too() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let mut tried = 0;
    loop {
        let email = format!("someone{tried}@x");
        let answer = server.stranger().try_sign_in(&email, "winter", &[("x-forwarded-for", "192.0.2.1")]).await;
        if answer.status().as_u16() == 429 {
            break;
        }
        tried += 1;
        assert!(tried < 100, "no end");
    }
    assert!((20..=23).contains(&tried), "{tried}");
    // A customer's IPv6 addresses are one network.
    for host in 0..30 {
        let (from, email) = (format!("2001:db8:1:2::{host}"), format!("bob{host}@x"));
        server.stranger().try_sign_in(&email, "winter", &[("x-forwarded-for", &from)]).await;
    }
    let again = server.stranger().try_sign_in("eve@x", "winter", &[("x-forwarded-for", "2001:db8:1:2:ff::1")]).await;
    assert_eq!(again.status().as_u16(), 429);
}

/// Signs in with the right password from somewhere; answers the status and where it leads.
async fn sign_in(server: &TestServer, role: Role, from: &str) -> (u16, String) {
    let answer = server.stranger().try_sign_in(&email_of(role), PASSWORD, &[("x-forwarded-for", from)]).await;
    let to = answer.headers().get("location").map_or("", |location| location.to_str().unwrap()).to_owned();
    (answer.status().as_u16(), to)
}

fn is_in((status, location): (u16, String)) -> bool {
    status == 303 && location == "/admin/websockets"
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_tried_from_everywhere_stays_open_to_where_it_signed_in_before() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let email = email_of(Role::Admin);
    let (home, home_ipv6) = ("198.51.100.7", "2001:db8:4:7::1");
    assert!(is_in(sign_in(&server, Role::Admin, home).await));
    assert!(is_in(sign_in(&server, Role::Admin, home_ipv6).await));
    let mut refused = 0;
    for host in 0..120 {
        let from = format!("203.0.113.{host}");
        let answer = server.stranger().try_sign_in(&email, "guess", &[("x-forwarded-for", &from)]).await;
        refused += usize::from(answer.status().as_u16() == 429);
    }
    assert!(refused > 50, "a hundred networks, one account: {refused}");
    assert_eq!(sign_in(&server, Role::Admin, "192.0.2.1").await.0, 429, "the owner, where nobody knows the account");
    for from in [home, home_ipv6, "2001:db8:4:7:ffff::2"] {
        assert!(is_in(sign_in(&server, Role::Admin, from).await), "{from}");
    }
    assert!(is_in(sign_in(&server, Role::Super, "192.0.2.1").await), "another account, from wherever");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ipv6_customer_with_many_networks_holds_an_account_up_nowhere_else() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let email = email_of(Role::Admin);
    let mut looked_at = 0;
    for network in 0..150 {
        let from = format!("2001:db8:1:{network:x}::1");
        let answer = server.stranger().try_sign_in(&email, "guess", &[("x-forwarded-for", &from)]).await;
        looked_at += usize::from(answer.status().as_u16() == 303);
    }
    assert!(looked_at < 30, "{looked_at} guesses, each from a /64 of its own");
    assert!(is_in(sign_in(&server, Role::Admin, "192.0.2.1").await), "from an address that nobody has seen before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_behind_the_office_s_address_keeps_no_known_administrator_waiting() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let office = "198.51.100.7";
    assert!(is_in(sign_in(&server, Role::Admin, office).await));
    for n in 0.. {
        assert!(n < 60, "it may go on for ever");
        let email = format!("someone{n}@example.com");
        let answer = server.stranger().try_sign_in(&email, "guess", &[("x-forwarded-for", office)]).await;
        if answer.status().as_u16() == 429 {
            break;
        }
    }
    // At once: the first wait is a second.
    let newcomer = sign_in(&server, Role::Super, office).await.0;
    assert_eq!(newcomer, 429, "who never signed in there shares the program's wait");
    for _ in 0..3 {
        assert!(is_in(sign_in(&server, Role::Admin, office).await), "known there");
    }
    // What the program tries at the account itself is counted there, and nowhere else.
    guess(&server, &email_of(Role::Admin), office).await;
    assert_eq!(sign_in(&server, Role::Admin, office).await.0, 429);
    assert!(is_in(sign_in(&server, Role::Admin, "192.0.2.1").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_sign_ins_at_once_keep_no_known_administrator_waiting() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let home = "198.51.100.7";
    assert!(is_in(sign_in(&server, Role::Admin, home).await));
    let mut flood = tokio::task::JoinSet::new();
    // One client for all: while 300 are made, each of which takes a while, most of the line would have been served.
    let strangers = server.stranger();
    for n in 0..300 {
        let (stranger, from) = (strangers.clone(), format!("203.0.{}.{}", n / 250, n % 250));
        flood.spawn(async move {
            let email = format!("someone{n}@example.com");
            stranger.try_sign_in(&email, "guess", &[("x-forwarded-for", &from)]).await.status().as_u16()
        });
    }
    // Some were turned away: the line of strangers is full.
    let mut answers = vec![flood.join_next().await.unwrap().unwrap()];
    while !answers.contains(&503) {
        answers.push(flood.join_next().await.expect("300 at once are too many").unwrap());
    }
    let since = Instant::now();
    let signed_in = sign_in(&server, Role::Admin, home).await;
    let took = since.elapsed();
    println!("signed in beside 300 others in {took:?}; {} of them were answered before", answers.len());
    assert!(is_in(signed_in));
    assert!(took.as_secs_f64() < 4.0, "{took:?}; without a line of its own it would be 503");
    while let Some(answer) = flood.join_next().await {
        answers.push(answer.unwrap());
    }
    assert!(answers.iter().all(|status| [303, 503].contains(status)), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_from_nobody_in_particular_changes_no_address() {
    let server = TestServer::start([]).await;
    let mut statuses = Vec::new();
    for host in 0..30 {
        let from = format!("203.0.113.{host}");
        let headers = [("x-forwarded-for", from.as_str()), ("x-real-ip", from.as_str()), ("forwarded", "for=1.2.3.4")];
        statuses.push(server.stranger().try_sign_in("bob@x", "guess", &headers).await.status().as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let records = server.database.audit_records(&Default::default(), 100).await.unwrap();
    assert!(records.iter().all(|record| record.address.as_deref() == Some("127.0.0.1")), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_nobody_named_is_shown_to_administrators_who_come_through_it() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let page = async |headers: &[(&str, &str)]| {
        let mut request = admin.http.get(server.url("/admin/websockets"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap().text().await.unwrap()
    };
    let forged = [("x-forwarded-for", "203.0.113.7"), ("forwarded", "for=203.0.113.7")];
    server.stranger().try_sign_in("bob@x", "guess", &forged).await;
    let before = page(&[]).await;
    assert!(before.contains("</html>") && !before.contains("TRUSTED_PROXIES"), "strangers write no warnings");
    for headers in [&[("x-real-ip", "198.51.100.7")][..], &[]] {
        let warned = page(headers).await;
        assert!(
            warned.contains("data-testid=\"warnings\"") && warned.contains("TRUSTED_PROXIES=127.0.0.1"),
            "{warned}"
        );
    }
    let named = TestServer::start(BEHIND_A_PROXY).await;
    let admin = named.admin().await;
    let answer = admin.http.get(named.url("/admin/websockets")).header("x-forwarded-for", "198.51.100.7").send().await;
    assert!(!answer.unwrap().text().await.unwrap().contains("TRUSTED_PROXIES"));
}

/// How long an unknown account takes against a known one, best of several each, as a machine that is busy makes both slow.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_and_a_wrong_password_take_the_same_time_and_get_the_same_answer() {
    let server = TestServer::start(BEHIND_A_PROXY).await;
    let (mut known, mut unknown) = (f64::MAX, f64::MAX);
    for round in 0..12 {
        let from = format!("203.0.113.{round}");
        for (email, best) in [(email_of(Role::Admin), &mut known), (format!("nobody{round}@example.com"), &mut unknown)]
        {
            let since = Instant::now();
            let answer = server.stranger().try_sign_in(&email, "not the password", &[("x-forwarded-for", &from)]).await;
            // The first one makes what unknown accounts are compared with.
            if round > 0 {
                *best = best.min(since.elapsed().as_secs_f64());
            }
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["location"]),
                (303, &"/login?error=credentials".parse().unwrap())
            );
            let kept = answer.headers()["set-cookie"].to_str().unwrap();
            assert!(kept.starts_with("tickstock_email="), "what was typed, and no session: {kept}");
        }
    }
    let ratio = known / unknown;
    assert!((0.4..2.5).contains(&ratio), "{known} s and {unknown} s: without a hash to compare, it would be a tenth");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_api_are_limited_by_session() {
    let server = TestServer::start([]).await;
    let (busy, calm) = (server.admin().await, server.admin().await);
    let call = || busy.http.get(server.url("/api/admin/websocket-status")).send();
    let limited = eventually("an end", || async {
        let answers = futures_util::future::join_all((0..50).map(|_| call())).await;
        answers.into_iter().map(Result::unwrap).find(|answer| answer.status().as_u16() == 429)
    })
    .await;
    assert_eq!(limited.headers()["retry-after"], "1");
    let error: serde_json::Value = limited.json().await.unwrap();
    assert_eq!(error["error"]["code"], "too_many_requests");
    calm.status().await;
    crate::util::eventually("it may come back", || async { call().await.unwrap().status().is_success().then_some(()) })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_limited_by_account() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut open = Vec::new();
    for _ in 0..SOCKETS_PER_ACCOUNT {
        open.push(admin.socket(None).await);
    }
    assert_eq!(admin.try_socket(None, &server.url("")).await.err(), Some(429));
    open.pop();
    let again = crate::util::eventually("a place is free again", || async {
        admin.try_socket(None, &server.url("")).await.ok()
    });
    open.push(again.await);
    let other = server.sign_in(Role::Super).await;
    other.socket(None).await;
    drop(open);
}

/// Of nobody, of another origin, and of a page that only asks for the address: a page on any site makes its visitors' browsers
/// send them from the office's address.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_spends_an_administrator_s_handshakes() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let asked_for = |cookie: Option<&str>, site: &'static str| {
        let request = reqwest::Client::new().get(server.url("/admin-ws")).header("sec-fetch-site", site);
        let request = request.header("cookie", cookie.unwrap_or("theme=dark"));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    for _ in 0..100 {
        assert_eq!(server.stranger().try_socket(None, &server.url("")).await.err(), Some(401));
        assert_eq!(admin.try_socket(None, "https://evil.example").await.err(), Some(403));
        assert_eq!(asked_for(None, "cross-site").await, 403);
        // A page of a neighbouring port: its requests carry the cookie.
        assert_eq!(asked_for(admin.cookie.as_deref(), "same-site").await, 403);
    }
    admin.socket(None).await;

    // Nor calls of the API.
    let call =
        reqwest::Client::new().get(server.url("/api/admin/websocket-status")).header("sec-fetch-site", "same-site");
    let call = call.header("cookie", admin.cookie.as_deref().expect("a session"));
    for _ in 0..400 {
        assert_eq!(call.try_clone().expect("no body").send().await.unwrap().status().as_u16(), 403);
    }
    admin.get("/api/admin/websocket-status", 200).await;

    // One's own are limited, and those of nobody else with it.
    let mut refused = false;
    for _ in 0..100 {
        refused |= asked_for(admin.cookie.as_deref(), "same-origin").await == 429;
    }
    assert!(refused);
    assert_eq!(admin.try_socket(None, &server.url("")).await.err(), Some(429));
    server.admin().await.socket(None).await;
}

fn redis_limits(redis: &RedisServer) -> Limits {
    limits_at(&redis.url)
}

fn limits_at(url: &str) -> Limits {
    Limits::new(Some(&RedisConfig { url: url.into(), key_prefix: "test:".into(), publish_ticks: true }))
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_on_one_redis_count_together() {
    let redis = RedisServer::start().await;
    let (one, other) = (redis_limits(&redis), redis_limits(&redis));
    let (since, mut taken) = (Instant::now(), 0);
    while [&one, &other][taken % 2].take(API_CALLS, "session").await.is_ok() {
        taken += 1;
        assert!(taken < 10_000);
    }
    // One burst, and what came due meanwhile; each by itself would have had a burst.
    let came_due = since.elapsed().as_millis() as usize / 20 + 2;
    assert!((300..=300 + came_due).contains(&taken), "{taken}, {came_due} came due");

    for known in [false, true] {
        let network: IpAddr = if known { "2001:db8::1" } else { "192.0.2.1" }.parse().unwrap();
        let (mut attempts, mut last) = (0, None);
        while let Ok(attempt) = [&one, &other][attempts % 2].attempt_sign_in(network, "ann@x", known).await {
            (attempts, last) = (attempts + 1, Some(attempt));
            assert!(attempts < 100);
        }
        assert_eq!(attempts, 6);
        let wait = one.attempt_sign_in(network, "ann@x", known).await.unwrap_err();
        assert_eq!(wait.seconds(), 1);
        other.signed_in(last.unwrap()).await;
        let right = one.attempt_sign_in(network, "ann@x", known).await.unwrap();
        one.take_back(right).await;
    }
    // The same counts as those of one server's memory: see `limits::sign_in`.
    let (alone, mut counted) = (Limits::new(None), [0, 0]);
    for n in 0..60 {
        let network: IpAddr = format!("2001:db8:5:{n:x}::1").parse().unwrap();
        for (limits, count) in [&alone, &one].into_iter().zip(&mut counted) {
            *count += usize::from(limits.attempt_sign_in(network, "eve@x", false).await.is_ok());
        }
    }
    assert_eq!(counted[0], counted[1]);
    assert!((10..15).contains(&counted[0]), "a /56, which is allowed some ten: {counted:?}");

    let mut places = Vec::new();
    for n in 0..SOCKETS_PER_ACCOUNT {
        places.push([&one, &other][n % 2].socket_place("1", SOCKETS_PER_ACCOUNT).await.expect("a place"));
    }
    assert!(
        one.socket_place("1", SOCKETS_PER_ACCOUNT).await.is_none()
            && other.socket_place("1", SOCKETS_PER_ACCOUNT).await.is_none()
    );
    assert!(other.socket_place("2", SOCKETS_PER_ACCOUNT).await.is_some());
    places.pop();
    crate::util::eventually("a place is given back", || async { one.socket_place("1", SOCKETS_PER_ACCOUNT).await })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_dies_neither_opens_nor_locks_the_door() {
    let mut redis = RedisServer::start().await;
    let limits = redis_limits(&redis);
    let network: IpAddr = "192.0.2.1".parse().unwrap();
    assert!(limits.attempt_sign_in(network, "ann@x", false).await.is_ok());
    redis.kill();
    let mut attempts = 0;
    while limits.attempt_sign_in(network, "ann@x", false).await.is_ok() {
        attempts += 1;
        assert!(attempts < 100);
    }
    assert_eq!(attempts, 6, "this server counts alone");
    assert!(limits.take(API_CALLS, "session").await.is_ok());
    let places: Vec<_> = {
        let mut places = Vec::new();
        while let Some(place) = limits.socket_place("1", SOCKETS_PER_ACCOUNT).await {
            places.push(place);
        }
        places
    };
    assert_eq!(places.len(), SOCKETS_PER_ACCOUNT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_redis_that_dies_without_a_word_is_made_anew() {
    let redis = RedisServer::start().await;
    let port = redis.url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    let proxy = Proxy::start(port).await;
    let (near, far) = (redis_limits(&redis), limits_at(&format!("redis://127.0.0.1:{}", proxy.port)));
    let spend = async || while near.take(API_CALLS, "session").await.is_ok() {};
    // Again and again: one more is allowed every 20 ms, and a busy machine may take longer than a limit waits for Redis.
    eventually("they count together", || async {
        spend().await;
        far.take(API_CALLS, "session").await.err()
    })
    .await;
    proxy.forget_connections();
    spend().await;
    assert!(far.take(API_CALLS, "session").await.is_ok(), "it counts alone while nothing is answered");
    eventually("they count together again, on a new connection", || async {
        spend().await;
        far.take(API_CALLS, "session").await.err()
    })
    .await;
}
