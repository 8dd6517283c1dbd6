//! The handle by which the rest of the simulator holds a session: its bounded outgoing queue, its subscriptions, its end.

use super::protocol::{self, FRAME_BYTES_MAX, Status};
use super::subscriptions::Subscriptions;
use app::model::time::UnixMillis;
use axum::extract::ws::Utf8Bytes;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// Why a session is over, by our will. What the client gets to see is in `docs/provider.md`, "Handshake and status messages".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The socket goes away without a word.
    Drop,
    /// A close frame with this code.
    Close(u16),
    /// `auth_failed`, then the socket goes away.
    Refused,
    /// `auth_failed` because of the plan, then the socket goes away.
    PlanRefused,
    /// `auth_timeout`, then the socket goes away.
    NotHeardOf,
    /// `max_connections`, then close 1008.
    Evicted,
    /// `slow_consumer`, then close 1008.
    Slow,
    /// `force_disconnect`, then close 1001. The status's name is on record, its text and the code are ours.
    Forced,
}

/// What the control interface can ask the feed to send to a session once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Extra {
    /// The last bars again.
    RepeatedBars = 1,
    /// The last bars again, as late trades changed them.
    RevisedBars = 2,
    /// Frames as large as they may be.
    LargeFrames = 4,
    /// Events of unknown kinds, with unknown fields, with times in nanoseconds and fractions of shares.
    StrangeEvents = 8,
}

/// A frame on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) text: Utf8Bytes,
    /// Market events in it; statuses do not count.
    pub(super) events: u64,
}

/// A session, as seen from outside.
#[derive(Debug)]
pub(super) struct Peer {
    /// Unique in this process.
    pub(super) id: u64,
    /// What faults name: `?connection=N` of the client's address, else the order of arrival.
    pub(super) connection: u32,
    /// When it arrived.
    pub(super) since: UnixMillis,
    /// Set by the control interface, taken by the feed: the bits of [`Extra`].
    extras: AtomicU8,
    events_sent: AtomicU64,
    queue: mpsc::Sender<Outgoing>,
    queued_bytes: AtomicUsize,
    queued_bytes_max: usize,
    subscriptions: Mutex<Subscriptions>,
    end: watch::Sender<Option<End>>,
}

/// How much may wait for a client that reads slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    pub(super) frames: usize,
    pub(super) bytes: usize,
}

impl Peer {
    pub(super) fn new(id: u64, connection: u32, limits: QueueLimits) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (queue, receiver) = mpsc::channel(limits.frames);
        let peer = Self {
            id,
            connection,
            since: UnixMillis::now(),
            extras: AtomicU8::new(0),
            events_sent: AtomicU64::new(0),
            queue,
            queued_bytes: AtomicUsize::new(0),
            queued_bytes_max: limits.bytes.max(FRAME_BYTES_MAX),
            subscriptions: Mutex::default(),
            end: watch::Sender::new(None),
        };
        (Arc::new(peer), receiver)
    }

    /// Asks the feed for something.
    pub(super) fn ask_for(&self, extra: Extra) {
        self.extras.fetch_or(extra as u8, Relaxed);
    }

    /// What was asked for since the last call: answers whether an [`Extra`] is among it.
    pub(super) fn take_extras(&self) -> impl Fn(Extra) -> bool + use<> {
        let asked = self.extras.swap(0, Relaxed);
        move |extra| asked & extra as u8 != 0
    }

    /// Queues a frame of data. A client for which there is no room is too slow, and that is the end of it: the market
    /// waits for nobody.
    pub(super) fn push(&self, text: String, events: u64) {
        let bytes = text.len();
        // Counted in before it can be counted out. The count of a frame that found no room is wrong and does not matter:
        // the session is over.
        let is_room = self.queued_bytes.fetch_add(bytes, Relaxed) + bytes <= self.queued_bytes_max;
        if !is_room || self.queue.try_send(Outgoing { text: text.into(), events }).is_err() {
            self.finish(End::Slow);
        }
    }

    /// Queues answers, and waits for room: a client that does not read its answers is not read either.
    pub(super) async fn answer(&self, statuses: &[Status]) {
        for text in protocol::frames(statuses) {
            self.queued_bytes.fetch_add(text.len(), Relaxed);
            // The queue is closed only when the session is over.
            if self.queue.send(Outgoing { text: text.into(), events: 0 }).await.is_err() {
                return;
            }
        }
    }

    /// A frame went to the socket.
    pub(super) fn count_sent(&self, bytes: usize, events: u64) {
        self.queued_bytes.fetch_sub(bytes, Relaxed);
        self.events_sent.fetch_add(events, Relaxed);
    }

    pub(super) fn events_sent(&self) -> u64 {
        self.events_sent.load(Relaxed)
    }

    /// Ends the session. The first reason counts.
    pub(super) fn finish(&self, end: End) {
        self.end.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(end);
            is_first
        });
    }

    /// Resolves when the session is to end.
    pub(super) async fn ended(&self) -> End {
        let mut end = self.end.subscribe();
        // The sender lives in `self`, so there is no other way out of the wait than an end.
        let found = end.wait_for(Option::is_some).await.ok().and_then(|end| *end);
        found.unwrap_or(End::Drop)
    }

    /// The subscriptions. Held for moments only, and never across an await.
    pub(super) fn subscriptions(&self) -> MutexGuard<'_, Subscriptions> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
