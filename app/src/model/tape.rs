//! The tape: every tick of a connection in order, for the sockets that asked for it.

use super::{
    connection::{CONNECTIONS_MAX, ConnectionId},
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
    /// Whose.
    pub connection_id: ConnectionId,
    /// When the frame was made.
    pub at: UnixMillis,
    /// One entry a tick, except where the bus had to conflate: [`TickEntry::ticks`] says how many.
    pub entries: Vec<TickEntry>,
    /// Ticks after the last entry that did not fit into the frame.
    pub skipped: u32,
}

/// Which connections' tapes somebody has open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<ConnectionId>", into = "Vec<ConnectionId>")]
pub struct TapeSet(u16);

impl TapeSet {
    /// The highest number that a connection may have.
    pub const ID_MAX: ConnectionId = CONNECTIONS_MAX;

    fn bit(id: ConnectionId) -> u16 {
        if (1..=Self::ID_MAX).contains(&id) { 1 << (id - 1) } else { 0 }
    }

    /// Is this connection's tape open?
    #[must_use]
    pub fn contains(self, id: ConnectionId) -> bool {
        self.0 & Self::bit(id) != 0
    }

    /// Opens a tape; a number that no connection can have changes nothing.
    pub fn insert(&mut self, id: ConnectionId) {
        self.0 |= Self::bit(id);
    }

    /// Is none open?
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers, ascending.
    pub fn iter(self) -> impl Iterator<Item = ConnectionId> {
        (1..=Self::ID_MAX).filter(move |id| self.contains(*id))
    }
}

impl FromIterator<ConnectionId> for TapeSet {
    fn from_iter<T: IntoIterator<Item = ConnectionId>>(ids: T) -> Self {
        let mut set = Self::default();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl TryFrom<Vec<ConnectionId>> for TapeSet {
    type Error = &'static str;

    fn try_from(ids: Vec<ConnectionId>) -> Result<Self, Self::Error> {
        if ids.iter().any(|id| Self::bit(*id) == 0) {
            return Err("connections have the numbers 1 to 16");
        }
        Ok(ids.into_iter().collect())
    }
}

impl From<TapeSet> for Vec<ConnectionId> {
    fn from(set: TapeSet) -> Self {
        set.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_reads_and_writes_as_a_list_of_numbers() {
        let set: TapeSet = serde_json::from_str("[3,1,3]").expect("numbers of connections");
        assert_eq!(set.iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(serde_json::to_string(&set).expect("serialises"), "[1,3]");
        assert!(set.contains(1) && !set.contains(2) && !set.contains(0) && !set.contains(200));
        for wrong in ["[0]", "[17]", "[1,256]", "[-1]", "7"] {
            assert!(serde_json::from_str::<TapeSet>(wrong).is_err(), "{wrong}");
        }
    }
}
