//! What providers were seen to do, and others may.

use super::{
    Rig, hasty, plan,
    provider::{Provider, Session, refuse},
    sharp,
};
use app::model::{connection::Channel, health::LossKind, time::UnixMillis};
use serde_json::json;
use server::upstream::{Endpoint, Policy};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, time::sleep};
use tokio_util::sync::CancellationToken;

fn call(provider: &Provider, count: u8, policy: Policy) -> Rig {
    let plans = (1..=count).map(|id| plan(id, "AAPL", &[Channel::Trades, Channel::Quotes])).collect();
    let endpoint = Endpoint::massive(format!("ws://{}/stocks", provider.address), "any".into());
    Rig::connect(provider.address, CancellationToken::new(), plans, policy, endpoint)
}

/// A provider that asks for a wait of three seconds, and lets everybody in after it.
async fn asks_to_wait(head: &'static str, retry_after: fn() -> String) {
    let provider = Provider::start(move |call, stream| async move {
        match call {
            1..=3 => refuse(stream, &format!("{head}\r\nretry-after: {}", retry_after())).await,
            _ => Session::subscribed(stream).await.stay().await,
        }
    })
    .await;
    let mut rig = call(&provider, 3, hasty());
    let now = UnixMillis::now();
    for id in 1..=3 {
        let live = rig.until(id, "waiting", |live| live.reconnect.next_at.is_some_and(|at| at.0 - now.0 > 1_500)).await;
        let reason = live.reason.expect("said");
        assert!(reason.contains(head) && reason.contains("we wait ") && reason.contains(" until "), "{reason}");
    }
    sleep(Duration::from_millis(1_000)).await;
    assert!(provider.calls() <= 3, "{} calls while it was to wait", provider.calls());
    for id in 1..=3 {
        rig.until_state(id, "connected").await;
    }
    assert!(provider.calls() <= 6, "{} calls", provider.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_answered_with_seconds_to_wait_is_waited_for_by_all_connections() {
    asks_to_wait("429 Too Many Requests", || "3".to_owned()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_answered_with_a_date_to_wait_for_is_waited_for_by_all_connections() {
    asks_to_wait("503 Service Unavailable", || {
        httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_millis(3_900))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_while_another_is_told_to_wait_waits_as_well() {
    let told = Arc::new(AtomicBool::new(false));
    let is_told = Arc::clone(&told);
    let provider = Provider::start(move |call, stream| {
        let told = Arc::clone(&is_told);
        async move {
            match call {
                1 => {
                    let mut session = Session::subscribed(stream).await;
                    while !told.load(SeqCst) {
                        session.trade(1.0).await;
                        sleep(Duration::from_millis(20)).await;
                    }
                    // Gone without a word.
                }
                2 => refuse(stream, "429 Too Many Requests\r\nretry-after: 120").await,
                _ => panic!("nobody was to call again"),
            }
        }
    })
    .await;
    let mut rig = call(&provider, 1, hasty());
    rig.until_state(1, "connected").await;
    let plans = (1..=2).map(|id| plan(id, "AAPL", &[Channel::Trades, Channel::Quotes])).collect();
    rig.manager.apply(plans, Endpoint::massive(format!("ws://{}/stocks", provider.address), "any".into())).await;
    rig.until(2, "waiting", |live| live.reconnect.next_at.is_some()).await;
    told.store(true, SeqCst);
    let live = rig
        .until(1, "waiting for long", |live| {
            live.reconnect.next_at.is_some_and(|at| at.0 - UnixMillis::now().0 > 60_000)
        })
        .await;
    assert!(live.reason.is_some_and(|reason| reason.contains("429 Too Many Requests")));
    assert_eq!((provider.calls(), live.last_loss.map(|loss| loss.kind)), (2, Some(LossKind::Dropped)));
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_refused_say_what_it_was() {
    for (head, words) in [
        ("301 Moved Permanently\r\nlocation: https://example.com/ws?key=hush", "it refers to https://example.com/ws;"),
        ("401 Unauthorized", "it wants a sign-in"),
        ("403 Forbidden", "it does not let this machine or account in"),
        ("404 Not Found", "there is no WebSocket at this address"),
        ("502 Bad Gateway", "it is out of order"),
        ("200 OK", "there is a web page at this address"),
    ] {
        let provider = Provider::start(move |_, stream| refuse(stream, head)).await;
        let mut rig = call(&provider, 1, hasty());
        let live = rig.until(1, "refused", |live| live.last_loss.is_some()).await;
        let reason = live.last_loss.expect("kept").reason;
        assert!(reason.starts_with("Cannot connect: the answer is HTTP ") && reason.contains(words), "{reason}");
        assert!(!reason.contains("hush"), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_close_frame_may_carry_is_not_told_as_the_providers_code() {
    for code in [1005_u16, 1006, 1015, 999, 2999] {
        let provider = Provider::start(move |_, stream| async move {
            let mut session = Session::subscribed(stream).await;
            let [high, low] = code.to_be_bytes();
            let _ = session.socket.get_mut().write_all(&[0x88, 2, high, low]).await;
            session.stay().await;
        })
        .await;
        let mut rig = call(&provider, 1, hasty());
        let live = rig.until(1, "closed", |live| live.last_loss.is_some()).await;
        let loss = live.last_loss.expect("kept");
        assert_eq!((loss.kind, loss.close_code, loss.words), (LossKind::Closed, None, None), "{code}");
        assert!(loss.reason.contains("an invalid close code"), "{}", loss.reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_socket_is_told_in_plain_words() {
    for (bytes, words) in [
        // A text message that is not UTF-8, an unknown kind of frame, a masked one, one with reserved bits.
        (&[0x81, 2, 0xff, 0xff][..], "a text message came that is not UTF-8"),
        (&[0x83, 0], "what came is no WebSocket frame"),
        (&[0x81, 0x80, 1, 2, 3, 4], "what came is no WebSocket frame"),
        (&[0xf1, 0], "what came is no WebSocket frame"),
        (&[0x82, 0x7f, 0, 0, 0, 0, 0xff, 0, 0, 0], "bytes came, and at most 4194304 are read"),
    ] {
        let provider = Provider::start(move |_, stream| async move {
            let mut session = Session::subscribed(stream).await;
            let _ = session.socket.get_mut().write_all(bytes).await;
            session.stay().await;
        })
        .await;
        let mut rig = call(&provider, 1, hasty());
        let live = rig.until(1, "lost", |live| live.last_loss.is_some()).await;
        let reason = live.last_loss.expect("kept").reason;
        assert!(reason.starts_with("Connection broken: ") && reason.contains(words), "{reason}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_come_late_while_ticks_flow_leave_it_degraded_and_up() {
    let provider = Provider::start(|_, stream| async move {
        let mut session = Session::welcome(stream).await;
        for n in 0..200 {
            session.trade(100.0 + f64::from(n)).await;
            sleep(Duration::from_millis(10)).await;
        }
        session.acknowledge().await;
        session.stay().await;
    })
    .await;
    let policy = Policy { acknowledge_timeout: Duration::from_millis(500), ..hasty() };
    let mut rig = call(&provider, 1, policy);
    let live = rig.until_state(1, "degraded").await;
    assert_eq!(live.reason.as_deref(), Some("2 of 2 not acknowledged: Q.AAPL, T.AAPL"));
    let live = rig.until_state(1, "connected").await;
    assert_eq!((live.metrics.reconnects_total, live.subscription.acknowledged), (0, 2));
    rig.until(1, "in possession of all ticks", |live| live.metrics.ticks_total == 200).await;
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_that_come_late_without_a_tick_are_waited_for() {
    let provider = Provider::start(|_, stream| async move {
        let mut session = Session::welcome(stream).await;
        sleep(Duration::from_millis(700)).await;
        session.acknowledge().await;
        session.stay().await;
    })
    .await;
    let mut rig = call(&provider, 1, Policy { acknowledge_timeout: Duration::from_millis(300), ..hasty() });
    let live = rig.until(1, "overdue", |live| live.reason.is_some()).await;
    assert_eq!(live.reason.as_deref(), Some("None of 2 subscriptions acknowledged yet, and no ticks received"));
    rig.until_state(1, "connected").await;
    assert_eq!((provider.calls(), rig.live(1).last_loss), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn remarks_repeated_words_and_joined_acknowledgements_are_no_errors() {
    let provider = Provider::start(|_, stream| async move {
        let mut session = Session::welcome(stream).await;
        let status = |status: &str, message: &str| json!({"ev": "status", "status": status, "message": message});
        session.say(json!([status("info", "maintenance on Sunday"), status("auth_success", "authenticated")])).await;
        session.acknowledge().await;
        session.acknowledge().await;
        session
            .say(json!([status("connected", "Connected Successfully"), status("auth_success", "authenticated")]))
            .await;
        session.say(json!([status("success", "unsubscribed to: A.NONE"), status("success", "authenticated")])).await;
        session.trade(1.0).await;
        session.stay().await;
    })
    .await;
    let mut rig = call(&provider, 1, hasty());
    let live = rig.until(1, "ticking", |live| live.metrics.ticks_total == 1).await;
    assert_eq!((live.state.label(), live.metrics.error_count, live.metrics.last_error), ("connected", 0, None));
    assert_eq!((provider.calls(), live.subscription.acknowledged), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_refusal_said_again_and_again_ends_nothing_and_is_one_error() {
    let provider = Provider::start(|_, stream| async move {
        let mut session = Session::welcome(stream).await;
        for _ in 0..5 {
            session.say(json!([{"ev": "status", "status": "error", "message": "not authorized"}])).await;
        }
        session.say(json!([{"ev": "status", "status": "success", "message": "subscribed to: T.AAPL"}])).await;
        session.trade(1.0).await;
        session.stay().await;
    })
    .await;
    let mut rig = call(&provider, 1, hasty());
    let live = rig.until(1, "ticking", |live| live.metrics.ticks_total == 1).await;
    assert_eq!((live.state.label(), live.metrics.error_count, live.metrics.reconnects_total), ("degraded", 1, 0));
    assert_eq!((live.subscription.refused, live.subscription.acknowledged), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_odd_event_among_others_moves_no_percentile_and_no_state_and_is_counted_by_reason() {
    let provider = Provider::start(|_, stream| async move {
        let mut session = Session::subscribed(stream).await;
        for n in 0..400_u32 {
            session.trade(100.0).await;
            let now = UnixMillis::now().0;
            let odd = match n {
                210 => json!({"t": 0}),
                220 => json!({"t": now / 1000}),
                230 => json!({"t": now * 1000}),
                240 => json!({"t": 4_102_444_800_000_i64}),
                250 => json!({"t": now - 5 * 86_400_000}),
                260 => json!({"t": now + 200_000}),
                270 => json!({"t": now, "p": -3}),
                _ => json!(null),
            };
            if let Some(odd) = odd.as_object() {
                let mut event = json!({"ev": "T", "sym": "AAPL", "p": 1.0, "s": 1});
                event.as_object_mut().unwrap().extend(odd.clone());
                session.say(json!([event])).await;
            }
            if n % 100 == 50 {
                session.say(json!([{"ev": "Q", "sym": "AAPL", "bp": 0, "ap": 101, "t": now}])).await;
            }
            sleep(Duration::from_millis(15)).await;
        }
        session.stay().await;
    })
    .await;
    let mut rig = call(&provider, 1, sharp());
    let mut states = std::collections::BTreeSet::new();
    let live = rig
        .until(1, "through", |live| {
            if live.metrics.ticks_total > 0 {
                states.insert(live.state.label());
            }
            live.metrics.ticks_total == 402
        })
        .await;
    assert_eq!(states.into_iter().collect::<Vec<_>>(), ["connected"]);
    let latency = live.metrics.latency_ms.expect("measured");
    assert!(
        latency.p99 < 1_000.0 && live.metrics.latency_note.is_none(),
        "{latency:?} {:?}",
        live.metrics.latency_note
    );
    for (reason, count) in
        [("time_past", 1), ("time_unit", 2), ("time_future", 1), ("price", 1), ("one_sided_quote", 4)]
    {
        assert_eq!(rig.dropped(1, reason), count, "{reason}");
    }
    assert_eq!(live.metrics.error_count, 5, "a quote of one side is none");
    let oldest = rig.ticks().iter().map(|tick| tick.timestamp).min().unwrap();
    assert!(UnixMillis::now().millis_since(oldest) < 6 * 86_400_000);
}

/// The provider numbers its ticks by their price, 400 a second, on a runtime that never stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_standstill_of_our_own_loses_no_tick_and_no_connection_and_is_named() {
    let sent = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let (count, end) = (Arc::clone(&sent), Arc::clone(&ends));
    let provider = Provider::start(move |_, stream| {
        let (count, end) = (Arc::clone(&count), Arc::clone(&end));
        async move {
            let mut session = Session::subscribed(stream).await;
            let mut beat = tokio::time::interval(Duration::from_millis(10));
            while !end.load(SeqCst) {
                beat.tick().await;
                let now = UnixMillis::now().0;
                let trade = |n: u64| json!({"ev": "T", "sym": "AAPL", "p": n, "s": 1, "t": now});
                let next = count.fetch_add(4, SeqCst) + 1;
                session.say((next..next + 4).map(trade).collect()).await;
            }
            session.stay().await;
        }
    })
    .await;
    let mut policy = sharp();
    policy.ping_interval = Duration::from_millis(300);
    policy.silence_timeout = Duration::from_secs(2);
    let thread = server::thread::Thread::start("ingest").unwrap();
    let plans = vec![plan(1, "AAPL", &[Channel::Trades])];
    let endpoint = Endpoint::massive(format!("ws://{}/stocks", provider.address), "any".into());
    let stop = CancellationToken::new();
    let mut rig = Rig::connect_on(thread.runtime(), provider.address, stop, plans, policy, endpoint);
    rig.until(1, "ticking as usual", |live| live.metrics.ticks_total > 1_600).await;
    let frozen = UnixMillis::now();
    thread.runtime().spawn(async { std::thread::sleep(Duration::from_secs(5)) });
    let mut seen = std::collections::BTreeSet::new();
    rig.until(1, "going on", |live| {
        seen.insert((live.state.label(), live.reason.clone()));
        live.metrics.last_update.is_some_and(|at| at.millis_since(frozen) > 7_000)
    })
    .await;
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [("connected", None)], "never lost, never mute, never late");
    ends.store(true, SeqCst);
    let sent = {
        sleep(Duration::from_millis(100)).await;
        sent.load(SeqCst)
    };
    let live = rig.until(1, "in possession of all that was sent", |live| live.metrics.ticks_total == sent).await;
    assert_eq!((live.metrics.reconnects_total, provider.calls()), (0, 1));
    assert!(live.metrics.latency_ms.is_some_and(|latency| latency.p99 < 1_000.0), "our standstill is no latency");
    let numbers: Vec<u64> = rig.ticks().iter().map(|tick| tick.price as u64).collect();
    assert_eq!(numbers, (1..=sent).collect::<Vec<_>>(), "every tick once, in order");
    let standstill = rig.report.borrow().connections[0].standstill.expect("told");
    let length_ms = standstill.until.millis_since(standstill.from);
    assert!((4_500..7_000).contains(&length_ms) && !standstill.by_clock_alone, "{standstill:?}");
}

/// The provider gave us up while we stood still: what it had sent until then is read, and dates the loss.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_loss_in_a_standstill_is_read_and_says_when_the_data_ended() {
    let provider = Provider::start(move |call, stream| async move {
        let mut session = Session::subscribed(stream).await;
        let until = tokio::time::Instant::now() + Duration::from_millis(if call == 1 { 4_000 } else { 60_000 });
        while tokio::time::Instant::now() < until {
            session.trade(1.0).await;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let thread = server::thread::Thread::start("ingest").unwrap();
    let plans = vec![plan(1, "AAPL", &[Channel::Trades])];
    let endpoint = Endpoint::massive(format!("ws://{}/stocks", provider.address), "any".into());
    let stop = CancellationToken::new();
    let mut rig = Rig::connect_on(thread.runtime(), provider.address, stop, plans, hasty(), endpoint);
    let up = rig.until(1, "ticking as usual", |live| live.metrics.ticks_total > 200).await;
    let began = up.state_since.expect("it is up");
    thread.runtime().spawn(async { std::thread::sleep(Duration::from_secs(5)) });
    let live = rig.until(1, "lost", |live| live.last_loss.is_some()).await;
    let data_ended = live.metrics.last_update.max(live.last_heartbeat).expect("ticked").millis_since(began);
    assert!((3_000..4_800).contains(&data_ended), "{data_ended} ms after it began");
    assert!(live.last_loss.expect("kept").at.millis_since(began) > 5_000);
    assert!(rig.report.borrow().connections[0].standstill.is_some());
}
