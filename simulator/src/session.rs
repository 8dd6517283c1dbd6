//! One client: a half that reads its requests, a half that writes what is queued for it, and the last words.
//!
//! ```text
//!   socket ──▶ read ──answers──┐
//!                              ├──▶ queue (bounded) ──▶ write ──▶ socket
//!   feed ───────────data───────┘                          ▲
//!   control, accounts ──────────────── end ───────────────┘
//! ```
//!
//! Requests are worked off in order, so a client may send `auth` and `subscribe` without waiting (`docs/provider.md`,
//! "Handshake and status messages"). Pings are answered by the WebSocket layer while the reading half is polled; a muted session stops
//! polling it, and then nothing is answered, as with a peer that died without a word.

use super::Simulator;
use super::faults::{Faults, Lasting, Moment};
use super::peer::{End, Outgoing, Peer};
use super::protocol::{self, Request, Status, Topic};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use secrecy::SecretString;
use std::{ops::ControlFlow, sync::Arc, time::Duration};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

/// How long what a client has already sent is still read before its socket is dropped: a socket closed with unread bytes
/// is reset, and the reset may overtake the reason that was sent just before.
const LINGER: Duration = Duration::from_millis(50);

/// Policy violation, RFC 6455 §7.4.1.
const POLICY: u16 = 1008;
/// RFC 6455 §7.4.1.
const GOING_AWAY: u16 = 1001;

/// Serves a client until it goes or has to go.
pub(super) async fn run(socket: WebSocket, simulator: Arc<Simulator>, connection: Option<u32>) {
    let (peer, queue) = simulator.admit(connection);
    let _registration = simulator.accounts.register(Arc::clone(&peer));
    let (mut sink, mut stream) = socket.split();
    if simulator.has_fault(Lasting::Limit(Moment::Hello), peer.connection) {
        peer.finish(End::Evicted);
    } else {
        peer.answer(&[Status::connected()]).await;
    }
    let reader = Reader { simulator: &simulator, peer: &peer, silence: Silence::of(&simulator, &peer) };
    let writer = Writer { sink: &mut sink, queue, peer: &peer, silence: Silence::of(&simulator, &peer) };
    let end = tokio::select! {
        () = reader.run(&mut stream) => return,
        end = writer.run() => end,
        () = simulator.shutdown.cancelled() => Some((End::Close(GOING_AWAY), Vec::new())),
    };
    let Some((end, unsent)) = end else { return };
    let said = timeout(simulator.limits.farewell, say_farewell(&mut sink, end, unsent)).await;
    let patience = match (end, said) {
        (End::Drop, _) | (_, Err(_) | Ok(Err(_))) => return,
        (End::Refused | End::PlanRefused | End::NotHeardOf, _) => LINGER,
        _ => simulator.limits.farewell,
    };
    let _ = timeout(patience, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}

/// Sends what a client gets to see of the end of its session.
async fn say_farewell(
    sink: &mut SplitSink<WebSocket, Message>,
    end: End,
    unsent: Vec<Outgoing>,
) -> Result<(), axum::Error> {
    for frame in unsent {
        sink.send(Message::Text(frame.text)).await?;
    }
    let (status, code) = match end {
        End::Drop => return Ok(()),
        End::Close(code) => (None, Some(code)),
        End::Refused => (Some(Status::refused()), None),
        End::PlanRefused => (Some(Status::plan_refused()), None),
        End::NotHeardOf => (Some(Status::not_heard_of()), None),
        End::Evicted => (Some(Status::too_many()), Some(POLICY)),
        End::Slow => (Some(Status::slow()), Some(POLICY)),
        End::Forced => (Some(Status::forced()), Some(GOING_AWAY)),
    };
    for text in protocol::frames(status.as_slice()) {
        sink.send(Message::Text(text.into())).await?;
    }
    if let Some(code) = code {
        sink.send(Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::default() }))).await?;
    }
    Ok(())
}

/// Knows whether a session is muted.
struct Silence {
    faults: watch::Receiver<Faults>,
    connection: u32,
}

impl Silence {
    fn of(simulator: &Simulator, peer: &Peer) -> Self {
        Self { faults: simulator.faults.subscribe(), connection: peer.connection }
    }

    /// Waits while the session is muted.
    async fn is_over(&mut self) {
        loop {
            let mute = self.faults.borrow_and_update().mute(self.connection, Instant::now());
            match mute {
                None => return,
                Some(None) => self.changed().await,
                Some(Some(until)) => {
                    tokio::select! {
                        () = self.changed() => {}
                        () = tokio::time::sleep_until(until) => {}
                    }
                }
            }
        }
    }

    /// The faults changed: time to ask again.
    async fn changed(&mut self) {
        if self.faults.changed().await.is_err() {
            // The simulator is gone, and with it all change.
            std::future::pending::<()>().await;
        }
    }
}

struct Reader<'a> {
    simulator: &'a Simulator,
    peer: &'a Peer,
    silence: Silence,
}

impl Reader<'_> {
    /// Works requests off until the client is gone.
    async fn run(mut self, stream: &mut SplitStream<WebSocket>) {
        let deadline = sleep(self.simulator.limits.authentication);
        tokio::pin!(deadline);
        let mut is_authenticated = false;
        loop {
            self.silence.is_over().await;
            let message = tokio::select! {
                message = stream.next() => message,
                () = self.silence.changed() => continue,
                () = &mut deadline, if !is_authenticated => {
                    self.peer.finish(End::NotHeardOf);
                    break;
                }
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    if self.take(&text, &mut is_authenticated).await.is_break() {
                        break;
                    }
                }
                // Pings are answered below us; a close frame is answered by reading on to the end.
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
        // The writing half says the last words; nothing more is read until then.
        std::future::pending::<()>().await;
    }

    async fn take(&self, text: &str, is_authenticated: &mut bool) -> ControlFlow<()> {
        match Request::parse(text) {
            Some(Request::Authenticate(key)) => return self.authenticate(key, is_authenticated).await,
            None => self.peer.answer(&[Status::malformed()]).await,
            Some(_) if !*is_authenticated => self.peer.answer(&[Status::not_authenticated()]).await,
            Some(Request::Subscribe(topics)) => self.subscribe(topics).await,
            Some(Request::Unsubscribe(topics)) => {
                let statuses = self.peer.subscriptions().remove(&topics);
                self.simulator.accounts.touch();
                self.peer.answer(&statuses).await;
            }
        }
        ControlFlow::Continue(())
    }

    async fn subscribe(&self, mut topics: Vec<Topic>) {
        let connection = self.peer.connection;
        if self.simulator.has_fault(Lasting::RefuseRealtime, connection) {
            return self.peer.answer(&[Status::not_realtime()]).await;
        }
        topics.retain(|topic| !self.simulator.has_fault(Lasting::IgnoreChannel(topic.channel), connection));
        let is_denied = |channel| self.simulator.is_denied(connection, channel);
        let (fresh, statuses) = self.peer.subscriptions().review(&topics, is_denied);
        // First the acknowledgement, then the data.
        self.peer.answer(&statuses).await;
        self.peer.subscriptions().add(fresh);
        self.simulator.accounts.touch();
        if self.simulator.has_fault(Lasting::Limit(Moment::Subscribed), connection) {
            self.peer.finish(End::Evicted);
        }
    }

    async fn authenticate(&self, key: SecretString, is_authenticated: &mut bool) -> ControlFlow<()> {
        let connection = self.peer.connection;
        let is_full = self.simulator.has_fault(Lasting::Limit(Moment::Auth), connection);
        let refusal = if is_full { Some(End::Evicted) } else { self.simulator.refusal_of(connection, &key) };
        if let Some(refusal) = refusal {
            self.peer.finish(refusal);
            return ControlFlow::Break(());
        }
        for evicted in self.simulator.accounts.authenticate(self.peer.id, key, self.simulator.connections_max) {
            evicted.finish(End::Evicted);
        }
        *is_authenticated = true;
        self.peer.answer(&[Status::authenticated()]).await;
        ControlFlow::Continue(())
    }
}

struct Writer<'a> {
    sink: &'a mut SplitSink<WebSocket, Message>,
    queue: mpsc::Receiver<Outgoing>,
    peer: &'a Peer,
    silence: Silence,
}

impl Writer<'_> {
    /// Sends what is queued until the session is to end, and says how and what is still to be sent then. `None` when the
    /// client is gone.
    async fn run(mut self) -> Option<(End, Vec<Outgoing>)> {
        let peer = self.peer;
        let end = tokio::select! {
            biased;
            end = peer.ended() => end,
            () = self.pump() => return None,
        };
        let mut unsent = Vec::new();
        // A session that is dropped or too slow loses its queue, the others see the end in its place in the stream.
        // The queue is bounded, and closed first, so this loop is.
        self.queue.close();
        while !matches!(end, End::Drop | End::Slow)
            && let Ok(frame) = self.queue.try_recv()
        {
            unsent.push(frame);
        }
        Some((end, unsent))
    }

    async fn pump(&mut self) {
        loop {
            self.silence.is_over().await;
            let frame = tokio::select! {
                biased;
                () = self.silence.changed() => continue,
                frame = self.queue.recv() => frame,
            };
            let Some(Outgoing { text, events }) = frame else { return };
            let bytes = text.len();
            if self.sink.send(Message::Text(text)).await.is_err() {
                return;
            }
            self.peer.count_sent(bytes, events);
        }
    }
}
