//! Which tapes have readers. The hub's task asks before every delivery; ticks of a tape without readers are not kept.

use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId},
    tape::TapeSet,
};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The number of readers of each connection's tape.
#[derive(Clone, Debug, Default)]
pub(super) struct TapeReaders(Arc<[AtomicUsize; CONNECTIONS_MAX as usize]>);

impl TapeReaders {
    fn of(&self, id: ConnectionId) -> &AtomicUsize {
        &self.0[usize::from(id) - 1]
    }

    /// The tapes that have readers.
    pub(super) fn open(&self) -> TapeSet {
        (1..=CONNECTIONS_MAX).filter(|id| self.of(*id).load(Relaxed) > 0).collect()
    }

    /// A reader, of nothing as yet.
    pub(super) fn reader(&self) -> TapeReader {
        TapeReader { readers: self.clone(), set: TapeSet::default() }
    }
}

/// One socket's tapes. Dropping it closes them.
#[derive(Debug)]
pub(super) struct TapeReader {
    readers: TapeReaders,
    set: TapeSet,
}

impl TapeReader {
    /// Opens these and closes the others.
    pub(super) fn set(&mut self, set: TapeSet) {
        set.iter().for_each(|id| {
            self.readers.of(id).fetch_add(1, Relaxed);
        });
        self.set.iter().for_each(|id| {
            self.readers.of(id).fetch_sub(1, Relaxed);
        });
        self.set = set;
    }

    /// Is this one open?
    pub(super) fn has(&self, id: ConnectionId) -> bool {
        self.set.contains(id)
    }
}

impl Drop for TapeReader {
    fn drop(&mut self) {
        self.set(TapeSet::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_is_open_while_anybody_reads_it() {
        let readers = TapeReaders::default();
        let (mut one, mut two) = (readers.reader(), readers.reader());
        one.set([1, 16].into_iter().collect());
        two.set([1].into_iter().collect());
        assert_eq!(readers.open(), [1, 16].into_iter().collect());
        one.set([2].into_iter().collect());
        assert_eq!(readers.open(), [1, 2].into_iter().collect());
        drop((one, two));
        assert!(readers.open().is_empty());
    }
}
