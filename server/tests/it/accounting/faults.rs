//! What a provider does, and a client: under which faults the counts agree, and what the ledger says of what they cost.

use super::{Books, Counts, Numbers, readers};
use crate::util::{Clock, eventually};
use app::model::history::gap::{Gap, GapCause};
use std::{sync::Arc, time::Duration};

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
    let gaps = books.ended_gaps(6).await;
    assert_eq!(gaps.iter().filter(|gap| gap.close_code == Some(1001)).count(), 2, "{gaps:?}");
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
        readers::count(&mut counted, &tick);
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
    let causes: Vec<_> = books.ended_gaps(2).await.iter().map(|gap| gap.cause).collect();
    assert_eq!(causes, [GapCause::TooManyConnections; 2]);
}

/// Up and silent, then closed, then refused: one gap each, with all that it went through.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_mute_then_closed_and_refused_have_one_gap_each_with_all_its_causes() {
    let clock = Arc::new(Clock::of_an_open_market());
    let books = Books::open_a_process(&clock).await;
    // How often it ticks takes some seconds to learn.
    for _ in 0..12 {
        books.provider.trade(2).await;
        clock.advance(500);
    }
    books.provider.trade(2).await;
    books.agree().await;
    // In steps that are no standstill of the server.
    for id in [1, 2] {
        eventually("it is mute", || async {
            clock.advance(1_000);
            tokio::time::sleep(Duration::from_millis(300)).await;
            (books.admin.state(id).await == "mute").then_some(())
        })
        .await;
    }
    books.provider.refuse_keys(true);
    books.provider.close(1001).await;
    for id in [1, 2] {
        books.admin.wait_for_state(id, "failed").await;
    }
    books.provider.refuse_keys(false);
    // They would wait for minutes by themselves.
    books.admin.post("/api/admin/config/refresh", "", 200).await;
    books.until_subscribed().await;
    books.provider.trade(50).await;
    books.agree().await;
    for gap in books.ended_gaps(2).await {
        let causes: Vec<_> = gap.causes.iter().map(|step| step.cause).collect();
        assert_eq!(causes, [GapCause::KeyRefused, GapCause::Closed, GapCause::Mute], "{gap:?}");
        let Gap { cause, close_code, first_tick_at, last_tick_at, started_at, .. } = gap.clone();
        assert_eq!((cause, close_code), (GapCause::KeyRefused, Some(1001)), "{gap:?}");
        assert!(first_tick_at.is_some() && last_tick_at == Some(started_at), "{gap:?}");
    }
}
