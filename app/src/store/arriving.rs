//! A snapshot of many rows comes in several frames: here they wait until the last one is there.

use crate::model::protocol::{Frame, Snapshot};

/// The snapshot that is on its way.
#[derive(Default)]
pub(super) struct Arriving(Option<Box<Snapshot>>);

impl Arriving {
    /// The frame as it came, the whole snapshot with its last frame, `None` before that.
    pub(super) fn take(&mut self, frame: Frame) -> Option<Frame> {
        let snapshot = match (self.0.take(), frame) {
            (_, Frame::Snapshot(snapshot)) => snapshot,
            (Some(mut snapshot), Frame::Rows(rows)) => {
                snapshot.rows.extend(rows);
                snapshot
            }
            (_, frame) => return Some(frame),
        };
        if snapshot.rows.len() < snapshot.rows_total as usize {
            self.0 = Some(snapshot);
            return None;
        }
        Some(Frame::Snapshot(snapshot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{protocol::Row, symbol::Symbol};

    #[test]
    fn the_frames_of_a_snapshot_are_shown_as_one_and_those_of_a_lost_socket_not_at_all() {
        let row = |n: usize| Row::empty(1, Symbol::parse(&format!("S{n}")).expect("a symbol"));
        let whole = Snapshot { rows: (0..5).map(row).collect(), rows_total: 5, ..Snapshot::default() };
        let parts = || whole.clone().in_parts(2).into_iter();
        let mut arriving = Arriving::default();
        let lost: Vec<_> = parts().take(2).filter_map(|frame| arriving.take(frame)).collect();
        let shown: Vec<_> = parts().filter_map(|frame| arriving.take(frame)).collect();
        assert_eq!((lost, shown), (vec![], vec![Frame::Snapshot(Box::new(whole.clone()))]));
        let new = Frame::Rows(vec![row(9)]);
        assert_eq!(arriving.take(new.clone()), Some(new), "after it, new rows are new rows");
        let old = Frame::Snapshot(Box::new(Snapshot { rows_total: 0, ..whole }));
        assert_eq!(arriving.take(old.clone()), Some(old), "an older server sends all of it at once");
    }
}
