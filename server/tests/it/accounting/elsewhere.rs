//! A collector elsewhere: what a server counts that reads ticks and status from Redis.

use super::{Books, CONNECTIONS, Numbers, Server, collector, provider::Provider, tickstock};
use crate::util::{Client, Clock, Monitor, RedisServer, TestServer, eventually};
use app::model::history::gap::GapCause;
use serde_json::{Value, json};
use std::sync::Arc;
use tickstock::TickStock;

/// What each of TickStock's connections had counted before anybody looked.
const BASE: u64 = 1_125_855;

impl Books<TickStock> {
    async fn open() -> Self {
        let redis = RedisServer::start().await;
        let tickstock = TickStock::start(&redis, BASE).await;
        let [a, b, c, d, e] = CONNECTIONS;
        let server = TestServer::start([a, b, c, d, e, ("MARKET_FEED", "redis"), ("REDIS_URL", &redis.url)]).await;
        let (admin, database) = (server.admin().await, server.database.clone());
        let mut books = Self::begin(tickstock, redis, Server::Here(server), database, admin).await;
        books.totals_ahead = [BASE as i64; 2];
        eventually("the server listens", || async {
            (books.provider.say(&books.provider.status()).await > 0).then_some(())
        })
        .await;
        books.until_the_totals_are_known().await;
        books
    }

    /// The last status was heard.
    async fn until_the_totals_are_known(&self) {
        let totals = self.sent_to().map(|sent| (BASE + sent) as i64);
        eventually("the status is heard", || async { (self.of_status().await == totals).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_that_come_late_or_twice_or_from_somebody_else_count_no_tick() {
    let books = Books::<TickStock>::open().await;
    let mut said = vec![books.provider.status(); 3];
    for step in 1..=8 {
        books.provider.trade(15).await;
        said.push(books.provider.status());
        let [.., late, _, now] = said.as_slice() else { unreachable!("three are there from the start") };
        for status in [now, now, late] {
            books.provider.say(status).await;
        }
        if step > 4 {
            books.provider.say(&tickstock::status([9_000_000 + step, 9_000_000 + 3 * step])).await;
        }
        books.provider.say(late).await;
        books.until_the_totals_are_known().await;
    }
    books.agree().await;
    eventually("the page warns of the other one", || async {
        let warnings = books.admin.status().await["connections"][1]["config"]["warnings"].to_string();
        warnings.contains("Two producers publish a status on Redis").then_some(())
    })
    .await;
    assert_eq!(books.gaps().await, []);
}

/// A collector as a process, and a watcher beside it; both go by the clock.
async fn beside_a_collector(clock: &Arc<Clock>) -> (Books, Monitor) {
    let (provider, redis) = (Provider::start_by(clock).await, RedisServer::start().await);
    let collector = collector(&provider, &redis, clock);
    let time = clock.variables();
    let mut variables = CONNECTIONS.to_vec();
    variables.extend(time.iter().map(|(name, value)| (*name, value.as_str())));
    variables.extend([("MARKET_FEED", "redis"), ("REDIS_URL", &redis.url)]);
    let watcher = Monitor::start(&variables);
    watcher.until_ready().await;
    let (admin, database) = (watcher.admin().await, watcher.database().await);
    let books = Books::begin(provider, redis, Server::Process(watcher), database, admin).await;
    books.until_subscribed().await;
    for id in [1, 2] {
        wait_for(&books.admin, id, "reported", "connected").await;
    }
    (books, collector)
}

async fn wait_for(admin: &Client, id: usize, source: &str, state: &str) -> Value {
    eventually(&format!("connection {id} is {state}, and the status {source}"), || async {
        let mut status = admin.status().await;
        let connection = status["connections"][id - 1].take();
        (status["status_source"] == source && connection["state"] == state).then_some(connection)
    })
    .await
}

/// It stands still for 17 s, and goes on: its provider's ticks waited for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_elsewhere_that_falls_silent_is_stale_then_down_and_one_gap_and_no_tick_is_lost() {
    let clock = Arc::new(Clock::of_an_open_market());
    let (books, collector) = beside_a_collector(&clock).await;
    books.provider.trade(20).await;
    books.agree().await;
    let silent_since = clock.now();
    collector.signal("-STOP");
    books.provider.trade(20).await;
    clock.advance(11_000);
    wait_for(&books.admin, 1, "stale", "connected").await;
    clock.advance(6_000);
    for id in [1, 2] {
        let connection = wait_for(&books.admin, id, "stale", "failed").await;
        assert_eq!(connection["last_loss"]["kind"], "collector_silent", "{connection}");
    }
    collector.signal("-CONT");
    for id in [1, 2] {
        wait_for(&books.admin, id, "reported", "connected").await;
    }
    books.provider.trade(20).await;
    books.agree().await;
    for gap in books.ended_gaps(2).await {
        assert_eq!(gap.cause, GapCause::CollectorSilent, "{gap:?}");
        let late_ms = gap.started_at.millis_since(silent_since);
        assert!(late_ms < 1_000 && gap.first_tick_at > Some(gap.started_at), "{late_ms} ms: {gap:?}");
    }
    let theirs = collector.database().await;
    let gaps = theirs.history_gaps(super::all(), None, None, 10).await.unwrap();
    assert_eq!(gaps, [], "the collector itself missed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_elsewhere_that_is_killed_and_started_again_is_counted_from_its_new_totals_on() {
    let clock = Arc::new(Clock::of_an_open_market());
    let (mut books, mut collector) = beside_a_collector(&clock).await;
    books.provider.trade(20).await;
    books.agree().await;
    collector.kill();
    clock.advance(17_000);
    for id in [1, 2] {
        wait_for(&books.admin, id, "stale", "failed").await;
    }
    books.totals_ahead = books.sent_to().map(|sent| -(sent as i64));
    // So do the rows, which are the collector's.
    books.sent_before = books.provider.sent();
    collector.start_again();
    books.until_subscribed().await;
    eventually("its new totals are known", || async { (books.of_status().await == [0; 2]).then_some(()) }).await;
    for id in [1, 2] {
        wait_for(&books.admin, id, "reported", "connected").await;
    }
    // More than before, so that what the sockets have of the first collector is not taken for all of it.
    books.provider.trade(30).await;
    books.agree().await;
    for gap in books.ended_gaps(2).await {
        assert_eq!(gap.cause, GapCause::CollectorSilent, "{gap:?}");
    }
    assert_eq!(books.admin.status().await["connections"][0]["config"]["warnings"], json!([]), "one after the other");
}
