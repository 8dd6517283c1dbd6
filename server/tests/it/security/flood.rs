//! A flood of sign-ins against a dashboard that is being watched.

use super::{attack_length, flood};
use crate::util::{TestServer, email_of};
use app::model::{protocol::Frame, time::UnixMillis};
use server::auth::Role;
use std::time::Duration;
use tokio::{sync::watch, time::Instant};

/// 10,000 a minute.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(6);

/// How late frames of ticks arrive, in milliseconds, sorted.
async fn lags(admin: &crate::util::Client, length: Duration) -> Vec<i64> {
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    let mut lags = Vec::new();
    let until = Instant::now() + length;
    while Instant::now() < until {
        if let Frame::Ticks(ticks) = socket.frame().await {
            lags.push(UnixMillis::now().millis_since(ticks.at));
        }
    }
    lags.sort_unstable();
    lags
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_sign_ins_a_minute_do_not_hold_up_the_ticks() {
    let server = TestServer::start([("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    let quiet = lags(&admin, attack_length()).await;

    let (stop, stopped) = watch::channel(false);
    let (stranger, email) = (server.stranger(), email_of(Role::Admin));
    let attack = flood(ATTEMPT_INTERVAL, stopped, move |n| {
        // Every other one from a network of its own: those get as far as a hash, the others are told to wait.
        let from = if n % 2 == 0 { format!("10.{}.{}.1", n / 250 % 250, n % 250) } else { "192.0.2.1".to_owned() };
        let attempt = stranger.http.post(format!("{}/login", stranger.base)).header("x-forwarded-for", from);
        let form = attempt.header("content-type", "application/x-www-form-urlencoded");
        let request = form.body(format!("email={email}&password=not+the+password")).send();
        // A connection that was idle may be closed the moment that it is used again.
        async { request.await.map_or(0, |answer| answer.status().as_u16()) }
    });
    let attacked = lags(&admin, attack_length()).await;
    stop.send_replace(true);
    let answers = attack.await.unwrap();

    let at = |lags: &[i64], share: f64| lags[((lags.len() - 1) as f64 * share) as usize];
    let sum: u32 = answers.values().sum();
    println!(
        "{sum} attempts in {:?}, answers {answers:?}; lag of frames p50/p99/worst: quiet {}/{}/{} ms, attacked {}/{}/{} ms",
        attack_length(),
        at(&quiet, 0.5),
        at(&quiet, 0.99),
        at(&quiet, 1.0),
        at(&attacked, 0.5),
        at(&attacked, 0.99),
        at(&attacked, 1.0),
    );
    assert!(answers.contains_key(&429), "{answers:?}");
    assert!(answers.keys().all(|status| [0, 303, 429, 503].contains(status)), "{answers:?}");
    assert!(answers.get(&0).is_none_or(|lost| lost * 100 < sum), "{answers:?}");
    // A wide margin: what shares the machine makes both late. Without limits the hashes alone would make it seconds.
    assert!(attacked.len() * 4 > quiet.len(), "{} frames, {} without the attack", attacked.len(), quiet.len());
    let (before, under) = (at(&quiet, 0.5).max(5), at(&attacked, 0.5));
    assert!(under <= before * 20, "half of the frames were {under} ms late, {before} ms without the attack");
}
