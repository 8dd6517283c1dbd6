//! How long it takes from trouble to the first byte at whoever is told (`ALERT_FAULTS=100` for the long run), and that many steps
//! at once hold up neither ingest nor frames (`ALERT_STEPS=1000`).

use super::{all_connected, mend, patch, server};
use crate::util::{Client, Hook, eventually};
use app::model::{
    alert::{Alert, Severity, Transition, TransitionKind},
    time::UnixMillis,
};
use serde_json::json;
use std::time::{Duration, Instant};

fn from_environment(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Lost more often within ten minutes, its start included, a connection flaps and its alert stays open.
const LOST_MAX: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn from_a_lost_connection_to_the_first_byte_at_the_webhook() {
    let wanted = from_environment("ALERT_FAULTS", 3);
    let mut took = Vec::new();
    while took.len() < wanted {
        let hook = Hook::start().await;
        let server = server(&hook).await;
        let admin = server.admin().await;
        all_connected(&admin).await;
        let at_once = |enabled: bool, rule: &str| json!({"rule": rule, "enabled": enabled, "for_seconds": 0, "resolve_seconds": 0});
        patch(&admin, at_once(true, "not_connected"), 200).await;
        for rule in ["key_refused", "gap", "mute", "errors"] {
            patch(&admin, at_once(false, rule), 200).await;
        }
        for round in 0..LOST_MAX * 3 {
            if took.len() == wanted {
                break;
            }
            let id = round % 3 + 1;
            let (firing, resolved) = (format!("firing not_connected:{id}"), format!("resolved not_connected:{id}"));
            let count = |what: &str| hook.whats().iter().filter(|told| *told == what).count();
            let before = count(&firing);
            // It stays down until it is mended.
            server.fault(json!({"fault": "refuse_key", "connection": id})).await;
            let since = Instant::now();
            server.fault(json!({"fault": "drop", "connection": id})).await;
            let told = eventually("it is told", || async {
                hook.told().into_iter().filter(|told| told.what() == firing).nth(before)
            })
            .await;
            took.push(told.at - since);
            mend(&server, &admin, &[id]).await;
            eventually("it is over", || async { (count(&resolved) > before).then_some(()) }).await;
        }
    }
    took.sort();
    let of = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{} faults: p50 {:?}, p99 {:?}, worst {:?}", took.len(), of(50), of(99), of(100));
    assert!(of(100) < Duration::from_secs(2), "{took:?}");
}

/// What a span brought: ticks a second, and the usual and the longest time between two frames in milliseconds.
struct Pace {
    ticks: f64,
    usual_ms: f64,
    longest_ms: f64,
}

impl std::fmt::Display for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ticks, usual_ms, longest_ms } = self;
        write!(f, "{ticks:.1} ticks/s, {usual_ms:.1} ms between frames, at most {longest_ms:.1} ms")
    }
}

async fn pace(admin: &Client, span: Duration) -> Pace {
    let ticks = async || admin.status().await["summary"]["ticks_total"].as_u64().unwrap() as f64;
    // A new one each time: frames that nobody read would come at once.
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    socket.frame().await;
    let (since, before) = (Instant::now(), ticks().await);
    let (mut last, mut gaps) = (Instant::now(), Vec::new());
    while since.elapsed() < span {
        socket.frame().await;
        gaps.push(last.elapsed().as_secs_f64() * 1000.0);
        last = Instant::now();
    }
    let ticks = (ticks().await - before) / since.elapsed().as_secs_f64();
    gaps.sort_by(f64::total_cmp);
    Pace { ticks, usual_ms: gaps[gaps.len() / 2], longest_ms: gaps[gaps.len() - 1] }
}

/// Steps of alerts that are over, each told to the webhook.
fn many_steps(count: usize, now: UnixMillis) -> Vec<Transition> {
    let step = |number: usize| {
        let id = format!("step-{number}");
        let alert = Alert {
            id: id.clone(),
            fingerprint: id.clone(),
            severity: Severity::Critical,
            transitions: 1,
            started_at: now,
            ended_at: Some(now),
            ..Alert::default()
        };
        Transition { id: id + "-1", kind: TransitionKind::Resolved, at: now, alert, to: vec!["webhook".into()] }
    };
    (0..count).map(step).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_steps_at_once_hold_up_neither_ingest_nor_frames() {
    let wanted = from_environment("ALERT_STEPS", 100);
    let span = Duration::from_secs(if wanted > 100 { 10 } else { 1 });
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    // One error is enough for an alert, which wakes whoever sends and changes nothing about the ticks.
    let one_error = json!({"rule": "errors", "for_seconds": 0, "threshold": 0.5});
    patch(&admin, one_error, 200).await;
    eventually("ticks come as they will", || async {
        let [before, after] = [pace(&admin, span / 4).await, pace(&admin, span / 4).await];
        ((before.ticks - after.ticks).abs() < before.ticks * 0.1).then_some(())
    })
    .await;

    let before = pace(&admin, span).await;
    let run = server.database.alert_lease().await.unwrap().run;
    let since = Instant::now();
    assert!(server.database.write_transitions(&run, &many_steps(wanted, UnixMillis::now())).await.unwrap());
    server.fault(json!({"fault": "garbage", "connection": 1})).await;
    eventually("they are being told", || async { (!hook.told().is_empty()).then_some(()) }).await;
    let during = pace(&admin, span).await;
    let told_in_span = hook.told().len();
    while hook.told().len() <= wanted {
        let known = hook.told().len();
        eventually("more are told", || async { (hook.told().len() > known).then_some(()) }).await;
    }
    let took = since.elapsed();
    let after = pace(&admin, span).await;

    let ratio = during.ticks * 2.0 / (before.ticks + after.ticks);
    println!("{wanted} steps told in {took:.1?}, {told_in_span} of them within the span of {span:?}");
    let paces = format!("without: {before}\nwith:    {during}\nwithout: {after}\nticks with/without: {ratio:.3}");
    println!("{paces}");
    // Far below what it is: other tests run beside this one.
    assert!(ratio > 0.3, "{paces}");
}
