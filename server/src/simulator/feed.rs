//! The task that moves the market and hands every session its part: one for all sessions.

use super::Simulator;
use super::market::{Batch, Frame, Market};
use super::peer::Peer;
use super::subscriptions::Wanted;
use super::symbols::Slot;
use app::model::time::UnixMillis;
use std::sync::{Arc, atomic::Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often the market moves.
const STEP: Duration = Duration::from_millis(50);

/// The longest time that one step makes up for, in milliseconds. A machine that is asleep or overloaded longer misses
/// trades instead of falling behind for ever.
const CATCH_UP_MS: i64 = 1_000;

/// The same for a flood, whose rate is large: a step stays in the order of its own length.
const FLOOD_CATCH_UP_MS: i64 = 200;

/// What all sessions together want, recomputed only when subscriptions changed.
#[derive(Default)]
struct Demand {
    version: Option<u64>,
    wanted: Wanted,
    slots: Vec<Slot>,
}

impl Demand {
    fn refresh(&mut self, version: u64, peers: &[Arc<Peer>]) {
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        self.wanted = Wanted::default();
        for peer in peers {
            self.wanted.merge(peer.subscriptions().wanted());
        }
        self.slots = self.wanted.slots();
    }
}

/// Runs for ever.
pub(super) async fn run(simulator: Arc<Simulator>, tick_rate: f64, seed: u64) {
    let mut market = Market::new(tick_rate, seed);
    let mut demand = Demand::default();
    let mut batch = Batch::default();
    let mut from = UnixMillis::now().0;
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        steps.tick().await;
        let to = UnixMillis::now().0;
        if to <= from {
            // The clock was set back: wait for it, unless that would take long.
            from = if from - to > CATCH_UP_MS { to } else { from };
            continue;
        }
        from = from.max(to - CATCH_UP_MS);
        // The version first: a change that comes in between is then seen twice rather than never.
        let version = simulator.accounts.version();
        let peers = simulator.accounts.peers();
        demand.refresh(version, &peers);
        batch.clear();
        market.advance(&demand.slots, &demand.wanted, from, to, &mut batch);
        for peer in &peers {
            serve(&simulator, peer, &batch, &mut market, from, to);
        }
        from = to;
    }
}

/// Gives one session what it wants of a step, and what a fault adds to it.
fn serve(simulator: &Simulator, peer: &Peer, batch: &Batch, market: &mut Market, from: i64, to: i64) {
    let now = Instant::now();
    let (is_stalled, flood_rate) = {
        let faults = simulator.faults.borrow();
        (faults.is_stalled(peer.connection, now), faults.flood(peer.connection, now))
    };
    if is_stalled {
        return;
    }
    let mut frames = batch.frames(peer.subscriptions().wanted());
    if peer.is_bar_repeat_asked.swap(false, Relaxed) {
        let wanted = peer.subscriptions().wanted().clone();
        let mut repeated = Batch::default();
        market.repeat_bars(&wanted, to, &mut repeated);
        frames.append(&mut repeated.all_frames());
    }
    if flood_rate > 0 {
        frames.append(&mut flood(peer, market, flood_rate, from, to));
    }
    for Frame { text, events } in frames {
        peer.push(text, events);
    }
}

fn flood(peer: &Peer, market: &mut Market, rate: u32, from: i64, to: i64) -> Vec<Frame> {
    let slots = peer.subscriptions().wanted().slots();
    let count = i64::from(rate) * (to - from).min(FLOOD_CATCH_UP_MS) / 1_000;
    let mut batch = Batch::default();
    market.flood(&slots, usize::try_from(count).unwrap_or(0), to, &mut batch);
    batch.all_frames()
}
