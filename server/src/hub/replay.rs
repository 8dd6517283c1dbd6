//! A socket that shows the past: frames as they were sent then, when its client asks for them or at the pace that it wants.
//!
//! It has nothing to do with the hub's task: what it reads are files, on threads that may wait, and what it sends is its own.

use super::{
    client::{End, PING_INTERVAL, SILENCE_MAX, Sink, say_goodbye, send, take},
    encoding::{Encoding, JsonEvents, binary, error},
    events::Event,
    handshake::Socket,
};
use crate::recording::{Advanced, NotShown, Recording, Session};
use app::model::{
    protocol::{CloseReason, Frame},
    replay::{ReplayCommand, ReplayState, SPEEDS},
    tape::TapeSet,
    time::UnixMillis,
};
use futures_util::{SinkExt, StreamExt, stream::SplitStream};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

/// While it is played a frame comes so often, as a screen shows no more.
const STEP: Duration = Duration::from_millis(16);
/// Where a client stands is told so often while it is played.
const TOLD_EVERY: Duration = Duration::from_secs(1);
/// A batch that is not taken for so long ends the socket.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

const EXPECTED: &str = concat!(
    r#"expected {"event":"seek","at":"2026-01-21T10:42:00Z"}, {"event":"play","speed":1} with a speed from 0.25 to 60, "#,
    r#"{"event":"pause"}, {"event":"step","back":false} or {"event":"set_tape","connections":[1]}"#
);

/// Serves one socket to its end. `revoked` ends when the client may no longer be here, with the reason to give.
pub async fn replay(
    socket: Socket,
    recording: Recording,
    encoding: Encoding,
    revoked: impl Future<Output = CloseReason> + Send,
    shutdown: CancellationToken,
) {
    let (mut sink, mut stream) = socket.split();
    let mut reader = Reader {
        session: Some(Session::new(recording.clone())),
        recording,
        encoding,
        json: JsonEvents::default(),
        tapes: TapeSet::default(),
        speed: 1.0,
        playing: None,
        told: Instant::now(),
    };
    let end = tokio::select! {
        end = reader.talk(&mut sink, &mut stream) => end,
        reason = revoked => End::Close(reason),
        () = shutdown.cancelled() => End::Close(CloseReason::GoingAway),
    };
    if let End::Close(reason) = end {
        say_goodbye(&mut sink, &mut stream, reason).await;
    }
}

struct Reader {
    recording: Recording,
    /// `None` while it is on a thread that reads files.
    session: Option<Session>,
    encoding: Encoding,
    json: JsonEvents,
    tapes: TapeSet,
    speed: f64,
    playing: Option<Playing>,
    told: Instant,
}

/// From which moment on it is played, and since when.
#[derive(Clone, Copy)]
struct Playing {
    from: UnixMillis,
    since: Instant,
    next: Instant,
}

impl Reader {
    async fn talk(&mut self, sink: &mut Sink, stream: &mut SplitStream<Socket>) -> End {
        let mut ping = interval(PING_INTERVAL);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heard = Instant::now();
        loop {
            let next = self.playing.map(|playing| playing.next);
            let done = tokio::select! {
                message = stream.next() => {
                    last_heard = Instant::now();
                    self.hear(message, sink).await
                }
                () = sleep_until(next.unwrap_or(last_heard)), if next.is_some() => self.play_on(sink).await,
                _ = ping.tick() => {
                    if last_heard.elapsed() > SILENCE_MAX { Err(End::Gone) } else { send(sink, Message::Ping("".into())).await }
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn hear(&mut self, message: Option<tungstenite::Result<Message>>, sink: &mut Sink) -> Result<(), End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Pong(_) | Message::Ping(_) | Message::Frame(_))) => return Ok(()),
            Some(Ok(Message::Binary(_))) => return send(sink, error("binary messages are not understood")).await,
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            Some(Err(_)) => return Err(End::Close(CloseReason::RateLimited)),
        };
        take(text.len())?;
        let command = serde_json::from_str(&text).ok();
        match command {
            Some(ReplayCommand::Seek { at }) => {
                self.playing = None;
                let tapes = self.tapes;
                let sought = self.read(move |session| session.seek(at, tapes)).await?;
                self.show(sink, sought.map(|frames| Advanced { frames, ..Advanced::default() })).await
            }
            Some(ReplayCommand::Step { back }) => {
                self.playing = None;
                let tapes = self.tapes;
                let stepped = self.read(move |session| match back {
                    true => session.step_back(tapes).map(|frames| Advanced { frames, ..Advanced::default() }),
                    false => session.step(tapes),
                });
                let stepped = stepped.await?;
                self.show(sink, stepped).await
            }
            Some(ReplayCommand::Play { speed }) if SPEEDS.contains(&speed) => {
                self.speed = speed;
                let Some(from) = self.at() else {
                    return send(sink, error("seek a moment first")).await;
                };
                let now = Instant::now();
                self.playing = Some(Playing { from, since: now, next: now });
                self.tell(sink, &Advanced::default()).await
            }
            Some(ReplayCommand::Pause) => {
                self.playing = None;
                self.tell(sink, &Advanced::default()).await
            }
            Some(ReplayCommand::SetTape { connections }) => {
                self.tapes = connections;
                Ok(())
            }
            Some(ReplayCommand::Play { .. }) | None => send(sink, error(EXPECTED)).await,
        }
    }

    fn at(&self) -> Option<UnixMillis> {
        self.session.as_ref()?.at()
    }

    /// Everything up to where it should be by now.
    async fn play_on(&mut self, sink: &mut Sink) -> Result<(), End> {
        let Some(Playing { from, since, .. }) = self.playing else { return Ok(()) };
        let played = since.elapsed().as_secs_f64() * 1000.0 * self.speed;
        let (until, tapes, merges) = (UnixMillis(from.0.saturating_add(played as i64)), self.tapes, self.speed > 1.0);
        let advanced = self.read(move |session| session.advance(until, tapes, merges)).await?;
        let now = Instant::now();
        let jumps = advanced.as_ref().is_ok_and(|advanced| advanced.skipped_from.is_some());
        let stops = advanced.as_ref().map_or(true, |advanced| advanced.is_end);
        self.playing = match self.at() {
            _ if stops => None,
            // It goes on behind the hole.
            Some(at) if jumps => Some(Playing { from: at, since: now, next: now + STEP }),
            _ => Some(Playing { from, since, next: now + STEP }),
        };
        if stops || jumps || self.told.elapsed() >= TOLD_EVERY {
            return self.show(sink, advanced).await;
        }
        match advanced {
            Ok(advanced) => self.send_frames(sink, &advanced.frames).await,
            Err(_) => Ok(()),
        }
    }

    /// Lets the session read files on a thread that may wait, when it is its turn.
    async fn read<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Session) -> Result<T, NotShown> + Send + 'static,
    ) -> Result<Result<T, NotShown>, End> {
        let gone = || End::Close(CloseReason::GoingAway);
        let mut session = self.session.take().ok_or_else(gone)?;
        let read = self.recording.in_turn(move || {
            let done = work(&mut session);
            (session, done)
        });
        let (session, done) = read.await.ok_or_else(gone)?;
        self.session = Some(session);
        Ok(done)
    }

    async fn show(&mut self, sink: &mut Sink, advanced: Result<Advanced, NotShown>) -> Result<(), End> {
        match advanced {
            Ok(advanced) => {
                self.send_frames(sink, &advanced.frames).await?;
                self.tell(sink, &advanced).await
            }
            Err(not_shown) => {
                if let NotShown::Disk(error) = &not_shown {
                    tracing::warn!(%error, "A recording cannot be read");
                }
                send(sink, error(&not_shown.to_string())).await
            }
        }
    }

    async fn send_frames(&mut self, sink: &mut Sink, frames: &[Frame]) -> Result<(), End> {
        if frames.is_empty() {
            return Ok(());
        }
        let batch = match self.encoding {
            Encoding::Binary => binary(frames),
            Encoding::Json => {
                let board = self.session.as_ref().and_then(Session::board);
                self.json.batch(frames, board.map_or(&[][..], |board| board.rows.as_slice()))
            }
        };
        let writing = async {
            for item in batch.iter() {
                sink.feed(item.message.clone()).await?;
            }
            sink.flush().await
        };
        match timeout(WRITE_TIMEOUT, writing).await {
            Ok(written) => written.map_err(|_| End::Gone),
            Err(_) => Err(End::Close(CloseReason::TooSlow)),
        }
    }

    async fn tell(&mut self, sink: &mut Sink, advanced: &Advanced) -> Result<(), End> {
        self.told = Instant::now();
        let state = ReplayState {
            at: self.at(),
            playing: self.playing.is_some(),
            speed: self.speed,
            skipped_from: advanced.skipped_from,
            at_end: advanced.is_end,
        };
        send(sink, Event::Replay(state).message()).await
    }
}
