//! History over a crash: the real program is killed while it is under load.

use crate::util::{eventually, free_port};
use app::model::{
    history::{EventKind, gap::GapCause},
    time::UnixMillis,
};
use server::database::{
    Database,
    history::{EventFilter, Sample},
};
use std::{
    ops::Range,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

struct Monitor(Child);

impl Monitor {
    /// Starts it, and waits until it answers: from then on its tables are there.
    async fn start(folder: &TempDir, simulator: &str) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let child = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"))
            .env_clear()
            .envs([
                ("LEPTOS_SITE_ADDR", address.as_str()),
                ("SIMULATOR_LISTEN", simulator),
                ("DATABASE_URL", "sqlite://monitor.db"),
                ("ADMIN_PASSWORD", "correct horse battery staple"),
            ])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let monitor = Self(child);
        let url = format!("http://{address}/healthz");
        eventually("the monitor answers", || async { reqwest::get(&url).await.ok() }).await;
        monitor
    }

    /// As a power cut would.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn all() -> Range<UnixMillis> {
    UnixMillis(0)..UnixMillis(i64::MAX)
}

async fn seconds(database: &Database, connection_id: u8) -> Vec<Sample> {
    database.history_samples(1, all(), Some(connection_id), None, 100_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_a_second_and_the_ledger_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/monitor.db", folder.path().display());
    let simulator = format!("127.0.0.1:{}", free_port());
    let mut monitor = Monitor::start(&folder, &simulator).await;
    let database = Database::open(&url).await.unwrap();
    let ticking = |id| {
        let database = database.clone();
        async move { seconds(&database, id).await.iter().any(|sample| sample.ticks > 0).then_some(()) }
    };
    for id in 1..=3 {
        eventually("every connection ticks", || ticking(id)).await;
    }
    let flood = reqwest::Client::new().post(format!("http://{simulator}/control"));
    assert!(flood.json(&serde_json::json!({"fault": "flood"})).send().await.unwrap().status().is_success());
    eventually("the load is on record", || async {
        seconds(&database, 2).await.iter().any(|sample| sample.ticks > 1_000).then_some(())
    })
    .await;
    // An estimate wants five seconds to rest on.
    eventually("there is a past to estimate from", || async { (seconds(&database, 1).await.len() >= 7).then_some(()) })
        .await;

    monitor.kill();
    let killed = UnixMillis::now();
    let before = seconds(&database, 1).await;
    let last = before.last().unwrap();
    let unseen_ms = killed.millis_since(UnixMillis(last.at.0 + 1000));
    println!("the last sample ended {unseen_ms} ms before the kill, or at most a second later");
    // A second by design; on a machine that is busy with other tests it may be a few.
    assert!(unseen_ms < 5_000, "{unseen_ms}");
    let seen_ms: u64 = before.iter().map(|sample| sample.covered_ms).sum();
    let span_ms = last.at.0 + 1000 - before[0].at.0;
    assert!(span_ms - (seen_ms as i64) < 3_000, "no hole before: {seen_ms} of {span_ms} ms");

    tokio::time::sleep(Duration::from_secs(2)).await;
    monitor = Monitor::start(&folder, &simulator).await;
    let gaps = eventually("the downtime of every connection is in the ledger, and over", || async {
        let gaps = database.history_gaps(all(), None, None, 100).await.unwrap();
        let crashes: Vec<_> = gaps.into_iter().filter(|gap| gap.cause == GapCause::MonitorCrashed).collect();
        (crashes.len() == 3 && crashes.iter().all(|gap| gap.first_tick_at.is_some())).then_some(crashes)
    })
    .await;
    for gap in gaps {
        assert!(gap.started_at <= killed && gap.first_tick_at.unwrap() > killed, "{gap:?}");
        assert!(gap.duration_ms(killed) >= 2_000 && gap.missed_ticks(killed).unwrap() > 0, "{gap:?}");
        assert!(gap.words.starts_with("The monitor ended unexpectedly after"), "{}", gap.words);
    }
    let filter = EventFilter { range: all(), connections: None.into(), kind: Some(EventKind::Server) };
    let started = database.history_events(&filter, None, 1).await.unwrap().remove(0);
    assert!(started.text.contains("ended unexpectedly after"), "{}", started.text);
    monitor.kill();
    database.close().await;

    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&pool).await.unwrap();
    assert_eq!(check, "ok");
}
