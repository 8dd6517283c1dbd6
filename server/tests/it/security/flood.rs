//! A flood of sign-ins against a dashboard that is being watched.

use crate::util::{TestServer, email_of};
use app::model::{protocol::Frame, time::UnixMillis};
use server::auth::Role;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

/// 10,000 a minute.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(6);

/// For so long, in seconds: `ATTACK_SECONDS`, a short burst unless it is set.
fn attack_length() -> Duration {
    let seconds = std::env::var("ATTACK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    Duration::from_secs(seconds)
}

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
    let attack = tokio::spawn(async move {
        let mut beats = interval(ATTEMPT_INTERVAL);
        beats.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut attempts = tokio::task::JoinSet::new();
        let mut answers = std::collections::BTreeMap::<u16, u32>::new();
        for n in 0_u32.. {
            beats.tick().await;
            if *stopped.borrow() {
                break;
            }
            // Every other one from a network of its own: those get as far as a hash, the others are told to wait.
            let from = if n % 2 == 0 { format!("10.{}.{}.1", n / 250 % 250, n % 250) } else { "192.0.2.1".to_owned() };
            let (stranger, email) = (stranger.clone(), email.clone());
            attempts.spawn(async move {
                let attempt = stranger.http.post(format!("{}/login", stranger.base)).header("x-forwarded-for", from);
                let form = attempt.header("content-type", "application/x-www-form-urlencoded");
                let sent = form.body(format!("email={email}&password=not+the+password")).send().await;
                // A connection that was idle may be closed the moment that it is used again.
                sent.map_or(0, |answer| answer.status().as_u16())
            });
            while let Some(Ok(status)) = attempts.try_join_next() {
                *answers.entry(status).or_default() += 1;
            }
        }
        while let Some(Ok(status)) = attempts.join_next().await {
            *answers.entry(status).or_default() += 1;
        }
        answers
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
