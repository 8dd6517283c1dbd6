//! Servers on one PostgreSQL: who collects and who stands by is in the timeline of all of them, and only who collects writes it.

use super::{Cluster, Server};
use crate::util::{Monitor, Postgres, eventually};
use app::model::time::UnixMillis;
use serde_json::Value;
use server::database::{Database, history::Sample};
use std::time::Duration;
use tokio::{task::spawn_blocking, time::sleep};

/// What the timeline of a server's page has, oldest first.
async fn timeline(server: &Server) -> Vec<String> {
    let admin = server.process.admin().await;
    let said = admin.get_json("/api/admin/history/events?from=-15m&kind=server", 200).await;
    let mut texts: Vec<_> =
        said["events"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    texts.reverse();
    texts
}

/// Waits until it has texts that begin with these, in this order, others between them.
async fn until_told(server: &Server, wanted: &[&str]) -> Vec<String> {
    eventually(&format!("the timeline has {wanted:?}"), || async {
        let texts = timeline(server).await;
        let mut rest = texts.iter();
        wanted.iter().all(|begin| rest.any(|text| text.starts_with(begin))).then_some(texts)
    })
    .await
}

/// Reads its log until it says that it may not write any more.
async fn until_refused(server: &mut Server) -> String {
    let mut log = server.process.log();
    spawn_blocking(move || Monitor::log_until(&mut log, "History is not written any more")).await.unwrap()
}

async fn samples(database: &Database) -> Vec<Sample> {
    let all = UnixMillis(0)..UnixMillis(i64::MAX);
    database.history_samples(1, all, None, None, 10_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_goes_and_takes_over_is_in_every_timeline_and_a_fenced_server_that_wakes_up_writes_nothing() {
    let cluster = Cluster::start().await;
    let database = Postgres::shared().empty_database().await;
    let begun = UnixMillis::now();
    // One address for all: another one is another configuration.
    let address = format!("ws://{}/stocks", cluster.market.address);
    let start = async |name: &'static str, more: (&str, &str)| {
        let shared = [("DATABASE_URL", database.url.as_str()), ("MASSIVE_WEBSOCKET_URL", &address), more];
        cluster.server_with(name, &cluster.redis.url, &shared).await
    };
    let same = ("SESSION_IDLE_HOURS", "8");
    let mut first = start("a:1", same).await;
    first.until_it_collects().await;
    let second = start("b:2", same).await;
    second.until_it_is("standby").await;
    second.process.until_ready().await;
    let mut third = start("c:3", ("SESSION_IDLE_HOURS", "5")).await;
    third.until_it_is("standby").await;
    until_told(&second, &["a:1 collects: epoch ", "b:2 stands by, version ", "c:3 stands by, version "]).await;
    until_told(&second, &["Servers differ. c:3: another configuration than a:1. "]).await;
    third.process.kill();
    cluster.until_ticks_come().await;

    // It stands still in the middle of its work, and goes on after another one took over.
    let epoch = cluster.epoch();
    first.process.signal("-STOP");
    let (_, new) = cluster.seen.first_after(epoch).await;
    second.until_it_collects().await;
    let took_over = format!("b:2 collects: epoch {new}, ");
    until_told(&second, &[&took_over]).await;
    first.process.signal("-CONT");
    let refused = until_refused(&mut first).await;
    assert!(refused.contains("another server collects, under a higher epoch"), "{refused}");
    first.until_it_is("standby").await;
    let lost = "c:3 is lost: not heard of since ";
    until_told(&first, &[&took_over, "a:1 stands by, version "]).await;
    until_told(&first, &[lost]).await;
    until_told(&first, &["Servers do not differ any more"]).await;
    let (on_first, on_second) = (timeline(&first).await, timeline(&second).await);
    assert_eq!(on_first, on_second, "one timeline on all servers");
    assert!(on_first.iter().any(|text| text.contains("a:1 collected no more, and b:2 took over")), "{on_first:?}");
    for text in [took_over.as_str(), lost, "a:1 stands by", "b:2 stands by", "Servers do not differ"] {
        assert_eq!(on_first.iter().filter(|told| told.starts_with(text)).count(), 1, "{text}: {on_first:?}");
    }
    assert!(!on_first.iter().any(|text| text == "Stopped in good order"), "its goodbye was refused: {on_first:?}");

    // Nothing was written twice: no second of a connection was seen by two of them, and no tick counted twice.
    let known = Database::open(&database.url).await.unwrap();
    let seconds = samples(&known).await;
    let passed = UnixMillis::now().millis_since(begun).unsigned_abs();
    for id in [1, 2] {
        let own = || seconds.iter().filter(|sample| sample.connection_id == id);
        let covered: u64 = own().map(|sample| sample.covered_ms).sum();
        assert!(covered > 1_000 && covered <= passed, "{covered} ms of {passed} ms");
    }
    let gaps = second.gaps().await;
    let causes: Vec<_> = gaps.iter().map(|gap| (&gap["connection_id"], &gap["number"], &gap["cause"])).collect();
    let failovers = gaps.iter().filter(|gap| gap["cause"] == "failover").count();
    assert_eq!(failovers, 2, "one a connection: {causes:?}");

    // Told to stop, the collector hands over, and what it wrote before is all there.
    let mut second = second;
    second.process.signal("-TERM");
    assert!(second.process.end().await.success());
    first.until_it_collects().await;
    let told = until_told(&first, &["Stopped in good order", "a:1 collects: epoch "]).await;
    assert!(told.last().is_some_and(|text| text.contains("b:2 handed over to a:1")), "{told:?}");
    sleep(Duration::from_millis(10)).await;
    let status: Value = first.status().await;
    assert_eq!(status["history_trouble"], Value::Null, "{status}");
}
