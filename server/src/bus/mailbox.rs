//! A bounded mailbox that never pushes back: full, it keeps the latest tick of each symbol and counts the others.
//!
//! The writer takes a short lock and is gone. The reader swaps the whole contents out, so that in the steady state no
//! memory is allocated on either side. Both vectors are bounded: ticks by [`TICKS_MAX`], the rest by [`SYMBOLS_MAX`].

use super::frames::{BoardCopy, Outlet, TickFrame};
use app::model::{
    connection::ConnectionId,
    status::{BusStatus, StatusReport},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use foldhash::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Ticks held in order before conflation starts: a second and a half of the busiest tape's trades, 13 MB at most.
pub const TICKS_MAX: usize = 1 << 18;

/// Symbols held while conflating; ticks of further symbols are lost, and counted.
pub const SYMBOLS_MAX: usize = 100_000;

/// Statuses that wait to be read.
pub const STATUSES_MAX: usize = 16;

/// What was in a mailbox.
#[derive(Debug, Default)]
pub struct Delivery {
    /// What a collector elsewhere shows: it replaces all that came before, and what follows is newer.
    pub board: Option<Box<NewBoard>>,
    /// Ticks in order.
    pub ticks: Vec<Tick>,
    /// After them, the latest tick of each symbol that did not fit and how many ticks it stands for.
    pub conflated: Vec<(Tick, u32)>,
    /// When the first of them was left here.
    pub since: Option<UnixMillis>,
    /// Of ticks from a collector elsewhere: when the first of them was there, by its clock.
    pub told: Option<UnixMillis>,
    /// Statuses in order; of more than [`STATUSES_MAX`] the newest.
    pub statuses: Vec<Arc<StatusReport>>,
    /// The newest word on the bus itself.
    pub bus: Option<BusStatus>,
    /// Ticks of which nothing is left.
    pub lost: u64,
}

/// A collector's board.
#[derive(Clone, Debug, Default)]
pub struct NewBoard {
    /// What it shows.
    pub copy: BoardCopy,
    /// What was delivered before it was a collector's board, too, and its ticks: those that were missed can be told.
    pub continues: bool,
}

#[derive(Default)]
struct Contents {
    delivery: Delivery,
    places: HashMap<(Option<ConnectionId>, Symbol), usize>,
}

impl Contents {
    fn is_empty(&self) -> bool {
        let delivery = &self.delivery;
        delivery.ticks.is_empty()
            && delivery.conflated.is_empty()
            && delivery.statuses.is_empty()
            && delivery.bus.is_none()
            && delivery.board.is_none()
            && delivery.lost == 0
    }

    fn put_all(&mut self, ticks: &[Tick], now: impl FnOnce() -> UnixMillis) {
        self.delivery.since.get_or_insert_with(now);
        // Once something was conflated, order can only be kept by conflating on.
        let room = if self.delivery.conflated.is_empty() { TICKS_MAX - self.delivery.ticks.len() } else { 0 };
        let (fit, rest) = ticks.split_at(ticks.len().min(room));
        self.delivery.ticks.extend_from_slice(fit);
        rest.iter().for_each(|tick| self.conflate(*tick, 1));
    }

    fn put_frame(&mut self, frame: &TickFrame, received: UnixMillis) {
        self.delivery.told.get_or_insert(UnixMillis(frame.at.0.saturating_sub(frame.waited_ms.into())));
        let mut from = 0;
        for (place, count) in &frame.counts {
            let place = *place as usize;
            self.put_all(&frame.ticks[from..place], || received);
            self.delivery.since.get_or_insert(received);
            self.conflate(frame.ticks[place], *count);
            from = place + 1;
        }
        if from < frame.ticks.len() {
            self.put_all(&frame.ticks[from..], || received);
        }
        self.delivery.lost += frame.unassigned();
    }

    fn put_board(&mut self, mut board: Box<NewBoard>) {
        let delivery = &mut self.delivery;
        board.continues &= delivery.board.as_ref().is_none_or(|before| before.continues);
        delivery.ticks.clear();
        delivery.conflated.clear();
        self.places.clear();
        (delivery.since, delivery.told, delivery.lost, delivery.board) = (None, None, 0, Some(board));
    }

    fn conflate(&mut self, tick: Tick, ticks: u32) {
        let Delivery { conflated, lost, .. } = &mut self.delivery;
        match self.places.get(&(tick.connection_id, tick.symbol)) {
            Some(&place) => {
                let (latest, count) = &mut conflated[place];
                *latest = tick;
                *count = count.saturating_add(ticks);
            }
            None if conflated.len() < SYMBOLS_MAX => {
                self.places.insert((tick.connection_id, tick.symbol), conflated.len());
                conflated.push((tick, ticks));
            }
            None => *lost += u64::from(ticks),
        }
    }
}

#[derive(Default)]
struct Shared {
    contents: Mutex<Contents>,
    filled: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Shared>);

/// The reading end. There is one.
pub struct Inbox {
    shared: Arc<Shared>,
    outlet: Option<Arc<Outlet>>,
}

/// A new mailbox.
#[must_use]
pub fn mailbox() -> (Outbox, Inbox) {
    let shared = Arc::new(Shared::default());
    (Outbox(Arc::clone(&shared)), Inbox { shared, outlet: None })
}

impl Outbox {
    /// Leaves ticks.
    pub fn put_ticks(&self, ticks: &[Tick]) {
        if ticks.is_empty() {
            return;
        }
        self.put(|contents| contents.put_all(ticks, UnixMillis::now));
    }

    /// Leaves a frame of a collector elsewhere, the first tick of which it received then.
    pub(super) fn put_frame(&self, frame: &TickFrame, received: UnixMillis) {
        if frame.ticks_total > 0 {
            self.put(|contents| contents.put_frame(frame, received));
        }
    }

    /// Leaves what a collector elsewhere shows, in the place of all ticks that were not read.
    pub(super) fn put_board(&self, board: Box<NewBoard>) {
        self.put(|contents| contents.put_board(board));
    }

    /// Leaves a status behind those that were not read: several producers may publish one at the same moment, and the last
    /// one need not be the one that counts.
    pub fn put_status(&self, status: Arc<StatusReport>) {
        self.put(|contents| {
            let statuses = &mut contents.delivery.statuses;
            if statuses.len() >= STATUSES_MAX {
                statuses.remove(0);
            }
            statuses.push(status);
        });
    }

    /// Leaves word on the bus; it replaces one that was not read.
    pub fn put_bus(&self, bus: BusStatus) {
        self.put(|contents| contents.delivery.bus = Some(bus));
    }

    /// When the first of the ticks was left that nobody has taken yet.
    pub(super) fn ticks_since(&self) -> Option<UnixMillis> {
        self.0.lock().delivery.since
    }

    /// Only the first to leave something wakes the reader: one that has not yet taken what is there knows of it.
    fn put(&self, put: impl FnOnce(&mut Contents)) {
        let mut contents = self.0.lock();
        let was_empty = contents.is_empty();
        put(&mut contents);
        drop(contents);
        if was_empty {
            self.0.filled.notify_one();
        }
    }
}

impl Inbox {
    /// The same, whose reader tells dashboards elsewhere by `outlet` what it made of what it read.
    pub(super) fn with_outlet(self, outlet: Arc<Outlet>) -> Self {
        Self { outlet: Some(outlet), ..self }
    }

    /// Where the reader leaves frames for dashboards elsewhere, on a bus that has any.
    #[must_use]
    pub fn outlet(&self) -> Option<Arc<Outlet>> {
        self.outlet.clone()
    }

    /// Waits until there is something and takes all of it into `delivery`, whose old contents are dropped. Safe to
    /// cancel: nothing is taken before it returns.
    pub async fn take(&mut self, delivery: &mut Delivery) {
        loop {
            if self.take_now(delivery) {
                return;
            }
            // A writer that came in between has left a permit here.
            self.shared.filled.notified().await;
        }
    }

    /// Is nothing there at the moment?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.lock().is_empty()
    }

    /// Takes what is there now; `false` when nothing is.
    pub fn take_now(&mut self, delivery: &mut Delivery) -> bool {
        delivery.ticks.clear();
        delivery.conflated.clear();
        delivery.statuses.clear();
        (delivery.since, delivery.told, delivery.bus, delivery.lost, delivery.board) = (None, None, None, 0, None);
        let mut contents = self.shared.lock();
        if contents.is_empty() {
            return false;
        }
        std::mem::swap(&mut contents.delivery, delivery);
        contents.places.clear();
        true
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::bus) fn tick(symbol: &str, price: f64) -> Tick {
        let symbol = Symbol::parse(symbol).expect("a symbol");
        Tick { connection_id: Some(1), symbol, price, volume: 1, timestamp: UnixMillis(0) }
    }

    #[test]
    fn what_fits_comes_out_in_order() {
        let (outbox, mut inbox) = mailbox();
        outbox.put_ticks(&[tick("A", 1.0), tick("B", 2.0), tick("A", 3.0)]);
        let mut delivery = Delivery::default();
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.ticks.iter().map(|tick| tick.price).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);
        assert!(!inbox.take_now(&mut delivery));
        assert!(delivery.ticks.is_empty());
    }

    #[test]
    fn a_delivery_says_when_its_first_tick_came() {
        let (outbox, mut inbox) = mailbox();
        outbox.put_ticks(&[]);
        let mut delivery = Delivery::default();
        assert!(!inbox.take_now(&mut delivery));
        let put_at = |at| outbox.put(|contents| contents.put_all(&[tick("A", 1.0)], || UnixMillis(at)));
        put_at(7);
        put_at(9);
        assert!(inbox.take_now(&mut delivery));
        assert_eq!((delivery.since, delivery.ticks.len()), (Some(UnixMillis(7)), 2));
        put_at(11);
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.since, Some(UnixMillis(11)));
        outbox.put_bus(BusStatus::default());
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.since, None, "no tick came");
    }

    #[test]
    fn a_reader_that_stops_costs_bounded_memory_and_no_count() {
        let (outbox, mut inbox) = mailbox();
        let ticks: Vec<_> = (0..TICKS_MAX + 1000).map(|n| tick(["A", "B"][n % 2], n as f64 + 1.0)).collect();
        outbox.put_ticks(&ticks);
        let mut delivery = Delivery::default();
        assert!(inbox.take_now(&mut delivery));
        assert_eq!(delivery.ticks.len(), TICKS_MAX);
        let conflated: Vec<_> =
            delivery.conflated.iter().map(|(tick, count)| (&*tick.symbol, tick.price, *count)).collect();
        let total = ticks.len() as f64;
        assert_eq!(conflated, [("A", total - 1.0, 500), ("B", total, 500)]);
        assert_eq!(delivery.lost, 0);

        outbox.put_ticks(&[tick("A", 7.0)]);
        assert!(inbox.take_now(&mut delivery), "and afterwards all is as before");
        assert_eq!((delivery.ticks.len(), delivery.conflated.len()), (1, 0));
    }

    #[tokio::test]
    async fn a_reader_wakes_up_for_what_comes() {
        let (outbox, mut inbox) = mailbox();
        let reader = tokio::spawn(async move {
            let mut delivery = Delivery::default();
            inbox.take(&mut delivery).await;
            delivery.ticks.len()
        });
        outbox.put_ticks(&[tick("A", 1.0)]);
        assert_eq!(reader.await.expect("reads"), 1);
    }
}
