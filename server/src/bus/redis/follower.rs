//! What a dashboard makes of the frames on Redis: which collector it follows, whether it missed something, and when it needs the
//! whole board.
//!
//! ```text
//!              a frame of a collector                    the board's first part
//!  (nobody) ──────────────────────────▶ lost: asks ──────────────────────────────▶ assembling
//!                                         ▲   ▲                                       │    │ its last part
//!                  a number was missed,   │   └─────────── a part is missing ─────────┘    ▼
//!                  or a later collector   └──────────────────────────────────────────── in step: each frame is told
//! ```
//!
//! Plain data but for the inbox: times are handed in.

use crate::bus::{
    frames::{BOARD_BYTES_MAX, Body, FrameError, Header, Part, Stream, TickFrame, read_board, read_frame},
    mailbox::{NewBoard, Outbox},
};
use app::model::time::UnixMillis;
use std::time::Duration;
use tokio::time::Instant;

/// A collector that says nothing for so long is not followed any more: it tells that it is there four times a second.
const SILENT: Duration = Duration::from_secs(15);
/// One without a lease may have been replaced by one whose clock is behind.
const SUCCEEDED: Duration = Duration::from_secs(3);
/// Frames that come while a board is assembled.
const HELD_MAX: usize = 2_048;
const HELD_TICKS_MAX: usize = 1 << 18;

#[derive(Default)]
pub(super) struct Follower {
    followed: Option<Followed>,
    missed_ticks: u64,
}

struct Followed {
    stream: Stream,
    heard: Instant,
    step: Step,
}

enum Step {
    /// Since then; what came before is on the board that is shown.
    Lost {
        since: Instant,
        had_board: bool,
    },
    Assembling(Assembly),
    Following(Place),
}

/// What comes next.
#[derive(Clone, Copy)]
struct Place {
    sequence: u64,
    ticks: u64,
}

struct Assembly {
    since: Instant,
    had_board: bool,
    next: Place,
    bytes: Vec<u8>,
    parts: (u32, u32),
    held: Vec<(TickFrame, UnixMillis)>,
    held_ticks: usize,
    end: Place,
}

impl Follower {
    /// Takes a message from the channel of frames.
    ///
    /// # Errors
    /// Why it was dropped.
    pub(super) fn take(
        &mut self,
        message: &[u8],
        (now, at): (Instant, UnixMillis),
        outbox: &Outbox,
    ) -> Result<(), FrameError> {
        let message = read_frame(message)?;
        let Some(followed) = self.follow(message.header.stream, now) else { return Ok(()) };
        match message.body {
            Body::Ticks(frame) => {
                self.missed_ticks += followed.take_ticks(&message.header, frame, (now, at), outbox);
                Ok(())
            }
            Body::Part(part) => followed.take_part(&message.header, part, now, outbox),
        }
    }

    /// Is its board the one to be shown? Then ticks that come as JSON are told by the collector as well.
    pub(super) fn is_following(&self, now: Instant) -> bool {
        let Some(Followed { heard, step, .. }) = &self.followed else { return false };
        let is_shown = match step {
            Step::Following(_) => true,
            Step::Lost { since, had_board } | Step::Assembling(Assembly { since, had_board, .. }) => {
                *had_board && now - *since < SILENT
            }
        };
        is_shown && now - *heard < SILENT
    }

    /// Is the board needed, from somebody who is there?
    pub(super) fn wants_board(&self, now: Instant) -> bool {
        let followed = self.followed.as_ref();
        followed.is_some_and(|followed| !matches!(followed.step, Step::Following(_)) && now - followed.heard < SILENT)
    }

    /// Follows nobody until somebody is heard again; the epochs that were seen stay.
    pub(super) fn rest(&mut self) {
        if let Some(followed) = &mut self.followed {
            followed.step = Step::Lost { since: followed.heard, had_board: false };
        }
    }

    /// Ticks that were missed since this was last asked for.
    pub(super) fn take_missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed_ticks)
    }

    /// Whoever is to be followed, if this message is of them: never one of a lower epoch than was seen.
    fn follow(&mut self, stream: Stream, now: Instant) -> Option<&mut Followed> {
        let is_newer = self.followed.as_ref().is_none_or(|followed| {
            let is_successor = stream.epoch == followed.stream.epoch && now - followed.heard >= SUCCEEDED;
            stream > followed.stream || (is_successor && stream != followed.stream)
        });
        if is_newer {
            let had_board = self.followed.as_ref().is_some_and(Followed::has_board);
            self.followed = Some(Followed { stream, heard: now, step: Step::Lost { since: now, had_board } });
        }
        let followed = self.followed.as_mut().filter(|followed| followed.stream == stream)?;
        if now - followed.heard >= SILENT {
            // Meanwhile JSON was told.
            followed.step = Step::Lost { since: now, had_board: false };
        }
        followed.heard = now;
        Some(followed)
    }
}

impl Followed {
    fn has_board(&self) -> bool {
        match &self.step {
            Step::Following(_) => true,
            Step::Lost { had_board, .. } | Step::Assembling(Assembly { had_board, .. }) => *had_board,
        }
    }

    fn lose(&mut self, now: Instant) {
        let since = match &self.step {
            Step::Lost { since, .. } | Step::Assembling(Assembly { since, .. }) => *since,
            Step::Following(_) => now,
        };
        self.step = Step::Lost { since, had_board: self.has_board() };
    }

    /// Answers how many ticks were missed before these.
    fn take_ticks(
        &mut self,
        header: &Header,
        frame: TickFrame,
        (now, at): (Instant, UnixMillis),
        outbox: &Outbox,
    ) -> u64 {
        let received = UnixMillis(at.0.saturating_sub(frame.waited_ms.into()));
        match &mut self.step {
            Step::Lost { .. } => 0,
            Step::Following(place) if header.sequence == place.sequence => {
                *place = place.after(&frame);
                outbox.put_frame(&frame, received);
                0
            }
            Step::Assembling(assembly) if header.sequence == assembly.end.sequence => {
                assembly.end = assembly.end.after(&frame);
                assembly.held_ticks += frame.ticks.len();
                assembly.held.push((frame, received));
                if assembly.held.len() > HELD_MAX || assembly.held_ticks > HELD_TICKS_MAX {
                    self.lose(now);
                }
                0
            }
            Step::Following(place) | Step::Assembling(Assembly { end: place, .. }) => {
                if header.sequence < place.sequence {
                    // Twice.
                    return 0;
                }
                let missed = header.ticks_before.saturating_sub(place.ticks);
                self.lose(now);
                missed
            }
        }
    }

    fn take_part(&mut self, header: &Header, part: Part<'_>, now: Instant, outbox: &Outbox) -> Result<(), FrameError> {
        let (since, had_board) = match &self.step {
            // Somebody else asked for it.
            Step::Following(_) => return Ok(()),
            Step::Lost { since, had_board } | Step::Assembling(Assembly { since, had_board, .. }) => {
                (*since, *had_board)
            }
        };
        let next = Place { sequence: header.sequence, ticks: header.ticks_before };
        if part.number == 0 {
            let held = Vec::new();
            let parts = (0, part.count);
            let bytes = Vec::new();
            self.step =
                Step::Assembling(Assembly { since, had_board, next, bytes, parts, held, held_ticks: 0, end: next });
        }
        let Step::Assembling(assembly) = &mut self.step else { return Ok(()) };
        let is_next = assembly.next.sequence == header.sequence && assembly.parts == (part.number, part.count);
        if !is_next || assembly.bytes.len() + part.bytes.len() > BOARD_BYTES_MAX {
            self.lose(now);
            return Ok(());
        }
        assembly.bytes.extend_from_slice(part.bytes);
        assembly.parts.0 += 1;
        if assembly.parts.0 < part.count {
            return Ok(());
        }
        let board = match read_board(&assembly.bytes) {
            Ok(board) => board,
            Err(error) => {
                self.lose(now);
                return Err(error);
            }
        };
        outbox.put_board(Box::new(NewBoard { copy: board, continues: had_board }));
        for (frame, received) in &assembly.held {
            outbox.put_frame(frame, *received);
        }
        self.step = Step::Following(assembly.end);
        Ok(())
    }
}

impl Place {
    fn after(self, frame: &TickFrame) -> Self {
        Self { sequence: self.sequence + 1, ticks: self.ticks + frame.ticks_total }
    }
}

#[cfg(test)]
mod tests;
