//! Somebody looks at the past: seeks, goes on, steps. What they get are the frames that a live socket would have been sent.

use super::{Recording, chunk::Recorded, index::SILENCE_MS, merge::Merged, player::Player};
use app::model::{
    board::Board,
    connection::ConnectionId,
    protocol::{Frame, TickEntry},
    tape::{Tape, TapeSet},
    time::UnixMillis,
};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

/// Ticks of a connection that a tape has when somebody comes to a moment.
const TAPE_TICKS: usize = 200;
/// From how long before.
const TAPE_MS: i64 = 5_000;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum NotShown {
    /// Nothing was recorded then.
    #[error("nothing is recorded at {at}{}", there_is(.spans))]
    NotRecorded {
        /// The moment that was asked for.
        at: UnixMillis,
        /// What is recorded.
        spans: Vec<(UnixMillis, UnixMillis)>,
    },
    /// The disk.
    #[error("the recording cannot be read right now")]
    Disk(#[from] io::Error),
}

fn there_is(spans: &[(UnixMillis, UnixMillis)]) -> String {
    match (spans.first(), spans.last()) {
        (Some((from, _)), Some((_, to))) => format!("; there is something from {from} to {to}"),
        _ => "; nothing is recorded at all".to_owned(),
    }
}

/// How far somebody came.
#[derive(Debug, Default)]
pub struct Advanced {
    /// What a live socket would have been sent, in order.
    pub frames: Vec<Frame>,
    /// Nothing was recorded from then on, for a while that was passed over.
    pub skipped_from: Option<UnixMillis>,
    /// There is no more.
    pub is_end: bool,
}

/// One reader of the past. Its methods read files: not for a thread that must not wait.
pub struct Session {
    recording: Recording,
    player: Option<Player>,
    /// The moment that was asked for, until it goes on from there: its last frame may be a little older.
    sought: Option<UnixMillis>,
}

impl Session {
    /// A reader who stands nowhere yet.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self { recording, player: None, sought: None }
    }

    /// The moment that is shown: the one that was asked for, or that of the last frame.
    #[must_use]
    pub fn at(&self) -> Option<UnixMillis> {
        self.sought.or(self.frame_at())
    }

    fn frame_at(&self) -> Option<UnixMillis> {
        self.player.as_ref().map(|player| player.past.at)
    }

    /// The board that is shown.
    #[must_use]
    pub fn board(&self) -> Option<&Board> {
        self.player.as_ref().map(|player| &player.past.board)
    }

    /// Goes to a moment: the whole board of then, and the ends of these tapes.
    ///
    /// # Errors
    /// When nothing was recorded then; whoever asks stays where they were.
    pub fn seek(&mut self, at: UnixMillis, tapes: TapeSet) -> Result<Vec<Frame>, NotShown> {
        // One that is asked for in the middle of a hole is no moment; its tape may reach into one.
        let mut player = self.recording.player(at, at)?;
        let early = UnixMillis(at.0.saturating_sub(TAPE_MS));
        if tapes != TapeSet::default()
            && let Ok(earlier) = self.recording.player(early, early)
        {
            player = earlier;
        }
        let mut ends = Ends { open: tapes, ..Ends::default() };
        while player.next_at()?.is_some_and(|next| next <= at) {
            ends.note(&player);
            player.step(false);
        }
        player.run_to(at)?;
        self.recording.is_of(at, &player)?;
        let mut frames = vec![Frame::Snapshot(Box::new(player.past.snapshot()))];
        frames.extend(ends.tapes(player.past.at));
        (self.player, self.sought) = (Some(player), Some(at));
        Ok(frames)
    }

    /// Goes to the frame before the one that is shown.
    ///
    /// # Errors
    /// When nothing was recorded before.
    pub fn step_back(&mut self, tapes: TapeSet) -> Result<Vec<Frame>, NotShown> {
        let before = UnixMillis(self.frame_at().unwrap_or_default().0 - 1);
        let sought = match self.seek(before, tapes) {
            // Behind a hole, the frame before it.
            Err(NotShown::NotRecorded { spans, at }) => match spans.iter().rev().find(|(_, to)| *to < at) {
                Some((_, to)) => self.seek(*to, tapes),
                None => Err(NotShown::NotRecorded { spans, at }),
            },
            sought => sought,
        };
        if sought.is_ok() {
            self.sought = None;
        }
        sought
    }

    /// Goes on by one frame.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn step(&mut self, tapes: TapeSet) -> Result<Advanced, NotShown> {
        let mut advanced = Advanced::default();
        if self.skip_hole(&mut advanced)? {
            self.play_one(tapes, &mut advanced.frames)?;
        }
        Ok(advanced)
    }

    /// Goes on until a moment. `merges`: what is told in several steps is put together, one entry a row.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn advance(&mut self, until: UnixMillis, tapes: TapeSet, merges: bool) -> Result<Advanced, NotShown> {
        let (mut advanced, mut merged) = (Advanced::default(), Merged::default());
        while let Some(player) = &mut self.player {
            let next = player.next_at()?;
            match next.filter(|next| next.millis_since(player.past.at) <= SILENCE_MS) {
                Some(next) if next > until => break,
                Some(_) => {
                    let mut frames = Vec::new();
                    self.play_one(tapes, &mut frames)?;
                    if merges {
                        frames.into_iter().for_each(|frame| merged.add(frame));
                    } else {
                        advanced.frames.append(&mut frames);
                    }
                }
                None => {
                    // A hole, or the end: both are said, and what comes behind a hole is shown at once.
                    if self.skip_hole(&mut advanced)? && advanced.skipped_from.is_some() {
                        let mut frames = Vec::new();
                        self.play_one(tapes, &mut frames)?;
                        frames.into_iter().for_each(|frame| merged.add(frame));
                    }
                    break;
                }
            }
        }
        advanced.frames.extend(merged.into_frames());
        Ok(advanced)
    }

    fn play_one(&mut self, tapes: TapeSet, frames: &mut Vec<Frame>) -> Result<(), NotShown> {
        let Some(player) = &mut self.player else { return Ok(()) };
        self.sought = None;
        let wanted = |frame: &Frame| match frame {
            Frame::Tape(tape) => tapes.contains(tape.connection_id),
            _ => true,
        };
        frames.extend(player.step(tapes != TapeSet::default()).into_iter().filter(wanted));
        Ok(())
    }

    /// Is there a next step? Where nothing was recorded for a while it is behind that, which is said.
    fn skip_hole(&mut self, advanced: &mut Advanced) -> Result<bool, NotShown> {
        let Some(player) = &mut self.player else {
            advanced.is_end = true;
            return Ok(false);
        };
        let at = player.past.at;
        let next = match player.next_at()? {
            Some(next) => Some(next),
            None => {
                // More may have been written meanwhile.
                self.recording.follow(player)?;
                player.next_at()?
            }
        };
        match next {
            Some(next) => {
                advanced.skipped_from = (next.millis_since(at) > SILENCE_MS).then_some(at);
                Ok(true)
            }
            // Of what was kept the end is not the end of all.
            None => match self.recording.next_after(at)? {
                Some(next) => {
                    self.player = Some(self.recording.player(next, next)?);
                    let Some(player) = &mut self.player else { return Ok(false) };
                    advanced.skipped_from = Some(at);
                    Ok(player.next_at()?.is_some())
                }
                None => {
                    advanced.is_end = true;
                    Ok(false)
                }
            },
        }
    }
}

/// The last ticks of connections whose tape is open.
#[derive(Default)]
struct Ends {
    open: TapeSet,
    ticks: BTreeMap<ConnectionId, VecDeque<Recorded>>,
}

impl Ends {
    fn note(&mut self, player: &Player) {
        if player.starts_anew() {
            // Known by numbers that rows do not have any more.
            self.ticks.clear();
        }
        for tick in player.ahead().iter().filter(|tick| self.open.contains(tick.connection_id)) {
            let ticks = self.ticks.entry(tick.connection_id).or_default();
            if ticks.len() >= TAPE_TICKS {
                ticks.pop_front();
            }
            ticks.push_back(*tick);
        }
    }

    fn tapes(self, at: UnixMillis) -> impl Iterator<Item = Frame> {
        self.ticks.into_iter().map(move |(connection_id, ticks)| {
            let entries = ticks.into_iter().map(|tick| TickEntry {
                row: tick.row,
                price: tick.price,
                volume: tick.volume,
                age_ms: at.millis_since(tick.timestamp),
                ticks: tick.count,
            });
            Frame::Tape(Tape { connection_id, at, entries: entries.collect(), skipped: 0 })
        })
    }
}
