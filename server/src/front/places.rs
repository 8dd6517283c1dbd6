//! Who may be connected: so many strangers, of them so many from one network, and beside them so many from this machine and
//! from trusted proxies, which bring many people. Whoever asks here whether we are well finds a place, however many strangers
//! there are.
//!
//! When there is no room, whoever has not moved a byte for the longest time is let go for the newcomer, so that connections
//! which do nothing cost a place only as long as nobody else wants it. An open WebSocket is not let go: it has limits of its
//! own, and rules for when it ends.

use crate::network::network;
use ipnet::IpNet;
use std::{
    cmp::Reverse,
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Connections at once of strangers, and as many of those whom we trust, where the descriptors suffice.
const PLACES_MAX: usize = 4_096;
/// Connections of a stranger's network, at most half of theirs.
const NETWORK_PLACES_MAX: usize = 512;
/// Descriptors that connections leave to everything else: upstream, Redis, the database, the simulated market.
const RESERVED_DESCRIPTORS: u64 = 192;
/// Who was let go and has not hung up yet, at most: each still has its descriptor.
const LEAVING_MAX: usize = 32;
/// How long newcomers wait for those.
const LEAVING_TIMEOUT: Duration = Duration::from_secs(1);
/// There are strangers and others, and a connection may have a file open that it is sent.
const DESCRIPTORS_PER_PLACE: u64 = 4;

/// The places of one server. Cheap to clone; clones are the same places.
#[derive(Clone, Debug)]
pub struct Places(Arc<Hall>);

#[derive(Debug)]
struct Hall {
    /// Those of trusted proxies.
    proxies: Arc<[IpNet]>,
    started: Instant,
    taken: Mutex<Taken>,
    /// Told when somebody who was let go has hung up.
    left: Notify,
}

#[derive(Debug)]
struct Taken {
    strangers: Rows,
    trusted: Rows,
    leaving: usize,
    /// Since the last report.
    let_go: u64,
    turned_away: u64,
    /// Where the last of them came from.
    last: Option<IpAddr>,
}

#[derive(Debug)]
struct Rows {
    max: usize,
    network_max: usize,
    /// By the network that they come from.
    seats: HashMap<IpAddr, Vec<Arc<Seat>>>,
    count: usize,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct TakenPlace {
    hall: Arc<Hall>,
    seat: Arc<Seat>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Seat {
    network: IpAddr,
    is_trusted: bool,
    started: Instant,
    /// When a byte was last read or written, in milliseconds since `started`.
    moved_ms: AtomicU64,
    is_socket: AtomicBool,
    let_go: CancellationToken,
}

impl Places {
    /// Places for a process that may have so many descriptors open. Says so in the log when they are fewer than they should be.
    #[must_use]
    pub fn new(descriptors: u64, proxies: Arc<[IpNet]>) -> Self {
        let affordable = descriptors.saturating_sub(RESERVED_DESCRIPTORS) / DESCRIPTORS_PER_PLACE;
        let max = usize::try_from(affordable).unwrap_or(usize::MAX).clamp(8, PLACES_MAX);
        if max < PLACES_MAX {
            let wanted = PLACES_MAX as u64 * DESCRIPTORS_PER_PLACE + RESERVED_DESCRIPTORS;
            warn!(
                "The system allows {descriptors} open files and sockets, so {max} connections are served at once instead of \
                 {PLACES_MAX}. To have all of them, raise the hard limit (`ulimit -Hn`, `LimitNOFILE`) to {wanted}"
            );
        }
        let taken = Taken {
            strangers: Rows::new(max, NETWORK_PLACES_MAX.min(max / 2)),
            trusted: Rows::new(max, max),
            leaving: 0,
            let_go: 0,
            turned_away: 0,
            last: None,
        };
        Self(Arc::new(Hall { proxies, started: Instant::now(), taken: Mutex::new(taken), left: Notify::new() }))
    }

    /// A place for a connection from this address, somebody else's if need be; `None` where nobody can be let go.
    pub(super) fn take(&self, peer: IpAddr) -> Option<TakenPlace> {
        let hall = &self.0;
        let address = peer.to_canonical();
        let seat = Arc::new(Seat {
            network: network(address),
            is_trusted: address.is_loopback() || hall.proxies.iter().any(|network| network.contains(&address)),
            started: hall.started,
            moved_ms: AtomicU64::new(millis(hall.started.elapsed())),
            is_socket: AtomicBool::new(false),
            let_go: CancellationToken::new(),
        });
        let mut taken = hall.taken();
        let rows = taken.rows(&seat);
        let of_network = rows.seats.get(&seat.network).map_or(&[][..], Vec::as_slice);
        let (is_full, idle) = if of_network.len() >= rows.network_max {
            (true, longest_still(of_network))
        } else if rows.count >= rows.max {
            (true, rows.longest_still_of_the_fullest())
        } else {
            (false, None)
        };
        if let Some(idle) = idle {
            rows.remove(&idle);
            idle.let_go.cancel();
            taken.let_go += 1;
            taken.leaving += 1;
            taken.last = Some(idle.network);
        } else if is_full {
            taken.turned_away += 1;
            taken.last = Some(seat.network);
            return None;
        }
        taken.rows(&seat).insert(Arc::clone(&seat));
        drop(taken);
        Some(TakenPlace { hall: Arc::clone(hall), seat })
    }

    /// Ends when all but a few of those who were let go have hung up.
    pub(super) async fn caught_up(&self) {
        let all_but_a_few = async {
            while self.0.taken().leaving >= LEAVING_MAX {
                self.0.left.notified().await;
            }
        };
        let _ = timeout(LEAVING_TIMEOUT, all_but_a_few).await;
    }

    /// Says in the log that places ran out, if they did since the last time.
    pub(super) fn report(&self) {
        let mut taken = self.0.taken();
        let (let_go, turned_away) = (std::mem::take(&mut taken.let_go), std::mem::take(&mut taken.turned_away));
        let Some(network) = taken.last.take() else { return };
        let of_network = |rows: &Rows| rows.seats.get(&network).map_or(0, Vec::len);
        let count = of_network(&taken.strangers) + of_network(&taken.trusted);
        drop(taken);
        warn!(
            "Places for connections ran out: {let_go} idle connections were let go for new ones, and {turned_away} new ones \
             turned away, the last from {network}, which has {count} now"
        );
    }
}

impl Hall {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn rows(&mut self, seat: &Seat) -> &mut Rows {
        if seat.is_trusted { &mut self.trusted } else { &mut self.strangers }
    }
}

impl Rows {
    fn new(max: usize, network_max: usize) -> Self {
        Self { max, network_max, seats: HashMap::new(), count: 0 }
    }

    fn insert(&mut self, seat: Arc<Seat>) {
        self.seats.entry(seat.network).or_default().push(seat);
        self.count += 1;
    }

    fn remove(&mut self, seat: &Arc<Seat>) {
        let Some(seats) = self.seats.get_mut(&seat.network) else { return };
        let Some(at) = seats.iter().position(|other| Arc::ptr_eq(other, seat)) else { return };
        seats.swap_remove(at);
        self.count -= 1;
        if seats.is_empty() {
            self.seats.remove(&seat.network);
        }
    }

    /// Of the network that has the most of those who can be let go.
    fn longest_still_of_the_fullest(&self) -> Option<Arc<Seat>> {
        let idle = self.seats.values().filter_map(|seats| Some((seats.len(), longest_still(seats)?)));
        idle.min_by_key(|(crowd, seat)| (Reverse(*crowd), seat.moved_ms.load(Relaxed))).map(|(_, seat)| seat)
    }
}

/// Who has been still for the longest time, of those who are no WebSockets.
fn longest_still(seats: &[Arc<Seat>]) -> Option<Arc<Seat>> {
    let no_sockets = seats.iter().filter(|seat| !seat.is_socket.load(Relaxed));
    no_sockets.min_by_key(|seat| seat.moved_ms.load(Relaxed)).cloned()
}

impl TakenPlace {
    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for TakenPlace {
    fn drop(&mut self) {
        let mut taken = self.hall.taken();
        if self.seat.let_go.is_cancelled() {
            taken.leaving -= 1;
            self.hall.left.notify_one();
        } else {
            taken.rows(&self.seat).remove(&self.seat);
        }
    }
}

impl Seat {
    /// A byte came or went.
    pub(super) fn moved(&self, now: impl FnOnce() -> Instant) {
        if !self.is_socket.load(Relaxed) {
            self.moved_ms.store(millis(now().saturating_duration_since(self.started)), Relaxed);
        }
    }

    /// From now on the connection is a WebSocket, whose rules are the hub's.
    pub(super) fn becomes_socket(&self) {
        self.is_socket.store(true, Relaxed);
    }

    /// Ends when the connection has to: it was let go for another, or no byte moved on it for so long.
    pub(super) async fn over(&self, stall_timeout: Duration) {
        tokio::select! {
            () = self.let_go.cancelled() => {}
            () = self.stalled(stall_timeout) => {}
        }
    }

    async fn stalled(&self, limit: Duration) {
        loop {
            let left = self.left(limit, Instant::now());
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }

    /// How much longer nothing may move.
    fn left(&self, limit: Duration, now: Instant) -> Duration {
        let moved = self.started + Duration::from_millis(self.moved_ms.load(Relaxed));
        limit.saturating_sub(now.saturating_duration_since(moved))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 4,096 places, and a proxy at 192.0.2.1.
    fn places() -> Places {
        Places::new(u64::MAX, vec!["192.0.2.1".parse::<IpAddr>().unwrap().into()].into())
    }

    fn take(places: &Places, address: &str) -> Option<TakenPlace> {
        places.take(address.parse().unwrap())
    }

    fn many(places: &Places, address: &str, count: usize) -> Vec<TakenPlace> {
        (0..count).map(|_| take(places, address).expect("a place")).collect()
    }

    fn let_go(places: &[TakenPlace]) -> usize {
        places.iter().filter(|place| place.seat.let_go.is_cancelled()).count()
    }

    fn counts(places: &Places) -> (usize, usize) {
        let taken = places.0.taken();
        (taken.strangers.count, taken.trusted.count)
    }

    #[test]
    fn one_network_has_so_many_places_and_its_newcomers_cost_others_nothing() {
        let places = places();
        let neighbour = many(&places, "203.0.113.8", 1);
        let crowd = many(&places, "203.0.113.7", 4_200);
        assert_eq!(let_go(&crowd), 4_200 - NETWORK_PLACES_MAX);
        assert_eq!((let_go(&neighbour), counts(&places)), (0, (NETWORK_PLACES_MAX + 1, 0)));
        // A customer's IPv6 addresses are one network, and an IPv4 address is the same in its IPv6 form.
        let spread: Vec<_> = (0..600).map(|n| take(&places, &format!("2001:db8:1:2::{n:x}")).unwrap()).collect();
        assert_eq!(let_go(&spread), 600 - NETWORK_PLACES_MAX);
        let mapped = many(&places, "::ffff:203.0.113.7", 1);
        assert_eq!(counts(&places), (2 * NETWORK_PLACES_MAX + 1, 0));
        drop((neighbour, crowd, spread, mapped));
        assert_eq!(counts(&places), (0, 0));
        assert!(places.0.taken().strangers.seats.is_empty());
    }

    #[test]
    fn loopback_and_proxies_find_a_place_however_many_strangers_there_are_and_the_other_way_round() {
        let places = places();
        let strangers: Vec<_> =
            (0..5_000).map(|n| take(&places, &format!("10.0.{}.{}", n / 250, n % 250)).unwrap()).collect();
        assert_eq!((let_go(&strangers), counts(&places)), (5_000 - PLACES_MAX, (PLACES_MAX, 0)));
        let proxied = many(&places, "192.0.2.1", 3_000);
        let local = many(&places, "127.0.0.1", 2_000);
        assert_eq!(counts(&places), (PLACES_MAX, PLACES_MAX));
        assert_eq!((let_go(&proxied), let_go(&local)), (5_000 - PLACES_MAX, 0), "the most are the proxy's");
        assert_eq!(let_go(&strangers), 5_000 - PLACES_MAX);
    }

    #[test]
    fn who_is_still_for_the_longest_time_goes_first_and_a_socket_stays() {
        let places = places();
        let crowd = many(&places, "203.0.113.7", NETWORK_PLACES_MAX);
        crowd.iter().skip(2).for_each(|place| place.seat.moved_ms.store(5_000, Relaxed));
        crowd[0].seat.becomes_socket();
        let new = take(&places, "203.0.113.7").unwrap();
        assert_eq!(let_go(&crowd), 1);
        assert!(crowd[1].seat.let_go.is_cancelled());
        crowd.iter().chain([&new]).for_each(|place| place.seat.becomes_socket());
        assert!(take(&places, "203.0.113.7").is_none(), "sockets are not put out");
        assert!(take(&places, "203.0.113.9").is_some());
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_moves_is_over() {
        const LIMIT: Duration = Duration::from_secs(30);
        let place = take(&places(), "203.0.113.7").unwrap();
        let (seat, start) = (&place.seat, place.hall.started);
        let left = |seconds| seat.left(LIMIT, start + Duration::from_secs(seconds)).as_secs();
        seat.moved(|| start);
        assert_eq!([0, 20, 30, 40].map(left), [30, 10, 0, 0]);
        seat.moved(|| start + Duration::from_secs(20));
        assert_eq!([20, 49, 50].map(left), [30, 1, 0]);
        seat.becomes_socket();
        seat.moved(|| start + Duration::from_secs(60));
        assert_eq!(left(61), 0, "from then on the hub decides");
        seat.over(Duration::ZERO).await;
    }

    #[test]
    fn descriptors_are_left_for_everything_else() {
        let max = |descriptors| Places::new(descriptors, Arc::default()).0.taken().strangers.max as u64;
        for descriptors in [1_024, 4_096, 8_192] {
            assert!(max(descriptors) * DESCRIPTORS_PER_PLACE + RESERVED_DESCRIPTORS <= descriptors, "{descriptors}");
        }
        assert_eq!((max(20_000), max(0)), (4_096, 8));
    }
}
