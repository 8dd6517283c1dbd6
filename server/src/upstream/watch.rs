//! Single symbols of a connection that somebody looks at: the provider's last event as it came, and how the symbol ticks.
//!
//! While nobody looks, a frame costs one atomic read. A symbol is kept for as long as it is asked for.

use super::massive::each_named;
use crate::text::tidy;
use app::model::{
    symbol::Symbol,
    symbol_detail::{LOOKED_AT_MS, RawEvent, SymbolIngest, SymbolRhythm, WATCHED_MAX},
    time::UnixMillis,
};
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// A symbol that was not asked for during so long is watched no more.
const WATCHED_MS: i64 = 60_000;
/// As much of an event as is kept: several times what the provider's have.
const EVENT_BYTES_MAX: usize = 2_048;

/// The symbols of one connection that are looked at.
#[derive(Debug, Default)]
pub(super) struct Watches {
    any: AtomicBool,
    all: Mutex<Vec<Watched>>,
}

#[derive(Debug)]
struct Watched {
    symbol: Symbol,
    since: UnixMillis,
    asked_at: UnixMillis,
    /// Its memory is used again and again.
    event: String,
    received_at: Option<UnixMillis>,
    rhythm: Option<SymbolRhythm>,
}

impl Watches {
    /// What is known of a symbol. It is watched from now on, unless others look at as many as are watched.
    pub(super) fn ask(&self, symbol: Symbol, now: UnixMillis) -> SymbolIngest {
        let mut all = self.lock();
        let is_new = !all.iter().any(|watched| watched.symbol == symbol);
        if is_new && all.len() >= WATCHED_MAX {
            let oldest = all.iter().enumerate().min_by_key(|(_, watched)| watched.asked_at);
            match oldest.filter(|(_, watched)| now.millis_since(watched.asked_at) > LOOKED_AT_MS) {
                Some((place, _)) => drop(all.remove(place)),
                None => return SymbolIngest::default(),
            }
        }
        if is_new {
            let (event, received_at, rhythm) = (String::new(), None, None);
            all.push(Watched { symbol, since: now, asked_at: now, event, received_at, rhythm });
        }
        self.any.store(true, Relaxed);
        let Some(watched) = all.iter_mut().find(|watched| watched.symbol == symbol) else {
            return SymbolIngest::default();
        };
        watched.asked_at = now;
        SymbolIngest {
            watched_since: Some(watched.since),
            event: watched
                .received_at
                .map(|received_at| RawEvent { received_at, text: tidy(&watched.event, EVENT_BYTES_MAX) }),
            rhythm: watched.rhythm.clone(),
        }
    }

    /// Is nobody looking?
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Relaxed)
    }

    /// Keeps the events of a frame that are looked at.
    pub(super) fn take(&self, frame: &str, received_at: UnixMillis) {
        let mut all = self.lock();
        // The frame is read once, however many are looked at.
        each_named(frame, |symbol, event| {
            if let Some(watched) = all.iter_mut().find(|watched| *watched.symbol == *symbol) {
                watched.event.clear();
                watched.event.push_str(&event[..event.floor_char_boundary(EVENT_BYTES_MAX)]);
                watched.received_at = Some(received_at);
            }
        });
    }

    /// Notes how the symbols tick, and lets go of those that nobody asks for any more.
    pub(super) fn feel(&self, now: UnixMillis, rhythm_of: impl Fn(Symbol) -> Option<SymbolRhythm>) {
        let mut all = self.lock();
        // Of a clock that was set back nobody is asked to wait.
        all.retain(|watched| (0..WATCHED_MS).contains(&now.millis_since(watched.asked_at).max(0)));
        all.iter_mut().for_each(|watched| watched.rhythm = rhythm_of(watched.symbol));
        self.any.store(!all.is_empty(), Relaxed);
    }

    /// The connection was lost: nobody knows any more how its symbols tick, nor whether one is halted.
    pub(super) fn lost(&self) {
        self.lock().iter_mut().for_each(|watched| watched.rhythm = None);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Watched>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(text: &str) -> Symbol {
        Symbol::parse(text).unwrap()
    }

    #[test]
    fn an_event_is_kept_as_it_came_and_only_of_what_is_looked_at() {
        let (watches, now) = (Watches::default(), UnixMillis(1_000));
        assert!(watches.is_empty());
        assert_eq!(watches.ask(symbol("AAPL"), now).event, None);
        let frame = r#"[{"ev":"T","sym":"AAPL","p":1.5},{"ev":"T","sym":"AAPLX","p":2},{"ev":"Q", "sym":"AAPL","bp":-1},{"ev":"T","sym":"MSFT","i":"AAPL"}]"#;
        watches.take(frame, UnixMillis(1_500));
        let event = watches.ask(symbol("AAPL"), now).event.unwrap();
        assert_eq!(
            (event.received_at, event.text.as_str()),
            (UnixMillis(1_500), r#"{"ev":"Q", "sym":"AAPL","bp":-1}"#)
        );
        watches.take(r#"[{"ev":"LULD","T":"AAPL","i":[17]}]"#, UnixMillis(1_600));
        assert_eq!(watches.ask(symbol("AAPL"), now).event.unwrap().text, r#"{"ev":"LULD","T":"AAPL","i":[17]}"#);
        for broken in ["", "[", r#"[{"sym":"AAPL""#, r#"{"sym":"AAPL"}"#, r#"["AAPL",7]"#] {
            watches.take(broken, UnixMillis(1_700));
            assert_eq!(watches.ask(symbol("AAPL"), now).event.unwrap().received_at, UnixMillis(1_600), "{broken}");
        }
        let long = format!(r#"[{{"sym":"AAPL","x":"{}"}}]"#, "é".repeat(EVENT_BYTES_MAX));
        watches.take(&long, UnixMillis(1_800));
        assert!(watches.ask(symbol("AAPL"), now).event.unwrap().text.len() <= EVENT_BYTES_MAX);
    }

    #[test]
    fn a_lost_connection_knows_no_rhythm_and_no_halt() {
        let (watches, now) = (Watches::default(), UnixMillis(1_000));
        watches.ask(symbol("AAPL"), now);
        watches.take(r#"[{"ev":"T","sym":"AAPL","p":1.5}]"#, now);
        watches.feel(now, |_| Some(SymbolRhythm { halted: true, ..SymbolRhythm::default() }));
        assert!(watches.ask(symbol("AAPL"), now).rhythm.unwrap().halted);
        watches.lost();
        let known = watches.ask(symbol("AAPL"), now);
        assert!(known.rhythm.is_none() && known.event.is_some(), "the last event stays, with its time: {known:?}");
    }

    #[test]
    fn what_is_looked_at_is_bounded_and_ends() {
        let watches = Watches::default();
        let ask = |n: usize, at| watches.ask(symbol(&format!("S{n}")), UnixMillis(at)).watched_since;
        // Seventeen panels, each of which asks once a second.
        for second in 0..30 {
            for n in 0..=WATCHED_MAX {
                assert_eq!(ask(n, second * 1_000), (n < WATCHED_MAX).then_some(UnixMillis(0)), "panel {n}");
            }
        }
        (1..WATCHED_MAX).for_each(|n| assert!(ask(n, 35_000).is_some()));
        assert_eq!((ask(WATCHED_MAX, 39_000), ask(WATCHED_MAX, 39_001)), (None, Some(UnixMillis(39_001))));
        assert_eq!(watches.lock().len(), WATCHED_MAX);
        watches.feel(UnixMillis(39_001 + WATCHED_MS), |_| None);
        assert!(watches.is_empty() && watches.lock().is_empty());
    }
}
