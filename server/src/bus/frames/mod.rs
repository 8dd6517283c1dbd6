//! Ticks as our own dashboards take them over Redis: batches in a compact binary form instead of one JSON message a tick.
//! `docs/protocol.md` describes every byte; the two change together.
//!
//! ```text
//!  collector:  monitor ──ticks as they are folded──▶ FrameWriter ──▶ Outlet ──▶ publisher ──PUBLISH──▶ Redis
//!  dashboard:  Redis ──▶ subscriber ──▶ Follower ──ticks, or a whole board──▶ inbox
//! ```
//!
//! Frames tell what the collector's own board was told, in the same order, so that a dashboard's board is the same. They are
//! numbered: a dashboard that misses one takes the collector's whole board anew, see [`BoardCopy`].

mod board;
mod outlet;
mod writer;

pub use board::{BOARD_BYTES_MAX, BoardCopy, Part, TAPE_END_MAX, TapeEnd, TapeTick, encode_board, read_board};
pub use outlet::Outlet;
pub use writer::FrameWriter;

use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId},
    symbol::Symbol,
    tick::Tick,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// The version of the form. A reader drops every other one.
pub const VERSION: u8 = 1;
/// Larger messages are dropped unread. The largest that is written has less than 400 kB.
pub const MESSAGE_BYTES_MAX: usize = 512 << 10;
/// The most rows of a frame; what is beyond goes into the next one.
pub const ROWS_PER_FRAME_MAX: usize = 4_096;
/// What most prices are multiples of: so many steps are a dollar.
const STEPS_PER_DOLLAR: f64 = 10_000.0;
/// Beyond this a multiple is not exact any more.
const STEPS_MAX: f64 = 9_007_199_254_740_992.0;

const KIND_TICKS: u8 = 0;
const KIND_BOARD: u8 = 1;

/// One run of one collector. A later one has a higher epoch, or the same epoch and a later begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stream {
    /// That of the lease; 0 without one.
    pub epoch: u64,
    /// When it began, in Unix milliseconds by the collector's clock.
    pub run: u64,
}

/// What every message begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose it is.
    pub stream: Stream,
    /// Of ticks, the number of this frame in its stream, from 0 on. Of a board, the number of the first frame after it.
    pub sequence: u64,
    /// Ticks in all frames of the stream before that number.
    pub ticks_before: u64,
}

/// A message on the channel of frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// What it begins with.
    pub header: Header,
    /// What follows.
    pub body: Body<'a>,
}

/// A message, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The ticks that are lost with it.
    pub ticks: u64,
}

/// What a message holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// Ticks of one connection.
    Ticks(TickFrame),
    /// A part of a board.
    Part(Part<'a>),
}

/// Ticks of one connection, in order. Without any it says that its collector is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickFrame {
    /// When it was made, by the collector's clock.
    pub at: UnixMillis,
    /// How long before that the first of its ticks was received.
    pub waited_ms: u32,
    /// The ticks; each names the connection.
    pub ticks: Vec<Tick>,
    /// Of those that stand for more than themselves, the place and for how many.
    pub counts: Vec<(u32, u32)>,
    /// How many ticks that are. Of symbols that no connection carries there is this count alone.
    pub ticks_total: u64,
}

impl TickFrame {
    /// Ticks that no connection carries.
    #[must_use]
    pub fn unassigned(&self) -> u64 {
        if self.ticks.is_empty() { self.ticks_total } else { 0 }
    }
}

/// Why a message was dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than any that is written.
    #[error("a frame of {0} bytes is larger than 512 KiB")]
    TooLarge(usize),
    /// Of another version of this program.
    #[error("a frame of version {0}, expected {VERSION}")]
    Version(u8),
    /// Cut off, or no frame at all.
    #[error("not a frame: {0}")]
    Unreadable(&'static str),
    /// A board that cannot be.
    #[error("not a board: {0}")]
    Board(&'static str),
}

/// The rows of a frame as they are written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rows {
    connection: ConnectionId,
    at: i64,
    /// `at` minus the time of the first tick.
    first_age_ms: i64,
    /// `at` minus the time of the last tick.
    last_age_ms: i64,
    waited_ms: u32,
    ticks: u64,
    symbols: Vec<Symbol>,
    rows: Vec<WireRow>,
    /// Prices that are no multiple of a hundredth of a cent, by place.
    exact_prices: Vec<(u32, f64)>,
    counts: Vec<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct WireRow {
    /// Its place among the symbols.
    symbol: u32,
    /// Its time minus that of the row before, in milliseconds.
    time: i64,
    /// Its price minus the last one of the symbol in this frame, in hundredths of a cent.
    steps: i64,
    volume: u64,
}

/// The price as a whole number of steps, where that is the very same price.
fn steps_of(price: f64) -> Option<i64> {
    let steps = (price * STEPS_PER_DOLLAR).round();
    (steps.abs() < STEPS_MAX && steps / STEPS_PER_DOLLAR == price).then_some(steps as i64)
}

fn encode(kind: u8, header: &Header, body: &impl Serialize, room: usize) -> Vec<u8> {
    let bytes = Vec::with_capacity(room);
    // Writing into memory fails only when a sequence has no known length, and none of ours lacks one.
    postcard::to_extend(&(VERSION, kind, header, body), bytes).unwrap_or_default()
}

/// Reads a message.
///
/// # Errors
/// The reason to drop it.
pub fn read_frame(bytes: &[u8]) -> Result<Message<'_>, FrameError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    match bytes.first() {
        None => return Err(FrameError::Unreadable("empty")),
        Some(&VERSION) => {}
        Some(&version) => return Err(FrameError::Version(version)),
    }
    let ((kind, header), rest): ((u8, Header), _) =
        postcard::take_from_bytes(&bytes[1..]).map_err(|_| FrameError::Unreadable("the header is cut off"))?;
    let body = match kind {
        KIND_TICKS => Body::Ticks(read_ticks(rest)?),
        KIND_BOARD => Body::Part(Part::read(rest)?),
        _ => return Err(FrameError::Unreadable("of an unknown kind")),
    };
    Ok(Message { header, body })
}

fn read_ticks(bytes: &[u8]) -> Result<TickFrame, FrameError> {
    let wrong = |why| Err(FrameError::Unreadable(why));
    let (rows, rest): (Rows, _) =
        postcard::take_from_bytes(bytes).map_err(|_| FrameError::Unreadable("the rows cannot be read"))?;
    if !rest.is_empty() {
        return wrong("bytes after its end");
    }
    if rows.connection > CONNECTIONS_MAX || (rows.connection == 0 && !rows.rows.is_empty()) {
        return wrong("no such connection");
    }
    if rows.rows.len() > ROWS_PER_FRAME_MAX {
        return wrong("too many rows");
    }
    let mut frame = TickFrame {
        at: UnixMillis(rows.at),
        waited_ms: rows.waited_ms,
        ticks: Vec::with_capacity(rows.rows.len()),
        counts: rows.counts,
        ticks_total: rows.ticks,
    };
    let mut prices = vec![0_i64; rows.symbols.len()];
    let mut exact = rows.exact_prices.iter().peekable();
    let mut time = rows.at.wrapping_sub(rows.first_age_ms);
    for (place, row) in (0_u32..).zip(&rows.rows) {
        let Some(steps) = prices.get_mut(row.symbol as usize) else { return wrong("no such symbol") };
        *steps = steps.wrapping_add(row.steps);
        let price = match exact.next_if(|(of, _)| *of == place) {
            Some((_, price)) => *price,
            None => *steps as f64 / STEPS_PER_DOLLAR,
        };
        time = time.wrapping_add(row.time);
        if !is_price(price) {
            return wrong("a price that is none");
        }
        if !is_time(time) {
            return wrong("a time that is none");
        }
        frame.ticks.push(Tick {
            connection_id: Some(rows.connection),
            symbol: rows.symbols[row.symbol as usize],
            price,
            volume: row.volume,
            timestamp: UnixMillis(time),
        });
    }
    if exact.next().is_some() {
        return wrong("a price of no row");
    }
    // Of ticks that no connection carries there is the total alone.
    let total = if rows.connection == 0 { frame.counts.is_empty().then_some(frame.ticks_total) } else { count(&frame) };
    if total != Some(frame.ticks_total) {
        return wrong("a wrong count");
    }
    Ok(frame)
}

/// The ticks behind its rows; `None` when the counts are not of its rows, in order.
fn count(frame: &TickFrame) -> Option<u64> {
    let mut total = frame.ticks.len() as u64;
    let mut from = 0;
    for (place, ticks) in &frame.counts {
        if *place < from || *place as usize >= frame.ticks.len() {
            return None;
        }
        from = *place + 1;
        total += u64::from(*ticks).checked_sub(1)?;
    }
    Some(total)
}

fn is_price(price: f64) -> bool {
    price.is_finite() && price > 0.0
}

/// From 1970 to the year 9999.
fn is_time(millis: i64) -> bool {
    (0..253_402_300_800_000).contains(&millis)
}

#[cfg(test)]
mod tests;
