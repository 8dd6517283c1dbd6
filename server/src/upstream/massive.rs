//! Massive's stocks protocol: what we send, what we read.
//!
//! A frame is an array that mixes events, symbols and channels. It is read event by event in one pass, without copying
//! strings and without a list of what it holds: memory is what comes out of it. Events that are unknown or broken cost
//! themselves alone, never the rest of their frame.

mod notice;
#[cfg(test)]
mod tests;
mod time;

pub use notice::Notice;

use crate::text::tidy;
use app::model::{
    connection::{Channel, ConnectionId},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use serde::{
    Deserialize, Deserializer as _,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeSet, fmt};

/// Why an event came to no tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// A quote with a bid or an ask alone, as at night: there is no price between the two.
    OneSidedQuote,
    /// No event that can be read.
    Unreadable,
    /// Without a symbol.
    Symbol,
    /// Without a price, or with one that is none.
    Price,
    /// Without a time.
    NoTime,
    /// With a time that is right in seconds or microseconds, which the protocol does not have.
    TimeUnit,
    /// Too far in the past.
    TimePast,
    /// Too far in the future.
    TimeFuture,
}

impl DropReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::OneSidedQuote,
        Self::Unreadable,
        Self::Symbol,
        Self::Price,
        Self::NoTime,
        Self::TimeUnit,
        Self::TimePast,
        Self::TimeFuture,
    ];

    /// Its name in the status and in `/metrics`.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::OneSidedQuote => "one_sided_quote",
            Self::Unreadable => "unreadable",
            Self::Symbol => "symbol",
            Self::Price => "price",
            Self::NoTime => "no_time",
            Self::TimeUnit => "time_unit",
            Self::TimePast => "time_past",
            Self::TimeFuture => "time_future",
        }
    }
}

/// An event that cannot be a tick: why, for the count and for people.
type Refusal = (DropReason, String);

/// Where a tick comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The channel.
    pub channel: Channel,
    /// The start of the bar's window in Unix milliseconds, by which a bar that is sent again is known; 0 for what has
    /// no window.
    pub window_start: i64,
}

/// What one frame held.
#[derive(Debug, Default)]
pub struct Reading {
    /// Statuses in order.
    pub notices: Vec<Notice>,
    /// Ticks in order.
    pub ticks: Vec<Tick>,
    /// For each tick, where it comes from.
    pub marks: Vec<Mark>,
    /// Symbols whose trading was halted (`true`) or goes on.
    pub halts: Vec<(Symbol, bool)>,
    /// Events of kinds that are not ours.
    pub unknown: u32,
    /// Events that came to no tick, by [`DropReason`].
    pub dropped: [u32; DropReason::ALL.len()],
    /// Why the first of them was dropped that should not have come.
    pub rejection: Option<String>,
}

impl Reading {
    /// Takes out the ticks of these symbols.
    pub fn leave_out(&mut self, symbols: &BTreeSet<Symbol>) {
        if symbols.is_empty() {
            return;
        }
        let mut kept = self.ticks.iter().map(|tick| !symbols.contains(&tick.symbol));
        self.marks.retain(|_| kept.next().unwrap_or(true));
        self.ticks.retain(|tick| !symbols.contains(&tick.symbol));
    }

    /// The latest time of its ticks.
    #[must_use]
    pub fn newest(&self) -> Option<UnixMillis> {
        self.ticks.iter().map(|tick| tick.timestamp).max()
    }

    /// Empties it for the next frame and keeps its memory.
    pub fn clear(&mut self) {
        self.notices.clear();
        self.ticks.clear();
        self.marks.clear();
        self.halts.clear();
        (self.unknown, self.rejection) = (0, None);
        self.dropped = Default::default();
    }

    /// What must hold of any frame of so many bytes that was read at `now`; for those who throw bytes at [`read_frame`].
    ///
    /// # Panics
    /// When it does not.
    pub fn check(&self, bytes: usize, now: UnixMillis) {
        assert_eq!(self.ticks.len(), self.marks.len());
        let one_sided = self.dropped(DropReason::OneSidedQuote);
        let dropped = (self.unknown + self.rejected() + one_sided) as usize;
        let events = self.ticks.len() + self.notices.len() + self.halts.len() + dropped;
        assert!(events <= bytes.max(1), "{events} events out of {bytes} bytes");
        assert_eq!(self.rejected() > 0, self.rejection.is_some());
        for (tick, mark) in self.ticks.iter().zip(&self.marks) {
            assert!(tick.price.is_finite() && tick.price > 0.0, "{tick:?}");
            assert!(time::is_plausible(tick.timestamp, now), "{tick:?} at {now}");
            assert!(mark.window_start == 0 || time::is_plausible(UnixMillis(mark.window_start), now), "{mark:?}");
        }
    }

    /// How many events were dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u32 {
        self.dropped[reason as usize]
    }

    /// How many events were dropped that should not have come. A quote of one side is nobody's mistake.
    #[must_use]
    pub fn rejected(&self) -> u32 {
        self.dropped.iter().sum::<u32>() - self.dropped(DropReason::OneSidedQuote)
    }

    fn reject(&mut self, reason: DropReason, why: impl FnOnce() -> String) {
        self.dropped[reason as usize] += 1;
        // One of them is told; thousands in a frame need no sentence each.
        self.rejection.get_or_insert_with(|| tidy(&why(), WORDS_BYTES_MAX));
    }
}

/// The message that presents the key. The result is a secret.
#[must_use]
pub fn auth_message(key: &str) -> String {
    serde_json::json!({"action": "auth", "params": key}).to_string()
}

/// How many `channel.symbol` a subscribe message names: about 8 KB of text.
const PARAMS_PER_MESSAGE: usize = 1000;

/// The messages that subscribe to every channel of every symbol.
pub fn subscribe_messages(params: &[String]) -> impl Iterator<Item = String> {
    params
        .chunks(PARAMS_PER_MESSAGE)
        .map(|chunk| serde_json::json!({"action": "subscribe", "params": chunk.join(",")}).to_string())
}

/// The union of the fields that we read, of all events. Letters mean different things in different events (`c` is a
/// trade's conditions and a bar's close), so those are kept as text until the event is known.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    ev: Cow<'a, str>,
    sym: Option<Symbol>,
    status: Option<Cow<'a, str>>,
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    c: Option<&'a RawValue>,
    p: Option<f64>,
    s: Option<f64>,
    v: Option<f64>,
    t: Option<f64>,
    /// A limit event's symbol, under a name of its own.
    #[serde(rename = "T", borrow)]
    limit_symbol: Option<&'a RawValue>,
    /// A limit event's indicators, a trade's id.
    #[serde(borrow)]
    i: Option<&'a RawValue>,
    e: Option<f64>,
    bp: Option<f64>,
    ap: Option<f64>,
}

/// What is told of an event that was dropped: serde repeats what it did not expect.
const WORDS_BYTES_MAX: usize = 300;

/// Indicators of a limit event: trading is halted, and goes on. Sent for Nasdaq's listings alone
/// (massive.com/docs/websocket/stocks/luld).
const HALTED: i64 = 17;
const RESUMED: i64 = 18;

/// Reads a frame that came in at `now` into `reading`, which is cleared first.
pub fn read_frame(text: &str, connection_id: ConnectionId, now: UnixMillis, reading: &mut Reading) {
    reading.clear();
    let whole = each(text, |event: Event<'_>| read_event(event, connection_id, now, reading));
    if whole.is_err() {
        // One event has a shape that is not ours: the others of its frame still count.
        reading.clear();
        if each(text, |raw: &RawValue| read_singly(raw, connection_id, now, reading)).is_err() {
            // Also when it only ends badly: of a frame that is not whole nothing is believed.
            reading.clear();
            let why = whole.err().map_or_else(String::new, |error| error.to_string());
            reading.reject(DropReason::Unreadable, || format!("a frame that is not an array of events: {why}"));
        }
    }
}

/// Hands on the elements of a JSON array one by one.
fn each<'a, T: Deserialize<'a>>(text: &'a str, take: impl FnMut(T)) -> serde_json::Result<()> {
    struct Elements<F, T>(F, std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Elements<F, T> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of events")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }

    impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Elements<F, T> {
        type Value = ();

        fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
            deserializer.deserialize_seq(self)
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(Elements(take, std::marker::PhantomData))?;
    deserializer.end()
}

/// The events of a frame with their symbols, as they came: also those that came to no tick.
pub fn each_named<'a>(text: &'a str, mut take: impl FnMut(&str, &'a str)) {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        sym: Option<Cow<'a, str>>,
        #[serde(rename = "T", borrow)]
        limit_symbol: Option<&'a RawValue>,
    }
    // What follows a broken place is not read.
    let _ = each(text, |raw: &'a RawValue| {
        let Ok(named) = serde_json::from_str::<Named<'_>>(raw.get()) else { return };
        let limit = named.limit_symbol.map(|raw| raw.get().trim_matches('"'));
        if let Some(symbol) = named.sym.as_deref().or(limit) {
            take(symbol, raw.get());
        }
    });
}

fn read_singly(raw: &RawValue, connection_id: ConnectionId, now: UnixMillis, reading: &mut Reading) {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        ev: Cow<'a, str>,
    }
    match serde_json::from_str::<Event<'_>>(raw.get()) {
        Ok(event) => read_event(event, connection_id, now, reading),
        Err(error) => match serde_json::from_str::<Name<'_>>(raw.get()) {
            Ok(name) if !is_ours(&name.ev) => reading.unknown += 1,
            _ => reading.reject(DropReason::Unreadable, || format!("an event that cannot be read: {error}")),
        },
    }
}

fn is_ours(ev: &str) -> bool {
    ev == "status" || Channel::ALL.into_iter().any(|channel| channel.prefix() == ev)
}

fn read_event(event: Event<'_>, connection_id: ConnectionId, now: UnixMillis, reading: &mut Reading) {
    let (channel, price, volume, time, window_start) = match &*event.ev {
        "T" => (Channel::Trades, event.p, event.s, event.t, None),
        "A" | "AM" => {
            let channel = if event.ev == "A" { Channel::SecondBars } else { Channel::MinuteBars };
            let close = event.c.and_then(|raw| raw.get().parse().ok());
            (channel, close, event.v, event.e, event.s)
        }
        "Q" => match middle(event.bp, event.ap) {
            Some(middle) => (Channel::Quotes, Some(middle), Some(0.0), event.t, None),
            None => {
                reading.dropped[DropReason::OneSidedQuote as usize] += 1;
                return;
            }
        },
        "LULD" => return read_limits(&event, reading),
        "status" => {
            let (status, message) = (event.status.as_deref(), event.message.as_deref());
            return notice::read(status.unwrap_or_default(), message.unwrap_or_default(), &mut reading.notices);
        }
        // NOI, FMV, LV and what may come: not ours.
        _ => {
            reading.unknown += 1;
            return;
        }
    };
    let tick = tick(connection_id, now, event.sym, (price, volume, time)).and_then(|tick| {
        // A window far from now would be remembered in place of those of the present.
        let window_start = window_start.map(|start| time::read(start, now)).transpose()?;
        Ok((tick, window_start.map_or(0, |start| start.0)))
    });
    match tick {
        Ok((tick, window_start)) => {
            reading.ticks.push(tick);
            reading.marks.push(Mark { channel, window_start });
        }
        Err((reason, why)) => reading.reject(reason, || {
            let symbol = event.sym.map(|symbol| format!(" for {symbol}")).unwrap_or_default();
            format!("{} event{symbol} {why}", event.ev)
        }),
    }
}

/// The price between bid and ask. A side that is 0 or absent is no offer, and makes none; anything else that is no price is
/// left for [`tick`] to refuse.
fn middle(bid: Option<f64>, ask: Option<f64>) -> Option<f64> {
    let (bid, ask) = (bid.unwrap_or_default(), ask.unwrap_or_default());
    // Halves first: the sum of two numbers may be none.
    let middle = bid / 2.0 + ask / 2.0;
    if bid < 0.0 || ask < 0.0 { Some(bid.min(ask)) } else { (bid > 0.0 && ask > 0.0).then_some(middle) }
}

/// Price bands are of no interest here, halts are: they explain a silence.
fn read_limits(event: &Event<'_>, reading: &mut Reading) {
    let symbol: Option<Symbol> = event.limit_symbol.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let indicators: Vec<i64> = event.i.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    match symbol {
        Some(symbol) if indicators.contains(&HALTED) => reading.halts.push((symbol, true)),
        Some(symbol) if indicators.contains(&RESUMED) => reading.halts.push((symbol, false)),
        Some(_) => {}
        None => reading.reject(DropReason::Symbol, || "LULD event without a symbol".to_owned()),
    }
}

fn tick(
    connection_id: ConnectionId,
    now: UnixMillis,
    symbol: Option<Symbol>,
    (price, volume, time): (Option<f64>, Option<f64>, Option<f64>),
) -> Result<Tick, Refusal> {
    let symbol = symbol.ok_or_else(|| (DropReason::Symbol, "without a symbol".to_owned()))?;
    let price = read_price(price).map_err(|why| (DropReason::Price, why))?;
    let time = time.ok_or_else(|| (DropReason::NoTime, "without a time".to_owned()))?;
    let timestamp = time::read(time, now)?;
    // Sizes may have fractions; a share is the unit here.
    let volume = volume.unwrap_or_default().max(0.0).round() as u64;
    Ok(Tick { connection_id: Some(connection_id), symbol, price, volume, timestamp })
}

fn read_price(price: Option<f64>) -> Result<f64, String> {
    match price {
        None => Err("without a price".to_owned()),
        Some(price) if price > 0.0 && price.is_finite() => Ok(price),
        Some(0.0) => Err("with a price of 0".to_owned()),
        Some(price) if price < 0.0 => Err(format!("with a negative price ({price})")),
        Some(price) => Err(format!("with a price that is none ({price})")),
    }
}
