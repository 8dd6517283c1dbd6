//! Massive's stocks protocol: what we send, what we read. Facts from `massive.md`, sections 2 and 3.
//!
//! A frame is an array that mixes events, symbols and channels. It is read event by event in one pass, without copying
//! strings and without a list of what it holds: memory is what comes out of it. Events that are unknown or broken cost
//! themselves alone, never the rest of their frame.

#[cfg(test)]
mod tests;

use crate::text::tidy;
use app::model::{
    connection::{Channel, ConnectionId},
    health::LossKind,
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

/// What the provider says about the connection itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// `connected`: the first frame.
    Hello,
    /// `auth_success`.
    KeyTaken,
    /// `auth_failed`: the key or the plan does not do.
    KeyRefused(String),
    /// `success`, "subscribed to: T.AAPL".
    Subscribed(String),
    /// `error`: something that was asked for is not allowed. Which, the provider does not say.
    Refused(String),
    /// `max_connections`: the account has too many.
    TooManyConnections(String),
    /// `slow_consumer`, `force_disconnect`: last words before the provider ends the connection, and what kind of loss
    /// that will be.
    Leaving(LossKind, String),
    /// Any other status, in the provider's words.
    Problem(String),
}

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
    /// Events that could not be read.
    pub rejected: u32,
    /// Why the last rejected event was rejected.
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

    /// Empties it for the next frame and keeps its memory.
    pub fn clear(&mut self) {
        self.notices.clear();
        self.ticks.clear();
        self.marks.clear();
        self.halts.clear();
        (self.unknown, self.rejected) = (0, 0);
        self.rejection = None;
    }

    /// What must hold of any frame of so many bytes; for those who throw bytes at [`read_frame`].
    ///
    /// # Panics
    /// When it does not.
    pub fn check(&self, bytes: usize) {
        assert_eq!(self.ticks.len(), self.marks.len());
        let events = self.ticks.len() + self.notices.len() + self.halts.len() + (self.unknown + self.rejected) as usize;
        assert!(events <= bytes.max(1), "{events} events out of {bytes} bytes");
        assert_eq!(self.rejected > 0, self.rejection.is_some());
        for tick in &self.ticks {
            assert!(tick.price.is_finite() && tick.price > 0.0 && tick.timestamp.0 >= 0, "{tick:?}");
        }
    }

    fn reject(&mut self, why: String) {
        self.rejected += 1;
        // Serde repeats what it did not expect.
        self.rejection = Some(tidy(&why, WORDS_BYTES_MAX));
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

/// The provider's words are kept for people to read; more than this of them nobody reads.
const WORDS_BYTES_MAX: usize = 300;

/// Indicators of a limit event: trading is halted, and goes on. Sent for Nasdaq's listings alone
/// (massive.com/docs/websocket/stocks/luld).
const HALTED: i64 = 17;
const RESUMED: i64 = 18;

/// Reads a frame into `reading`, which is cleared first.
pub fn read_frame(text: &str, connection_id: ConnectionId, reading: &mut Reading) {
    reading.clear();
    let whole = each(text, |event: Event<'_>| read_event(event, connection_id, reading));
    if whole.is_err() {
        // One event has a shape that is not ours: the others of its frame still count.
        reading.clear();
        if each(text, |raw: &RawValue| read_singly(raw, connection_id, reading)).is_err() {
            // Also when it only ends badly: of a frame that is not whole nothing is believed.
            reading.clear();
            let why = whole.err().map_or_else(String::new, |error| error.to_string());
            reading.reject(format!("a frame that is not an array of events: {why}"));
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

fn read_singly(raw: &RawValue, connection_id: ConnectionId, reading: &mut Reading) {
    #[derive(Deserialize)]
    struct Name<'a> {
        #[serde(borrow)]
        ev: Cow<'a, str>,
    }
    match serde_json::from_str::<Event<'_>>(raw.get()) {
        Ok(event) => read_event(event, connection_id, reading),
        Err(error) => match serde_json::from_str::<Name<'_>>(raw.get()) {
            Ok(name) if !is_ours(&name.ev) => reading.unknown += 1,
            _ => reading.reject(format!("an event that cannot be read: {error}")),
        },
    }
}

fn is_ours(ev: &str) -> bool {
    ev == "status" || Channel::ALL.into_iter().any(|channel| channel.prefix() == ev)
}

fn read_event(event: Event<'_>, connection_id: ConnectionId, reading: &mut Reading) {
    let (channel, price, volume, time, window_start) = match &*event.ev {
        "T" => (Channel::Trades, event.p, event.s, event.t, None),
        "A" | "AM" => {
            let channel = if event.ev == "A" { Channel::SecondBars } else { Channel::MinuteBars };
            let close = event.c.and_then(|raw| raw.get().parse().ok());
            (channel, close, event.v, event.e, event.s)
        }
        "Q" => {
            let middle = event.bp.zip(event.ap).map(|(bid, ask)| (bid + ask) / 2.0);
            (Channel::Quotes, middle, Some(0.0), event.t, None)
        }
        "LULD" => return read_limits(&event, reading),
        "status" => return reading.notices.push(notice(&event)),
        // NOI, FMV, LV and what may come: not ours.
        _ => {
            reading.unknown += 1;
            return;
        }
    };
    match tick(connection_id, event.sym, (price, volume, time)) {
        Ok(tick) => {
            reading.ticks.push(tick);
            let window_start = window_start.and_then(time_of).map_or(0, |start| start.0);
            reading.marks.push(Mark { channel, window_start });
        }
        Err(why) => reading.reject(format!("{} event {why}", event.ev)),
    }
}

/// Price bands are of no interest here, halts are: they explain a silence.
fn read_limits(event: &Event<'_>, reading: &mut Reading) {
    let symbol: Option<Symbol> = event.limit_symbol.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let indicators: Vec<i64> = event.i.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    match symbol {
        Some(symbol) if indicators.contains(&HALTED) => reading.halts.push((symbol, true)),
        Some(symbol) if indicators.contains(&RESUMED) => reading.halts.push((symbol, false)),
        Some(_) => {}
        None => reading.reject("LULD event without a symbol".to_owned()),
    }
}

fn tick(
    connection_id: ConnectionId,
    symbol: Option<Symbol>,
    (price, volume, time): (Option<f64>, Option<f64>, Option<f64>),
) -> Result<Tick, String> {
    let symbol = symbol.ok_or("without a symbol")?;
    let price = price
        .filter(|price| price.is_finite() && *price > 0.0)
        .ok_or_else(|| format!("for {symbol} without a price"))?;
    let timestamp = time.and_then(time_of).ok_or_else(|| format!("for {symbol} without a time"))?;
    // Sizes may have fractions; a share is the unit here.
    let volume = volume.unwrap_or_default().max(0.0).round() as u64;
    Ok(Tick { connection_id: Some(connection_id), symbol, price, volume, timestamp })
}

/// Times are milliseconds by the documents and nanoseconds on some wires: told apart by magnitude.
fn time_of(number: f64) -> Option<UnixMillis> {
    let millis = if number < 1e14 { number } else { number / 1e6 };
    UnixMillis::from_seconds(millis / 1000.0)
}

fn notice(event: &Event<'_>) -> Notice {
    let status = event.status.as_deref().unwrap_or_default();
    let message = event.message.as_deref().map(str::trim).filter(|message| !message.is_empty());
    let words = tidy(message.unwrap_or(status), WORDS_BYTES_MAX);
    match status {
        "connected" => Notice::Hello,
        "auth_success" => Notice::KeyTaken,
        "auth_failed" => Notice::KeyRefused(words),
        // The key came too late or not at all; nobody has looked at it.
        "auth_timeout" => Notice::Leaving(LossKind::Closed, words),
        "max_connections" => Notice::TooManyConnections(words),
        "slow_consumer" => Notice::Leaving(LossKind::SlowConsumer, words),
        "force_disconnect" => Notice::Leaving(LossKind::ForceDisconnect, words),
        "error" => Notice::Refused(words),
        "success" => match words.strip_prefix("subscribed to:") {
            Some(param) => Notice::Subscribed(param.trim().to_owned()),
            None => Notice::Problem(words),
        },
        _ => Notice::Problem(words),
    }
}
