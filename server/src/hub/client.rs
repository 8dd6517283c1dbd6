//! One admin's socket: writes what the ring brings, reads the few things that a client may say.

use super::{
    Hub, Joined,
    encoding::{self, Audience, Encoding, Item},
    handshake::{MESSAGE_BYTES_MAX, Socket},
    tapes::TapeReader,
};
use app::model::protocol::{CloseReason, Command};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::{broadcast::error::RecvError, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// A socket that takes nothing for this long is closed; it comes back with a snapshot.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Nor may one batch take longer than this, a snapshot of many rows on a slow line.
const BATCH_TIMEOUT: Duration = Duration::from_secs(120);
/// How often we ping, and how long a client may stay silent: a browser answers pings by itself.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long a client gets to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a client is told that said something else.
const EXPECTED: &str = concat!(
    r#"expected {"event":"pause_stream"}, {"event":"resume_stream"}, {"event":"request_metrics"} "#,
    r#"or {"event":"set_tape","connections":[1]}"#
);

pub(super) type Sink = SplitSink<Socket, Message>;

/// Why a socket ends.
pub(super) enum End {
    /// We close it and say why.
    Close(CloseReason),
    /// The client left, or the network did.
    Gone,
}

/// Serves one socket to its end, on the hub's thread. `revoked` ends when the client may no longer be here, with the reason
/// to give; it and the shutdown are waited for where this is called, so that no frame has to ask for them.
pub async fn serve(
    socket: Socket,
    hub: Hub,
    encoding: Encoding,
    revoked: impl Future<Output = CloseReason> + Send,
    shutdown: CancellationToken,
) {
    let (close, closing) = oneshot::channel();
    let runtime = hub.runtime.clone();
    let mut talk = AbortOnDropHandle::new(runtime.spawn(talk_to_the_end(socket, hub, encoding, closing)));
    let reason = tokio::select! {
        _ = &mut talk => return,
        reason = revoked => reason,
        () = shutdown.cancelled() => CloseReason::GoingAway,
    };
    // Both fail only when the socket has just ended by itself.
    let _ = close.send(reason);
    let _ = talk.await;
}

async fn talk_to_the_end(socket: Socket, hub: Hub, encoding: Encoding, closing: oneshot::Receiver<CloseReason>) {
    let _counted = Counted::new(&hub);
    let (mut sink, mut stream) = socket.split();
    let tapes = hub.read_tapes();
    let mut client = Client { hub: &hub, encoding, paused: false, tapes };
    let end = tokio::select! {
        end = client.talk(&mut sink, &mut stream) => end,
        Ok(reason) = closing => End::Close(reason),
    };
    if let End::Close(reason) = end {
        say_goodbye(&mut sink, &mut stream, reason).await;
    }
}

pub(super) async fn say_goodbye(sink: &mut Sink, stream: &mut SplitStream<Socket>, reason: CloseReason) {
    let frame = CloseFrame { code: reason.code().into(), reason: reason.phrase().into() };
    let farewell = async {
        if sink.send(Message::Close(Some(frame))).await.is_ok() {
            // Until the client has answered. A socket that is dropped with bytes unread is reset, and a reset may
            // overtake the close frame: the client would never learn why.
            loop {
                match stream.next().await {
                    Some(Ok(Message::Close(_))) => return,
                    Some(Ok(_)) => {}
                    // No more can be read, after a message that was too large for example; the frame needs its time.
                    Some(Err(_)) | None => std::future::pending().await,
                }
            }
        }
    };
    let _ = timeout(FAREWELL, farewell).await;
}

/// Counts the socket as open while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(hub: &'a Hub) -> Self {
        let sockets = &hub.counters().sockets;
        sockets.fetch_add(1, Relaxed);
        Self(sockets)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

struct Client<'a> {
    hub: &'a Hub,
    encoding: Encoding,
    paused: bool,
    tapes: TapeReader,
}

impl Client<'_> {
    async fn talk(&mut self, sink: &mut Sink, stream: &mut SplitStream<Socket>) -> End {
        let mut ring = match self.rejoin(sink).await {
            Ok(joined) => joined.batches,
            Err(end) => return end,
        };
        let mut ping = interval(PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heard = Instant::now();
        loop {
            let done = tokio::select! {
                batch = ring.recv() => match batch {
                    Ok(batch) => self.write(sink, &batch).await,
                    Err(RecvError::Lagged(_)) => {
                        self.hub.counters().lags_total.fetch_add(1, Relaxed);
                        self.rejoin(sink).await.map(|joined| ring = joined.batches)
                    }
                    Err(RecvError::Closed) => Err(End::Close(CloseReason::GoingAway)),
                },
                message = stream.next() => {
                    last_heard = Instant::now();
                    match self.hear(message, sink).await {
                        Ok(Some(joined)) => { ring = joined.batches; Ok(()) }
                        Ok(None) => Ok(()),
                        Err(end) => Err(end),
                    }
                }
                _ = ping.tick() => {
                    if last_heard.elapsed() > SILENCE_MAX { Err(End::Gone) } else { send(sink, Message::Ping("".into())).await }
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// The whole truth first, then the ring from there on.
    async fn rejoin(&self, sink: &mut Sink) -> Result<Joined, End> {
        let joined = self.hub.join(self.encoding).await.ok_or(End::Close(CloseReason::GoingAway))?;
        self.write(sink, &joined.snapshot).await?;
        Ok(joined)
    }

    fn wants(&self, item: &Item) -> bool {
        match item.audience {
            Audience::Everybody => true,
            Audience::Watching => !self.paused,
            Audience::Tape(id) => !self.paused && self.tapes.has(id),
        }
    }

    /// What this socket wants of a batch, with one flush.
    async fn write(&self, sink: &mut Sink, batch: &[Item]) -> Result<(), End> {
        if !batch.iter().any(|item| self.wants(item)) {
            return Ok(());
        }
        let writing = async {
            for item in batch.iter().filter(|item| self.wants(item)) {
                finish(timeout(WRITE_TIMEOUT, sink.feed(item.message.clone())).await)?;
            }
            finish(timeout(WRITE_TIMEOUT, sink.flush()).await)
        };
        timeout(BATCH_TIMEOUT, writing).await.unwrap_or(Err(End::Close(CloseReason::TooSlow)))
    }

    async fn hear(
        &mut self,
        message: Option<tungstenite::Result<Message>>,
        sink: &mut Sink,
    ) -> Result<Option<Joined>, End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Pong(_) | Message::Ping(_) | Message::Frame(_))) => return Ok(None),
            Some(Ok(Message::Binary(bytes))) => {
                take(bytes.len())?;
                return self.complain(sink, "binary messages are not understood").await;
            }
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            // Too many frames, or a message that is larger than the socket takes at all.
            Some(Err(_)) => return Err(End::Close(CloseReason::RateLimited)),
        };
        take(text.len())?;
        match serde_json::from_str::<Command>(&text) {
            Ok(Command::PauseStream) => self.paused = true,
            Ok(Command::ResumeStream) if self.paused => {
                self.paused = false;
                return self.rejoin(sink).await.map(Some);
            }
            Ok(Command::ResumeStream) => {}
            Ok(Command::RequestMetrics) => {
                let status = self.hub.status(self.encoding).await.ok_or(End::Close(CloseReason::GoingAway))?;
                self.write(sink, &status).await?;
            }
            Ok(Command::SetTape { connections }) if self.encoding == Encoding::Binary => self.tapes.set(connections),
            Ok(Command::SetTape { .. }) => {
                return self.complain(sink, "set_tape needs the subprotocol tickstock.v1.bin").await;
            }
            Err(_) => return self.complain(sink, EXPECTED).await,
        }
        Ok(None)
    }

    async fn complain(&self, sink: &mut Sink, message: &str) -> Result<Option<Joined>, End> {
        send(sink, encoding::error(message)).await.map(|()| None)
    }
}

/// A message was said; too many of them do not come here.
pub(super) fn take(bytes: usize) -> Result<(), End> {
    if bytes <= MESSAGE_BYTES_MAX { Ok(()) } else { Err(End::Close(CloseReason::RateLimited)) }
}

pub(super) async fn send(sink: &mut Sink, message: Message) -> Result<(), End> {
    finish(timeout(WRITE_TIMEOUT, sink.send(message)).await)
}

fn finish(written: Result<tungstenite::Result<()>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Close(CloseReason::TooSlow)),
    }
}
