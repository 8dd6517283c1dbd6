//! The tape: every tick of a connection in order, for the sockets that asked for it.

use super::{
    connection::{ConnectionId, ConnectionSet},
    tick::TickEntry,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// The most ticks of one connection in one frame; what is beyond is counted, not told. At the default frame interval this
/// is a million ticks a second: it is there for the frame after the server was held up, by whatever else the machine does.
pub const TAPE_ENTRIES_MAX: usize = 10_000;

/// Ticks of one connection in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tape {
    /// The connection whose ticks they are.
    pub connection_id: ConnectionId,
    /// When the frame was made.
    pub at: UnixMillis,
    /// One entry a tick, except where the bus had to conflate: [`TickEntry::ticks`] says how many.
    pub entries: Vec<TickEntry>,
    /// Ticks after the last entry that did not fit into the frame.
    pub skipped: u32,
}

/// Which connections' tapes somebody has open.
pub type TapeSet = ConnectionSet;
