//! The task around one connection's state machine: dials, reads, writes, waits. It waits for the provider alone: ticks
//! are handed to the bus without waiting, and no other connection holds it up.
//!
//! What it does about the provider's words is in `hearing.rs`, how it comes back after a loss in `comeback.rs`. Deadlines are of time in which this process ran. After a standstill what waits in the socket is read first, and its own
//! times say when it came in.

use super::{
    Endpoint,
    dial::{Socket, describe, dial, until_held},
    latency::Latency,
    loss::Loss,
    massive::{self, Reading},
    policy::Policy,
    pulse::Pulse,
    quota::Place,
    state::{Action, Event, Link},
    telemetry::Telemetry,
    wakefulness::{Backlog, Wakefulness},
};
use crate::{bus::TickBus, universe::ConnectionPlan};
use app::model::{
    connection::ConnectionId, market::Calendar, status::Standstill, symbol::Symbol, tick::Tick, time::UnixMillis,
};
use futures_util::{SinkExt, StreamExt};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{
    Error as WsError, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tokio_util::sync::CancellationToken;
use tracing::{Span, error_span, warn};

/// The time that a goodbye may take. Politeness: the provider counts a dead session for 10 to 30 s unless it is closed.
const FAREWELL: Duration = Duration::from_secs(1);
/// The time for what was on its way when the goodbye was said.
const REST: Duration = Duration::from_millis(100);
/// Before a silent provider has taken so many times the usual patience, its acknowledgements are late and not refused.
const OVERDUE: u32 = 5;

/// How the manager reaches a running connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Orders {
    /// End, with a goodbye.
    pub(super) stop: CancellationToken,
    /// What kept it out may have changed: one that was refused does not wait any longer.
    pub(super) retry: Arc<Notify>,
    /// Somebody wants it tried now, whatever it waits for.
    pub(super) hurry: Arc<Notify>,
}

/// What a connection is made of besides its plan.
pub(super) struct Parts {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) policy: Arc<Policy>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) bus: Arc<dyn TickBus>,
    pub(super) place: Place,
    pub(super) orders: Orders,
}

pub(super) struct Connection {
    pub(super) id: ConnectionId,
    url: String,
    calendar: Calendar,
    pub(super) parts: Parts,
    pub(super) link: Link,
    pub(super) pulse: Pulse,
    latency: Latency,
    pub(super) reading: Reading,
    fresh: Vec<Tick>,
    /// Symbols that a wildcard brings though another connection carries them.
    carried_elsewhere: Arc<BTreeSet<Symbol>>,
    wakefulness: Wakefulness,
    backlog: Option<Backlog>,
    /// The provider's complaints on this socket.
    pub(super) said: Vec<String>,
    /// Parent of all that is logged about it. Never entered: that would cost something with every frame.
    pub(super) span: Span,
}

/// What woke the task of an open socket.
enum Woken {
    Message(Option<Result<Message, WsError>>),
    Ping,
    Check,
    GiveWay,
    Due,
}

/// The moments of an open socket, moved on by whatever time this process stood still.
struct Moments {
    opened: Instant,
    last_frame: Instant,
    due: Instant,
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
            wakefulness: Wakefulness::new(Instant::now(), UnixMillis::now()),
            backlog: None,
            said: Vec::new(),
            span: error_span!(parent: None, "connection", id = plan.id),
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
            self.parts.telemetry.watches.lost();
            let lived = opened.map_or(Duration::ZERO, |opened: Instant| opened.elapsed());
            if stop.run_until_cancelled(self.lose(loss, lived)).await.is_none() {
                return;
            }
        }
    }

    pub(super) fn show(&self, next_at: Option<UnixMillis>) {
        self.parts.telemetry.show(&self.link, next_at, self.patience(), UnixMillis::now());
    }

    /// The silence of a socket that is nothing to speak of.
    pub(super) fn patience(&self) -> Duration {
        let unread = self.backlog.map_or(Duration::ZERO, |backlog| backlog.length());
        self.parts.policy.ping_interval * 2 + unread
    }

    /// One socket from dialling to its end; notes when it was opened.
    async fn live_once(&mut self, opened: &mut Option<Instant>) -> End {
        // A connection that is new to an account which was told to wait.
        if let Some(closed) = self.parts.place.closed(Instant::now()) {
            return Some(Loss { wait: None, ..closed.loss });
        }
        let stop = self.parts.orders.stop.clone();
        // Among several servers, nobody dials who does not hold the lease.
        stop.run_until_cancelled(until_held(&*self.parts.bus)).await?;
        let mut socket = match stop.run_until_cancelled(dial(&self.url, self.parts.policy.dial_timeout)).await? {
            Ok(socket) => socket,
            Err(loss) => return Some(loss),
        };
        *opened = Some(Instant::now());
        // A new socket starts with its own silence, and nothing waits in it.
        self.wakefulness = Wakefulness::new(Instant::now(), UnixMillis::now());
        self.backlog = None;
        self.said.clear();
        self.parts.telemetry.counters.last_frame.store(UnixMillis::now().0, Relaxed);
        self.link.next(Event::Opened);
        self.show(None);
        let end = stop.run_until_cancelled(self.read(&mut socket)).await;
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = timeout(FAREWELL, socket.close(Some(goodbye))).await;
        if end.is_none() {
            let _ = timeout(REST, self.read_rest(&mut socket)).await;
        }
        end
    }

    async fn read(&mut self, socket: &mut Socket) -> Loss {
        let policy = Arc::clone(&self.parts.policy);
        let opened = Instant::now();
        let mut ping = interval_at(opened + policy.ping_interval, policy.ping_interval);
        let mut check = interval_at(opened + policy.check_interval, policy.check_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut at = Moments { opened, last_frame: opened, due: opened + policy.authentication_timeout };
        let (mut was_subscribing, mut was_silent) = (false, false);
        loop {
            let woken = tokio::select! {
                message = socket.next() => Woken::Message(message),
                _ = ping.tick() => Woken::Ping,
                _ = check.tick() => Woken::Check,
                () = self.parts.place.gives_way() => Woken::GiveWay,
                () = sleep_until(at.due), if !self.link.is_live() => Woken::Due,
            };
            // Before anything is judged by the time: the timers may come before what waits in the socket.
            let (now, wall) = (Instant::now(), UnixMillis::now());
            if let Some((standstill, length)) = self.wakefulness.look(now, wall, policy.check_interval) {
                (at.last_frame, at.due) = (now.min(at.last_frame + length), at.due + length);
                self.stood_still(standstill);
            }
            let outcome = match woken {
                Woken::Message(message) => {
                    at.last_frame = now;
                    self.take(socket, message, wall).await
                }
                Woken::Ping => self.ping(socket, &at, &mut was_silent).await,
                Woken::Check => {
                    self.check(wall);
                    Ok(())
                }
                Woken::GiveWay => Err(Loss::gave_way(None)),
                // It was moved on by a standstill.
                Woken::Due if now < at.due => Ok(()),
                Woken::Due => {
                    at.due = now + policy.acknowledge_timeout * OVERDUE;
                    self.deadline()
                }
            };
            if let Err(loss) = outcome {
                return loss;
            }
            if self.link.is_subscribing() && !was_subscribing {
                was_subscribing = true;
                at.due = Instant::now() + policy.acknowledge_timeout;
            }
        }
    }

    /// This process did not run for a while.
    fn stood_still(&mut self, standstill: Standstill) {
        let (id, from) = (self.id, standstill.from);
        warn!(parent: &self.span, "{standstill}; connection {id} reads on from {from}");
        self.backlog = Some(Backlog::of(standstill));
        self.pulse.stood_still(standstill);
        self.parts.telemetry.stood_still(standstill);
    }

    /// When what was just read came in, `newest` being the latest time in it.
    fn came_in(&mut self, now: UnixMillis, newest: Option<UnixMillis>) -> UnixMillis {
        let Some(backlog) = &mut self.backlog else { return now };
        let newest = newest.map(|newest| UnixMillis(newest.0.saturating_add(self.pulse.usual_lag_ms())));
        let came_in = backlog.came_in(now, newest);
        if came_in.is_none() {
            self.backlog = None;
        }
        came_in.unwrap_or(now)
    }

    /// Pings, unless there was silence for too long.
    async fn ping(&mut self, socket: &mut Socket, at: &Moments, was_silent: &mut bool) -> Result<(), Loss> {
        let policy = Arc::clone(&self.parts.policy);
        let silence = at.last_frame.elapsed();
        if silence >= policy.silence_timeout {
            return Err(Loss::silent(silence));
        }
        let is_silent = silence > policy.ping_interval * 2;
        let is_proven = at.opened.elapsed() >= policy.proven_after && self.link.attempt() > 0;
        if is_proven {
            self.link.proven();
        }
        if is_proven || is_silent || *was_silent {
            self.show(None);
        }
        *was_silent = is_silent;
        self.send(socket, Message::Ping(Vec::new().into())).await
    }

    /// A provider that does not read is as good as gone.
    pub(super) async fn send(&mut self, socket: &mut Socket, message: Message) -> Result<(), Loss> {
        let sent = timeout(self.parts.policy.silence_timeout, socket.send(message)).await;
        // The time that this took was spent waiting for the provider.
        self.wakefulness = Wakefulness::new(Instant::now(), UnixMillis::now());
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Loss::dropped(format!("Connection broken: {}", describe(&error)))),
            Err(_) => Err(Loss::unanswered("The provider stopped reading")),
        }
    }

    /// What had to be said by now was not.
    fn deadline(&mut self) -> Result<(), Loss> {
        if !self.link.is_subscribing() {
            let seconds = self.parts.policy.authentication_timeout.as_secs();
            return Err(Loss::unanswered(format!("The key was not answered within {seconds} s")));
        }
        let before = self.link.state();
        if let Some(Action::HangUp(loss)) = self.link.next(Event::AcknowledgementsDue) {
            return Err(loss);
        }
        self.show(None);
        self.tell(before);
        Ok(())
    }

    /// Looks whether data flows as it should.
    pub(super) fn check(&mut self, now: UnixMillis) {
        let (flow, coverage) = self.pulse.check(now, self.calendar.session_at(now));
        let before = self.link.state();
        if self.link.feel(flow) {
            self.show(None);
            self.tell(before);
        }
        if self.link.is_live() {
            self.parts.telemetry.cover(coverage, self.latency.view(now));
        }
        if !self.parts.telemetry.watches.is_empty() {
            self.parts.telemetry.watches.feel(now, |symbol| self.pulse.rhythm_of(symbol));
        }
    }

    pub(super) async fn take(
        &mut self,
        socket: &mut Socket,
        message: Option<Result<Message, WsError>>,
        now: UnixMillis,
    ) -> Result<(), Loss> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(other)) => return self.take_other(other, now),
            Some(Err(error)) => return Err(Loss::dropped(format!("Connection broken: {}", describe(&error)))),
            None => return Err(Loss::dropped("Connection dropped without a close frame")),
        };
        massive::read_frame(&text, self.id, now, &mut self.reading);
        let newest = self.backlog.and_then(|_| self.reading.newest());
        let came_in = self.came_in(now, newest);
        let counters = &self.parts.telemetry.counters;
        counters.last_frame.store(came_in.0, Relaxed);
        counters.messages.fetch_add(1, Relaxed);
        counters.bytes.fetch_add(text.len() as u64, Relaxed);
        counters.drop(&self.reading);
        if !self.parts.telemetry.watches.is_empty() {
            self.parts.telemetry.watches.take(&text, came_in);
        }
        self.reading.leave_out(&self.carried_elsewhere);
        self.take_ticks(came_in);
        if let Some(why) = self.reading.rejection.take() {
            self.parts.telemetry.error(self.reading.rejected(), &format!("Dropped {why}"), now);
        }
        if self.reading.notices.is_empty() { Ok(()) } else { self.hear(socket, now).await }
    }

    /// Anything but text.
    fn take_other(&mut self, message: Message, now: UnixMillis) -> Result<(), Loss> {
        let came_in = self.came_in(now, None);
        self.parts.telemetry.counters.last_frame.store(came_in.0, Relaxed);
        match message {
            Message::Close(Some(frame)) => Err(Loss::closed(Some(frame.code.into()), &frame.reason)),
            Message::Close(None) => Err(Loss::closed(None, "")),
            Message::Binary(_) => {
                self.parts.telemetry.error(1, "A binary message, which the protocol does not have", now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take_ticks(&mut self, now: UnixMillis) {
        for (symbol, is_halted) in self.reading.halts.drain(..) {
            self.pulse.halt(symbol, is_halted);
        }
        if self.reading.ticks.is_empty() {
            return;
        }
        let Reading { ticks, marks, .. } = &self.reading;
        let counters = &self.parts.telemetry.counters;
        self.latency.take(now, ticks, marks, self.pulse.late_report_ms());
        self.fresh.clear();
        let replacements = self.pulse.take(now, ticks, marks, &mut self.fresh);
        if replacements > 0 {
            counters.replacements.fetch_add(replacements, Relaxed);
        }
        if self.fresh.is_empty() {
            return;
        }
        if counters.ticks.fetch_add(self.fresh.len() as u64, Relaxed) == 0 {
            counters.first_tick.store(now.0, Relaxed);
        }
        counters.last_tick.store(now.0, Relaxed);
        self.parts.bus.publish_ticks(&self.fresh);
        if self.link.is_subscribing() {
            let before = self.link.state();
            self.link.next(Event::Ticked);
            if self.link.is_live() {
                self.show(None);
                self.tell(before);
            }
        }
        if self.pulse.is_mute() {
            self.check(now);
        }
    }
}
