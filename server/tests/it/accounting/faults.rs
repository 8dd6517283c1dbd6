//! Under which faults the counts agree, and what the counters and the ledger say of what they cost.

use super::{Books, Counts};
use crate::util::eventually;
use app::model::history::gap::{BUS, GapCause};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn in_the_plain_way_of_things_everybody_counts_the_same() {
    let books = Books::open().await;
    for _ in 0..20 {
        books.provider.trade(50).await;
    }
    books.agree().await;
    assert_eq!(books.gaps().await, []);
}

/// More than frames can show one by one: they conflate, and the counts stay.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_flood_everybody_counts_the_same() {
    let books = Books::open().await;
    books.provider.trade(5_000).await;
    books.agree().await;
    assert_eq!(books.gaps().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_after_what_they_sent_lose_nothing_and_each_end_is_a_gap() {
    let mut books = Books::open().await;
    books.provider.trade(100).await;
    books.provider.close(1001).await;
    books.until_subscribed().await;
    books.provider.trade(100).await;
    books.agree().await;
    books.provider.hang_up().await;
    books.until_subscribed().await;
    books.provider.trade(100).await;
    books.agree().await;
    // It takes no connections for a while.
    books.provider.shut();
    books.admin.wait_for_state(1, "reconnecting").await;
    books.admin.wait_for_state(2, "reconnecting").await;
    books.provider.open().await;
    books.until_subscribed().await;
    books.provider.trade(100).await;
    books.agree().await;
    eventually("every loss is in the ledger, and over", || async {
        let gaps = books.gaps().await;
        let closed = gaps.iter().filter(|gap| gap.close_code == Some(1001)).count();
        (gaps.len() == 6 && closed == 2 && gaps.iter().all(|gap| gap.ended_at.is_some())).then_some(())
    })
    .await;
}

/// Nothing on Redis is lost when it only pauses: what waits is sent afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_pauses_writing_gets_every_tick_afterwards() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.redis_command(&["CLIENT", "PAUSE", "1500", "WRITE"]).await;
    books.provider.trade(50).await;
    books.agree().await;
    assert_eq!(books.bus().await["unpublished_ticks_total"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redis_refuses_is_missing_there_alone_and_counted_to_the_tick() {
    let books = Books::open().await;
    books.provider.trade(20).await;
    books.agree().await;
    books.redis_command(&["ACL", "SETUSER", "default", "-publish"]).await;
    books.provider.trade(50).await;
    eventually("the bus is down", || async { (books.bus().await["connected"] == false).then_some(()) }).await;
    books.provider.trade(50).await;
    books.redis_command(&["ACL", "SETUSER", "default", "+publish"]).await;
    eventually("the bus is up again", || async { (books.bus().await["connected"] == true).then_some(()) }).await;
    books.provider.trade(20).await;
    let sent: u64 = books.provider.sent().values().sum();
    let unpublished = |bus: &Value| bus["unpublished_ticks_total"].as_u64().unwrap();
    let missing = eventually("what is missing on Redis is what was not published", || async {
        let missing = sent - books.on_redis();
        (missing == unpublished(&books.bus().await)).then_some(missing)
    })
    .await;
    assert!(missing > 0, "it was refused for a while");
    books.in_order_on_redis();
    // The page's ticks come over Redis, so it has what Redis has; what the provider sent is in the status and in history.
    books.agree_that_the_page_has(&books.counts_on_redis()).await;
    let gap = eventually("the ledger has it", || async {
        books.gaps().await.into_iter().find(|gap| gap.connection_id == BUS && gap.ended_at.is_some())
    })
    .await;
    assert_eq!((gap.cause, gap.unpublished_ticks), (GapCause::BusDown, Some(missing)), "{gap:?}");
    let others: Vec<_> = books.gaps().await.into_iter().filter(|gap| gap.connection_id != BUS).collect();
    assert_eq!(others, [], "the connections had nothing to do with it");
}

/// What waits in a client that pauses is no tick more and no tick less.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_pauses_and_resumes_has_every_total_in_the_end() {
    let books = Books::open().await;
    let mut socket = books.admin.socket(Some("tickstock.v1.json")).await;
    books.provider.trade(10).await;
    socket.say(r#"{"event":"pause_stream"}"#).await;
    books.provider.trade(40).await;
    socket.say(r#"{"event":"resume_stream"}"#).await;
    books.provider.trade(10).await;
    books.agree().await;
    let sent = books.provider.sent();
    let mut counted = Counts::new();
    while counted != sent {
        let tick = socket.event_named("tick_update").await;
        super::count(&mut counted, &tick);
        let symbol = tick["symbol"].as_str().unwrap();
        assert!(counted[symbol] <= sent[symbol], "{tick}");
    }
}

/// Whatever stands between the ticks: rubbish, events of no use, words that are no trouble and words that are.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_between_its_ticks_costs_no_tick() {
    let books = Books::open().await;
    for frame in [
        r#"[{"ev":"T","sym":"AAPL","p":1e999,"s":-,}}]] %%% <garbage>"#,
        "[]",
        "{}",
        "",
        r#"[{"ev":"T"}]"#,
        r#"[{"ev":"T","sym":"AAPL","p":-1,"s":1,"t":1}]"#,
        r#"[{"ev":"T","sym":"AAPL","p":7,"s":1,"t":0}]"#,
        r#"[{"ev":"Q","sym":"AAPL","bp":0,"ap":101,"t":1}]"#,
        r#"[{"ev":"ZZ","sym":"AAPL","p":7}]"#,
        r#"[{"ev":"status","status":"info","message":"maintenance tonight"}]"#,
        r#"[{"ev":"status","status":"success","message":"subscribed to: T.AAPL, T.MSFT"}]"#,
        r#"[{"ev":"status","status":"error","message":"not authorized"}]"#,
    ] {
        books.provider.trade(10).await;
        books.provider.say(frame).await;
    }
    books.provider.trade(10).await;
    books.agree().await;
    assert_eq!(books.gaps().await, []);
}

/// The provider puts all connections out, as it does with one too many, and lets them in again when they are told to try.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_the_account_has_no_place_for_come_back_and_each_has_its_gap() {
    let books = Books::open().await;
    books.provider.trade(50).await;
    // The second one is given up as soon as the first is told, with whatever it has not read yet.
    books.agree().await;
    books
        .provider
        .say(r#"[{"ev":"status","status":"max_connections","message":"Maximum number of websocket connections exceeded. "}]"#)
        .await;
    books.provider.close(1008).await;
    books.admin.wait_for_state(1, "failed").await;
    books.admin.wait_for_state(2, "failed").await;
    // They would wait for half a minute by themselves.
    books.admin.post("/api/admin/config/refresh", "", 200).await;
    books.until_subscribed().await;
    books.provider.trade(50).await;
    books.agree().await;
    let causes = || async { books.gaps().await.iter().map(|gap| gap.cause).collect::<Vec<_>>() };
    eventually("both losses are in the ledger with their cause", || async {
        (causes().await == [GapCause::TooManyConnections; 2]).then_some(())
    })
    .await;
}

/// Publishing needs neither its disk nor its memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_to_write_costs_no_tick() {
    let books = Books::open().await;
    books.redis.lose_the_disk().await;
    books.provider.trade(50).await;
    books.agree().await;
    books.redis.command("CONFIG SET maxmemory 1").await.unwrap();
    books.provider.trade(50).await;
    books.agree().await;
    let bus = books.bus().await;
    assert!(bus["status_trouble"].is_string(), "{bus}");
    assert_eq!((&bus["connected"], &bus["unpublished_ticks_total"]), (&Value::from(true), &Value::from(0)), "{bus}");
    assert_eq!(books.gaps().await, []);
}

/// Redis ends the publisher's connections while nothing is under way, as a firewall does.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_redis_that_end_while_they_are_idle_cost_what_is_counted() {
    let books = Books::open().await;
    for _ in 0..5 {
        books.provider.trade(20).await;
        books.redis.command("CLIENT KILL TYPE normal SKIPME yes").await.unwrap();
        books.provider.trade(20).await;
        eventually("the bus is up again", || async { (books.bus().await["connected"] == true).then_some(()) }).await;
    }
    books.provider.trade(1).await;
    let sent: u64 = books.provider.sent().values().sum();
    eventually("what is missing on Redis is what was not published", || async {
        let unpublished = books.bus().await["unpublished_ticks_total"].as_u64().unwrap();
        (sent - books.on_redis() == unpublished).then_some(())
    })
    .await;
    books.in_order_on_redis();
    books.agree_that_the_page_has(&books.counts_on_redis()).await;
}
