//! The keeper against a real database that is broken for real.

use super::*;
use crate::{
    auth::testing::{self, Home, Postgres},
    database::history::EventFilter,
    model::{Action, Actor, Entry},
};
use app::model::{
    connection::ConnectionState,
    status::{ConnectionConfig, ConnectionLive, ConnectionStatus},
};
use futures_util::future::join_all;
use std::{path::PathBuf, time::Instant};
use tokio::time::sleep;

/// Far more than a condition needs, so that a slow machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keeper that is fed ten reports a second, and everything to break it with.
struct Bench {
    home: Home,
    database: Database,
    news: watch::Receiver<HistoryNews>,
    reports: Arc<watch::Sender<Arc<StatusReport>>>,
    stop: CancellationToken,
    keeping: JoinHandle<()>,
}

fn report(ticks_total: u64, state: ConnectionState) -> Arc<StatusReport> {
    let mut live = ConnectionLive { id: 1, enabled: true, state, ..ConnectionLive::default() };
    live.metrics.ticks_total = ticks_total;
    live.metrics.last_update = Some(UnixMillis::now());
    let config = ConnectionConfig { ticker_count: 10, ..ConnectionConfig::default() };
    Arc::new(StatusReport {
        connections: vec![ConnectionStatus { live, config, ..ConnectionStatus::default() }],
        ..StatusReport::default()
    })
}

async fn start(home: Home) -> Bench {
    let database = home.open().await;
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let retention = Retention { seconds: days(1), ten_seconds: days(1), rest: days(90), bytes_max: u64::MAX };
    let keeper = Keeper::open(database.clone(), retention, Feed::Simulator).await.unwrap();
    let news = keeper.news();
    let reports = Arc::new(watch::Sender::new(report(0, ConnectionState::Connected)));
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(keeper.keep(reports.subscribe(), stop.clone()));
    let (feed, fed) = (Arc::clone(&reports), stop.clone());
    tokio::spawn(async move {
        let mut ticks = 0;
        while !fed.is_cancelled() {
            ticks += 5;
            feed.send_replace(report(ticks, ConnectionState::Connected));
            sleep(Duration::from_millis(100)).await;
        }
    });
    Bench { home, database, news, reports, stop, keeping }
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        match &self.home {
            Home::Folder(folder) => folder.path().join(name),
            Home::Postgres(_) => panic!("no file"),
        }
    }

    async fn samples(&self) -> u64 {
        let all = UnixMillis(0)..UnixMillis(i64::MAX);
        let samples = self.database.history_samples(1, all, None, None, 10_000).await.unwrap();
        samples.iter().map(|sample| sample.covered_ms).sum()
    }

    async fn texts(&self, kind: EventKind) -> Vec<String> {
        let filter =
            EventFilter { range: UnixMillis(0)..UnixMillis(i64::MAX), connections: None.into(), kind: Some(kind) };
        let events = self.database.history_events(&filter, None, 100).await.unwrap();
        events.into_iter().map(|event| event.text).collect()
    }

    async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let since = Instant::now();
        while !is_so().await {
            assert!(since.elapsed() < PATIENCE, "waited in vain for: {what}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_trouble(&self) -> HistoryTrouble {
        self.until("trouble is told", async || self.news.borrow().trouble.is_some()).await;
        self.news.borrow().trouble.clone().unwrap()
    }

    /// History is kept again, all of what came meanwhile with it, and the outage is on record.
    async fn until_settled(&self, broken: Instant, covered_before: u64, reason: &str) {
        self.until("history is kept again", async || self.news.borrow().trouble.is_none()).await;
        let expected = covered_before + broken.elapsed().as_millis() as u64 / 2;
        self.until("what came meanwhile is written", async || self.samples().await > expected).await;
        self.until("the outage is on record", async || !self.texts(EventKind::History).await.is_empty()).await;
        let text = self.texts(EventKind::History).await.remove(0);
        assert!(text.contains(reason) && text.ends_with("nothing was lost, all of it was written late"), "{text}");
    }

    async fn end(self) -> Home {
        self.stop.cancel();
        self.keeping.await.unwrap();
        self.database.close().await;
        self.home
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_told_and_caught_up_with() {
    join_all(testing::homes().await.map(|home| async move {
        let bench = start(home).await;
        bench.until("samples are written", async || bench.samples().await > 1_000).await;
        let before = bench.samples().await;
        let broken = Instant::now();
        let mut other = bench.home.open().await.lock().await;
        let trouble = bench.until_trouble().await;
        assert!(trouble.reason == "the database is slow" || trouble.reason == "the database is busy", "{trouble:?}");
        bench.reports.send_replace(report(1, ConnectionState::Mute));
        // It was looked at all the while.
        sleep(Duration::from_secs(1)).await;
        other.release().await;
        bench.until_settled(broken, before, &trouble.reason).await;
        bench.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_is_told_and_caught_up_with() {
    join_all(testing::homes().await.map(|home| async move {
        let bench = start(home).await;
        bench.until("samples are written", async || bench.samples().await > 1_000).await;
        let before = bench.samples().await;
        let broken = Instant::now();
        bench.database.limit_pages(1).await;
        // What fits into pages that are there is still written.
        let talking = talk(&bench);
        let trouble = bench.until_trouble().await;
        let reason =
            if matches!(bench.home, Home::Folder(_)) { "database or disk is full" } else { "could not extend file" };
        assert_eq!(trouble.reason, reason);
        talking.abort();
        bench.database.limit_pages(1_000_000).await;
        bench.until_settled(broken, before, reason).await;
        bench.end().await;
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_file_that_is_gone_is_told_and_caught_up_with_when_it_is_put_back() {
    let home = Home::Folder(tempfile::tempdir().unwrap());
    let bench = start(home).await;
    bench.until("samples are written", async || bench.samples().await > 1_000).await;
    let before = bench.samples().await;
    let broken = Instant::now();
    let elsewhere = bench.file("elsewhere.db");
    std::fs::rename(bench.file("monitor.db"), &elsewhere).unwrap();
    let trouble = bench.until_trouble().await;
    assert_eq!(trouble.reason, "the database file was removed: put it back or restart the server");
    assert!(!bench.database.is_reachable().await);
    std::fs::write(bench.file("monitor.db"), "another file").unwrap();
    let replaced = bench.database.write_history(&Batch::default()).await.unwrap_err();
    assert_eq!(replaced.reason(), "the database file was replaced by another file: restart the server");
    std::fs::rename(&elsewhere, bench.file("monitor.db")).unwrap();
    bench.until_settled(broken, before, "the database file was removed").await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_good_order_and_a_crash_are_told_apart() {
    join_all(testing::homes().await.map(|home| async move {
        let bench = start(home).await;
        bench.until("samples are written", async || bench.samples().await > 1_000).await;
        let again = start(bench.end().await).await;
        again.until("samples are written", async || again.samples().await > 2_000).await;
        assert!(again.texts(EventKind::Server).await.iter().any(|text| text == "Stopped in good order"));
        let gaps = async || {
            let all = UnixMillis(0)..UnixMillis(i64::MAX);
            again.database.history_gaps(all, None, None, 10).await.unwrap()
        };
        again.until("the gap has ended", async || gaps().await.iter().any(|gap| gap.ended_at.is_some())).await;
        let gap = gaps().await.remove(0);
        assert_eq!((gap.number, gap.cause.label()), (1, "monitor stopped"));
        again.until("dashboards are told", async || Some(again.news.borrow().ledger_changed_at) > gap.ended_at).await;

        // A crash: the task is gone without a word.
        again.keeping.abort();
        let Bench { home, database, stop, .. } = again;
        stop.cancel();
        database.close().await;
        let third = start(home).await;
        let gaps = async || {
            let all = UnixMillis(0)..UnixMillis(i64::MAX);
            third.database.history_gaps(all, None, None, 10).await.unwrap()
        };
        third.until("the crash is in the ledger", async || gaps().await.len() == 2).await;
        assert_eq!(gaps().await[0].cause.label(), "monitor not running");
        third.end().await;
    }))
    .await;
}

/// All at once, as each takes its time: those that a whole server has are on one of their own.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_postgresql_is_told_and_caught_up_with() {
    let (stopped, hanging, shared) = (Postgres::start(), Postgres::start(), Postgres::shared());
    let full = Postgres::with_small_disk();
    let mut faults =
        vec![(&stopped, "stopped"), (&hanging, "hanging"), (shared, "cut off"), (shared, "without rights")];
    match &full {
        Some(full) => faults.push((full, "full")),
        None => println!("a full disk is left out: nobody may mount one here"),
    }
    join_all(faults.into_iter().map(|(server, fault)| survive(server, fault))).await;
}

/// A connection that has so much to say that no page has room left for it.
fn talk(bench: &Bench) -> JoinHandle<Option<()>> {
    let (reports, stop) = (Arc::clone(&bench.reports), bench.stop.clone());
    tokio::spawn(stop.run_until_cancelled_owned(async move {
        for attempt in 0..i64::MAX {
            let mut lost = StatusReport::clone(&report(1, ConnectionState::Connected));
            lost.connections[0].live.state_since = Some(UnixMillis(attempt));
            lost.connections[0].live.reason = Some(format!("{attempt} {}", "words ".repeat(90)));
            reports.send_replace(Arc::new(lost));
            sleep(Duration::from_millis(20)).await;
        }
    }))
}

async fn survive(server: &Postgres, fault: &str) {
    let home = Home::Postgres(server.database("monitor_as_made").await);
    if fault == "full" {
        server.move_to_small_disk(&home.name()).await;
    }
    let bench = start(home).await;
    bench.until("samples are written", async || bench.samples().await > 1_000).await;
    let (before, broken, name) = (bench.samples().await, Instant::now(), bench.home.name());
    let connections =
        |are_allowed: bool| format!("UPDATE pg_database SET datallowconn = {are_allowed} WHERE datname = '{name}'");
    match fault {
        "stopped" => server.shut_down(),
        "hanging" => server.signal_all("-STOP"),
        "cut off" => {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
            server.sql(&format!("{}; {end} = '{name}'", connections(false))).await;
        }
        "full" => server.fill_small_disk(true).await,
        _ => server.sql_in(&name, "REVOKE INSERT ON history_runs, audit FROM monitor").await,
    }
    let talking = (fault == "full").then(|| talk(&bench));
    let trouble = bench.until_trouble().await;
    println!("{fault}: {} after {:?}", trouble.reason, broken.elapsed());
    assert!(!trouble.reason.is_empty());
    // A last page may have room for some.
    bench
        .until("nobody can be put on record", async || {
            let act = Actor::server().does(Action::Export).because("words ".repeat(60));
            bench.database.append_audit(&[Entry { act, at: UnixMillis(1), occurrences: 1 }]).await.is_err()
        })
        .await;
    if let Some(talking) = talking {
        assert!(trouble.reason.contains("No space left on device"), "{trouble:?}");
        talking.abort();
    }
    match fault {
        "stopped" => server.start_again(),
        "hanging" => server.signal_all("-CONT"),
        "cut off" => server.sql(&connections(true)).await,
        "full" => server.fill_small_disk(false).await,
        _ => server.sql_in(&name, "GRANT INSERT ON history_runs, audit TO monitor").await,
    }
    bench.until_settled(broken, before, "Not written from").await;
    bench.end().await;
}
