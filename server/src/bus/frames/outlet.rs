//! Where the hub leaves frames for the publisher, and hears that somebody wants the whole board. Bounded; the oldest frames go
//! first, as dashboards notice what they miss and take the board anew.

use super::{Encoded, Stream};
use app::model::time::UnixMillis;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Bytes that may wait: some seconds of the busiest tapes, or the largest board.
const BYTES_MAX: usize = 24 << 20;
/// The shortest time from one board to the next: all who ask meanwhile share it.
const BOARD_INTERVAL: Duration = Duration::from_millis(200);

/// The way of frames out of the hub.
#[derive(Debug, Default)]
pub struct Outlet {
    state: Mutex<State>,
    filled: Notify,
    asked: Notify,
}

#[derive(Debug, Default)]
struct State {
    stream: Option<Stream>,
    frames: VecDeque<Encoded>,
    bytes: usize,
    lost_ticks: u64,
    is_asked: bool,
    next_board: Option<Instant>,
}

impl Outlet {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This server collects from now on, under this epoch (0 without a lease): its frames begin anew.
    pub fn begin(&self, epoch: u64) {
        let run = u64::try_from(UnixMillis::now().0).unwrap_or_default();
        let mut state = self.lock();
        // Two within a millisecond are two all the same.
        let run = state.stream.map_or(run, |before| run.max(before.run + 1));
        state.stream = Some(Stream { epoch, run });
        (state.is_asked, state.next_board) = (false, None);
    }

    /// It does not any more; what waits is dropped.
    pub fn end(&self) {
        let mut state = self.lock();
        state.stream = None;
        state.lost_ticks += state.frames.drain(..).map(|frame| frame.ticks).sum::<u64>();
        state.bytes = 0;
    }

    /// Does nothing wait?
    pub fn is_empty(&self) -> bool {
        self.lock().frames.is_empty()
    }

    /// Whose frames are wanted; `None` where this server does not collect.
    #[must_use]
    pub fn stream(&self) -> Option<Stream> {
        self.lock().stream
    }

    /// Leaves messages in order; were there any?
    pub fn put(&self, messages: impl IntoIterator<Item = Encoded>) -> bool {
        let mut messages = messages.into_iter().peekable();
        if messages.peek().is_none() {
            return false;
        }
        let mut state = self.lock();
        for message in messages {
            state.bytes += message.bytes.len();
            state.frames.push_back(message);
        }
        while state.bytes > BYTES_MAX
            && let Some(oldest) = state.frames.pop_front()
        {
            state.bytes -= oldest.bytes.len();
            state.lost_ticks += oldest.ticks;
        }
        drop(state);
        self.filled.notify_one();
        true
    }

    /// Takes the oldest messages, up to about so many bytes.
    pub fn take(&self, bytes_max: usize, into: &mut Vec<Encoded>) {
        let mut state = self.lock();
        let mut taken = 0;
        while taken < bytes_max
            && let Some(message) = state.frames.pop_front()
        {
            taken += message.bytes.len();
            into.push(message);
        }
        state.bytes -= taken;
    }

    /// Drops what waits. Answers the ticks that were lost with it, and with what did not fit.
    pub fn clear(&self) -> u64 {
        let mut state = self.lock();
        let lost = state.frames.drain(..).map(|frame| frame.ticks).sum::<u64>();
        state.bytes = 0;
        lost + std::mem::take(&mut state.lost_ticks)
    }

    /// The ticks that were lost with what did not fit, since this was last asked for.
    pub fn lost_ticks(&self) -> u64 {
        std::mem::take(&mut self.lock().lost_ticks)
    }

    /// Resolves when something was left.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Somebody wants the board.
    pub fn ask(&self) {
        let mut state = self.lock();
        if state.stream.is_some() {
            state.is_asked = true;
            drop(state);
            self.asked.notify_one();
        }
    }

    /// Resolves when the board is wanted and the last one is not too recent. Safe to cancel.
    pub async fn board_wanted(&self) {
        loop {
            let next = {
                let state = self.lock();
                state.is_asked.then_some(state.next_board)
            };
            match next {
                None => self.asked.notified().await,
                Some(Some(next)) if Instant::now() < next => sleep_until(next).await,
                Some(_) => return,
            }
        }
    }

    /// The board goes out now.
    pub fn answered(&self) {
        let mut state = self.lock();
        (state.is_asked, state.next_board) = (false, Some(Instant::now() + BOARD_INTERVAL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn message(bytes: usize, ticks: u64) -> Encoded {
        Encoded { bytes: vec![0; bytes], ticks }
    }

    #[tokio::test]
    async fn ten_who_ask_at_once_share_one_board_and_those_behind_them_the_next_one() {
        let outlet = Outlet::default();
        outlet.ask();
        assert!(outlet.board_wanted().now_or_never().is_none(), "nobody collects here");
        outlet.begin(7);
        let since = Instant::now();
        (0..10).for_each(|_| outlet.ask());
        outlet.board_wanted().await;
        outlet.answered();
        assert!(outlet.board_wanted().now_or_never().is_none(), "that was all of them");
        (0..10).for_each(|_| outlet.ask());
        outlet.board_wanted().await;
        assert!(since.elapsed() >= BOARD_INTERVAL, "{:?}", since.elapsed());
    }

    #[test]
    fn every_begin_is_a_later_stream_and_an_end_is_none() {
        let outlet = Outlet::default();
        assert_eq!(outlet.stream(), None);
        outlet.begin(0);
        let first = outlet.stream();
        outlet.begin(0);
        let second = outlet.stream();
        assert!(second > first);
        outlet.put([message(10, 1)]);
        outlet.end();
        let mut taken = Vec::new();
        outlet.take(100, &mut taken);
        assert_eq!((outlet.stream(), taken.len()), (None, 0));
    }

    #[test]
    fn what_waits_is_bounded_and_what_does_not_fit_is_counted() {
        let outlet = Outlet::default();
        assert!(!outlet.put([]) && outlet.put([message(BYTES_MAX / 2, 5), message(BYTES_MAX / 2, 6), message(1, 7)]));
        assert_eq!((outlet.lost_ticks(), outlet.lost_ticks()), (5, 0));
        let mut taken = Vec::new();
        outlet.take(1, &mut taken);
        assert_eq!(taken.iter().map(|message| message.ticks).collect::<Vec<_>>(), [6]);
        assert_eq!((outlet.clear(), outlet.clear()), (7, 0));
    }
}
