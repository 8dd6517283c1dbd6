//! What the data is like (`docs/provider.md`, "Events"): odd events, large frames, bars sent again, halts.

use super::{Rig, hasty, plan, sharp};
use crate::util::eventually;
use app::model::{
    connection::Channel::{Limits, SecondBars, Trades},
    health::LayerState,
};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_kinds_and_fields_nanoseconds_and_fractions_are_no_errors() {
    let mut rig = Rig::start(vec![plan(1, "AAPL", &[SecondBars])], hasty()).await;
    rig.until(1, "ticking", |live| live.metrics.ticks_total > 0).await;
    rig.fault(json!({"fault": "strange_events"})).await;
    let trade = eventually("the trade among them comes through", || async {
        rig.ticks().into_iter().find(|tick| tick.price == 100.25)
    })
    .await;
    assert_eq!(rig.live(1).metrics.error_count, 0, "{:?}", rig.live(1).metrics.last_error);
    assert_eq!(trade.volume, 3);
    let age_ms = app::model::time::UnixMillis::now().millis_since(trade.timestamp);
    assert!((0..3_600_000).contains(&age_ms), "nanoseconds are read as such: {age_ms} ms old");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_near_a_megabyte_are_read_whole() {
    let mut rig = Rig::start(vec![plan(1, "AAPL,MSFT", &[Trades])], hasty()).await;
    let before = rig.until(1, "ticking", |live| live.metrics.ticks_total > 0).await;
    rig.fault(json!({"fault": "large_frame"})).await;
    let after = rig.until(1, "past them", |live| live.metrics.ticks_total > before.metrics.ticks_total + 12_000).await;
    assert!(after.metrics.bytes_total - before.metrics.bytes_total > 900_000);
    assert_eq!((after.metrics.error_count, after.metrics.reconnects_total), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bars_that_are_sent_again_are_replacements_and_no_ticks() {
    let mut rig = Rig::start(vec![plan(1, "AAPL,MSFT,NVDA", &[SecondBars])], hasty()).await;
    rig.until(1, "ticking", |live| live.metrics.ticks_total > 6).await;
    rig.fault(json!({"fault": "duplicate_bar"})).await;
    let live = rig.until(1, "told twice", |live| live.metrics.replacements_total >= 3).await;
    rig.fault(json!({"fault": "revise_bar"})).await;
    let told = live.metrics.replacements_total;
    rig.until(1, "told of a late trade", |live| live.metrics.replacements_total >= told + 3).await;
    // What came over the bus: each window of each symbol once.
    let mut windows: Vec<_> = rig.ticks().iter().map(|tick| (tick.symbol, tick.timestamp)).collect();
    let count = windows.len();
    windows.sort_unstable();
    windows.dedup();
    assert_eq!(windows.len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_halt_explains_the_silence_of_its_symbol() {
    let mut rig = Rig::start(vec![plan(1, "AAPL,MSFT", &[Trades, Limits])], sharp()).await;
    rig.until(1, "ticking as usual", |live| live.metrics.ticks_total > 200).await;
    for symbol in ["AAPL", "MSFT"] {
        rig.fault(json!({"fault": "halt", "symbol": symbol})).await;
    }
    let live = rig.until(1, "halted", |live| live.coverage.halted == 2).await;
    assert_eq!(live.coverage.halted_symbols, super::symbols("AAPL,MSFT"));
    let live = rig.until(1, "quiet", |live| live.health.data.state == LayerState::Quiet).await;
    assert_eq!(live.health.data.reason.as_deref(), Some("Trading is halted in AAPL, MSFT"));
    // Far longer than what would be mute.
    let last = live.metrics.last_update.expect("ticked").0;
    let live = rig.until(1, "silent for long", |live| live.last_heartbeat.is_some_and(|at| at.0 > last + 4_000)).await;
    assert_eq!(live.state.label(), "connected");
    rig.fault(json!({"fault": "clear"})).await;
    rig.until(1, "trading again", |live| live.coverage.halted == 0 && live.health.data.state == LayerState::Good).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_measured_from_trades_and_explained_where_there_is_none() {
    let plans = vec![plan(1, "AAPL,MSFT", &[Trades, SecondBars]), plan(2, "JPM,GS", &[SecondBars])];
    let mut rig = Rig::start(plans, hasty()).await;
    let live = rig.until(1, "measured", |live| live.metrics.latency_ms.as_ref().is_some_and(|l| l.samples > 50)).await;
    let latency = live.metrics.latency_ms.expect("measured");
    assert!(latency.p50 <= latency.p95 && latency.p95 <= latency.p99, "{latency:?}");
    let live = rig.until(2, "explained", |live| live.metrics.latency_note.is_some()).await;
    assert!(live.metrics.latency_ms.is_none());
    assert!(live.metrics.latency_note.is_some_and(|note| note.starts_with("Not measured for bars")));
}
