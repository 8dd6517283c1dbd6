//! What the hub writes down of about a second: ticks as they were folded, and the frames that told of them.

use app::model::{
    connection::ConnectionId,
    protocol::{Frame, RowId, TickEntry, Ticks},
    symbol::Symbol,
    tape::{TAPE_ENTRIES_MAX, Tape},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// A tick that was folded into a row of the board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Recorded {
    pub(super) row: RowId,
    /// Ticks that it stands for: 1 where the bus had nothing to conflate.
    pub(super) count: u32,
    pub(super) price: f64,
    pub(super) volume: u64,
    pub(super) timestamp: UnixMillis,
    pub(super) connection_id: ConnectionId,
}

/// A tick whose row got another number, or went, before it was told: it is known by its name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Renumbered {
    pub(super) connection_id: ConnectionId,
    pub(super) symbol: Symbol,
    pub(super) price: f64,
    pub(super) volume: u64,
    pub(super) timestamp: UnixMillis,
    pub(super) count: u32,
}

/// What is no tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum State {
    /// New rows, states, metrics. Never a snapshot, which is [`Chunk::start`], nor what the ticks tell by themselves.
    Frame(Box<Frame>),
    Renumbered(Vec<Renumbered>),
}

/// The frames that the sockets were sent in one go.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Step {
    pub(super) at: UnixMillis,
    pub(super) waited_ms: u16,
    /// Where its ticks end among the chunk's; they begin where those of the step before end.
    pub(super) ticks_end: usize,
    /// The same among the chunk's states.
    pub(super) states_end: usize,
}

/// Where a recording begins, begins again, or gets other rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Start {
    /// A [`Frame::Snapshot`]. The ticks of the first step are in it already.
    pub(super) snapshot: Box<Frame>,
    /// Ticks that were not recorded before it.
    pub(super) lost: u64,
    /// The epoch of the collector, where it has one.
    pub(super) epoch: Option<u64>,
}

/// About a second of what the hub folded and told.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Chunk {
    pub(super) start: Option<Start>,
    pub(super) ticks: Vec<Recorded>,
    pub(super) steps: Vec<Step>,
    pub(super) states: Vec<State>,
}

impl Chunk {
    pub(super) fn clear(&mut self) {
        self.start = None;
        self.ticks.clear();
        self.steps.clear();
        self.states.clear();
    }

    /// Ticks that it stands for.
    pub(super) fn ticks_total(&self) -> u64 {
        let renumbered = self.states.iter().map(|state| match state {
            State::Renumbered(ticks) => ticks.iter().map(|tick| u64::from(tick.count)).sum(),
            State::Frame(_) => 0,
        });
        self.ticks.iter().map(|tick| u64::from(tick.count)).sum::<u64>() + renumbered.sum::<u64>()
    }

    pub(super) fn view(&self, step: usize) -> StepView<'_> {
        let before = step.checked_sub(1).map(|before| &self.steps[before]);
        let (ticks, states) = before.map_or((0, 0), |before| (before.ticks_end, before.states_end));
        let Step { at, waited_ms, ticks_end, states_end } = self.steps[step];
        StepView {
            at,
            waited_ms,
            // Behind a snapshot nothing is told but the tape.
            start: self.start.as_ref().filter(|_| step == 0),
            ticks: &self.ticks[ticks..ticks_end],
            states: &self.states[states..states_end],
        }
    }
}

/// One step of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepView<'a> {
    pub(super) at: UnixMillis,
    pub(super) waited_ms: u16,
    pub(super) start: Option<&'a Start>,
    pub(super) ticks: &'a [Recorded],
    pub(super) states: &'a [State],
}

impl StepView<'_> {
    /// The frames that the sockets were sent then, in order, with every connection's tape where `tapes` are wanted.
    pub(super) fn frames(&self, tapes: bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        frames.extend(self.start.map(|start| start.snapshot.as_ref().clone()));
        let told = || {
            self.states.iter().filter_map(|state| match state {
                State::Frame(frame) => Some(frame.as_ref()),
                State::Renumbered(_) => None,
            })
        };
        frames.extend(told().filter(|frame| matches!(frame, Frame::Rows(_))).cloned());
        if tapes {
            self.tapes(&mut frames);
        }
        if self.start.is_none() && !self.ticks.is_empty() {
            frames.push(Frame::Ticks(self.latest()));
        }
        frames.extend(told().filter(|frame| !matches!(frame, Frame::Rows(_))).cloned());
        frames
    }

    fn entry(&self, tick: &Recorded) -> TickEntry {
        TickEntry {
            row: tick.row,
            price: tick.price,
            volume: tick.volume,
            age_ms: self.at.millis_since(tick.timestamp),
            ticks: tick.count,
        }
    }

    fn tapes(&self, frames: &mut Vec<Frame>) {
        let mut tapes: Vec<Tape> = Vec::new();
        for tick in self.ticks {
            let place = tapes.iter().position(|tape| tape.connection_id == tick.connection_id).unwrap_or_else(|| {
                tapes.push(Tape { connection_id: tick.connection_id, at: self.at, ..Tape::default() });
                tapes.len() - 1
            });
            let tape = &mut tapes[place];
            if tape.entries.len() < TAPE_ENTRIES_MAX {
                tape.entries.push(self.entry(tick));
            } else {
                tape.skipped = tape.skipped.saturating_add(tick.count);
            }
        }
        frames.extend(tapes.into_iter().map(Frame::Tape));
    }

    /// One entry a row: its latest tick, and the count of all.
    fn latest(&self) -> Ticks {
        let mut places = foldhash::HashMap::<RowId, usize>::default();
        let mut entries: Vec<TickEntry> = Vec::with_capacity(self.ticks.len());
        for tick in self.ticks {
            let place = *places.entry(tick.row).or_insert(entries.len());
            let entry = self.entry(tick);
            match entries.get_mut(place) {
                Some(known) => *known = TickEntry { ticks: known.ticks.saturating_add(entry.ticks), ..entry },
                None => entries.push(entry),
            }
        }
        Ticks { at: self.at, entries, waited_ms: self.waited_ms }
    }
}
