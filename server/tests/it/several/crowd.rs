//! Many pages through a real proxy, and one of three servers is killed: all of them are live again on the others.
//!
//! `PAGES=300` for the figures in docs/operations.md.

use crate::util::{Client, Front, Monitor, PASSWORD, Postgres, RedisServer, Socket, eventually, free_port};
use app::{
    model::protocol::{CloseReason, ComeBack, Frame, SUBPROTOCOL_BINARY},
    store::backoff,
};
use server::{
    auth::{Role, hash_password},
    database::{Database, NewAccount},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// An account may have twenty: those of a server that was killed count for a while.
const PAGES_PER_ACCOUNT: usize = 10;

/// What a page tells.
enum Told {
    /// It has the whole truth, and is live.
    Live,
    Ticks,
    Lost,
    /// A handshake was refused with this status.
    Refused(u16),
}

/// A page's socket, again and again as the page itself opens it, see `app::store::socket`.
async fn page(number: usize, client: Client, told: mpsc::Sender<(usize, Instant, Told)>) {
    let tell = async |what| told.send((number, Instant::now(), what)).await.is_ok();
    let url = format!("{}/admin-ws", client.base.replace("http://", "ws://"));
    let cookie = [("cookie", client.cookie.as_deref().unwrap_or_default())];
    let mut attempt = 0;
    // People come one by one.
    sleep(Duration::from_millis(10 * number as u64)).await;
    loop {
        let code = match Socket::attempt(&url, Some(SUBPROTOCOL_BINARY), &client.base, &cookie).await {
            Ok(mut socket) => loop {
                match socket.frame_or_close().await {
                    Ok(Frame::Snapshot(_)) => {
                        attempt = 0;
                        if !tell(Told::Live).await {
                            return;
                        }
                    }
                    Ok(Frame::Ticks(_)) => drop(tell(Told::Ticks).await),
                    Ok(_) => {}
                    Err(code) => break code,
                }
            },
            Err(error) => {
                if let tokio_tungstenite::tungstenite::Error::Http(answer) = error {
                    tell(Told::Refused(answer.status().as_u16())).await;
                }
                1006
            }
        };
        attempt += 1;
        if attempt == 1 && !tell(Told::Lost).await {
            return;
        }
        let delay_ms = match CloseReason::come_back(code) {
            ComeBack::AtOnce if attempt == 1 => 0,
            _ => backoff::delay_ms(attempt, rand::random()),
        };
        sleep(Duration::from_millis(delay_ms.into())).await;
    }
}

/// Accounts, each signed in once, through the proxy.
async fn browsers(database: &str, origin: &str, count: usize) -> Vec<Client> {
    let known = Database::open(database).await.unwrap();
    let password_hash = hash_password(PASSWORD.into()).await.unwrap();
    let mut browsers = Vec::new();
    for number in 0..count {
        let email = format!("crowd-{number}@example.com");
        let account =
            NewAccount { email: email.parse().unwrap(), role: Role::Admin, password_hash: password_hash.clone() };
        known.add_account(&account).await.unwrap();
        let mut browser = Client::at(origin.to_owned());
        // Each from a network of its own.
        let from = format!("203.0.113.{number}");
        let answer = browser.try_sign_in(&email, PASSWORD, &[("origin", origin), ("x-forwarded-for", &from)]).await;
        assert_eq!(answer.status(), 303);
        browser.keep_cookie(&answer);
        browsers.push(browser);
    }
    browsers
}

async fn all_are_live_again_on_the_others(front: impl AsyncFnOnce(u16, Vec<SocketAddr>) -> Front) {
    let _measuring = super::MEASURING.read().await;
    let pages: usize = std::env::var("PAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (redis, database) = (RedisServer::start().await, Postgres::shared().empty_database().await);
    let port = free_port();
    let origin = format!("http://127.0.0.1:{port}");
    let start = |name: &str| {
        Monitor::start_silent(&[
            ("SERVER_NAME", name),
            ("REDIS_URL", &redis.url),
            ("DATABASE_URL", &database.url),
            ("PUBLIC_URL", &origin),
            ("TRUSTED_PROXIES", "127.0.0.1"),
            // What is measured is how they come back, not how much they are shown.
            ("SIMULATOR_TICK_RATE", "1"),
        ])
    };
    let mut servers = vec![start("a:1")];
    eventually("it collects", || async { (servers[0].ready().await["role"] == "collector").then_some(()) }).await;
    servers.extend([start("b:2"), start("c:3")]);
    for server in &servers {
        server.until_ready().await;
    }
    let addresses = servers.iter().map(|server| SocketAddr::from(([127, 0, 0, 1], server.port))).collect();
    let _front = front(port, addresses).await;
    let browsers = browsers(&database.url, &origin, pages.div_ceil(PAGES_PER_ACCOUNT)).await;

    let (tell, mut told) = mpsc::channel(1_024);
    let running: Vec<_> = (0..pages)
        .map(|number| tokio::spawn(page(number, browsers[number / PAGES_PER_ACCOUNT].clone(), tell.clone())))
        .collect();
    let mut ticking = vec![false; pages];
    while ticking.contains(&false) {
        let (number, _, what) = timeout(Duration::from_secs(20), told.recv()).await.expect("all are live").unwrap();
        // On a busy machine some come in at the second attempt.
        ticking[number] |= matches!(what, Told::Ticks);
    }
    // Who collects is the hardest to lose.
    let killed = Instant::now();
    servers[0].kill();
    let mut refused = Vec::new();
    let mut lost = vec![false; pages];
    let mut live: Vec<Option<Duration>> = vec![None; pages];
    let mut ticks: Vec<Option<Duration>> = vec![None; pages];
    let is_over = |lost: &[bool], live: &[Option<Duration>], ticks: &[Option<Duration>]| {
        lost.contains(&true)
            && (0..pages).all(|number| ticks[number].is_some() && (!lost[number] || live[number].is_some()))
    };
    // Whoever is not lost by then is on another server, and has to have had ticks of the next collector.
    while killed.elapsed() < Duration::from_millis(2_500) || !is_over(&lost, &live, &ticks) {
        let Ok(word) = timeout(Duration::from_millis(100), told.recv()).await else {
            assert!(killed.elapsed() < Duration::from_secs(15), "lost {lost:?}, live {live:?}");
            continue;
        };
        let (number, at, what) = word.unwrap();
        let since = at.saturating_duration_since(killed);
        match what {
            Told::Lost => lost[number] = true,
            Told::Live if lost[number] => live[number] = live[number].or(Some(since)),
            // What was under way when the server was killed says nothing.
            Told::Ticks if since > Duration::from_secs(1) => ticks[number] = ticks[number].or(Some(since)),
            Told::Refused(status) => refused.push(status),
            Told::Live | Told::Ticks => {}
        }
    }
    running.iter().for_each(tokio::task::JoinHandle::abort);
    let mut times: Vec<_> = live.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "{pages} pages, {} lost their server; live again: p50 {:?}, p99 {:?}, last {:?}; refused on the way: {refused:?}",
        times.len(),
        at(50),
        at(99),
        times[times.len() - 1]
    );
    assert!(times.len() >= pages / 6, "{} of {pages} were on it", times.len());
    assert!(at(99) < Duration::from_secs(2), "{times:?}");
    assert!(!refused.contains(&401) && !refused.contains(&403), "nobody has to sign in again: {refused:?}");
    for browser in &browsers {
        let said = browser.get_json("/api/admin/servers", 200).await;
        assert!(said["this"] == "b:2" || said["this"] == "c:3", "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_three_servers_behind_haproxy_is_killed_all_pages_are_live_again_within_two_seconds() {
    all_are_live_again_on_the_others(Front::haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_of_three_servers_behind_nginx_is_killed_all_pages_are_live_again_within_two_seconds() {
    all_are_live_again_on_the_others(Front::nginx).await;
}
