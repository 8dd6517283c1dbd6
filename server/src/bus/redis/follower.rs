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
    InStep(Place),
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
            Step::InStep(_) => true,
            Step::Lost { since, had_board } | Step::Assembling(Assembly { since, had_board, .. }) => {
                *had_board && now - *since < SILENT
            }
        };
        is_shown && now - *heard < SILENT
    }

    /// Is the board needed, from somebody who is there?
    pub(super) fn wants_board(&self, now: Instant) -> bool {
        let followed = self.followed.as_ref();
        followed.is_some_and(|followed| !matches!(followed.step, Step::InStep(_)) && now - followed.heard < SILENT)
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
            Step::InStep(_) => true,
            Step::Lost { had_board, .. } | Step::Assembling(Assembly { had_board, .. }) => *had_board,
        }
    }

    fn lose(&mut self, now: Instant) {
        let since = match &self.step {
            Step::Lost { since, .. } | Step::Assembling(Assembly { since, .. }) => *since,
            Step::InStep(_) => now,
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
            Step::InStep(place) if header.sequence == place.sequence => {
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
            Step::InStep(place) | Step::Assembling(Assembly { end: place, .. }) => {
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
            Step::InStep(_) => return Ok(()),
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
        self.step = Step::InStep(assembly.end);
        Ok(())
    }
}

impl Place {
    fn after(self, frame: &TickFrame) -> Self {
        Self { sequence: self.sequence + 1, ticks: self.ticks + frame.ticks_total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{
        frames::{BoardCopy, Encoded, FrameWriter},
        mailbox::{Delivery, Inbox, mailbox, tests::tick},
    };

    const AT: UnixMillis = UnixMillis(1_768_998_896_789);

    /// A dashboard, and what it was told.
    struct Dashboard {
        follower: Follower,
        outbox: Outbox,
        inbox: Inbox,
        start: Instant,
        now: Instant,
    }

    impl Dashboard {
        fn new() -> Self {
            let ((outbox, inbox), start) = (mailbox(), Instant::now());
            Self { follower: Follower::default(), outbox, inbox, start, now: start }
        }

        fn take(&mut self, messages: &[Encoded]) {
            for message in messages {
                self.follower.take(&message.bytes, (self.now, AT), &self.outbox).expect("a good one");
            }
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// Whether a board came, and the prices after it.
        fn told(&mut self) -> (bool, Vec<f64>) {
            let mut delivery = Delivery::default();
            self.inbox.take_now(&mut delivery);
            (delivery.board.is_some(), delivery.ticks.iter().map(|tick| tick.price).collect())
        }

        fn state(&self) -> (bool, bool) {
            (self.follower.is_following(self.now), self.follower.wants_board(self.now))
        }
    }

    fn writer(epoch: u64, run: u64) -> FrameWriter {
        FrameWriter::new(Stream { epoch, run })
    }

    fn frame(writer: &mut FrameWriter, prices: &[f64]) -> Vec<Encoded> {
        for price in prices {
            writer.record(1, 0, &tick("A", *price), 1, AT);
        }
        writer.drain(AT).collect()
    }

    fn board(writer: &FrameWriter) -> Vec<Encoded> {
        // Two parts.
        let rates = (1..=16).map(|id| (id, vec![1.0; 300])).collect::<Vec<_>>();
        let removed = vec![app::model::protocol::Row::empty(1, tick("A", 1.0).symbol); 16_000];
        let messages = writer.board(&BoardCopy { rates, removed, ..BoardCopy::default() });
        assert_eq!(messages.len(), 2);
        messages
    }

    fn in_step(writer: &mut FrameWriter) -> Dashboard {
        let mut dashboard = Dashboard::new();
        dashboard.take(&frame(writer, &[1.0]));
        dashboard.take(&board(writer));
        assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![]), (true, false)));
        dashboard
    }

    #[test]
    fn it_asks_for_the_board_takes_it_and_goes_on_from_there() {
        let (mut dashboard, mut writer) = (Dashboard::new(), writer(1, 1));
        assert_eq!(dashboard.state(), (false, false), "nobody is there to be asked");
        dashboard.take(&frame(&mut writer, &[1.0]));
        assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)));
        let (parts, between) = (board(&writer), frame(&mut writer, &[2.0, 3.0]));
        dashboard.take(&parts[..1]);
        dashboard.take(&between);
        assert_eq!(dashboard.told(), (false, vec![]), "kept until the board is whole");
        dashboard.take(&parts[1..]);
        assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![2.0, 3.0]), (true, false)));
        dashboard.take(&frame(&mut writer, &[4.0]));
        dashboard.take(&board(&writer));
        assert_eq!(dashboard.told(), (false, vec![4.0]), "somebody else's board is not needed");
        dashboard.take(&between);
        assert_eq!(
            (dashboard.told().1, dashboard.follower.take_missed()),
            (vec![], 0),
            "what comes twice is told once"
        );
    }

    #[test]
    fn what_is_missed_is_counted_to_the_tick_and_repaired_with_the_board() {
        let mut writer = writer(1, 1);
        let mut dashboard = in_step(&mut writer);
        dashboard.take(&frame(&mut writer, &[2.0]));
        frame(&mut writer, &[3.0, 4.0, 5.0]);
        dashboard.take(&frame(&mut writer, &[6.0]));
        assert_eq!((dashboard.told().1, dashboard.follower.take_missed()), (vec![2.0], 3));
        assert_eq!(dashboard.state(), (true, true), "its old board is shown meanwhile, and no JSON");
        dashboard.take(&frame(&mut writer, &[7.0]));
        dashboard.take(&board(&writer));
        dashboard.take(&frame(&mut writer, &[8.0]));
        assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![8.0]), (true, false)));
        // The last one before a silence: a sign of life tells.
        frame(&mut writer, &[9.0]);
        dashboard.take(&writer.sign_of_life(AT).collect::<Vec<_>>());
        assert_eq!((dashboard.follower.take_missed(), dashboard.state().1), (1, true));
    }

    #[test]
    fn a_board_of_which_something_is_missing_is_asked_for_again() {
        let mut writer = writer(1, 1);
        let mut dashboard = Dashboard::new();
        dashboard.take(&frame(&mut writer, &[1.0]));
        let parts = board(&writer);
        dashboard.take(&parts[1..]);
        dashboard.take(&parts[..1]);
        frame(&mut writer, &[2.0]);
        dashboard.take(&frame(&mut writer, &[3.0]));
        dashboard.take(&parts[1..]);
        assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)));
        let parts = board(&writer);
        dashboard.take(&parts[..1]);
        // Another one began.
        dashboard.take(&board(&writer));
        assert_eq!((dashboard.told().0, dashboard.state()), (true, (true, false)));
        frame(&mut writer, &[4.0]);
        dashboard.take(&frame(&mut writer, &[5.0]));
        let header = Header { stream: Stream { epoch: 1, run: 1 }, sequence: 9, ticks_before: 0 };
        let garbage = [&[1, 1][..], &postcard::to_stdvec(&(header, 0_u32, 1_u32)).unwrap(), &[255; 20]].concat();
        assert!(dashboard.follower.take(&garbage, (dashboard.now, AT), &dashboard.outbox).is_err());
        assert_eq!(dashboard.state(), (true, true));
    }

    #[test]
    fn a_higher_epoch_takes_over_with_its_board_and_a_lower_one_says_nothing() {
        let (mut old, mut new) = (writer(7, 9), writer(8, 1));
        let mut dashboard = in_step(&mut old);
        dashboard.take(&frame(&mut new, &[100.0]));
        assert_eq!(dashboard.state(), (true, true));
        dashboard.take(&frame(&mut old, &[2.0]));
        dashboard.take(&board(&old));
        assert_eq!(dashboard.told(), (false, vec![]), "neither the old one's nor, without its board, the new one's");
        dashboard.take(&board(&new));
        dashboard.take(&frame(&mut new, &[101.0]));
        assert_eq!((dashboard.told(), dashboard.follower.take_missed()), ((true, vec![101.0]), 0));
        dashboard.wait(60);
        dashboard.take(&frame(&mut old, &[3.0]));
        assert_eq!(
            (dashboard.told(), dashboard.state()),
            ((false, vec![]), (false, false)),
            "not even after a silence"
        );
    }

    #[test]
    fn without_epochs_the_later_start_is_followed_or_whoever_is_left() {
        let (mut early, mut late) = (writer(0, 5), writer(0, 6));
        let mut dashboard = in_step(&mut early);
        dashboard.take(&frame(&mut late, &[1.0]));
        dashboard.take(&board(&late));
        assert!(dashboard.told().0);
        dashboard.wait(2);
        dashboard.take(&frame(&mut early, &[2.0]));
        dashboard.take(&board(&early));
        assert_eq!(dashboard.told(), (false, vec![]), "never to and fro");
        dashboard.wait(3);
        dashboard.take(&frame(&mut early, &[3.0]));
        dashboard.take(&board(&early));
        assert_eq!((dashboard.told(), dashboard.state()), ((true, vec![]), (true, false)));
    }

    #[test]
    fn a_collector_that_falls_silent_is_followed_no_more_until_its_board_has_come() {
        let mut writer = writer(1, 1);
        let mut dashboard = in_step(&mut writer);
        dashboard.wait(14);
        assert_eq!(dashboard.state(), (true, false));
        dashboard.wait(1);
        assert_eq!(dashboard.state(), (false, false));
        dashboard.take(&frame(&mut writer, &[2.0]));
        assert_eq!((dashboard.told(), dashboard.state()), ((false, vec![]), (false, true)), "JSON was told meanwhile");
        dashboard.take(&board(&writer));
        assert_eq!((dashboard.told().0, dashboard.state()), (true, (true, false)));
        // One that is there and whose board does not come.
        frame(&mut writer, &[3.0]);
        for _ in 0..15 {
            dashboard.take(&frame(&mut writer, &[4.0]));
            assert_eq!(dashboard.state(), (true, true));
            dashboard.wait(1);
        }
        assert_eq!(dashboard.state(), (false, true));
        assert_eq!(dashboard.start + Duration::from_secs(30), dashboard.now);
    }
}
