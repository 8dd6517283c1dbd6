//! What was handed to Redis and has not come back to our own subscription yet.
//!
//! Redis delivers to a subscription all that was published, in order, until the subscription ends. So what comes back is held
//! against what was sent: the front of the queue came back, or the message is somebody else's. A ping of the subscription is a
//! barrier: what Redis confirmed before the ping was sent and did not come before its answer never will. This tells, to the
//! tick,
//!
//! - how late our own subscription sees what was published,
//! - what it missed, which is handed to the inbox without the detour,
//! - and, when the publisher's connection was lost, which of the unconfirmed ticks Redis took all the same.

use super::super::mailbox::Outbox;
use app::model::tick::Tick;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

/// Ticks that may be under way, 17 MB of them. A subscription that is further behind is begun anew.
const TICKS_MAX: usize = 1 << 18;

/// A tick that cannot be read back would keep those behind it from being known. So many may stand in front.
const LOOK_AHEAD: usize = 16;

pub(super) struct Transit {
    state: Mutex<State>,
    outbox: Outbox,
    /// Somebody waits for a barrier, or the subscription has to be begun anew.
    wanted: Notify,
    /// The number of the last ping that was answered.
    answered: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    ticks: VecDeque<Tick>,
    /// The number of the tick in front, counted from the start.
    first: u64,
    /// Redis took all before this number.
    confirmed: u64,
    /// What was sent together: the number after its last tick, and when its first one was published.
    batches: VecDeque<(u64, Instant)>,
    subscription: Subscription,
    /// While it is being made: what was sent before this number may have been taken before it, and is then missed.
    joins_at: Option<u64>,
    /// Pings sent.
    pings: u64,
    missed_total: u64,
    /// The longest way since it was last asked for.
    worst: Option<Duration>,
    round_trip: Option<Duration>,
    ready: Vec<Tick>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Subscription {
    /// Nothing comes back.
    #[default]
    Away,
    /// It is being made: the first that comes back may be any of those under way.
    Joining,
    /// The next that comes back is the one in front.
    Joined,
}

/// A ping that is under way.
pub(super) struct Ping {
    number: u64,
    confirmed: u64,
    /// The number after the last tick that was sent.
    end: u64,
    sent: Instant,
}

impl Transit {
    pub(super) fn new(outbox: Outbox) -> Self {
        let (answered, _) = watch::channel(0);
        Self { state: Mutex::default(), outbox, wanted: Notify::new(), answered }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are about to be sent, the first of them published at `since`; answers the number of the first.
    pub(super) fn send(&self, ticks: &[Tick], since: Instant, now: Instant) -> u64 {
        let mut state = self.lock();
        let first = state.end();
        state.ticks.extend(ticks);
        let end = state.end();
        state.batches.push_back((end, since));
        if state.ticks.len() > TICKS_MAX && state.subscription != Subscription::Away {
            state.leave(now, &self.outbox);
            self.wanted.notify_one();
        }
        first
    }

    /// Redis took all before `number`.
    pub(super) fn confirm(&self, number: u64, now: Instant) {
        let mut state = self.lock();
        state.confirmed = state.confirmed.max(number);
        if state.subscription == Subscription::Away {
            let confirmed = state.confirmed;
            state.hand_over(confirmed, now, &self.outbox);
        }
    }

    /// Takes back what Redis neither confirmed nor delivered; answers the number of the first, and the ticks in order.
    pub(super) fn take_back(&self) -> (u64, Vec<Tick>) {
        let mut state = self.lock();
        state.confirmed = state.confirmed.max(state.first);
        let (first, confirmed) = (state.first, state.confirmed);
        let back = state.ticks.drain((confirmed - first) as usize..).collect();
        state.forget_batches_from(confirmed);
        (confirmed, back)
    }

    /// How many from this number on were sent and are not known to have been taken, and the number after the last of them.
    pub(super) fn unconfirmed(&self, from: u64) -> (u64, u64) {
        let state = self.lock();
        let end = state.end();
        (end.saturating_sub(state.confirmed.max(state.first).max(from)), end)
    }

    /// When the first of the ticks was published that are not known to have been taken, or one that was sent with it.
    pub(super) fn unconfirmed_since(&self) -> Option<Instant> {
        let state = self.lock();
        let confirmed = state.confirmed.max(state.first);
        let place = state.batches.partition_point(|(end, _)| *end <= confirmed);
        state.batches.get(place).map(|(_, since)| *since)
    }

    /// Waits until all that Redis took by now was delivered, or is known to be missed.
    pub(super) async fn barrier(&self) {
        let number = self.lock().pings + 1;
        self.wanted.notify_one();
        // It fails only when the sender is gone, which is here.
        let _ = self.answered.subscribe().wait_for(|answered| *answered >= number).await;
    }

    /// Resolves when a ping is wanted.
    pub(super) async fn ping_wanted(&self) {
        self.wanted.notified().await;
    }

    /// The subscription is about to be made.
    pub(super) fn join(&self, now: Instant) {
        let mut state = self.lock();
        state.leave(now, &self.outbox);
        (state.subscription, state.joins_at) = (Subscription::Joining, None);
    }

    /// The subscription is over: what is confirmed from now on reaches the inbox without it.
    pub(super) fn leave(&self, now: Instant) {
        self.lock().leave(now, &self.outbox);
    }

    /// Did the subscription fall behind by more than may be under way?
    pub(super) fn is_overrun(&self) -> bool {
        self.lock().subscription == Subscription::Away
    }

    /// The subscription delivered these.
    pub(super) fn deliver(&self, ticks: &[Tick], now: Instant) {
        self.lock().deliver(ticks, now, &self.outbox);
    }

    /// The subscription is about to be pinged.
    pub(super) fn ping(&self, now: Instant) -> Ping {
        let mut state = self.lock();
        state.pings += 1;
        Ping { number: state.pings, confirmed: state.confirmed, end: state.end(), sent: now }
    }

    /// The ping was answered, and all that came before the answer was delivered.
    pub(super) fn pong(&self, ping: &Ping, now: Instant) {
        let mut state = self.lock();
        state.hand_over(ping.confirmed, now, &self.outbox);
        // It was made before the ping was sent.
        state.joins_at.get_or_insert(ping.end);
        state.settle();
        state.round_trip = Some(now.saturating_duration_since(ping.sent));
        drop(state);
        self.answered.send_replace(ping.number);
    }

    /// The longest way of a tick from publishing to its own delivery since this was last asked for, those included that are
    /// still under way. Without any, that of a ping.
    pub(super) fn lag(&self, now: Instant) -> Option<Duration> {
        let mut state = self.lock();
        let waiting = state.batches.front().map(|(_, since)| now.saturating_duration_since(*since));
        state.worst.take().max(waiting).or(state.round_trip)
    }

    /// How many ticks the subscription missed.
    pub(super) fn missed_total(&self) -> u64 {
        self.lock().missed_total
    }
}

impl State {
    fn end(&self) -> u64 {
        self.first + self.ticks.len() as u64
    }

    fn leave(&mut self, now: Instant, outbox: &Outbox) {
        self.subscription = Subscription::Away;
        let confirmed = self.confirmed;
        self.hand_over(confirmed, now, outbox);
    }

    /// What is in front, up to this number, was missed.
    fn hand_over(&mut self, number: u64, now: Instant, outbox: &Outbox) {
        let count = number.saturating_sub(self.first) as usize;
        if count > 0 {
            self.miss(count, now);
            self.put_ready(outbox);
        }
    }

    fn deliver(&mut self, ticks: &[Tick], now: Instant, outbox: &Outbox) {
        if self.subscription == Subscription::Away {
            // All of these were handed over when it was given up.
            return;
        }
        let ahead = if self.subscription == Subscription::Joining { usize::MAX } else { LOOK_AHEAD };
        for tick in ticks {
            let place = self.ticks.iter().take(ahead).position(|sent| sent == tick);
            if let Some(place) = place {
                self.miss(place, now);
                self.pass(1, now);
            }
            self.ready.push(*tick);
        }
        self.put_ready(outbox);
    }

    /// So many in front were missed: they are ready without the detour.
    fn miss(&mut self, count: usize, now: Instant) {
        self.ready.extend(self.ticks.iter().take(count));
        self.missed_total += count as u64;
        self.pass(count, now);
    }

    /// So many in front are done with.
    fn pass(&mut self, count: usize, now: Instant) {
        if count == 0 {
            return;
        }
        if let Some((_, since)) = self.batches.front() {
            self.worst = self.worst.max(Some(now.saturating_duration_since(*since)));
        }
        self.ticks.drain(..count);
        self.first += count as u64;
        while self.batches.front().is_some_and(|(end, _)| *end <= self.first) {
            self.batches.pop_front();
        }
        self.settle();
    }

    /// Once all that may have been missed while the subscription was made is done with, what comes back is in front.
    fn settle(&mut self) {
        let is_made = self.joins_at.is_some_and(|number| self.first >= number);
        if is_made && self.subscription == Subscription::Joining {
            self.subscription = Subscription::Joined;
        }
    }

    fn forget_batches_from(&mut self, number: u64) {
        while self.batches.back().is_some_and(|(end, _)| *end > number) {
            let start = self.batches.len().checked_sub(2).map_or(self.first, |before| self.batches[before].0);
            if start < number {
                let since = self.batches.pop_back().map(|(_, since)| since);
                self.batches.extend(since.map(|since| (number, since)));
            } else {
                self.batches.pop_back();
            }
        }
    }

    fn put_ready(&mut self, outbox: &Outbox) {
        outbox.put_ticks(&self.ready);
        self.ready.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::mailbox::{Delivery, Inbox, mailbox};
    use app::model::{symbol::Symbol, time::UnixMillis};

    fn tick(n: u64) -> Tick {
        let symbol = Symbol::parse("AAPL").expect("a symbol");
        Tick { connection_id: Some(1), symbol, price: n as f64 + 1.0, volume: n, timestamp: UnixMillis(n as i64) }
    }

    fn ticks(numbers: std::ops::Range<u64>) -> Vec<Tick> {
        numbers.map(tick).collect()
    }

    fn came(inbox: &mut Inbox) -> Vec<u64> {
        let mut delivery = Delivery::default();
        inbox.take_now(&mut delivery);
        delivery.ticks.iter().map(|tick| tick.volume).collect()
    }

    fn joined(now: Instant) -> (Transit, Inbox) {
        let (outbox, inbox) = mailbox();
        let transit = Transit::new(outbox);
        transit.join(now);
        transit.pong(&transit.ping(now), now);
        (transit, inbox)
    }

    #[test]
    fn what_comes_back_is_ours_in_order_and_the_rest_is_somebody_elses() {
        let now = Instant::now();
        let (transit, mut inbox) = joined(now);
        transit.send(&ticks(0..3), now, now);
        transit.deliver(&[tick(0), tick(90), tick(1)], now);
        transit.confirm(3, now);
        transit.deliver(&[tick(2)], now);
        transit.pong(&transit.ping(now), now);
        assert_eq!(came(&mut inbox), [0, 90, 1, 2]);
        assert_eq!(transit.missed_total(), 0);
    }

    #[test]
    fn what_a_lost_subscription_misses_is_handed_over_once_and_in_order() {
        let now = Instant::now();
        let (transit, mut inbox) = joined(now);
        transit.send(&ticks(0..3), now, now);
        transit.confirm(3, now);
        transit.deliver(&[tick(0)], now);
        transit.leave(now);
        assert_eq!(came(&mut inbox), [0, 1, 2], "at once");
        transit.send(&ticks(3..5), now, now);
        assert!(came(&mut inbox).is_empty(), "nobody knows yet whether Redis takes them");
        transit.confirm(5, now);
        assert_eq!(came(&mut inbox), [3, 4]);
        // While it is made anew some are published before it and some after it.
        transit.send(&ticks(5..7), now, now);
        transit.join(now);
        transit.send(&ticks(7..10), now, now);
        transit.deliver(&[tick(8)], now);
        assert_eq!(came(&mut inbox), [5, 6, 7, 8], "a later one shows that those before it were missed");
        transit.confirm(10, now);
        let ping = transit.ping(now);
        transit.deliver(&[tick(9)], now);
        transit.pong(&ping, now);
        assert_eq!((came(&mut inbox), transit.missed_total()), (vec![9], 7));
    }

    #[test]
    fn a_ping_tells_what_was_missed_when_nothing_follows() {
        let now = Instant::now();
        let (transit, mut inbox) = joined(now);
        transit.join(now);
        transit.send(&ticks(0..2), now, now);
        transit.confirm(2, now);
        let ping = transit.ping(now);
        transit.send(&ticks(2..3), now, now);
        transit.confirm(3, now);
        transit.pong(&ping, now);
        assert_eq!(came(&mut inbox), [0, 1], "the third may still come");
    }

    #[test]
    fn what_redis_took_before_the_subscription_and_confirmed_after_it_is_told_once() {
        let now = Instant::now();
        let (transit, mut inbox) = joined(now);
        transit.leave(now);
        transit.send(&ticks(0..100), now, now);
        transit.join(now);
        let ping = transit.ping(now);
        transit.send(&ticks(100..140), now, now);
        transit.pong(&ping, now);
        transit.deliver(&ticks(100..140), now);
        transit.confirm(140, now);
        transit.pong(&transit.ping(now), now);
        assert_eq!(came(&mut inbox), (0..140).collect::<Vec<_>>());
        assert_eq!(transit.missed_total(), 100);
    }

    #[test]
    fn after_a_lost_connection_only_what_redis_did_not_take_comes_back_to_the_publisher() {
        let now = Instant::now();
        let (transit, _inbox) = joined(now);
        transit.send(&ticks(0..10), now, now);
        transit.confirm(3, now);
        transit.deliver(&ticks(0..6), now);
        assert_eq!(
            (transit.unconfirmed(0), transit.unconfirmed(8), transit.unconfirmed(10)),
            ((4, 10), (2, 10), (0, 10))
        );
        let (first, back) = transit.take_back();
        assert_eq!((first, back), (6, ticks(6..10)));
        assert_eq!(transit.send(&ticks(6..7), now, now), 6);
        transit.confirm(7, now);
        transit.deliver(&ticks(6..7), now);
        assert_eq!((transit.missed_total(), transit.lock().batches.len()), (0, 0));
    }

    #[test]
    fn a_subscription_that_is_too_far_behind_is_given_up_and_nothing_is_told_twice() {
        let now = Instant::now();
        let (transit, mut inbox) = joined(now);
        let all = TICKS_MAX as u64 + 1;
        transit.send(&ticks(0..all - 1), now, now);
        transit.confirm(all - 1, now);
        assert!(!transit.is_overrun());
        transit.send(&ticks(all - 1..all), now, now);
        assert!(transit.is_overrun());
        transit.deliver(&ticks(0..5), now);
        assert_eq!(came(&mut inbox).len(), TICKS_MAX);
        assert_eq!(transit.missed_total(), TICKS_MAX as u64);
    }

    #[test]
    fn the_lag_is_the_longest_way_since_it_was_asked_for_and_a_ping_s_when_nothing_is_under_way() {
        let now = Instant::now();
        let at = |millis| now + Duration::from_millis(millis);
        let lag = |transit: &Transit, millis| transit.lag(at(millis)).map(|lag| lag.as_millis());
        let (outbox, _inbox) = mailbox();
        let transit = Transit::new(outbox);
        assert_eq!(lag(&transit, 0), None, "nothing is known");
        transit.join(at(0));
        transit.pong(&transit.ping(at(0)), at(3));
        assert_eq!(lag(&transit, 10), Some(3));

        // Published at 10 and at 12, both sent at 15.
        transit.send(&ticks(0..2), at(10), at(15));
        transit.send(&ticks(2..3), at(12), at(15));
        assert_eq!(lag(&transit, 30), Some(20), "while they are under way");
        transit.confirm(3, at(40));
        transit.deliver(&ticks(0..2), at(60));
        transit.deliver(&ticks(2..3), at(61));
        assert_eq!(lag(&transit, 1_000), Some(50), "that of the first");
        assert_eq!(lag(&transit, 2_000), Some(3), "asked again, nothing since");
    }
}
