//! The way up: keys, plans, acknowledgements, the account's limit.

use super::{Rig, hasty, plan, sharp, three};
use app::model::{
    connection::Channel::{self, MinuteBars, Quotes, SecondBars, Trades},
    health::{LayerState, LossKind},
};
use serde_json::json;
use server::upstream::{CannotRetry, Endpoint, Policy};
use simulator::SimulatorConfig;
use std::{net::SocketAddr, time::Duration};

fn with_key(key: &'static str) -> impl Fn(SocketAddr) -> Endpoint {
    move |address| Endpoint::massive(format!("ws://{address}/stocks"), key.into())
}

fn market_with_key() -> SimulatorConfig {
    SimulatorConfig { keys: Some(vec!["right".into()]), tick_rate: 20.0, ..SimulatorConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_greeting_the_key_and_the_acknowledgements_lead_to_three_good_layers() {
    let mut rig = Rig::start(three(&[SecondBars, Trades]), hasty()).await;
    let live = rig.until(2, "good in all layers", |live| live.health.data.state == LayerState::Good).await;
    assert_eq!((live.subscription.requested, live.subscription.acknowledged), (6, 6), "per channel and symbol");
    assert_eq!(live.health.transport.state, LayerState::Good);
    assert_eq!(live.health.subscription.state, LayerState::Good);
    assert!(rig.ticks().iter().any(|tick| &*tick.symbol == "BRK.B"), "the first dot splits channel and symbol");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_key_is_failed_in_the_providers_words_until_the_configuration_changes() {
    let mut rig = Rig::start_with(market_with_key(), three(&[SecondBars]), hasty(), &with_key("wrong")).await;
    let live = rig.until_state(1, "failed").await;
    assert_eq!(live.reason.as_deref(), Some("Key refused by the provider: authentication failed"));
    let loss = live.last_loss.expect("kept");
    assert_eq!((loss.kind, loss.words.as_deref()), (LossKind::KeyRefused, Some("authentication failed")));
    let wait = live.reconnect.next_at.expect("retried, slowly").0 - loss.at.0;
    assert!(wait >= 100_000, "{wait} ms: not hammered");

    let key = with_key("right")(rig.address);
    rig.manager.apply(three(&[SecondBars]), key).await;
    rig.all_connected().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_websockets_is_failed_in_the_providers_words() {
    let mut rig = Rig::start(three(&[SecondBars]), hasty()).await;
    rig.all_connected().await;
    rig.fault(json!({"fault": "refuse_plan", "connection": 2})).await;
    rig.fault(json!({"fault": "drop", "connection": 2})).await;
    let live = rig.until_state(2, "failed").await;
    let reason = live.reason.expect("said");
    assert!(reason.contains("Your plan doesn't include websocket access."), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_plan_on_the_real_time_host_is_failed_in_the_providers_words() {
    let policy = Policy { acknowledge_timeout: Duration::from_secs(1), ..hasty() };
    let mut rig = Rig::start(three(&[SecondBars]), policy).await;
    rig.all_connected().await;
    rig.fault(json!({"fault": "refuse_realtime", "connection": 2})).await;
    rig.fault(json!({"fault": "drop", "connection": 2})).await;
    let live = rig.until_state(2, "failed").await;
    let reason = live.reason.expect("said");
    assert!(reason.contains("None of 3") && reason.contains("You don't have access real-time data."), "{reason}");
    assert_eq!(live.last_loss.map(|loss| loss.kind), Some(LossKind::NothingSubscribed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_outside_the_plan_is_refused_without_a_name_and_the_others_flow() {
    let config = SimulatorConfig { denied_channels: vec!["Q".into()], tick_rate: 20.0, ..SimulatorConfig::default() };
    let mut rig =
        Rig::start_with(config, vec![plan(1, "AAPL,BRK.B", &[Trades, Quotes])], hasty(), &Endpoint::simulator).await;
    let live = rig.until_state(1, "degraded").await;
    let subscription = &live.subscription;
    assert_eq!((subscription.acknowledged, subscription.refused, subscription.never_acknowledged), (2, 2, 0));
    assert_eq!(subscription.missing, ["Q.AAPL", "Q.BRK.B"]);
    assert_eq!(subscription.refusal.as_deref(), Some("not authorized"));
    assert_eq!(live.health.subscription.state, LayerState::Warn);
    rig.until(1, "flowing", |live| live.health.data.state == LayerState::Good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_prefix_is_never_acknowledged_and_counted_when_the_deadline_is_over() {
    let policy = Policy { acknowledge_timeout: Duration::from_secs(3), ..hasty() };
    let mut rig = Rig::start(three(&[Trades]), policy).await;
    rig.all_connected().await;
    rig.fault(json!({"fault": "ignore_channel", "channel": "Q"})).await;
    let mut plans = three(&[Trades]);
    plans[1] = plan(2, "JPM,GS", &[Trades, Quotes]);
    let endpoint = Endpoint::simulator(rig.address);
    rig.manager.apply(plans, endpoint).await;
    let live = rig.until_state(2, "degraded").await;
    let subscription = live.subscription;
    assert_eq!((subscription.acknowledged, subscription.never_acknowledged, subscription.refused), (2, 2, 0));
    assert_eq!(subscription.missing, ["Q.GS", "Q.JPM"]);
    assert_eq!(rig.live(1).metrics.reconnects_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_ticker_is_acknowledged_and_named_as_never_ticked() {
    let mut rig = Rig::start(vec![plan(1, "AAPL,QQQQQQ", &[SecondBars])], sharp()).await;
    let live = rig.until(1, "partly silent", |live| live.coverage.never_ticked == 1).await;
    assert_eq!(live.subscription.acknowledged, 2);
    assert_eq!(live.coverage.never_ticked_symbols, super::symbols("QQQQQQ"));
    let live = rig.until(1, "warned of", |live| live.health.data.state == LayerState::Warn).await;
    assert_eq!(live.health.data.reason.as_deref(), Some("never ticked: QQQQQQ"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_brings_symbols_that_nobody_named() {
    let mut rig = Rig::start(vec![plan(1, "*", &[Trades])], hasty()).await;
    let live = rig.until(1, "connected", |live| live.metrics.ticks_total > 1_000).await;
    assert_eq!((live.subscription.requested, live.subscription.acknowledged), (1, 1));
    let symbols: std::collections::BTreeSet<_> = rig.ticks().iter().map(|tick| tick.symbol).collect();
    assert!(symbols.len() > 100, "{} symbols", symbols.len());
    assert_eq!(live.coverage.never_ticked, 0, "a star is no symbol");
}

async fn limit_at(moment: &str) {
    let mut rig = Rig::start(three(&[SecondBars]), hasty()).await;
    rig.all_connected().await;
    rig.fault(json!({"fault": "limit", "at": moment, "connection": 3})).await;
    rig.fault(json!({"fault": "drop", "connection": 3})).await;
    let live = rig.until_state(3, "failed").await;
    let reason = live.reason.expect("said");
    assert!(reason.starts_with("Connection limit of the account: Maximum number of websocket"), "{reason}");
    let loss = live.last_loss.expect("kept");
    assert_eq!(loss.kind, LossKind::TooManyConnections);
    if let Some(next_at) = live.reconnect.next_at {
        assert!(next_at.0 - loss.at.0 >= 14_000, "a long cooldown");
    }
    assert!([1, 2].iter().all(|id| rig.live(*id).state.is_up()), "the others are not meant");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_understood_in_place_of_the_greeting() {
    limit_at("hello").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_understood_in_place_of_the_answer_to_the_key() {
    limit_at("auth").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_is_understood_after_the_acknowledgements() {
    limit_at("subscribed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_for_two_carries_the_first_two_and_nobody_is_put_out_again() {
    let mut policy = hasty();
    policy.backoff.too_many = [Duration::from_millis(500); 4];
    let config = SimulatorConfig { connections_max: 2, tick_rate: 20.0, ..SimulatorConfig::default() };
    let mut rig = Rig::start_with(config, three(&[SecondBars]), policy, &Endpoint::simulator).await;
    for id in [1, 2] {
        rig.until_state(id, "connected").await;
    }
    let live =
        rig.until(3, "standing back", |live| live.reason.as_ref().is_some_and(|r| r.contains("come first"))).await;
    assert_eq!((live.state.label(), live.reconnect.next_at), ("failed", None));
    let refused = rig.manager.retry(3).map(drop).unwrap_err();
    assert_eq!(refused, CannotRetry::StandsBack(3), "its key would put another one out");
    rig.until_state(1, "connected").await;
    let lost: Vec<u64> = (1..=3).map(|id| rig.live(id).metrics.reconnects_total).collect();
    let ticked = rig.count(1);
    rig.until(1, "ticking for a while", |live| live.metrics.ticks_total > ticked + 9).await;
    assert_eq!(lost, (1..=3).map(|id| rig.live(id).metrics.reconnects_total).collect::<Vec<_>>(), "it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_channel_of_the_stocks_market_brings_its_ticks() {
    const ALL: [Channel; 3] = [Trades, Quotes, SecondBars];
    for channel in ALL {
        let mut rig = Rig::start(vec![plan(1, "AAPL,MSFT", &[channel])], hasty()).await;
        let is_timed = channel != SecondBars;
        let live = rig
            .until(1, "ticking", |live| live.metrics.ticks_total > 5 && live.metrics.latency_ms.is_some() == is_timed)
            .await;
        assert_eq!(live.metrics.error_count, 0, "{channel}");
    }
    let mut rig = Rig::start(vec![plan(1, "AAPL", &[MinuteBars])], hasty()).await;
    let live = rig.until_state(1, "connected").await;
    assert_eq!(live.subscription.acknowledged, 1);
}
