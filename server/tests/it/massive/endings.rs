//! How connections end, and that each end is one loss, one wait, one attempt.

use super::{Rig, hasty, plan, sharp, three};
use app::model::{
    connection::Channel::{SecondBars, Trades},
    health::{LayerState, LossKind},
    status::ConnectionLive,
};
use serde_json::json;
use server::{upstream::Endpoint, upstream::Policy};
use simulator::SimulatorConfig;
use std::time::Duration;

async fn loss_of(fault: serde_json::Value) -> app::model::health::LastLoss {
    let mut rig = Rig::start(three(&[SecondBars]), hasty()).await;
    rig.all_connected().await;
    rig.fault(fault).await;
    let live = rig.until(2, "back", |live| live.metrics.reconnects_total == 1 && live.state.is_up()).await;
    assert_eq!(live.metrics.error_count, 1, "one cause is one error, announced or not");
    for id in [1, 3] {
        assert_eq!(rig.live(id).metrics.reconnects_total, 0, "the others are not meant");
    }
    live.last_loss.expect("kept when it is back")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_without_a_close_frame_is_told_and_healed() {
    let loss = loss_of(json!({"fault": "drop", "connection": 2})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::Dropped, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_normal_close_is_come_back_from_with_its_code_kept() {
    let loss = loss_of(json!({"fault": "close", "connection": 2, "code": 1000})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::Closed, Some(1000)));
    assert_eq!(loss.reason, "Closed by the provider with code 1000 (normal end)");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_is_come_back_to_with_its_code_kept() {
    let loss = loss_of(json!({"fault": "close", "connection": 2, "code": 1001})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::Closed, Some(1001)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_violation_is_come_back_from_with_its_code_kept() {
    let loss = loss_of(json!({"fault": "close", "connection": 2, "code": 1008})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::Closed, Some(1008)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_consumer_is_told_why_it_was_closed() {
    let loss = loss_of(json!({"fault": "slow_consumer", "connection": 2})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::SlowConsumer, Some(1008)));
    assert!(loss.words.is_some_and(|words| words.starts_with("Slow consumer")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_disconnect_is_told_as_such() {
    let loss = loss_of(json!({"fault": "force_disconnect", "connection": 2})).await;
    assert_eq!((loss.kind, loss.close_code), (LossKind::ForceDisconnect, Some(1001)));
    assert!(loss.reason.contains("ended by an operator"), "{}", loss.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_at_any_moment_is_a_long_cooldown_in_the_providers_words() {
    let mut rig = Rig::start(three(&[SecondBars]), hasty()).await;
    rig.all_connected().await;
    // Longer ago than what counts as our own doing.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    rig.fault(json!({"fault": "evict", "connection": 2})).await;
    let live = rig.until_state(2, "failed").await;
    let loss = live.last_loss.expect("kept");
    assert_eq!(loss.words.as_deref(), Some("Maximum number of websocket connections exceeded."));
    assert!(live.reconnect.next_at.expect("tried again").0 - loss.at.0 >= 14_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_death_is_noticed_by_the_missing_pong_and_healed() {
    let policy =
        Policy { ping_interval: Duration::from_millis(300), silence_timeout: Duration::from_secs(2), ..hasty() };
    let mut rig = Rig::start(three(&[SecondBars]), policy).await;
    rig.all_connected().await;
    rig.fault(json!({"fault": "mute_pings", "connection": 2})).await;
    let live = rig.until(2, "suspected", |live| live.health.transport.state == LayerState::Warn).await;
    assert!(live.health.transport.reason.is_some_and(|why| why.starts_with("No reply to pings")));
    let live = rig.until(2, "lost", |live| live.last_loss.is_some()).await;
    assert_eq!(live.last_loss.expect("kept").kind, LossKind::Silent);
    rig.fault(json!({"fault": "clear"})).await;
    rig.until(2, "back", |live| live.state.is_up()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_connection_is_mute_within_seconds_and_not_after_the_first_tick() {
    let mut rig = Rig::start(three(&[Trades]), sharp()).await;
    for id in 1..=3 {
        rig.until(id, "ticking as usual", |live| live.metrics.ticks_total > 200).await;
    }
    rig.fault(json!({"fault": "stall", "connection": 2})).await;
    let live = rig.until_state(2, "mute").await;
    assert_eq!(live.health.transport.state, LayerState::Good, "pings are answered");
    assert_eq!(live.health.subscription.state, LayerState::Good);
    assert_eq!(live.health.data.state, LayerState::Bad);
    let reason = live.reason.expect("said");
    assert!(reason.starts_with("No ticks since ") && reason.ends_with(", while 1 and 3 flow"), "{reason}");
    assert!(live.connected, "and yet up");
    rig.fault(json!({"fault": "clear"})).await;
    let live = rig.until_state(2, "connected").await;
    assert_eq!((live.reason, live.metrics.reconnects_total), (None, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn data_from_a_queue_that_has_grown_is_late_until_it_has_caught_up() {
    let mut rig = Rig::start(vec![plan(1, "AAPL,MSFT,NVDA", &[Trades])], sharp()).await;
    // What is usual takes five seconds to learn.
    let start = rig.until(1, "ticking", |live| live.metrics.last_update.is_some()).await.metrics.last_update;
    let start = start.expect("ticked").0;
    rig.until(1, "known", |live| live.metrics.last_update.is_some_and(|at| at.0 > start + 7_000)).await;
    rig.fault(json!({"fault": "lag", "by_ms": 4_000, "connection": 1})).await;
    let is_late = |live: &ConnectionLive| {
        assert_ne!(live.state.label(), "mute", "a queue grows, data never stops");
        live.reason.as_ref().is_some_and(|why| why.starts_with("Data delayed by "))
    };
    let live = rig.until(1, "late", is_late).await;
    assert_eq!((live.state.label(), live.health.data.state), ("degraded", LayerState::Warn));
    rig.fault(json!({"fault": "clear"})).await;
    rig.until(1, "in time again", |live| live.state.label() == "connected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_drops_are_a_hundred_returns_with_one_attempt_each_and_nothing_leaks() {
    const DROPS: u64 = 100;
    let endpoint = |address| Endpoint::massive(format!("ws://{address}/stocks"), "any".into());
    let config = SimulatorConfig { tick_rate: 20.0, ..SimulatorConfig::default() };
    let mut policy = hasty();
    policy.backoff.first = Duration::from_millis(5);
    policy.backoff.longest = Duration::from_millis(5);
    let mut rig = Rig::start_with(config, vec![plan(1, "AAPL,MSFT", &[Trades])], policy, &endpoint).await;
    rig.until_state(1, "connected").await;
    let tasks = rig.tasks.tracker().len();
    for drops in 1..=DROPS {
        rig.fault(json!({"fault": "drop"})).await;
        rig.until(1, "subscribed again", |live| {
            live.metrics.reconnects_total >= drops && live.state.is_up() && live.subscription.acknowledged == 2
        })
        .await;
    }
    let ticks = rig.count(1);
    let live = rig.until(1, "ticking", |live| live.metrics.ticks_total > ticks).await;
    assert_eq!(live.metrics.reconnects_total, DROPS);
    let control = rig.control().await;
    let sessions = control["connections"].as_array().expect("a list");
    // Its number is that of its arrival: with one attempt a loss it is the hundred and first.
    assert_eq!((sessions.len(), &sessions[0]["connection"]), (1, &json!(DROPS + 1)), "{control}");
    assert_eq!(rig.tasks.tracker().len(), tasks);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_not_there_is_tried_again_until_it_is() {
    let (address, market) = super::serve(SimulatorConfig::default()).await;
    market.cancel();
    let nobody = crate::util::free_port();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let away = Endpoint::massive(format!("ws://127.0.0.1:{nobody}/stocks"), "any".into());
    let mut rig = Rig::connect(address, shutdown, vec![plan(1, "AAPL", &[Trades])], hasty(), away);
    let live = rig.until(1, "trying", |live| live.reconnect.attempt >= 3).await;
    assert_eq!(live.last_loss.expect("kept").kind, LossKind::Unreachable);
    assert!(live.reason.is_none_or(|why| why.starts_with("Cannot connect: ")));
}
