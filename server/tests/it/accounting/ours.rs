//! What happens to the server itself: it stands still, loses its database, is stopped and started again.

use super::{Books, Server};
use crate::util::{Clock, Monitor, eventually};
use app::model::{
    history::{EventKind, gap::GapCause},
    time::UnixMillis,
};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// For so long the server stands still: `STANDSTILL_SECONDS`, up to 17; with 16 everything has run out meanwhile that it
/// waits for.
fn standstill() -> Duration {
    let seconds = std::env::var("STANDSTILL_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    Duration::from_secs(seconds)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_takes_in_what_waited_and_misses_nothing() {
    let clock = Arc::new(Clock::of_an_open_market());
    let mut books = Books::open_a_process(&clock).await;
    books.provider.trade(20).await;
    books.agree().await;
    books.process().signal("-STOP");
    let since = Instant::now();
    while since.elapsed() < standstill() {
        books.provider.trade(5).await;
        sleep(Duration::from_millis(100)).await;
    }
    books.process().signal("-CONT");
    books.provider.trade(20).await;
    books.agree().await;
    books.event(EventKind::Server, "The monitor stood still for").await;
    assert_eq!(books.gaps().await, [], "nothing was missed");
}

/// Moved away and put back: what came meanwhile waited.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_file_that_is_put_back_has_every_tick() {
    let books = Books::open().await;
    let Server::Here(server) = &books.server else { unreachable!("it runs here") };
    let (file, elsewhere) = (server.database_file(), server.database_file().with_extension("elsewhere"));
    books.provider.trade(20).await;
    books.agree().await;
    fs::rename(&file, &elsewhere).unwrap();
    books.provider.trade(50).await;
    eventually("it says that history is not being kept", || async {
        let trouble = books.admin.status().await["history_trouble"].take();
        trouble.to_string().contains("the database file was removed").then_some(())
    })
    .await;
    assert_eq!(reqwest::get(server.url("/readyz")).await.unwrap().status(), 503);
    fs::rename(&elsewhere, &file).unwrap();
    books.provider.trade(20).await;
    books.agree().await;
    books.event(EventKind::History, "nothing was lost, all of it was written late").await;
    assert_eq!(books.gaps().await, []);
}

/// What was written is saved; what comes until the restart is in the gap of the time in which the monitor did not write.
#[tokio::test(flavor = "multi_thread")]
async fn side_files_that_are_removed_cost_history_what_comes_until_the_restart_and_the_ledger_says_so() {
    let clock = Arc::new(Clock::of_an_open_market());
    let mut books = Books::open_a_process(&clock).await;
    books.provider.trade(20).await;
    books.agree().await;
    let kept = books.sent_to();
    books.database.close().await;
    let removed_at = clock.now();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(books.process().database_file(suffix)).unwrap();
    }
    books.provider.trade(50).await;
    books.redis_has_everything().await;
    books.sockets_have(&books.counts_on_redis()).await;
    let monitor = books.process();
    eventually("it says so", || async { (monitor.ready().await["database"]["ok"] == false).then_some(()) }).await;
    books.page_readers.clear();
    books.process().signal("-TERM");
    assert!(books.process().end().await.success());

    books.start_the_process_again().await;
    books.until_subscribed().await;
    books.until_the_bus_is(true).await;
    let sent = books.sent_to();
    books.unkept = [sent[0] - kept[0], sent[1] - kept[1]];
    assert_eq!(books.of_history().await, sent, "what was written before is there, and nothing else");
    books.provider.trade(20).await;
    books.agree().await;
    for gap in books.ended_gaps(2).await {
        let late_ms = gap.started_at.millis_since(removed_at);
        assert!(gap.cause == GapCause::MonitorCrashed && late_ms < 1_000, "{late_ms} ms: {gap:?}");
    }
    let output = books.process().command(&["audit", "verify"]);
    assert!(output.status.success(), "{output:?}");
}

/// Requests have their time to end, and whoever does not read uses all of it. Ingest goes on until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_export_that_is_stuck_makes_no_gap_longer_when_the_server_is_stopped() {
    let clock = Arc::new(Clock::of_an_open_market());
    let mut books = Books::open_a_process(&clock).await;
    many_events(books.process(), clock.now()).await;
    books.provider.trade(20).await;
    books.agree().await;
    let _stuck = stuck_export(&books);
    books.page_readers.clear();
    let told = Instant::now();
    books.process().signal("-TERM");
    while told.elapsed() < Duration::from_secs(3) {
        books.provider.trade(5).await;
        sleep(Duration::from_millis(100)).await;
    }
    books.redis_has_everything().await;
    let last_tick = clock.now();
    assert!(books.process().end().await.success());
    assert!(told.elapsed() > Duration::from_millis(4_500), "the reader was stuck: {:?}", told.elapsed());
    books.database.close().await;

    books.start_the_process_again().await;
    books.until_subscribed().await;
    books.until_the_bus_is(true).await;
    assert_eq!(books.of_history().await, books.sent_to(), "until the end");
    books.provider.trade(20).await;
    books.agree().await;
    for gap in books.ended_gaps(2).await {
        assert_eq!(gap.cause, GapCause::MonitorStopped, "{gap:?}");
        assert!(gap.started_at >= last_tick, "it began when the server stopped: {gap:?}");
    }
}

/// More than what may wait on the way to somebody who does not read.
async fn many_events(monitor: &Monitor, now: UnixMillis) {
    let pool = sqlx::SqlitePool::connect(&monitor.database_url()).await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 20000)
         INSERT INTO history_events (at_ms, kind, text) SELECT $1, 'server', $2 FROM n",
    )
    .bind(now.0)
    .bind("x".repeat(400))
    .execute(&pool)
    .await
    .unwrap();
    pool.close().await;
}

/// A download that was begun and is not read any more.
fn stuck_export(books: &Books) -> TcpStream {
    let host = books.admin.base.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    let cookie = books.admin.cookie.as_deref().unwrap();
    let path = "/api/admin/history/events?from=-1h&format=csv";
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\n\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    let mut begin = [0; 12];
    socket.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    socket
}
