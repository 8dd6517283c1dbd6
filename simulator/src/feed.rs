//! The task that moves the market and hands every session its part: one for all sessions.

use super::Simulator;
use super::control::RUBBISH;
use super::faults::Lasting;
use super::market::{Batch, Frame, Market};
use super::peer::{Extra, Peer};
use super::protocol;
use super::subscriptions::Wanted;
use super::symbols::{self, Slot};
use app::model::{symbol::Symbol, time::UnixMillis};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
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

/// Trades of so many symbols more than fit into a frame.
const LARGE_EVENTS: usize = 12_000;

/// Shares that a late trade adds to a bar.
const LATE_SHARES: u64 = 100;

/// What the feed remembers from step to step.
struct Feed {
    simulator: Arc<Simulator>,
    market: Market,
    batch: Batch,
    halted: BTreeSet<Symbol>,
    /// Frames of sessions that get everything late, with the time at which each is due, oldest first.
    late: HashMap<u64, VecDeque<(i64, Frame)>>,
}

/// Runs for ever.
pub(super) async fn run(simulator: Arc<Simulator>, tick_rate: f64, seed: u64) {
    let mut demand = Demand::default();
    let mut from = UnixMillis::now().0;
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let market = Market::new(tick_rate, seed);
    let mut feed = Feed { simulator, market, batch: Batch::default(), halted: BTreeSet::new(), late: HashMap::new() };
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
        let version = feed.simulator.accounts.version();
        let peers = feed.simulator.accounts.peers();
        demand.refresh(version, &peers);
        feed.step(&demand, &peers, from, to);
        from = to;
    }
}

impl Feed {
    fn step(&mut self, demand: &Demand, peers: &[Arc<Peer>], from: i64, to: i64) {
        self.batch.clear();
        let halted = self.simulator.faults.borrow().halted(Instant::now());
        for symbol in halted.symmetric_difference(&self.halted) {
            if let Some(slot) = symbols::slot(symbol) {
                self.market.tell_halt(slot, halted.contains(symbol), to, &mut self.batch);
            }
        }
        self.halted = halted;
        let stands_still: Vec<Slot> = self.halted.iter().filter_map(|symbol| symbols::slot(symbol)).collect();
        if stands_still.is_empty() {
            self.market.advance(&demand.slots, &demand.wanted, from, to, &mut self.batch);
        } else {
            let slots: Vec<Slot> = demand.slots.iter().copied().filter(|slot| !stands_still.contains(slot)).collect();
            self.market.advance(&slots, &demand.wanted, from, to, &mut self.batch);
        }
        for peer in peers {
            self.serve(peer, from, to);
        }
        self.late.retain(|id, frames| !frames.is_empty() && peers.iter().any(|peer| peer.id == *id));
    }

    /// Gives one session what it wants of a step, and what a fault adds to it.
    fn serve(&mut self, peer: &Peer, from: i64, to: i64) {
        let now = Instant::now();
        let (is_stalled, is_garbled, flood_rate, lag_ms) = {
            let faults = self.simulator.faults.borrow();
            let number = peer.connection;
            let is_garbled = faults.has(Lasting::Garbage, number, now);
            (faults.is_stalled(number, now), is_garbled, faults.flood(number, now), faults.lag_ms(number, now))
        };
        if is_stalled {
            return;
        }
        let wanted = peer.subscriptions().wanted().clone();
        let mut frames = self.batch.frames(&wanted);
        self.add_extras(peer, &wanted, to, &mut frames);
        if flood_rate > 0 {
            frames.append(&mut flood(&wanted, &mut self.market, flood_rate, from, to));
        }
        if is_garbled {
            frames.push(Frame { text: RUBBISH.to_owned(), events: 0 });
        }
        let mut queue = self.late.remove(&peer.id).unwrap_or_default();
        if lag_ms == 0 && queue.is_empty() {
            frames.into_iter().for_each(|Frame { text, events }| peer.push(text, events));
            return;
        }
        queue.extend(frames.into_iter().map(|frame| (to + i64::from(lag_ms), frame)));
        // When the lag is over, all that waits goes at once.
        while let Some((_, Frame { text, events })) = queue.pop_front_if(|(due, _)| lag_ms == 0 || *due <= to) {
            peer.push(text, events);
        }
        self.late.insert(peer.id, queue);
    }

    /// What the control interface asked for.
    fn add_extras(&mut self, peer: &Peer, wanted: &Wanted, to: i64, frames: &mut Vec<Frame>) {
        let is_asked = peer.take_extras();
        let mut extra = Batch::default();
        if is_asked(Extra::RepeatedBars) {
            self.market.repeat_bars(wanted, 0, to, &mut extra);
        }
        if is_asked(Extra::RevisedBars) {
            self.market.repeat_bars(wanted, LATE_SHARES, to, &mut extra);
        }
        if is_asked(Extra::LargeFrames) {
            self.market.flood(&wanted.slots(), LARGE_EVENTS, to, &mut extra);
        }
        frames.append(&mut extra.all_frames());
        if is_asked(Extra::StrangeEvents)
            && let Some(slot) = wanted.slots().first()
        {
            let text = protocol::strange_events(symbols::listing(*slot).symbol, to);
            frames.push(Frame { text, events: 5 });
        }
    }
}

fn flood(wanted: &Wanted, market: &mut Market, rate: u32, from: i64, to: i64) -> Vec<Frame> {
    let slots = wanted.slots();
    let count = i64::from(rate) * (to - from).min(FLOOD_CATCH_UP_MS) / 1_000;
    let mut batch = Batch::default();
    market.flood(&slots, usize::try_from(count).unwrap_or(0), to, &mut batch);
    batch.all_frames()
}
