//! The task around one connection's state machine: dials, reads, writes, waits. It waits for the provider alone: ticks
//! are handed to the bus without waiting, and no other connection holds it up (spec C5).

use super::{
    Endpoint,
    latency::Latency,
    limit::{Place, Verdict},
    loss::Loss,
    massive::{self, Notice, Reading},
    policy::Policy,
    pulse::Pulse,
    record::Record,
    state::{Action, Event, Link},
};
use crate::{
    bus::TickBus,
    text::{self, tidy},
    universe::ConnectionPlan,
};
use app::model::{
    connection::ConnectionId, health::LossKind, market::Calendar, symbol::Symbol, tick::Tick, time::UnixMillis,
};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::{
    collections::BTreeSet,
    ops::ControlFlow::{self, Break, Continue},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Error as WsError, Message, error::ProtocolError, protocol::WebSocketConfig},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Official clients stop at 1 MiB; a little more is read, endlessly much is not.
const MESSAGE_BYTES_MAX: usize = 4 << 20;
/// Asked of the system at once. The library zeroes what is free of its buffer before every read: with its default of 128 KiB
/// that costs more than reading a frame.
const READ_BYTES: usize = 16 << 10;
/// The time that a goodbye may take. Politeness: the provider counts a dead session for 10 to 30 s unless it is closed.
const FAREWELL: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How the manager reaches a running connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// End, with a goodbye.
    pub(super) stop: CancellationToken,
    /// Do not wait any longer, try again now.
    pub(super) retry: Arc<Notify>,
}

/// What a connection is made of besides its plan.
pub(super) struct Parts {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) policy: Arc<Policy>,
    pub(super) record: Arc<Record>,
    pub(super) bus: Arc<dyn TickBus>,
    pub(super) place: Place,
    pub(super) orders: Orders,
}

pub(super) struct Connection {
    id: ConnectionId,
    url: String,
    calendar: Calendar,
    parts: Parts,
    link: Link,
    pulse: Pulse,
    latency: Latency,
    reading: Reading,
    fresh: Vec<Tick>,
    /// Symbols that a wildcard brings though another connection carries them (spec C8).
    carried_elsewhere: Arc<BTreeSet<Symbol>>,
}

/// Why a connection came to its end; `None` when it was told to stop.
type End = Option<Loss>;

impl Connection {
    pub(super) fn new(plan: &ConnectionPlan, parts: Parts) -> Self {
        let config = &plan.config;
        let params = config
            .channels
            .iter()
            .flat_map(|channel| config.symbols.iter().map(move |symbol| format!("{channel}.{symbol}")));
        let url = parts.endpoint.url_of(plan.id);
        Self {
            id: plan.id,
            calendar: Calendar::of(parts.endpoint.feed),
            link: Link::new(params.collect(), parts.policy.proven_after),
            pulse: Pulse::new(parts.policy.pulse.clone(), &config.symbols, &config.channels),
            latency: Latency::new(&config.channels, &url),
            url,
            parts,
            reading: Reading::default(),
            fresh: Vec::new(),
            carried_elsewhere: Arc::clone(&plan.carried_elsewhere),
        }
    }

    /// Connects for ever, until it is told to stop.
    pub(super) async fn run(mut self) {
        let stop = self.parts.orders.stop.clone();
        loop {
            self.show(None);
            let mut opened = None;
            let Some(loss) = self.live_once(&mut opened).await else { return };
            self.pulse.lost();
            let lived = opened.map_or(Duration::ZERO, |opened: Instant| opened.elapsed());
            if stop.run_until_cancelled(self.lose(loss, lived)).await.is_none() {
                return;
            }
        }
    }

    fn show(&self, next_at: Option<UnixMillis>) {
        self.parts.record.show(&self.link, next_at, self.parts.policy.ping_interval * 2);
    }

    /// Counts the loss, waits as long as it asks for, and leaves the link ready to dial.
    async fn lose(&mut self, loss: Loss, lived: Duration) {
        let (loss, verdict) = match loss.kind {
            LossKind::TooManyConnections => self.lose_place(loss),
            LossKind::Dropped | LossKind::Silent | LossKind::Unreachable => {
                self.parts.place.vanished(std::time::Instant::now());
                (loss, Verdict::Retry)
            }
            _ => {
                self.parts.place.left();
                (loss, Verdict::Retry)
            }
        };
        self.parts.record.counters.reconnects.fetch_add(1, Relaxed);
        let retry = Arc::clone(&self.parts.orders.retry);
        if let Some(Action::Wait(loss)) = self.link.next(Event::Lost { loss, lived }) {
            self.parts.record.lost(&loss);
            let (connection, attempt, why) = (self.id, self.link.attempt(), &loss.reason);
            if verdict == Verdict::StandBack {
                self.show(None);
                warn!(connection, attempt, "Connection {connection} stands back: {why}");
                retry.notified().await;
            } else {
                let wait = self.parts.policy.backoff.wait(loss.kind, self.link.step(), rand::random());
                self.show(Some(UnixMillis(UnixMillis::now().0 + wait.as_millis() as i64)));
                let wait_ms = wait.as_millis() as u64;
                warn!(connection, attempt, wait_ms, "Connection {connection} lost: {why}");
                tokio::select! {
                    () = sleep(wait) => {}
                    // Only a refusal is worth another try before its time: somebody may have changed something.
                    () = retry.notified(), if loss.is_refusal() => {}
                }
            }
        }
        self.link.next(Event::WaitOver);
    }

    /// The account has no place for it: is somebody of ours the reason?
    fn lose_place(&self, loss: Loss) -> (Loss, Verdict) {
        // One that gives way is told so and knows already.
        if loss.kind == LossKind::TooManyConnections && loss.words.is_none() {
            self.parts.place.left();
            return (loss, Verdict::StandBack);
        }
        match self.parts.place.evicted(std::time::Instant::now()) {
            Verdict::StandBack => (Loss::gave_way(loss.words), Verdict::StandBack),
            Verdict::Retry => (loss, Verdict::Retry),
        }
    }

    /// One socket from dialling to its end; notes when it was opened.
    async fn live_once(&mut self, opened: &mut Option<Instant>) -> End {
        let stop = self.parts.orders.stop.clone();
        let mut socket = match stop.run_until_cancelled(dial(&self.url, self.parts.policy.dial_timeout)).await? {
            Ok(socket) => socket,
            Err(loss) => return Some(loss),
        };
        *opened = Some(Instant::now());
        // A new socket starts with its own silence.
        self.parts.record.counters.last_frame.store(UnixMillis::now().0, Relaxed);
        self.link.next(Event::Opened);
        self.show(None);
        let end = stop.run_until_cancelled(self.read(&mut socket)).await;
        let _ = timeout(FAREWELL, socket.close(None)).await;
        end
    }

    async fn read(&mut self, socket: &mut Socket) -> Loss {
        let policy = Arc::clone(&self.parts.policy);
        let opened = Instant::now();
        let mut ping = interval_at(opened + policy.ping_interval, policy.ping_interval);
        let mut check = interval_at(opened + policy.check_interval, policy.check_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_frame = opened;
        let mut due = opened + policy.authentication_timeout;
        let (mut was_subscribing, mut was_silent) = (false, false);
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                _ = ping.tick() => {
                    if last_frame.elapsed() >= policy.silence_timeout {
                        // Unless it was this process that stood still, and frames wait to be read.
                        let Some(message) = socket.next().now_or_never() else {
                            return Loss::silent(last_frame.elapsed());
                        };
                        last_frame = Instant::now();
                        if let Err(loss) = self.take(socket, message).await {
                            return loss;
                        }
                        continue;
                    }
                    let is_silent = last_frame.elapsed() > policy.ping_interval * 2;
                    let is_proven = opened.elapsed() >= policy.proven_after && self.link.attempt() > 0;
                    if is_proven {
                        self.link.proven();
                    }
                    if is_proven || is_silent || was_silent {
                        self.show(None);
                    }
                    was_silent = is_silent;
                    if let Err(loss) = send(socket, Message::Ping(Vec::new().into()), policy.silence_timeout).await {
                        return loss;
                    }
                    continue;
                }
                _ = check.tick() => {
                    self.check(UnixMillis::now());
                    continue;
                }
                () = self.parts.place.gives_way() => return Loss::gave_way(None),
                () = sleep_until(due), if !self.link.is_live() => {
                    if let Break(loss) = self.deadline() {
                        return loss;
                    }
                    continue;
                }
            };
            last_frame = Instant::now();
            if let Err(loss) = self.take(socket, message).await {
                return loss;
            }
            if self.link.is_subscribing() && !was_subscribing {
                was_subscribing = true;
                due = Instant::now() + policy.acknowledge_timeout;
            }
        }
    }

    /// What had to be said by now was not.
    fn deadline(&mut self) -> ControlFlow<Loss> {
        if !self.link.is_subscribing() {
            let seconds = self.parts.policy.authentication_timeout.as_secs();
            return Break(Loss::unanswered(format!("The key was not answered within {seconds} s")));
        }
        if let Some(Action::HangUp(loss)) = self.link.next(Event::AcknowledgementsDue) {
            return Break(loss);
        }
        self.show(None);
        Continue(())
    }

    /// Looks whether data flows as it should.
    fn check(&mut self, now: UnixMillis) {
        let (flow, coverage) = self.pulse.check(now, self.calendar.session_at(now));
        let before = self.link.state();
        if self.link.feel(flow) {
            self.show(None);
            self.tell(before);
        }
        if self.link.is_live() {
            self.parts.record.cover(coverage, self.latency.view(now));
        }
    }

    async fn take(&mut self, socket: &mut Socket, message: Option<Result<Message, WsError>>) -> Result<(), Loss> {
        let record = &self.parts.record;
        let now = UnixMillis::now();
        if matches!(message, Some(Ok(_))) {
            record.counters.last_frame.store(now.0, Relaxed);
        }
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => {
                return Err(match frame {
                    Some(frame) => Loss::closed(Some(frame.code.into()), &frame.reason),
                    None => Loss::closed(None, ""),
                });
            }
            Some(Ok(Message::Binary(_))) => {
                record.error(1, "A binary message, which the protocol does not have");
                return Ok(());
            }
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => return Err(Loss::dropped(format!("Connection broken: {}", describe(&error)))),
            None => return Err(Loss::dropped("Connection dropped without a close frame")),
        };
        record.counters.messages.fetch_add(1, Relaxed);
        record.counters.bytes.fetch_add(text.len() as u64, Relaxed);
        massive::read_frame(&text, self.id, &mut self.reading);
        self.reading.leave_out(&self.carried_elsewhere);
        self.take_ticks(now);
        if let Some(why) = self.reading.rejection.take() {
            self.parts.record.error(self.reading.rejected, &format!("Dropped {why}"));
        }
        if self.reading.notices.is_empty() { Ok(()) } else { self.hear(socket, now).await }
    }

    fn take_ticks(&mut self, now: UnixMillis) {
        for (symbol, is_halted) in self.reading.halts.drain(..) {
            self.pulse.halt(symbol, is_halted);
        }
        if self.reading.ticks.is_empty() {
            return;
        }
        let Reading { ticks, marks, .. } = &self.reading;
        let counters = &self.parts.record.counters;
        self.latency.take(now, ticks, marks);
        self.fresh.clear();
        let replacements = self.pulse.take(now, ticks, marks, &mut self.fresh);
        if replacements > 0 {
            counters.replacements.fetch_add(replacements, Relaxed);
        }
        if !self.fresh.is_empty() {
            counters.ticks.fetch_add(self.fresh.len() as u64, Relaxed);
            counters.last_tick.store(now.0, Relaxed);
            self.parts.bus.publish_ticks(&self.fresh);
            if self.pulse.is_mute() {
                self.check(now);
            }
        }
    }

    async fn hear(&mut self, socket: &mut Socket, now: UnixMillis) -> Result<(), Loss> {
        let before = self.link.state();
        let was_live = self.link.is_live();
        let patience = self.parts.policy.silence_timeout;
        for notice in std::mem::take(&mut self.reading.notices) {
            if let Notice::Problem(words) | Notice::Refused(words) | Notice::Leaving(_, words) = &notice {
                self.parts.record.error(1, words);
                warn!(connection = self.id, "Connection {}: the provider says: {words}", self.id);
            }
            match self.link.next(Event::Said(notice)) {
                Some(Action::Authenticate) => {
                    self.parts.place.presents_key(std::time::Instant::now());
                    let message = massive::auth_message(self.parts.endpoint.key());
                    send(socket, Message::text(message), patience).await?;
                }
                Some(Action::Subscribe) => {
                    for message in massive::subscribe_messages(self.link.params()) {
                        send(socket, Message::text(message), patience).await?;
                    }
                    self.pulse.subscribed(now);
                }
                Some(Action::HangUp(loss)) => return Err(loss),
                Some(Action::Wait(_)) | None => {}
            }
        }
        if self.link.is_live() && !was_live {
            self.check(now);
        }
        self.show(None);
        self.tell(before);
        Ok(())
    }

    fn tell(&self, before: app::model::connection::ConnectionState) {
        let state = self.link.state();
        if state != before {
            let why = self.link.reason().map(|why| format!(": {why}")).unwrap_or_default();
            info!(connection = self.id, "Connection {} is {}{why}", self.id, state.label());
        }
    }
}

async fn dial(url: &str, patience: Duration) -> Result<Socket, Loss> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    match timeout(patience, connect_async_with_config(url, Some(config), true)).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(error)) => Err(Loss::unreachable(format!("Cannot connect: {}", describe(&error)))),
        Err(_) => Err(Loss::unreachable(format!("No answer within {} s", patience.as_secs()))),
    }
}

/// A provider that does not read is as good as gone.
async fn send(socket: &mut Socket, message: Message, patience: Duration) -> Result<(), Loss> {
    match timeout(patience, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Loss::dropped(format!("Connection broken: {}", describe(&error)))),
        Err(_) => Err(Loss::unanswered("The provider stopped reading")),
    }
}

/// The error without what a library adds of addresses; the key is in none of them, it travels inside the socket. Some of it
/// the other side chose: the names in its certificate, a header that it sent.
fn describe(error: &WsError) -> String {
    let text = match error {
        WsError::Io(error) => error.to_string(),
        WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => "reset without a close frame".to_owned(),
        WsError::Http(response) => format!("answered with HTTP status {}", response.status()),
        other => other.to_string(),
    };
    tidy(&text, text::BYTES_MAX)
}
