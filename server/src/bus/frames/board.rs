//! The collector's whole board, for a dashboard that starts or missed something. It travels in parts on the channel of frames, so
//! that it stands among them at its place.

use super::{Encoded, FrameError, Header, KIND_BOARD, encode, is_price, is_time};
use app::model::{
    board::ROWS_MAX,
    connection::{CONNECTIONS_MAX, ConnectionId},
    protocol::{RATE_HISTORY_LENGTH, Row},
    symbol::Symbol,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Bytes of a part, but for the last one.
const PART_BYTES: usize = 128 << 10;
/// The most bytes of a board: 200,000 rows have 12 MB at most.
pub const BOARD_BYTES_MAX: usize = 16 << 20;
/// Ticks of a connection that are kept for those who missed them.
pub const TAPE_END_MAX: usize = 500;

/// What a collector's board shows, and what its dashboards need to go on from there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardCopy {
    /// The rows in their order.
    pub rows: Vec<Row>,
    /// Rows of symbols that are not configured any more: should they come back, their totals go on.
    pub removed: Vec<Row>,
    /// Ticks a second by connection, one sample a metrics interval, oldest first.
    pub rates: Vec<(ConnectionId, Vec<f32>)>,
    /// The ends of the tapes.
    pub tapes: Vec<TapeEnd>,
    /// Ticks of symbols that no connection carries.
    pub unassigned_ticks_total: u64,
}

/// The last ticks of a connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TapeEnd {
    /// Whose.
    pub connection_id: ConnectionId,
    /// Ticks of the connection up to the end.
    pub ticks_total: u64,
    /// The last of them, in order.
    pub ticks: Vec<TapeTick>,
}

/// A tick on the end of a tape.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TapeTick {
    /// Its symbol.
    pub symbol: Symbol,
    /// Its price in dollars.
    pub price: f64,
    /// Its shares.
    pub volume: u64,
    /// When it happened.
    pub timestamp: UnixMillis,
    /// How many ticks it stands for.
    pub ticks: u32,
}

/// A part of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which, from 0 on.
    pub number: u32,
    /// How many there are.
    pub count: u32,
    /// Its bytes.
    pub bytes: &'a [u8],
}

impl<'a> Part<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let ((number, count), bytes): ((u32, u32), _) =
            postcard::take_from_bytes(bytes).map_err(|_| FrameError::Unreadable("the part is cut off"))?;
        if number >= count || count as usize > BOARD_BYTES_MAX / PART_BYTES + 1 {
            return Err(FrameError::Unreadable("no such part"));
        }
        Ok(Self { number, count, bytes })
    }
}

/// The messages of a board whose next frame is `next`.
#[must_use]
pub fn encode_board(next: &Header, board: &BoardCopy) -> Vec<Encoded> {
    let room = 4096 + (board.rows.len() + board.removed.len()) * 40;
    // As in `encode`, it does not fail.
    let bytes = postcard::to_extend(board, Vec::with_capacity(room)).unwrap_or_default();
    let count = bytes.len().div_ceil(PART_BYTES).max(1) as u32;
    let parts = (0..count).zip(bytes.chunks(PART_BYTES));
    let message = |(number, part): (u32, &[u8])| {
        let mut bytes = encode(KIND_BOARD, next, &(number, count), part.len() + 64);
        bytes.extend_from_slice(part);
        Encoded { bytes, ticks: 0 }
    };
    parts.map(message).collect()
}

/// Reads a board from the bytes of all its parts.
///
/// # Errors
/// What is wrong with it.
pub fn read_board(bytes: &[u8]) -> Result<BoardCopy, FrameError> {
    let wrong = |why| Err(FrameError::Board(why));
    let (board, rest): (BoardCopy, _) =
        postcard::take_from_bytes(bytes).map_err(|_| FrameError::Board("it cannot be read"))?;
    if !rest.is_empty() {
        return wrong("bytes after its end");
    }
    if board.rows.len() > ROWS_MAX || board.removed.len() > ROWS_MAX {
        return wrong("too many rows");
    }
    let is_connection = |id: ConnectionId| (1..=CONNECTIONS_MAX).contains(&id);
    let is_row =
        |row: &Row| is_connection(row.connection_id) && row.price.is_none_or(is_price) && is_time(row.timestamp.0);
    if !board.rows.iter().chain(&board.removed).all(is_row) {
        return wrong("a row that cannot be");
    }
    let is_rate = |(id, rates): &(ConnectionId, Vec<f32>)| {
        is_connection(*id) && rates.len() <= RATE_HISTORY_LENGTH && rates.iter().all(|rate| rate.is_finite())
    };
    if !board.rates.iter().all(is_rate) {
        return wrong("rates that cannot be");
    }
    let is_tick = |tick: &TapeTick| is_price(tick.price) && is_time(tick.timestamp.0) && tick.ticks > 0;
    let is_tape = |end: &TapeEnd| {
        is_connection(end.connection_id) && end.ticks.len() <= TAPE_END_MAX && end.ticks.iter().all(is_tick)
    };
    if !board.tapes.iter().all(is_tape) {
        return wrong("a tape that cannot be");
    }
    Ok(board)
}
