//! Reads what is published, and reconnects by itself.

use super::{
    ANSWER_TIMEOUT, Names, Retry,
    address::RedisAddress,
    answered,
    follower::Follower,
    health::{Health, Part},
    transit::{Ping, Transit},
    words, words_when_connecting,
};
use crate::bus::{Role, frames::Outlet, mailbox::Outbox, wire};
use app::model::{tick::Tick, time::UnixMillis};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use redis::{
    Client, ErrorKind, RedisError, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};
use tracing::{info, warn};

/// A subscription can look healthy and deliver nothing: a ping after which nothing comes for [`ANSWER_TIMEOUT`] ends it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// Ticks read from Redis that are handed over together.
const TICKS_PER_DELIVERY: usize = 256;

pub(super) struct Subscriber {
    pub(super) address: RedisAddress,
    pub(super) names: Arc<Names>,
    pub(super) role: Role,
    pub(super) outbox: Outbox,
    pub(super) health: Arc<Health>,
    pub(super) transit: Arc<Transit>,
    /// The highest that was seen.
    pub(super) epoch: AtomicU64,
    /// Where the collector is asked for its board.
    pub(super) outlet: Arc<Outlet>,
    /// Is somebody else's needed?
    pub(super) board_wanted: watch::Sender<bool>,
}

/// What a subscription brought that is not handed over yet, and whom it follows.
struct Reading {
    ticks: Vec<Tick>,
    follower: Follower,
    /// Ticks as JSON are subscribed to.
    is_subscribed: bool,
    /// And told. Those that come after the subscription to them was ended are not.
    takes_json: bool,
}

impl Subscriber {
    pub(super) async fn run(self) {
        let mut retry = Retry::default();
        let ticks = Vec::with_capacity(TICKS_PER_DELIVERY);
        let mut reading = Reading { ticks, follower: Follower::default(), is_subscribed: true, takes_json: true };
        loop {
            let since = Instant::now();
            reading.takes_json = !reading.follower.is_following(since);
            reading.is_subscribed = reading.takes_json;
            let why = match self.subscribe(&reading).await {
                Ok((sink, messages)) => words(&self.read_all(sink, messages, &mut reading).await),
                Err(error) => words_when_connecting(&error),
            };
            self.transit.leave(Instant::now());
            self.health.set(Part::Subscription, Some(format!("Redis delivers no ticks: {why}")));
            if since.elapsed() > Retry::LONGEST * 2 {
                retry.reset();
            }
            retry.wait().await;
        }
    }

    async fn subscribe(&self, reading: &Reading) -> RedisResult<(PubSubSink, PubSubStream)> {
        let client = self.address.client().await?;
        let (mut sink, messages) = answered(client.get_async_pubsub()).await?.split();
        self.transit.join(Instant::now());
        if reading.takes_json {
            answered(sink.subscribe(&self.names.ticks)).await?;
        }
        let is_collector = matches!(self.role, Role::Collector { .. });
        if !is_collector {
            answered(sink.subscribe(&self.names.status)).await?;
            self.read_last_status(&client).await?;
        }
        // Where ACLs confine the user to channels, ticks come as JSON.
        if !is_collector && !self.may_subscribe(&mut sink, &self.names.frames).await? {
            warn!("Redis does not let this server subscribe to frames: ticks are taken as JSON");
        }
        if !matches!(self.role, Role::Watcher) && !self.may_subscribe(&mut sink, &self.names.ask).await? {
            warn!("Redis does not let this server hear who asks for its board: dashboards take ticks as JSON");
        }
        if matches!(self.role, Role::Candidate { .. }) {
            // Without it a lease that is given up is noticed a little later.
            self.may_subscribe(&mut sink, &self.names.lease.released).await?;
        }
        self.health.set(Part::Subscription, None);
        Ok((sink, messages))
    }

    /// Reads until Redis fails.
    async fn read_all(&self, mut sink: PubSubSink, mut messages: PubSubStream, reading: &mut Reading) -> RedisError {
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ping: Option<(Ping, BoxFuture<'static, RedisResult<()>>)> = None;
        let mut heard = Instant::now();
        let mut changes = match &self.role {
            Role::Candidate { right, .. } => Some(right.changes()),
            Role::Collector { .. } | Role::Watcher => None,
        };
        let ended = || RedisError::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        let moved = self.address.moved();
        tokio::pin!(moved);
        loop {
            let is_pinged = ping.is_some();
            let answer = async {
                match &mut ping {
                    Some((_, answer)) => answer.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return ended() };
                    heard = Instant::now();
                    let now = (heard, UnixMillis::now());
                    self.read(&message, now, reading);
                    // What has come with it is handed over with it.
                    while reading.ticks.len() < TICKS_PER_DELIVERY
                        && let Some(Some(message)) = messages.next().now_or_never()
                    {
                        self.read(&message, now, reading);
                    }
                    self.hand_over(reading, heard);
                }
                answer = answer => {
                    if let Err(error) = answer {
                        return error;
                    }
                    heard = Instant::now();
                    let now = (heard, UnixMillis::now());
                    // All that came before the answer is here by now: to its end, whatever the runtime's turn allows.
                    while let Some(Some(message)) = tokio::task::unconstrained(messages.next()).now_or_never() {
                        self.read(&message, now, reading);
                    }
                    self.hand_over(reading, heard);
                    if let Some((ping, _)) = ping.take() {
                        self.transit.pong(&ping, heard);
                    }
                }
                () = async { tokio::select! { _ = pings.tick() => {} () = self.transit.ping_wanted() => {} } }, if !is_pinged => {
                    ping = Some(self.ping(&sink));
                    heard = Instant::now();
                }
                () = &mut moved => {
                    let moved = "the master is another server now".to_owned();
                    return RedisError::from((ErrorKind::InvalidClientConfig, "moved", moved));
                }
                () = role_changed(&mut changes) => {}
                () = sleep_until(heard + ANSWER_TIMEOUT), if is_pinged => {
                    return RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                }
            }
            match self.choose(reading, &mut sink).await {
                // A ping tells what was missed until then.
                Ok(is_anew) => {
                    if is_anew {
                        pings.reset_immediately();
                    }
                }
                Err(error) => return error,
            }
            if self.transit.is_overrun() {
                return RedisError::from(std::io::Error::other(
                    "our own subscription fell too far behind and is begun anew",
                ));
            }
        }
    }

    /// Any answer will do: a Redis that cannot write to its disk refuses pings.
    fn ping(&self, sink: &PubSubSink) -> (Ping, BoxFuture<'static, RedisResult<()>>) {
        let mut sink = sink.clone();
        let answer = async move {
            match sink.ping::<redis::Value>().await {
                Err(error) if error.code().is_none() => Err(error),
                _ => Ok(()),
            }
        };
        (self.transit.ping(Instant::now()), answer.boxed())
    }

    /// A collector that said how it is before we came need not say it again.
    async fn read_last_status(&self, client: &Client) -> RedisResult<()> {
        let mut connection = answered(client.get_multiplexed_async_connection()).await?;
        let status: Option<Vec<u8>> =
            answered(redis::cmd("GET").arg(&self.names.status).query_async(&mut connection)).await?;
        if let Some(status) = status {
            self.read_status(&status);
        }
        Ok(())
    }

    fn read(&self, message: &redis::Msg, now: (Instant, UnixMillis), reading: &mut Reading) {
        let (channel, payload) = (message.get_channel_name(), message.get_payload_bytes());
        if channel == self.names.ticks {
            self.read_tick(payload, now.1, reading);
        } else if channel == self.names.frames {
            self.read_frame(payload, now, reading);
        } else if channel == self.names.status {
            self.read_status(payload);
        } else if channel == self.names.ask {
            self.outlet.ask();
        } else if let Role::Candidate { right, .. } = &self.role
            && channel == self.names.lease.released
        {
            match serde_json::from_slice(payload) {
                Ok(word) => right.tell_word(word),
                // Told without a word.
                Err(_) => right.tell_release(),
            }
        }
    }

    fn read_tick(&self, payload: &[u8], now: UnixMillis, reading: &mut Reading) {
        // Those that come until the subscription has ended are told in frames.
        if !reading.takes_json {
            return;
        }
        match wire::read(payload, now) {
            Ok((_, Some(epoch))) if self.is_over(epoch) => {}
            Ok((tick, _)) => reading.ticks.push(tick),
            Err(why) => self.health.rejected(why.reason(), why.to_string()),
        }
    }

    /// A collector's own frames tell it nothing.
    fn read_frame(&self, payload: &[u8], now: (Instant, UnixMillis), reading: &mut Reading) {
        if self.role.is_collecting() {
            return;
        }
        // What came before is told before.
        self.hand_over(reading, now.0);
        if let Err(why) = reading.follower.take(payload, now, &self.outbox) {
            self.health.rejected("frame", why.to_string());
        }
        reading.takes_json &= !reading.follower.is_following(now.0);
    }

    fn hand_over(&self, reading: &mut Reading, now: Instant) {
        self.transit.deliver(&reading.ticks, now);
        reading.ticks.clear();
    }

    /// Takes ticks as frames while a collector elsewhere publishes them, and as JSON otherwise; never both. Answers whether JSON
    /// was subscribed to anew.
    async fn choose(&self, reading: &mut Reading, sink: &mut PubSubSink) -> RedisResult<bool> {
        let now = Instant::now();
        let is_collecting = self.role.is_collecting();
        if is_collecting {
            reading.follower.rest();
        }
        reading.takes_json = !reading.follower.is_following(now);
        let (was_subscribed, is_subscribed) = (reading.is_subscribed, reading.takes_json);
        if was_subscribed && !is_subscribed {
            info!("Ticks come in frames from now on");
            answered(sink.unsubscribe(&self.names.ticks)).await?;
        } else if !was_subscribed && is_subscribed {
            info!("Ticks are taken as JSON from now on: no collector elsewhere publishes frames");
            // What is published from here on may come back.
            self.transit.join(now);
            answered(sink.subscribe(&self.names.ticks)).await?;
        }
        reading.is_subscribed = is_subscribed;
        let wants_board = !is_collecting && reading.follower.wants_board(now);
        let is_news =
            self.board_wanted.send_if_modified(|wanted| std::mem::replace(wanted, wants_board) != wants_board);
        if is_news && !wants_board {
            self.health.set(Part::Asking, None);
        }
        match reading.follower.take_missed() {
            0 => {}
            missed => self.health.missed(missed),
        }
        Ok(is_subscribed && !was_subscribed)
    }

    /// Subscribes; `false` when Redis does not allow it to this user.
    async fn may_subscribe(&self, sink: &mut PubSubSink, channel: &str) -> RedisResult<bool> {
        match answered(sink.subscribe(channel)).await {
            Err(error) if error.code().is_some() => Ok(false),
            subscribed => subscribed.map(|()| true),
        }
    }

    fn read_status(&self, payload: &[u8]) {
        // Our own goes without the detour.
        if self.role.is_collecting() {
            return;
        }
        match wire::read_status(payload) {
            Ok(report) => {
                let epoch = report.head.collector.as_ref().and_then(|collector| collector.epoch);
                if !epoch.is_some_and(|epoch| self.is_over(epoch)) {
                    self.outbox.put_status(Arc::new(report));
                }
            }
            Err(why) => self.health.rejected("status", why),
        }
    }

    /// Was something of a later collector here before? Then this is of one whose time is over.
    fn is_over(&self, epoch: u64) -> bool {
        let newest = self.epoch.fetch_max(epoch, Relaxed);
        if epoch < newest {
            self.health.rejected("epoch", format!("of epoch {epoch}, after epoch {newest}"));
        }
        epoch < newest
    }
}

/// Resolves when this server may have begun to collect, or ended to.
async fn role_changed(changes: &mut Option<watch::Receiver<()>>) {
    let is_over = match changes {
        Some(changes) => changes.changed().await.is_err(),
        None => true,
    };
    if is_over {
        std::future::pending::<()>().await;
    }
}
