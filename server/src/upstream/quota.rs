//! Whose turn it is when the account allows fewer connections than we want.
//!
//! The provider ends the *oldest* connection for a new one. Connections that come back by
//! themselves would then put each other out in a circle, for ever. So when one of ours is put out just after another of
//! ours came in, the account is full of ours: the last by tier and number stands back, and stays back until the
//! configuration is refreshed. When nobody of ours came in, somebody else uses the account, and slow retries go on. So they
//! do while one of ours vanished a moment ago: the provider counts its dead session on, and the account may have room for
//! all of us as soon as it stops.
//!
//! A provider that answers the handshake with a time to wait means the account, not the connection: nobody dials before it
//! is over.

use super::loss::Loss;
use app::model::connection::{ConnectionId, Priority};
use futures_util::FutureExt;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// An eviction follows the newcomer that caused it at once, and a message takes less than this.
const CAUSE_WINDOW: Duration = Duration::from_secs(2);

/// So long the provider counts a session that died without a goodbye: 10 to 30 s were seen.
const DEAD_SESSION: Duration = Duration::from_secs(30);

/// The account's places, shared by all connections of one account.
#[derive(Debug, Default)]
pub(super) struct Quota {
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    of: BTreeMap<ConnectionId, Seat>,
    /// Until then the provider may count more sessions than live.
    dead_until: Option<Instant>,
    /// The provider asked to wait.
    closed: Option<Closed>,
}

/// The provider lets nobody of the account in for a while.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) until: Instant,
    /// What it said.
    pub(super) loss: Loss,
}

#[derive(Debug)]
struct Seat {
    /// Smaller comes first.
    rank: (Priority, ConnectionId),
    came_in_at: Option<Instant>,
    gives_way: Arc<Notify>,
}

/// What an evicted connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Try again after a cooldown.
    Retry,
    /// Stand back.
    StandBack,
}

/// One connection's place. Dropping it gives it up.
#[derive(Debug)]
pub(super) struct Place {
    quota: Arc<Quota>,
    id: ConnectionId,
    gives_way: Arc<Notify>,
}

impl Quota {
    /// A place for a connection.
    pub(super) fn place(self: &Arc<Self>, id: ConnectionId, priority: Priority) -> Place {
        let gives_way = Arc::new(Notify::new());
        let seat = Seat { rank: (priority, id), came_in_at: None, gives_way: Arc::clone(&gives_way) };
        self.lock().of.insert(id, seat);
        Place { quota: Arc::clone(self), id, gives_way }
    }

    /// Ranks a connection anew, if it has a place.
    pub(super) fn rank(&self, id: ConnectionId, priority: Priority) {
        if let Some(seat) = self.lock().of.get_mut(&id) {
            seat.rank = (priority, id);
        }
    }

    /// The connections go elsewhere: what was asked of them before does not count there.
    pub(super) fn reopen(&self) {
        self.lock().closed = None;
    }

    /// How long nobody may dial, when that is not over.
    pub(super) fn closed(&self, now: Instant) -> Option<Closed> {
        self.lock().closed.clone().filter(|closed| now < closed.until)
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The key is on its way. From here on somebody may be put out for this connection, and hear of it before the answer to
    /// the key is read here.
    pub(super) fn presents_key(&self, now: Instant) {
        // It may have been told to give way when it had just gone by itself.
        let _ = self.gives_way.notified().now_or_never();
        if let Some(seat) = self.quota.lock().of.get_mut(&self.id) {
            seat.came_in_at = Some(now);
        }
    }

    /// The connection is gone, and the provider knows.
    pub(super) fn left(&self) {
        if let Some(seat) = self.quota.lock().of.get_mut(&self.id) {
            seat.came_in_at = None;
        }
    }

    /// The connection is gone without a word of the provider, which may not know.
    pub(super) fn vanished(&self, now: Instant) {
        let mut seats = self.quota.lock();
        if seats.of.get_mut(&self.id).and_then(|seat| seat.came_in_at.take()).is_some() {
            seats.dead_until = Some(now + DEAD_SESSION);
        }
    }

    /// The account has too many connections, and this one had to go.
    pub(super) fn evicted(&self, now: Instant) -> Verdict {
        let mut seats = self.quota.lock();
        if let Some(seat) = seats.of.get_mut(&self.id) {
            seat.came_in_at = None;
        }
        if seats.dead_until.is_some_and(|until| now < until) {
            return Verdict::Retry;
        }
        let seats = &seats.of;
        let others_up = seats.iter().filter(|(id, seat)| **id != self.id && seat.came_in_at.is_some());
        let is_ours = |(_, seat): &(&ConnectionId, &Seat)| {
            seat.came_in_at.is_some_and(|at| now.saturating_duration_since(at) <= CAUSE_WINDOW)
        };
        if !others_up.clone().any(|seat| is_ours(&seat)) {
            return Verdict::Retry;
        }
        let last =
            others_up.map(|(id, seat)| (seat.rank, *id)).chain(seats.get(&self.id).map(|seat| (seat.rank, self.id)));
        match last.max() {
            Some((_, last)) if last != self.id => {
                if let Some(seat) = seats.get(&last) {
                    seat.gives_way.notify_one();
                }
                Verdict::Retry
            }
            _ => Verdict::StandBack,
        }
    }

    /// The provider asks to wait until then. What it asked for before stands when that is longer.
    pub(super) fn turned_away(&self, until: Instant, loss: &Loss) {
        let mut seats = self.quota.lock();
        if seats.closed.as_ref().is_none_or(|closed| closed.until < until) {
            seats.closed = Some(Closed { until, loss: loss.clone() });
        }
    }

    /// How long nobody may dial, when that is not over.
    pub(super) fn closed(&self, now: Instant) -> Option<Closed> {
        self.quota.closed(now)
    }

    /// Resolves when this connection has to make room for one that comes before it.
    pub(super) async fn gives_way(&self) {
        self.gives_way.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Unless its successor sits there already.
        let mut seats = self.quota.lock();
        if seats.of.get(&self.id).is_some_and(|seat| Arc::ptr_eq(&seat.gives_way, &self.gives_way)) {
            seats.of.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn must_give_way(place: &Place) -> bool {
        place.gives_way().now_or_never().is_some()
    }

    fn places(count: u8) -> Vec<Place> {
        let quota = Arc::new(Quota::default());
        (1..=count).map(|id| quota.place(id, Priority::Normal)).collect()
    }

    #[test]
    fn the_first_by_rank_comes_back_and_the_last_gives_way() {
        let places = places(3);
        let now = Instant::now();
        places.iter().for_each(|place| place.presents_key(now));
        // Two are allowed: the third one put the first one out.
        assert_eq!(places[0].evicted(now), Verdict::Retry);
        assert_eq!([&places[1], &places[2]].map(must_give_way), [false, true]);
    }

    #[test]
    fn the_last_by_rank_stands_back_when_it_is_put_out() {
        let places = places(2);
        let now = Instant::now();
        places[0].presents_key(now);
        assert_eq!(places[1].evicted(now), Verdict::StandBack, "refused at the door");
        assert!(!must_give_way(&places[0]));
    }

    #[test]
    fn with_nobody_of_ours_to_blame_it_tries_again() {
        let places = places(3);
        let long_ago = Instant::now();
        places.iter().for_each(|place| place.presents_key(long_ago));
        let now = long_ago + CAUSE_WINDOW + Duration::from_secs(1);
        assert_eq!(places[2].evicted(now), Verdict::Retry);
        assert!(!places.iter().any(must_give_way));
    }

    #[test]
    fn a_dead_session_that_is_still_counted_makes_nobody_stand_back() {
        let places = places(3);
        let start = Instant::now();
        places.iter().for_each(|place| place.presents_key(start));
        // An account for three: the second one drops and is back before the provider has noticed.
        let dropped = start + Duration::from_secs(60);
        places[1].vanished(dropped);
        let back = dropped + Duration::from_secs(2);
        places[1].presents_key(back);
        assert_eq!(places[0].evicted(back), Verdict::Retry);
        assert!(!places.iter().any(must_give_way));
        // Had the account no room for three, the first one's return would show it.
        let later = dropped + Duration::from_secs(35);
        places[0].presents_key(later);
        assert_eq!(places[2].evicted(later), Verdict::StandBack);
    }

    #[test]
    fn the_longest_wait_that_was_asked_for_counts_for_everybody() {
        let places = places(2);
        let now = Instant::now();
        let [soon, later] = [10, 120].map(|seconds| now + Duration::from_secs(seconds));
        places[0].turned_away(later, &Loss::unreachable("wait"));
        places[1].turned_away(soon, &Loss::unreachable("wait a moment"));
        for place in &places {
            assert_eq!(
                place.closed(now).map(|closed| (closed.until, closed.loss.reason)),
                Some((later, "wait".into()))
            );
            assert!(place.closed(later).is_none());
        }
        places[0].quota.reopen();
        assert!(places[1].closed(now).is_none());
    }

    #[test]
    fn a_place_that_is_given_up_blames_nobody() {
        let mut places = places(2);
        let now = Instant::now();
        places.iter().for_each(|place| place.presents_key(now));
        places.remove(0);
        assert_eq!(places[0].evicted(now), Verdict::Retry);
    }

    /// Lets so many connections of ours dial for an account that allows `allowed`, and puts one out for every one too many.
    /// Answers who is in after a long time, and how often one that had been let in was put out.
    fn settle(count: u8, allowed: usize, mut victim: impl FnMut(usize) -> usize) -> (Vec<usize>, u32) {
        let places = places(count);
        let mut now = Instant::now();
        // When each will dial next, and who is in, oldest first.
        let mut due: BTreeMap<usize, Instant> = (0..places.len()).map(|n| (n, now)).collect();
        let (mut within, mut evictions) = (Vec::new(), 0);
        for _ in 0..200 {
            let Some((&dialling, &at)) = due.iter().min_by_key(|(_, at)| **at) else { break };
            due.remove(&dialling);
            now = now.max(at);
            places[dialling].presents_key(now);
            within.push(dialling);
            if within.len() <= allowed {
                continue;
            }
            let out = within.remove(victim(within.len()));
            evictions += u32::from(out != dialling);
            if places[out].evicted(now) == Verdict::Retry {
                due.insert(out, now + Duration::from_secs(30));
            }
            for n in (0..places.len()).filter(|n| must_give_way(&places[*n])) {
                places[n].left();
                within.retain(|other| *other != n);
            }
        }
        within.sort_unstable();
        (within, evictions)
    }

    proptest! {
        /// Whoever is put out for a newcomer, and be it the newcomer itself: there is an end to it.
        #[test]
        fn our_own_connections_do_not_evict_each_other_for_ever(
            count in 2u8..6, allowed in 1usize..6, victims in prop::collection::vec(0usize..6, 1..40)
        ) {
            let mut victims = victims.into_iter().cycle();
            let (within, evictions) = settle(count, allowed, |length| victims.next().unwrap_or_default() % length);
            prop_assert_eq!(within.len(), usize::from(count).min(allowed));
            prop_assert!(evictions <= u32::from(count), "{} evictions", evictions);
        }

        /// The provider puts the oldest out: in the end those are in that come first.
        #[test]
        fn the_first_by_rank_are_in_when_it_is_over(count in 2u8..6, allowed in 1usize..6) {
            let (within, _) = settle(count, allowed, |_| 0);
            prop_assert_eq!(within, (0..usize::from(count).min(allowed)).collect::<Vec<_>>());
        }
    }
}
