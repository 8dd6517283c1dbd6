//! Reads what is published, and reconnects by itself.

use super::{
    ANSWER_TIMEOUT, Names, Retry, answered,
    follower::Follower,
    health::{Health, Part},
    transit::{Ping, Transit},
    words, words_when_connecting,
};
use crate::bus::{Role, frames::Outlet, mailbox::Outbox, wire};
use app::model::{tick::Tick, time::UnixMillis};
use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use redis::{
    Client, RedisError, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use std::{sync::Arc, time::Duration};
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
    pub(super) client: Client,
    pub(super) names: Arc<Names>,
    pub(super) role: Role,
    pub(super) outbox: Outbox,
    pub(super) health: Arc<Health>,
    pub(super) transit: Arc<Transit>,
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
        let (mut sink, messages) = answered(self.client.get_async_pubsub()).await?.split();
        self.transit.join(Instant::now());
        if reading.takes_json {
            answered(sink.subscribe(&self.names.ticks)).await?;
        }
        if self.role == Role::Watcher {
            answered(sink.subscribe(&self.names.status)).await?;
            self.read_last_status().await?;
        }
        let for_frames = if self.role == Role::Watcher { &self.names.frames } else { &self.names.ask };
        match answered(sink.subscribe(for_frames)).await {
            // Where ACLs confine the user to channels: ticks come as JSON.
            Err(error) if error.code().is_some() => warn!("Frames are not used: {}", words(&error)),
            subscribed => subscribed?,
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
        let ended = || RedisError::from(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
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
                () = sleep_until(heard + ANSWER_TIMEOUT), if is_pinged => {
                    return RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                }
            }
            if let Err(error) = self.choose(reading, &mut sink).await {
                return error;
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
    async fn read_last_status(&self) -> RedisResult<()> {
        let mut connection = answered(self.client.get_multiplexed_async_connection()).await?;
        let status: Option<Vec<u8>> =
            answered(redis::cmd("GET").arg(&self.names.status).query_async(&mut connection)).await?;
        if let Some(status) = status {
            self.read_status(&status);
        }
        Ok(())
    }

    fn read(&self, message: &redis::Msg, now: (Instant, UnixMillis), reading: &mut Reading) {
        let payload = message.get_payload_bytes();
        let channel = message.get_channel_name();
        if channel == self.names.ticks {
            // Those that come until the subscription has ended are told in frames.
            if reading.takes_json {
                match wire::read_tick(payload, now.1) {
                    Ok(tick) => reading.ticks.push(tick),
                    Err(why) => self.health.rejected(why.reason(), why.to_string()),
                }
            }
        } else if channel == self.names.frames {
            // What came before is told before.
            self.hand_over(reading, now.0);
            if let Err(why) = reading.follower.take(payload, now, &self.outbox) {
                self.health.rejected("frame", why.to_string());
            }
            reading.takes_json &= !reading.follower.is_following(now.0);
        } else if channel == self.names.status {
            self.read_status(payload);
        } else if channel == self.names.ask {
            self.outlet.ask();
        }
    }

    fn hand_over(&self, reading: &mut Reading, now: Instant) {
        self.transit.deliver(&reading.ticks, now);
        reading.ticks.clear();
    }

    /// Takes ticks as frames while a collector publishes them, and as JSON otherwise; never both.
    async fn choose(&self, reading: &mut Reading, sink: &mut PubSubSink) -> RedisResult<()> {
        if self.role != Role::Watcher {
            return Ok(());
        }
        let now = Instant::now();
        reading.takes_json = !reading.follower.is_following(now);
        if reading.is_subscribed && !reading.takes_json {
            info!("Ticks come in frames from now on");
            answered(sink.unsubscribe(&self.names.ticks)).await?;
        } else if !reading.is_subscribed && reading.takes_json {
            info!("No collector publishes frames any more: ticks are taken as JSON");
            answered(sink.subscribe(&self.names.ticks)).await?;
        }
        reading.is_subscribed = reading.takes_json;
        let wants_board = reading.follower.wants_board(now);
        let is_news =
            self.board_wanted.send_if_modified(|wanted| std::mem::replace(wanted, wants_board) != wants_board);
        if is_news && !wants_board {
            self.health.set(Part::Asking, None);
        }
        match reading.follower.take_missed() {
            0 => {}
            missed => self.health.missed(missed),
        }
        Ok(())
    }

    fn read_status(&self, payload: &[u8]) {
        match wire::read_status(payload) {
            Ok(report) => self.outbox.put_status(Arc::new(report)),
            Err(why) => self.health.rejected("status", why),
        }
    }
}
