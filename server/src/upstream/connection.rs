//! The task around one connection's state machine: dials, reads, writes, waits. It waits for the provider alone: ticks
//! are handed to the bus without waiting, and no other connection is known here (spec C5).

use super::{
    Endpoint,
    backoff::{Backoff, PROVEN_AFTER},
    massive::{self, Notice, Reading},
    record::Record,
    state::{Action, Event, Link, Loss},
};
use crate::{bus::TickBus, universe::ConnectionPlan};
use app::model::{connection::ConnectionId, time::UnixMillis};
use futures_util::{SinkExt, StreamExt};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    time::{Instant, interval_at, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error as WsError, Message, error::ProtocolError, protocol::WebSocketConfig},
};
use tracing::{info, warn};

/// The time for TCP, TLS and the WebSocket handshake together.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The time from open socket to key taken.
const AUTH_TIMEOUT: Duration = Duration::from_secs(15);
/// The time for acknowledgements; unknown channels are never acknowledged (`massive.md`, section 2).
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(10);
const PING_INTERVAL: Duration = Duration::from_secs(5);
/// Any frame proves life: pongs were seen missing under load (`massive.md`, section 2).
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// Official clients stop at 1 MiB; a little more is read, endlessly much is not.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) struct Connection {
    id: ConnectionId,
    url: String,
    endpoint: Arc<Endpoint>,
    link: Link,
    backoff: Backoff,
    record: Arc<Record>,
    bus: Arc<dyn TickBus>,
    reading: Reading,
}

impl Connection {
    pub(super) fn new(
        plan: &ConnectionPlan,
        endpoint: Arc<Endpoint>,
        record: Arc<Record>,
        bus: Arc<dyn TickBus>,
    ) -> Self {
        let params = plan
            .channels
            .iter()
            .flat_map(|channel| plan.config.symbols.iter().map(move |symbol| format!("{channel}.{symbol}")));
        Self {
            id: plan.id,
            url: endpoint.url_of(plan.id),
            link: Link::new(params.collect()),
            endpoint,
            backoff: Backoff::default(),
            record,
            bus,
            reading: Reading::default(),
        }
    }

    /// Connects for ever. Dropping the future ends the connection.
    pub(super) async fn run(mut self) {
        loop {
            self.record.show(&self.link, None);
            let dialled = Instant::now();
            let loss = self.live_once().await;
            self.lose(loss, dialled.elapsed()).await;
        }
    }

    /// Counts the loss, waits as long as it asks for, and leaves the link ready to dial.
    async fn lose(&mut self, loss: Loss, lived: Duration) {
        let why = loss.reason();
        self.record.error(1, &why);
        self.record.counters.reconnects.fetch_add(1, Relaxed);
        if let Some(Action::Wait(loss)) = self.link.next(Event::Lost { loss, lived }) {
            let wait = self.backoff.wait(&loss, self.link.attempt(), rand::random());
            let next_at = UnixMillis(UnixMillis::now().0 + wait.as_millis() as i64);
            self.record.show(&self.link, Some(next_at));
            let (connection, attempt, wait_ms) = (self.id, self.link.attempt(), wait.as_millis() as u64);
            warn!(connection, attempt, wait_ms, "Connection {connection} lost: {why}");
            sleep(wait).await;
        }
        self.link.next(Event::WaitOver);
    }

    /// One socket from dialling to its end, and why it ended.
    async fn live_once(&mut self) -> Loss {
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let dial = connect_async_with_config(&self.url, Some(config), true);
        let mut socket = match timeout(DIAL_TIMEOUT, dial).await {
            Ok(Ok((socket, _))) => socket,
            Ok(Err(error)) => return Loss::Ordinary(format!("Cannot connect: {}", describe(&error))),
            Err(_) => return Loss::Ordinary(format!("No answer within {} s", DIAL_TIMEOUT.as_secs())),
        };
        self.link.next(Event::Opened);
        self.record.show(&self.link, None);
        let loss = self.read(&mut socket).await;
        // Politeness: the provider counts a dead session for 10 to 30 s unless it is closed.
        let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
        loss
    }

    async fn read(&mut self, socket: &mut Socket) -> Loss {
        let opened = Instant::now();
        let mut ping = interval_at(opened + PING_INTERVAL, PING_INTERVAL);
        let mut last_frame = opened;
        let mut due = opened + AUTH_TIMEOUT;
        let mut was_subscribing = false;
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                _ = ping.tick() => {
                    if last_frame.elapsed() >= SILENCE_TIMEOUT {
                        return Loss::Ordinary(format!("Nothing received for {} s, not even a pong", SILENCE_TIMEOUT.as_secs()));
                    }
                    if opened.elapsed() >= PROVEN_AFTER && self.link.attempt() > 0 {
                        self.link.proven();
                        self.record.show(&self.link, None);
                    }
                    if let Err(error) = send(socket, Message::Ping(Vec::new().into())).await {
                        return error;
                    }
                    continue;
                }
                () = sleep_until(due), if !self.link.is_live() => {
                    if !self.link.is_subscribing() {
                        return Loss::Ordinary(format!("The key was not answered within {} s", AUTH_TIMEOUT.as_secs()));
                    }
                    if let Some(Action::HangUp(loss)) = self.link.next(Event::AcknowledgementsDue) {
                        return loss;
                    }
                    self.record.show(&self.link, None);
                    continue;
                }
            };
            last_frame = Instant::now();
            if let Err(loss) = self.take(socket, message).await {
                return loss;
            }
            if self.link.is_subscribing() && !was_subscribing {
                was_subscribing = true;
                due = Instant::now() + ACKNOWLEDGE_TIMEOUT;
            }
        }
    }

    async fn take(&mut self, socket: &mut Socket, message: Option<Result<Message, WsError>>) -> Result<(), Loss> {
        let counters = &self.record.counters;
        let now = UnixMillis::now();
        if matches!(message, Some(Ok(_))) {
            counters.last_frame.store(now.0, Relaxed);
        }
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
            Some(Ok(Message::Binary(_))) => {
                self.record.error(1, "A binary message, which the protocol does not have");
                return Ok(());
            }
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(Loss::Ordinary(format!("Connection broken: {}", describe(&error)))),
            None => return Err(Loss::Ordinary("Connection dropped without a close frame".into())),
        };
        counters.messages.fetch_add(1, Relaxed);
        counters.bytes.fetch_add(text.len() as u64, Relaxed);
        massive::read_frame(&text, self.id, &mut self.reading);
        if !self.reading.ticks.is_empty() {
            counters.ticks.fetch_add(self.reading.ticks.len() as u64, Relaxed);
            counters.last_tick.store(now.0, Relaxed);
            self.bus.publish_ticks(&self.reading.ticks);
        }
        if let Some(why) = self.reading.rejection.take() {
            self.record.error(self.reading.rejected, &format!("Dropped {why}"));
        }
        if self.reading.notices.is_empty() { Ok(()) } else { self.hear(socket).await }
    }

    async fn hear(&mut self, socket: &mut Socket) -> Result<(), Loss> {
        let before = self.link.state();
        for notice in std::mem::take(&mut self.reading.notices) {
            if let Notice::Problem(words) = &notice {
                self.record.error(1, words);
                warn!(connection = self.id, "Connection {}: the provider says: {words}", self.id);
            }
            match self.link.next(Event::Said(notice)) {
                Some(Action::Authenticate) => {
                    let key = self.endpoint.key();
                    send(socket, Message::text(massive::auth_message(key))).await?;
                }
                Some(Action::Subscribe) => {
                    for message in massive::subscribe_messages(self.link.params()) {
                        send(socket, Message::text(message)).await?;
                    }
                }
                Some(Action::HangUp(loss)) => return Err(loss),
                Some(Action::Wait(_)) | None => {}
            }
        }
        self.record.show(&self.link, None);
        let state = self.link.state();
        if state != before {
            info!(connection = self.id, "Connection {} is {}", self.id, state.label());
        }
        Ok(())
    }
}

/// A provider that does not read is as good as gone.
async fn send(socket: &mut Socket, message: Message) -> Result<(), Loss> {
    match timeout(SILENCE_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Loss::Ordinary(format!("Connection broken: {}", describe(&error)))),
        Err(_) => Err(Loss::Ordinary("The provider stopped reading".into())),
    }
}

fn closed(frame: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> Loss {
    Loss::Ordinary(match frame {
        Some(frame) if frame.reason.is_empty() => format!("Closed by the provider with code {}", u16::from(frame.code)),
        Some(frame) => format!("Closed by the provider with code {}: {}", u16::from(frame.code), frame.reason),
        None => "Closed by the provider without a code".into(),
    })
}

/// The error without what a library adds of addresses; the key is in none of them, it travels inside the socket.
fn describe(error: &WsError) -> String {
    match error {
        WsError::Io(error) => error.to_string(),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => "reset without a close frame".to_owned(),
        WsError::Http(response) => format!("answered with HTTP status {}", response.status()),
        other => other.to_string(),
    }
}
