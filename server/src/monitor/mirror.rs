//! The same board elsewhere: what was folded here goes out in frames, and a dashboard takes over a collector's board.

use super::{Fresh, Monitor, silence::Beats};
use crate::bus::{
    NewBoard,
    frames::{BoardCopy, Encoded, FrameWriter, Stream, TAPE_END_MAX, TapeEnd, TapeTick},
};
use app::model::{
    connection::{CONNECTIONS_MAX, ConnectionId},
    protocol::{Row, RowId},
    tick::Tick,
    time::UnixMillis,
};
use std::collections::VecDeque;

/// So many ticks in a row are the same ones.
const KNOWN_BY: usize = 8;

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

    /// Of the ticks by which the end is ahead, how many are not on it any more, and the place of the first that is.
    fn missed_by_count(&self, end: &TapeEnd) -> (u64, usize) {
        let (mut left, mut from) = (end.ticks_total - self.ticks_total, end.ticks.len());
        while from > 0 && u64::from(end.ticks[from - 1].ticks) <= left {
            from -= 1;
            left -= u64::from(end.ticks[from].ticks);
        }
        (left, from)
    }

    /// The place after our last tick, known by those before it, as JSON or another collector may have told the same ones; the
    /// first place where it is not there.
    fn missed_by_look(&self, end: &TapeEnd) -> usize {
        let is_ours = |place: &usize| {
            let before = end.ticks[..*place].iter().rev();
            *place > 0 && self.ticks.iter().rev().take(KNOWN_BY).zip(before).all(|(ours, theirs)| ours == theirs)
        };
        if self.ticks.is_empty() { 0 } else { (0..=end.ticks.len()).rev().find(is_ours).unwrap_or(0) }
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
    /// not on it any more, and the place of the first that is. `continues`: our totals are those of the same tape.
    fn replace_end(&mut self, end: &TapeEnd, continues: bool) -> (u64, usize) {
        let Some(ours) = self.ends.get_mut(usize::from(end.connection_id)) else { return (0, end.ticks.len()) };
        let (skipped, from) = if continues && end.ticks_total >= ours.ticks_total {
            ours.missed_by_count(end)
        } else {
            (0, ours.missed_by_look(end))
        };
        *ours = End { ticks_total: end.ticks_total, ticks: end.ticks.iter().copied().collect() };
        (skipped, from)
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
        let frames = writer
            .filter(|writer| silence || writer.has_news())
            .map(|writer| if writer.has_news() { writer.drain(now) } else { writer.sign_of_life(now) });
        frames.into_iter().flatten()
    }

    /// The board as it is after all frames that were taken, in messages. Take the frames first.
    #[must_use]
    pub fn board_messages(&self) -> Vec<Encoded> {
        let writer = self.mirror.as_ref().and_then(|mirror| mirror.writer.as_ref());
        writer.map(|writer| writer.board(&self.board_copy())).unwrap_or_default()
    }

    /// So many ticks came that no connection carries.
    pub(super) fn leave_unassigned(&mut self, count: u64) {
        self.unassigned_ticks_total += count;
        if let Some(mirror) = &mut self.mirror {
            mirror.record_unassigned(count);
        }
    }

    /// Rows are others, or stand elsewhere: what is known by their numbers is forgotten.
    pub(super) fn number_rows(&mut self) {
        self.board.stale = self.stale_among(0..self.beats.len());
        let rows = self.board.rows.iter().enumerate();
        self.places = rows.map(|(place, row)| ((row.connection_id, row.symbol), place as RowId)).collect();
        self.fresh = vec![Fresh::default(); self.board.rows.len()];
        if let Some(mirror) = &mut self.mirror {
            mirror.renumber();
        }
        self.forget_news();
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
    pub(super) fn take_board(&mut self, NewBoard { copy: board, continues }: &NewBoard) {
        if let Some(tee) = &mut self.tee {
            tee.renumber(&self.board.rows);
        }
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
            let (skipped, from) = mirror.replace_end(end, *continues);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bus::{
            Delivery,
            frames::{Body, read_board, read_frame},
        },
        config::{Config, Variables},
        universe::{Universes, plan},
    };
    use app::model::{board::Board, protocol::Frame, status::Feed, symbol::Symbol};

    const NOW: UnixMillis = UnixMillis(1_768_998_896_789);
    const STREAM: Stream = Stream { epoch: 1, run: 1 };

    fn monitor(feed: Feed) -> Monitor {
        let variables: Variables = [
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
            ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "JPM"),
        ]
        .into();
        let config = Config::read(&variables).expect("a good configuration");
        Monitor::new(feed, plan(&config.connections, &Universes::load(None).expect("no file")), NOW)
    }

    fn ticks(names: &[(u8, &str)], from: u64) -> Delivery {
        let tick = |(price, (id, name)): (u64, &(u8, &str))| Tick {
            connection_id: Some(*id),
            symbol: Symbol::parse(name).expect("a symbol"),
            price: price as f64,
            volume: price,
            timestamp: NOW,
        };
        Delivery { ticks: (from..).zip(names).map(tick).collect(), ..Delivery::default() }
    }

    /// What a dashboard's inbox brings of the collector's frames.
    fn delivered(collector: &mut Monitor) -> Delivery {
        let mut delivery = Delivery::default();
        for message in collector.take_frames(false, NOW).collect::<Vec<_>>() {
            let Body::Ticks(frame) = read_frame(&message.bytes).expect("a frame").body else { panic!("ticks") };
            delivery.lost += frame.unassigned();
            delivery.ticks.extend(frame.ticks);
        }
        delivery
    }

    fn board(collector: &mut Monitor, continues: bool) -> Delivery {
        // Lost on the way.
        delivered(collector);
        let mut bytes = Vec::new();
        for message in collector.board_messages() {
            let Body::Part(part) = read_frame(&message.bytes).expect("a part").body else { panic!("a part") };
            bytes.extend_from_slice(part.bytes);
        }
        let copy = read_board(&bytes).expect("a board");
        Delivery { board: Some(Box::new(NewBoard { copy, continues })), ..Delivery::default() }
    }

    fn pair() -> (Monitor, Monitor) {
        let (mut collector, mut dashboard) = (monitor(Feed::Simulator), monitor(Feed::Redis));
        collector.mirror_to(Some(STREAM));
        dashboard.mirror_to(None);
        dashboard.open_tapes([1, 2].into_iter().collect());
        (collector, dashboard)
    }

    const NAMES: [(u8, &str); 6] = [(1, "AAPL"), (2, "JPM"), (1, "NEW"), (9, "AAPL"), (1, "AAPL"), (2, "JPM")];

    #[test]
    fn a_dashboard_has_the_collectors_board_by_frames_alone() {
        let (mut collector, mut dashboard) = pair();
        for round in 0..5 {
            collector.take(&ticks(&NAMES, 1 + round * 10), NOW);
            dashboard.take(&delivered(&mut collector), NOW);
            assert_eq!(dashboard.rows(), collector.rows());
            collector.flush(NOW);
            dashboard.flush(NOW);
        }
        let unassigned = |monitor: &Monitor| monitor.unassigned_ticks_total;
        assert_eq!((unassigned(&dashboard), unassigned(&collector)), (5, 5));
    }

    fn tape(frames: &[Frame], id: ConnectionId) -> Vec<(f64, u32)> {
        let tapes = frames.iter().filter_map(|frame| match frame {
            Frame::Tape(tape) if tape.connection_id == id => Some(tape),
            _ => None,
        });
        let lines = tapes.flat_map(|tape| {
            let ticks = tape.entries.iter().map(|entry| (entry.price, entry.ticks));
            ticks.chain((tape.skipped > 0).then_some((0.0, tape.skipped)))
        });
        lines.collect()
    }

    #[test]
    fn a_board_replaces_everything_and_open_tapes_get_what_was_missed() {
        let (mut collector, mut dashboard) = pair();
        collector.take(&ticks(&NAMES, 1), NOW);
        collector.beat(NOW, 1.0);
        // What the dashboard had before is of nobody any more.
        dashboard.take(&ticks(&[(1, "OLD"), (1, "MSFT")], 1_000), NOW);
        dashboard.flush(NOW);
        dashboard.take(&board(&mut collector, false), NOW);
        let frames = dashboard.flush(NOW);
        let [Frame::Snapshot(snapshot), ..] = frames.as_slice() else { panic!("a snapshot first: {frames:?}") };
        let shown = Board::from(snapshot.as_ref().clone());
        assert_eq!((&shown.rows[..], &shown.rates), (collector.rows(), &collector.board.rates));
        assert_eq!(snapshot.report.live.head.summary.unassigned_ticks_total, 1);
        assert_eq!(
            (tape(&frames, 1), tape(&frames, 2)),
            (vec![(1.0, 1), (3.0, 1), (5.0, 1)], vec![(2.0, 1), (6.0, 1)])
        );

        // A hole: its ticks are on the tape once, between those before and after it.
        collector.take(&ticks(&NAMES, 11), NOW);
        dashboard.take(&delivered(&mut collector), NOW);
        collector.take(&ticks(&NAMES, 21), NOW);
        dashboard.take(&board(&mut collector, true), NOW);
        collector.take(&ticks(&NAMES, 31), NOW);
        dashboard.take(&delivered(&mut collector), NOW);
        let frames = dashboard.flush(NOW);
        let prices: Vec<_> = tape(&frames, 1).into_iter().map(|(price, _)| price).collect();
        assert_eq!(prices, [11.0, 13.0, 15.0, 21.0, 23.0, 25.0, 31.0, 33.0, 35.0]);
        assert_eq!(dashboard.rows().len(), collector.rows().len());

        // A hole that is larger than what is kept of a tape.
        dashboard.flush(NOW);
        let many = vec![(2, "JPM"); TAPE_END_MAX + 7];
        collector.take(&ticks(&many, 1_000), NOW);
        dashboard.take(&board(&mut collector, true), NOW);
        let frames = dashboard.flush(NOW);
        let lines = tape(&frames, 2);
        assert_eq!((lines[0], lines[1], lines.len()), ((0.0, 7), (1_007.0, 1), TAPE_END_MAX + 1));
        let collectors: Vec<_> = collector.rows().iter().map(|row| (row.symbol, row.price, row.ticks_total)).collect();
        let ours: Vec<_> = dashboard.rows().iter().map(|row| (row.symbol, row.price, row.ticks_total)).collect();
        assert_eq!(ours, collectors);
    }

    #[test]
    fn a_board_of_another_run_has_its_own_totals_and_all_of_its_tape_is_new() {
        let (mut collector, mut dashboard) = pair();
        collector.take(&ticks(&NAMES, 1), NOW);
        dashboard.take(&board(&mut collector, true), NOW);
        dashboard.flush(NOW);
        let mut restarted = pair().0;
        restarted.take(&ticks(&[(1, "MSFT")], 50), NOW);
        dashboard.take(&board(&mut restarted, true), NOW);
        assert_eq!(tape(&dashboard.flush(NOW), 1), [(50.0, 1)]);
        assert_eq!(dashboard.rows(), restarted.rows());
        assert!(dashboard.retired.is_empty());
    }

    #[test]
    fn ticks_that_were_told_as_json_are_not_told_again_with_the_board() {
        let (mut collector, mut dashboard) = pair();
        collector.take(&ticks(&NAMES, 1), NOW);
        // It started later.
        collector.take(&ticks(&NAMES, 11), NOW);
        dashboard.take(&ticks(&NAMES, 11), NOW);
        collector.take(&ticks(&NAMES, 21), NOW);
        dashboard.take(&board(&mut collector, false), NOW);
        let frames = dashboard.flush(NOW);
        let prices: Vec<_> = tape(&frames, 1).into_iter().map(|(price, _)| price).collect();
        assert_eq!(prices, [11.0, 13.0, 15.0, 21.0, 23.0, 25.0]);
        assert_eq!(dashboard.rows(), collector.rows());
    }
}
