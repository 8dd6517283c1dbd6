//! Connections are independent: whatever happens on the second one, the first and the third lose nothing.
//!
//! `ISOLATION_SECONDS` makes each fault last longer than the few seconds that show it.

use super::{Rig, events_sent, hasty, three};
use crate::util::eventually;
use app::model::connection::{Channel::Trades, ConnectionId};
use serde_json::{Value, json};
use std::time::Duration;

const OTHERS: [ConnectionId; 2] = [1, 3];

fn seconds() -> u64 {
    std::env::var("ISOLATION_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

async fn bears(mut fault: Value) {
    let mut rig = Rig::start(three(&[Trades]), hasty()).await;
    rig.all_connected().await;
    for id in OTHERS {
        rig.until(id, "measured", |live| live.metrics.latency_ms.is_some()).await;
    }
    fault["connection"] = json!(2);
    fault["seconds"] = json!(seconds());
    let quiet = latencies(&rig);
    rig.fault(fault.clone()).await;
    tokio::time::sleep(Duration::from_secs(seconds())).await;
    let faulty = latencies(&rig);
    let control = rig.control().await;
    for id in OTHERS {
        let sent = events_sent(&control, id);
        rig.until(id, "in possession of all that was sent", |live| live.metrics.ticks_total >= sent).await;
        let live = rig.live(id);
        assert_eq!((live.state.label(), live.metrics.reconnects_total, live.metrics.error_count), ("connected", 0, 0));
    }
    // The bus has them as well, and none twice. The market counts what it sent after it was sent.
    for id in OTHERS {
        let counted = rig.live(id).metrics.ticks_total;
        eventually("the bus has every tick", || async { (rig.count(id) >= counted).then_some(()) }).await;
        let on_the_bus = rig.count(id);
        eventually("the market sent them all", || async {
            (events_sent(&rig.control().await, id) >= on_the_bus).then_some(())
        })
        .await;
    }
    println!("{fault}: p99 of 1 and 3 in ms, before {quiet:?}, meanwhile {faulty:?}; 2 took {}", rig.count(2));
}

fn latencies(rig: &Rig) -> Vec<f64> {
    OTHERS.iter().filter_map(|id| rig.live(*id).metrics.latency_ms).map(|latency| latency.p99).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_fifty_thousand_a_second_on_one_connection_costs_the_others_nothing() {
    bears(json!({"fault": "flood", "events_per_second": 50_000})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_connection_costs_the_others_nothing() {
    bears(json!({"fault": "stall"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_one_connection_costs_the_others_nothing() {
    bears(json!({"fault": "garbage"})).await;
}
