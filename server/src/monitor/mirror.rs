//! The same board elsewhere: what was folded here goes out in frames, and a dashboard takes over a collector's board.

use super::{Monitor, silence::Beats};
use crate::bus::frames::{BoardCopy, Encoded, FrameWriter, Stream, TAPE_END_MAX, TapeEnd, TapeTick};
use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId},
    protocol::{Row, RowId},
    tick::Tick,
    time::UnixMillis,
};
use std::collections::VecDeque;

/// What boards elsewhere are made of.
#[derive(Debug)]
pub(super) struct Mirror {
    /// While this server collects.
    writer: Option<FrameWriter>,
    /// The last ticks, by connection.
    ends: Vec<End>,
}

#[derive(Clone, Debug, Default)]
struct End {
    ticks_total: u64,
    ticks: VecDeque<TapeTick>,
}

impl Default for Mirror {
    fn default() -> Self {
        Self { writer: None, ends: vec![End::default(); usize::from(CONNECTIONS_MAX) + 1] }
    }
}

impl End {
    fn push(&mut self, tick: TapeTick) {
        if self.ticks.len() >= TAPE_END_MAX {
            self.ticks.pop_front();
        }
        self.ticks_total += u64::from(tick.ticks);
        self.ticks.push_back(tick);
    }
}

impl Mirror {
    /// A tick was folded.
    pub(super) fn record(&mut self, id: ConnectionId, row: RowId, tick: &Tick, count: u32, now: UnixMillis) {
        let Tick { symbol, price, volume, timestamp, .. } = *tick;
        if let Some(end) = self.ends.get_mut(usize::from(id)) {
            end.push(TapeTick { symbol, price, volume, timestamp, ticks: count });
        }
        if let Some(writer) = &mut self.writer {
            writer.record(id, row, tick, count, now);
        }
    }

    /// Ticks came that no connection carries.
    pub(super) fn record_unassigned(&mut self, count: u64) {
        if let Some(writer) = &mut self.writer {
            writer.record_unassigned(count);
        }
    }

    /// What is about to be folded was received then.
    pub(super) fn note_received(&mut self, at: Option<UnixMillis>) {
        if let Some(writer) = &mut self.writer {
            writer.note_received(at);
        }
    }

    /// Rows have other numbers from now on.
    pub(super) fn renumber(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.renumber();
        }
    }

    /// The end of a connection's tape is this one from now on. Of the ticks that were not folded here, answers how many are
    /// not on it any more, and the place of the first that is.
    fn replace_end(&mut self, end: &TapeEnd) -> (u64, usize) {
        let Some(ours) = self.ends.get_mut(usize::from(end.connection_id)) else { return (0, end.ticks.len()) };
        // A total that is smaller than ours is that of another run, of which we know nothing.
        let is_ahead = ours.ticks_total > 0 && end.ticks_total >= ours.ticks_total;
        let missed = if is_ahead { end.ticks_total - ours.ticks_total } else { u64::MAX };
        let (mut left, mut from) = (missed, end.ticks.len());
        while from > 0 && u64::from(end.ticks[from - 1].ticks) <= left {
            from -= 1;
            left -= u64::from(end.ticks[from].ticks);
        }
        *ours = End { ticks_total: end.ticks_total, ticks: end.ticks.iter().copied().collect() };
        (if is_ahead { left } else { 0 }, from)
    }
}

impl Monitor {
    /// From now on what is folded is kept for boards elsewhere, in frames of this stream where there is one.
    pub fn mirror_to(&mut self, stream: Option<Stream>) {
        let mirror = self.mirror.get_or_insert_default();
        if mirror.writer.as_ref().map(FrameWriter::stream) != stream {
            mirror.writer = stream.map(FrameWriter::new);
        }
    }

    /// The frames of what was folded since the last ones; in a `silence` at least one, which says that somebody is there.
    pub fn take_frames(&mut self, silence: bool, now: UnixMillis) -> impl Iterator<Item = Encoded> {
        let writer = self.mirror.as_mut().and_then(|mirror| mirror.writer.as_mut());
        let frames = writer.filter(|writer| silence || writer.has_news()).map(|writer| {
            if writer.has_news() { writer.drain(now) } else { writer.sign_of_life(now) }
        });
        frames.into_iter().flatten()
    }

    /// The board as it is after all frames that were taken, in messages. Take the frames first.
    #[must_use]
    pub fn board_messages(&self) -> Vec<Encoded> {
        let writer = self.mirror.as_ref().and_then(|mirror| mirror.writer.as_ref());
        writer.map(|writer| writer.board(&self.board_copy())).unwrap_or_default()
    }

    fn board_copy(&self) -> BoardCopy {
        let connections = self.board.report.connections.iter().map(|connection| connection.live.id);
        let rates = connections.zip(&self.board.rates).map(|(id, rates)| (id, rates.iter().copied().collect()));
        let ends = self.mirror.iter().flat_map(|mirror| (0..).zip(&mirror.ends));
        let tapes = ends.filter(|(_, end)| end.ticks_total > 0).map(|(connection_id, end)| TapeEnd {
            connection_id,
            ticks_total: end.ticks_total,
            ticks: end.ticks.iter().copied().collect(),
        });
        BoardCopy {
            rows: self.board.rows.clone(),
            removed: self.retired.values().copied().collect(),
            rates: rates.collect(),
            tapes: tapes.collect(),
            unassigned_ticks_total: self.unassigned_ticks_total,
        }
    }

    /// A collector's board replaces ours: nothing of what was there before is left but how often symbols tick. Tapes that
    /// are open get the ticks that were not folded here.
    pub(super) fn take_board(&mut self, board: &BoardCopy) {
        let names = self.board.rows.iter().map(name);
        let mut beats: Beats = names.zip(std::mem::take(&mut self.beats)).collect();
        self.board.rows.clone_from(&board.rows);
        self.retired = board.removed.iter().map(|row| (name(row), *row)).collect();
        self.beats = board.rows.iter().map(|row| beats.remove(&name(row)).unwrap_or_default()).collect();
        self.number_rows();
        let rates_of = |id| board.rates.iter().find(|(of, _)| *of == id).map(|(_, rates)| rates.iter().copied());
        let connections = self.board.report.connections.iter().map(|connection| connection.live.id);
        self.board.rates = connections.map(|id| rates_of(id).into_iter().flatten().collect()).collect();
        self.unassigned_ticks_total = board.unassigned_ticks_total;
        self.tapes.relabel(&self.places);
        let mirror = self.mirror.get_or_insert_default();
        for end in &board.tapes {
            let id = end.connection_id;
            let (skipped, from) = mirror.replace_end(end);
            self.tapes.skip(id, u32::try_from(skipped).unwrap_or(u32::MAX));
            for TapeTick { symbol, price, volume, timestamp, ticks } in end.ticks[from..].iter().copied() {
                let Some(row) = self.places.get(&(id, symbol)) else { continue };
                self.tapes.record(id, *row, &Tick { connection_id: Some(id), symbol, price, volume, timestamp }, ticks);
            }
        }
        self.sum_up();
        self.reconfigured = true;
    }
}

fn name(row: &Row) -> (ConnectionId, app::model::symbol::Symbol) {
    (row.connection_id, row.symbol)
}
