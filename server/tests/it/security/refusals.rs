//! A flood of refusals from strangers: it fills no disk, holds up no administrator, hides nothing and deletes nothing.

use super::{attack_length, flood};
use crate::util::{Client, TestServer, eventually};
use app::model::time::UnixMillis;
use reqwest::Method;
use server::{audit::verify, database::AuditFilter};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

/// 100 a second.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(10);

/// Each as different from the others as a stranger can make it.
async fn refusal(stranger: Client, n: u32) -> u16 {
    // Half from one network, half from one each.
    let from = if n.is_multiple_of(2) {
        "192.0.2.1".to_owned()
    } else {
        format!("2001:db8:{:x}:{:x}::1", n >> 16, n & 0xffff)
    };
    let (method, path, origin) = match n % 5 {
        0 => (Method::from_bytes(format!("X{n}").as_bytes()).unwrap(), "/api/admin/audit", None),
        1 => (Method::GET, "/admin/websockets", None),
        2 => (Method::POST, "/api/admin/config/refresh", None),
        3 => (Method::POST, "/login", Some("https://evil.example")),
        _ => (Method::GET, "/api/admin/history/events", None),
    };
    let mut request = stranger.http.request(method, format!("{}{path}", stranger.base));
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let request = request.header("x-forwarded-for", from).header("user-agent", format!("{n} {}", "x".repeat(180)));
    // A connection that was idle may be closed the moment that it is used again.
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

/// How long an administrator's calls take, in milliseconds, sorted. Every twentieth is new within its minute: it is put on record
/// before it is answered.
async fn calls(admin: &Client, first: u32, length: Duration) -> Vec<u128> {
    let mut took = Vec::new();
    let until = Instant::now() + length;
    for n in first.. {
        if Instant::now() >= until {
            break;
        }
        let since = Instant::now();
        // No 503 among them: the status is part of the call.
        admin.get(&format!("/api/admin/history/events?from=-{}s&limit=1", n / 20), 200).await;
        took.push(since.elapsed().as_millis());
        sleep(Duration::from_millis(25)).await;
    }
    took.sort_unstable();
    took
}

fn at(took: &[u128], share: f64) -> u128 {
    took[((took.len() - 1) as f64 * share) as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_refusals_fills_no_disk_holds_nobody_up_and_deletes_no_history() {
    let server = TestServer::start([("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    let quiet = calls(&admin, 20, Duration::from_secs(2)).await;
    let own_acts = async || {
        let filter = AuditFilter { actor: Some("admin@example.com".into()), ..AuditFilter::default() };
        server.database.audit_records(&filter, 1_000_000).await.unwrap().len()
    };
    let (records_before, own_before) = (records(&server).await, own_acts().await);
    let (bytes_before, began) = (server.database.bytes_used().await.unwrap(), UnixMillis::now());

    let (stop, stopped) = watch::channel(false);
    let stranger = server.stranger();
    let attacking = flood(REFUSAL_INTERVAL, stopped, move |n| refusal(stranger.clone(), n));
    let attacked = calls(&admin, 20_000, attack_length()).await;
    stop.send_replace(true);
    let answers = attacking.await.unwrap();
    assert!(answers.keys().all(|status| *status == 0 || (300..500).contains(status)), "{answers:?}");
    let refused: u32 = answers.iter().filter(|(status, _)| **status != 0).map(|(_, count)| count).sum();

    let ended = UnixMillis::now();
    let seconds = ended.millis_since(began) / 1_000;
    let (bytes, own) = (server.database.bytes_used().await.unwrap() - bytes_before, own_acts().await - own_before);
    let of_strangers = records(&server).await - records_before - own;
    let samples = eventually("the last second is written", || async {
        let samples = server.database.history_samples(1, began..ended, Some(1), None, 10_000).await.unwrap();
        samples.last().is_some_and(|sample| ended.millis_since(sample.at) < 2_000).then_some(samples)
    })
    .await;
    println!(
        "{refused} refusals in {seconds} s: {of_strangers} records of them, {own} of the administrator, database {bytes} bytes \
         larger; {} calls p50/p99/worst: quiet {}/{}/{} ms, attacked {}/{}/{} ms; {} samples of connection 1 over {} ms",
        attacked.len(),
        at(&quiet, 0.5),
        at(&quiet, 0.99),
        at(&quiet, 1.0),
        at(&attacked, 0.5),
        at(&attacked, 0.99),
        at(&attacked, 1.0),
        samples.len(),
        samples.iter().map(|sample| sample.covered_ms).sum::<u64>(),
    );
    assert!(refused > 50 * seconds as u32, "a flood");
    assert!(own >= attacked.len() / 20, "every act of the administrator is on record, {own} of {}", attacked.len());
    // For ten minutes, history and what the administrator did included.
    assert!(bytes < 1_000_000 * (seconds as u64).div_ceil(600), "{bytes} bytes");
    let minutes = 1 + seconds as usize / 60;
    assert!(of_strangers <= 5 * 2 * (60 + minutes) + minutes, "{of_strangers} records");
    // A machine that does something else makes both slow.
    assert!(at(&attacked, 0.99) < 100.max(5 * at(&quiet, 0.99)), "{} ms", at(&attacked, 0.99));
    // Every millisecond was seen. Not a row each second: of two spans of a second that end within one, both are in its row.
    let covered_ms: u64 = samples.iter().map(|sample| sample.covered_ms).sum();
    assert!(covered_ms as i64 + 2_500 >= seconds.min(3_590) * 1_000, "{covered_ms} ms of {seconds} s");
    let whole = verify(&server.database, &[]).await.unwrap();
    assert!(whole.is_ok(), "{whole:?}");
}

async fn records(server: &TestServer) -> usize {
    server.database.audit_records(&AuditFilter::default(), 1_000_000).await.unwrap().len()
}

/// 1,100 anonymous requests within a minute, and the next minute's repetitions of everybody lost address and target.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_flood_what_administrators_do_is_on_record_with_address_target_and_browser() {
    let mut server = TestServer::start([("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin().await;
    let stranger = Arc::new(server.stranger());
    let mut requests = JoinSet::new();
    for n in 0..1_100 {
        requests.spawn(refusal((*stranger).clone(), n));
        if requests.len() >= 50 {
            requests.join_next().await;
        }
    }
    while requests.join_next().await.is_some() {}
    for _ in 0..5 {
        let request = admin.http.get(server.url("/api/admin/websocket-status")).header("user-agent", "Monitor/1");
        assert_eq!(request.header("x-forwarded-for", "198.51.100.9").send().await.unwrap().status().as_u16(), 200);
    }
    server.stop().await;
    let filter = AuditFilter { actor: Some("admin@example.com".into()), ..AuditFilter::default() };
    let log = server.other_process().await;
    let records = log.audit_records(&filter, 2).await.unwrap();
    for record in &records {
        assert_eq!(record.target.as_deref(), Some("GET /api/admin/websocket-status"));
        assert_eq!(record.address.as_deref(), Some("198.51.100.9"));
        assert_eq!(record.user_agent.as_deref(), Some("Monitor/1"));
    }
    assert_eq!(records.iter().map(|record| record.occurrences).collect::<Vec<_>>(), [4, 1]);

    let counted = AuditFilter { action: "refusals_counted".parse().ok(), ..AuditFilter::default() };
    let counted = log.audit_records(&counted, 9).await.unwrap();
    let one_by_one = AuditFilter { outcome: "refused".parse().ok(), ..AuditFilter::default() };
    let refused = log.audit_records(&one_by_one, 10_000).await.unwrap();
    assert_eq!(refused.iter().map(|record| record.occurrences).sum::<i64>(), 1_100, "none is forgotten");
    assert_eq!(counted.len(), 1);
    let reason = counted[0].reason.as_deref().unwrap();
    assert!(reason.contains(" of 2001:db8:0:") && reason.ends_with(" of others"), "{reason}");
    let many = refused.iter().find(|record| record.occurrences > 50 && record.action == "api_call").unwrap();
    assert_eq!(
        many.address.as_deref(),
        Some("192.0.2.1"),
        "one network that repeats itself is no reason to forget where"
    );
    assert!(refused.iter().any(|record| record.target.as_deref() == Some("OTHER /api/admin/audit")));
    assert!(refused.iter().all(|record| record.target.as_ref().is_none_or(|target| !target.starts_with('X'))));
}
