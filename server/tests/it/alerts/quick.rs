//! How long it takes from trouble to the first byte at whoever is told (`ALERT_FAULTS=100` for the long run), and that many steps
//! at once hold up neither ingest nor frames (`ALERT_STEPS=1000`).

use super::{all_connected, hurry, mend, patch, refuse_key, server};
use crate::util::{Client, Hook, Socket, eventually};
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

/// Ticks a second, and the usual and the longest time between two frames, in milliseconds, over two seconds.
async fn pace(admin: &Client, socket: &mut Socket) -> (f64, f64, f64) {
    let ticks = async || admin.status().await["summary"]["ticks_total"].as_u64().unwrap() as f64;
    let (since, before) = (Instant::now(), ticks().await);
    let (mut last, mut gaps) = (Instant::now(), Vec::new());
    while since.elapsed() < Duration::from_secs(2) {
        socket.frame().await;
        gaps.push(last.elapsed().as_secs_f64() * 1000.0);
        last = Instant::now();
    }
    gaps.sort_by(f64::total_cmp);
    let rate = (ticks().await - before) / since.elapsed().as_secs_f64();
    (rate, gaps[gaps.len() / 2], gaps[gaps.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn many_steps_at_once_hold_up_neither_ingest_nor_frames() {
    let wanted = from_environment("ALERT_STEPS", 100);
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    let quiet = pace(&admin, &mut socket).await;
    let now = UnixMillis::now();
    let steps: Vec<_> = (0..wanted)
        .map(|number| {
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
        })
        .collect();
    let run = server.database.alert_lease().await.unwrap().run;
    let since = Instant::now();
    assert!(server.database.write_transitions(&run, &steps).await.unwrap());
    // One of its own wakes whoever sends.
    refuse_key(&server, 1).await;
    eventually("they are being told", || async { (!hook.told().is_empty()).then_some(()) }).await;
    // The other one has frames waiting that nobody read.
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    let busy = pace(&admin, &mut socket).await;
    while hook.told().len() <= wanted {
        let before = hook.told().len();
        eventually("more are told", || async { (hook.told().len() > before).then_some(()) }).await;
    }
    println!("{wanted} steps in {:?}; ticks/s, ms between frames, at most: {quiet:?}, then {busy:?}", since.elapsed());
    // Of three connections one is refused; frames come in the same rhythm.
    assert!(busy.0 > quiet.0 * 0.4, "{quiet:?} {busy:?}");
    assert!(busy.1 < quiet.1 * 2.0 + 20.0, "{quiet:?} {busy:?}");
}
