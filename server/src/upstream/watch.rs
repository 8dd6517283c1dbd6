//! Single symbols of a connection that somebody looks at: the provider's last event as it came, and how the symbol ticks.
//!
//! While nobody looks, a frame costs one atomic read. A symbol is kept for as long as it is asked for.

use super::massive::each_named;
use crate::text::tidy;
use app::model::{
    symbol::Symbol,
    symbol_detail::{RawEvent, SymbolIngest, SymbolRhythm},
    time::UnixMillis,
};
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering::Relaxed},
};

/// The most symbols of a connection that are watched at once; the one that was asked for longest ago gives way.
const WATCHED_MAX: usize = 16;
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
    /// What is known of a symbol. It is watched from now on.
    pub(super) fn ask(&self, symbol: Symbol, now: UnixMillis) -> SymbolIngest {
        let mut all = self.lock();
        let place = all.iter().position(|watched| watched.symbol == symbol).unwrap_or_else(|| {
            if all.len() >= WATCHED_MAX {
                let oldest = all.iter().enumerate().min_by_key(|(_, watched)| watched.asked_at).map(|(place, _)| place);
                all.remove(oldest.unwrap_or_default());
            }
            let (event, received_at, rhythm) = (String::new(), None, None);
            all.push(Watched { symbol, since: now, asked_at: now, event, received_at, rhythm });
            all.len() - 1
        });
        self.any.store(true, Relaxed);
        let watched = &mut all[place];
        watched.asked_at = now;
        SymbolIngest {
            watched_since: watched.since,
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
    fn what_is_looked_at_is_bounded_and_ends() {
        let watches = Watches::default();
        (0..100).for_each(|n| drop(watches.ask(symbol(&format!("S{n}")), UnixMillis(n))));
        assert_eq!(watches.lock().len(), WATCHED_MAX);
        assert_eq!(watches.lock()[0].symbol, symbol("S84"), "the oldest went");
        watches.feel(UnixMillis(99 + WATCHED_MS), |_| None);
        assert!(watches.is_empty() && watches.lock().is_empty());
    }
}
