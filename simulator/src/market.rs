//! The market: symbols that trade, and the events that come of it, encoded once for every client.
//!
//! ```text
//!  Wanted (all clients) ──▶ Market::advance ──▶ Batch ──slices──▶ a frame per client
//! ```
//!
//! Only what somebody wants is simulated. A symbol's one-second bar is sent not at the end of its second but up to 950 ms
//! later, by a phase of its own: with hundreds of symbols the stream then flows instead of bursting once a second. (The
//! real feed sends them about two seconds late, `docs/provider.md`.) Minute bars follow the same phase after the minute.

use super::bars::{Bar, Bars};
use super::encode;
use super::protocol::{Channel, FRAME_BYTES_MAX};
use super::subscriptions::Wanted;
use super::symbols::{self, Slot};
use super::walk::{Trade, Walk};

/// One encoded event of a batch.
#[derive(Clone, Copy, Debug)]
struct Event {
    t: i64,
    slot: Slot,
    channel: Channel,
    start: usize,
    end: usize,
}

/// The events of one step, in one piece of text.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    events: Vec<Event>,
}

/// An array of events, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) text: String,
    pub(super) events: u64,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.events.clear();
    }

    fn push(&mut self, t: i64, slot: Slot, channel: Channel, encode: impl FnOnce(&mut String)) {
        let start = self.text.len();
        encode(&mut self.text);
        self.events.push(Event { t, slot, channel, start, end: self.text.len() });
    }

    /// Trades of different symbols happen in turns; the sort is stable, so a symbol's own order stays.
    fn sort(&mut self) {
        self.events.sort_by_key(|event| event.t);
    }

    /// The events that are wanted, in frames below [`FRAME_BYTES_MAX`].
    pub(super) fn frames(&self, wanted: &Wanted) -> Vec<Frame> {
        self.frames_of(|event| wanted.of(event.slot) & event.channel.bit() != 0)
    }

    /// All events, in frames below [`FRAME_BYTES_MAX`].
    pub(super) fn all_frames(&self) -> Vec<Frame> {
        self.frames_of(|_| true)
    }

    fn frames_of(&self, is_wanted: impl Fn(&Event) -> bool) -> Vec<Frame> {
        let mut frames: Vec<Frame> = Vec::new();
        for event in self.events.iter().filter(|event| is_wanted(event)) {
            let text = &self.text[event.start..event.end];
            match frames.last_mut() {
                // Room for the comma before it and the bracket at the end.
                Some(frame) if frame.text.len() + text.len() + 2 < FRAME_BYTES_MAX => {
                    frame.text.push(',');
                    frame.text.push_str(text);
                    frame.events += 1;
                }
                _ => frames.push(Frame { text: format!("[{text}"), events: 1 }),
            }
        }
        frames.iter_mut().for_each(|frame| frame.text.push(']'));
        frames
    }
}

/// All symbols that have traded so far.
pub(super) struct Market {
    /// Trades per second of an average symbol.
    tick_rate: f64,
    seed: u64,
    walks: Vec<Option<Box<Walk>>>,
}

impl Market {
    pub(super) fn new(tick_rate: f64, seed: u64) -> Self {
        Self { tick_rate, seed, walks: Vec::new() }
    }

    /// Lets the time after `from` until `to` pass for the given slots; the events that are wanted go to the batch.
    pub(super) fn advance(&mut self, slots: &[Slot], wanted: &Wanted, from: i64, to: i64, batch: &mut Batch) {
        for slot in slots {
            self.advance_one(*slot, wanted.of(*slot), from, to, batch);
        }
        batch.sort();
    }

    fn advance_one(&mut self, slot: Slot, channels: u8, from: i64, to: i64, batch: &mut Batch) {
        let rate = self.tick_rate;
        let walk = self.walk(slot);
        let is_wanted = |channel: Channel| channels & channel.bit() != 0;
        let count = walk.draw_count(rate * walk.listing.activity * (to - from) as f64 / 1000.0);
        for part in 0..count {
            let t = walk.draw_time(from, to, part, count);
            let trade = walk.trade(t);
            fold(walk, slot, &trade, channels, batch);
            if is_wanted(Channel::Trades) {
                push_trade(walk, slot, &trade, batch);
            }
        }
        if count > 0 && is_wanted(Channel::Quotes) {
            let quote = walk.quote(to);
            let listing = walk.listing;
            batch.push(to, slot, Channel::Quotes, |out| encode::quote(out, listing.symbol, listing.tape, &quote));
        }
        while let Some(bar) = walk.seconds.due(to, walk.listing.phase_ms) {
            push_bar(walk, slot, Channel::Seconds, channels, to, &bar, batch);
        }
        while let Some(bar) = walk.minutes.due(to, walk.listing.phase_ms) {
            push_bar(walk, slot, Channel::Minutes, channels, to, &bar, batch);
        }
    }

    /// Makes the slots trade in turns, `count` times in all, whoever wants to know.
    pub(super) fn flood(&mut self, slots: &[Slot], count: usize, t: i64, batch: &mut Batch) {
        for slot in slots.iter().cycle().take(if slots.is_empty() { 0 } else { count }) {
            let walk = self.walk(*slot);
            let trade = walk.trade(t);
            push_trade(walk, *slot, &trade, batch);
        }
    }

    /// The last bars that are wanted, as they were, or with `late_shares` more of each, as a late trade changes them.
    pub(super) fn repeat_bars(&mut self, wanted: &Wanted, late_shares: u64, t: i64, batch: &mut Batch) {
        for slot in wanted.slots() {
            let channels = wanted.of(slot);
            let walk = self.walk(slot);
            for (channel, sent) in [(Channel::Seconds, walk.seconds.sent()), (Channel::Minutes, walk.minutes.sent())] {
                if let Some(bar) = sent {
                    let bar = Bar { volume: bar.volume + late_shares, ..bar };
                    push_bar(walk, slot, channel, channels, t, &bar, batch);
                }
            }
        }
    }

    /// Says that trading of a symbol is halted, or goes on.
    pub(super) fn tell_halt(&mut self, slot: Slot, is_halted: bool, t: i64, batch: &mut Batch) {
        let walk = self.walk(slot);
        let (listing, quote) = (walk.listing, walk.quote(t));
        batch
            .push(t, slot, Channel::Limits, |out| encode::limits(out, listing.symbol, listing.tape, is_halted, &quote));
    }

    fn walk(&mut self, slot: Slot) -> &mut Walk {
        let index = slot as usize;
        if self.walks.len() <= index {
            self.walks.resize_with(index + 1, || None);
        }
        let seed = self.seed;
        self.walks[index].get_or_insert_with(|| Box::new(Walk::new(symbols::listing(slot), seed)))
    }
}

/// Folds a trade into the bars; a bar that is pushed out by it is sent at once, late rather than never.
fn fold(walk: &mut Walk, slot: Slot, trade: &Trade, channels: u8, batch: &mut Batch) {
    let day = walk.day();
    if let Some(bar) = walk.seconds.add(trade.t, trade.cents, trade.size, day) {
        push_bar(walk, slot, Channel::Seconds, channels, trade.t, &bar, batch);
    }
    if let Some(bar) = walk.minutes.add(trade.t, trade.cents, trade.size, day) {
        push_bar(walk, slot, Channel::Minutes, channels, trade.t, &bar, batch);
    }
}

fn push_trade(walk: &Walk, slot: Slot, trade: &Trade, batch: &mut Batch) {
    let listing = walk.listing;
    batch.push(trade.t, slot, Channel::Trades, |out| encode::trade(out, listing.symbol, listing.tape, trade));
}

fn push_bar(walk: &Walk, slot: Slot, channel: Channel, channels: u8, t: i64, bar: &Bar, batch: &mut Batch) {
    if channels & channel.bit() != 0 {
        let bars: &Bars = if channel == Channel::Seconds { &walk.seconds } else { &walk.minutes };
        let (symbol, length) = (walk.listing.symbol, bars.length());
        batch.push(t, slot, channel, |out| encode::bar(out, channel.prefix(), symbol, length, bar));
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Topic;
    use super::super::subscriptions::Subscriptions;
    use super::*;
    use serde_json::Value;

    const START: i64 = 1_768_998_840_000;

    fn wanted(topics: &str) -> Wanted {
        let mut subscriptions = Subscriptions::default();
        subscriptions.add(topics.split(',').filter_map(Topic::parse).collect());
        subscriptions.wanted().clone()
    }

    /// Runs the market in steps of 50 ms and returns the frames of each step, parsed.
    fn run(market: &mut Market, wanted: &Wanted, steps: i64) -> Vec<(i64, Value)> {
        let slots = wanted.slots();
        let mut events = Vec::new();
        let mut batch = Batch::default();
        for step in 0..steps {
            let (from, to) = (START + step * 50, START + (step + 1) * 50);
            batch.clear();
            market.advance(&slots, wanted, from, to, &mut batch);
            for frame in batch.frames(wanted) {
                let parsed: Vec<Value> = serde_json::from_str(&frame.text).expect("an array");
                assert_eq!(parsed.len() as u64, frame.events);
                events.extend(parsed.into_iter().map(|event| (to, event)));
            }
        }
        events
    }

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let stream = |seed| run(&mut Market::new(10.0, seed), &wanted("T.AAPL,Q.MSFT,A.NVDA"), 60);
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }

    #[test]
    fn a_symbols_path_does_not_depend_on_who_else_trades() {
        let of_aapl = |topics| {
            let events = run(&mut Market::new(10.0, 1), &wanted(topics), 40);
            events.into_iter().filter(|(_, event)| event["sym"] == "AAPL").collect::<Vec<_>>()
        };
        assert_eq!(of_aapl("T.AAPL"), of_aapl("T.*"));
    }

    #[test]
    fn load_test_symbols_trade_at_the_tick_rate() {
        let topics: Vec<String> = (1..=200).map(|n| format!("T.SIM{n:05}")).collect();
        let events = run(&mut Market::new(10.0, 1), &wanted(&topics.join(",")), 100);
        assert!((9_000..11_000).contains(&events.len()), "{} trades where 10,000 are expected", events.len());
    }

    #[test]
    fn a_second_bar_is_aligned_folds_its_trades_and_comes_within_a_second_of_its_end() {
        let events = run(&mut Market::new(50.0, 1), &wanted("T.AAPL,A.AAPL"), 100);
        let (bars, trades): (Vec<_>, Vec<_>) = events.into_iter().partition(|(_, event)| event["ev"] == "A");
        assert!(bars.len() >= 3, "{} bars", bars.len());
        for (sent, bar) in bars {
            let (start, end) = (bar["s"].as_i64().expect("s"), bar["e"].as_i64().expect("e"));
            assert_eq!((start % 1000, end - start), (0, 1000));
            assert!((0..1000).contains(&(sent - end)), "sent {} ms after its end", sent - end);
            let within = |trade: &&Value| (start..end).contains(&trade["t"].as_i64().expect("t"));
            let folded: Vec<&Value> = trades.iter().map(|(_, trade)| trade).filter(within).collect();
            assert_eq!(bar["v"].as_i64(), Some(folded.iter().map(|t| t["s"].as_i64().expect("s")).sum()));
            assert_eq!((&bar["o"], &bar["c"]), (&folded[0]["p"], &folded[folded.len() - 1]["p"]));
        }
    }

    #[test]
    fn bars_of_many_symbols_are_spread_over_the_second() {
        let events = run(&mut Market::new(50.0, 1), &wanted("A.*"), 60);
        let moments: std::collections::BTreeSet<i64> = events.iter().map(|(sent, _)| sent % 1000).collect();
        assert_eq!(moments.len(), 20, "every step of 50 ms carries some");
    }

    #[test]
    fn a_minute_bar_follows_the_minute() {
        let events = run(&mut Market::new(1.0, 1), &wanted("AM.AAPL"), 1_220);
        let [(sent, bar)] = &events[..] else { panic!("one minute bar, not {events:?}") };
        assert_eq!((bar["s"].as_i64(), bar["e"].as_i64()), (Some(START), Some(START + 60_000)));
        assert!((0..1000).contains(&(sent - START - 60_000)));
    }

    #[test]
    fn a_symbol_is_quoted_at_most_once_a_step() {
        let events = run(&mut Market::new(100.0, 1), &wanted("Q.AAPL"), 40);
        let moments: std::collections::BTreeSet<i64> = events.iter().map(|(sent, _)| *sent).collect();
        assert_eq!((moments.len(), events.is_empty()), (events.len(), false));
    }

    #[test]
    fn frames_stay_below_the_limit_and_lose_nothing() {
        let mut batch = Batch::default();
        let slots = wanted("T.*").slots();
        Market::new(10.0, 1).flood(&slots, 30_000, START, &mut batch);
        let frames = batch.all_frames();
        assert!(frames.len() > 2 && frames.iter().all(|frame| frame.text.len() < FRAME_BYTES_MAX));
        assert_eq!(frames.iter().map(|frame| frame.events).sum::<u64>(), 30_000);
        for frame in frames {
            assert!(serde_json::from_str::<Vec<&serde_json::value::RawValue>>(&frame.text).is_ok());
        }
    }

    #[test]
    fn repeated_bars_are_the_same_bars() {
        let mut market = Market::new(50.0, 1);
        let wanted = wanted("A.AAPL");
        let events = run(&mut market, &wanted, 60);
        let mut batch = Batch::default();
        market.repeat_bars(&wanted, 0, START, &mut batch);
        let [frame] = &batch.frames(&wanted)[..] else { panic!("one frame") };
        let repeated: Vec<Value> = serde_json::from_str(&frame.text).expect("an array");
        assert_eq!(Some(&repeated[0]), events.last().map(|(_, event)| event));
    }
}
