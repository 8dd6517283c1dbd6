//! A market that speaks Massive's WebSocket protocol, with faults on demand: for first runs, demonstrations and tests.
//!
//! ```text
//!                    ┌─ accounts (who is in, limit per key)
//!  client ──ws──▶ session ◀──frames── feed ◀── market (symbols, walks, bars)
//!                    └──────────── faults ◀── control ◀──http── operator
//! ```
//!
//! It is a real server, and needs nothing of the monitor's but the model: what it sends passes through the same client, parser
//! and bus as in production. Its protocol is the measured behaviour of the real one, silences included, and every place that
//! goes beyond what is known says so. At `/stocks` it takes WebSocket clients, at `/control` (from this machine only) faults as JSON; `protocol` has the words,
//! `session` one client, `feed` the beat of the market.
//!
//! Web pages of other sites are turned away, from both: a browser on a developer's machine reaches this one too.
//!
//! No client can make it grow: sockets, topics per session and waiting frames per session are bounded, and a client for
//! which there is no room left is told so and closed.

mod accounts;
mod args;
mod bars;
mod control;
mod encode;
mod faults;
mod feed;
mod market;
mod peer;
mod protocol;
mod session;
mod subscriptions;
mod symbols;
#[cfg(test)]
mod tests;
mod visitors;
mod walk;

pub use args::{SimulatorArgs, SimulatorArgsError};
pub use protocol::UnknownChannel;

use accounts::Accounts;
use axum::extract::{Query, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Router, middleware, routing::get};
use faults::{Faults, Lasting};
use peer::{End, Outgoing, Peer, QueueLimits};
use protocol::Channel;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::{Arc, atomic::AtomicU32, atomic::Ordering::Relaxed};
use std::{io, time::Duration};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Sockets open at once, authenticated or not.
const SOCKETS_MAX: usize = 256;

/// The longest request: a subscription to every symbol on every channel fits.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Asked of the system at once. The library fills what is free of its buffer before every read, of 128 KiB unless it is told.
const READ_BYTES: usize = 4 << 10;

/// How long open sessions may take to say goodbye when the server stops.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The most trades per second and symbol that can be asked for.
const TICK_RATE_MAX: f64 = 10_000.0;

/// What the simulator is like.
#[derive(Clone, Debug)]
pub struct SimulatorConfig {
    /// The keys that are accepted; any key when `None`.
    pub keys: Option<Vec<SecretString>>,
    /// Sessions per key; one more, and the oldest has to go.
    pub connections_max: usize,
    /// Prefixes of channels that the plan does not include: `Q`, `NOI`.
    pub denied_channels: Vec<String>,
    /// Trades per second of an average symbol.
    pub tick_rate: f64,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self { keys: None, connections_max: 3, denied_channels: Vec::new(), tick_rate: 10.0 }
    }
}

/// Patience and room; tests have less of both.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// How long a client may take to send its key.
    authentication: Duration,
    /// How long last words may take to reach a client that reads slowly, and its answer to come back.
    farewell: Duration,
    queue: QueueLimits,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            authentication: Duration::from_secs(10),
            farewell: Duration::from_secs(1),
            queue: QueueLimits { frames: 512, bytes: 16 * 1024 * 1024 },
        }
    }
}

/// What all parts share.
struct Simulator {
    keys: Option<Vec<SecretString>>,
    connections_max: usize,
    denied: Vec<Channel>,
    limits: Bounds,
    accounts: Accounts,
    faults: watch::Sender<Faults>,
    arrivals: AtomicU32,
    sockets: Arc<Semaphore>,
    sessions: TaskTracker,
    shutdown: CancellationToken,
}

impl Simulator {
    fn new(config: &SimulatorConfig, limits: Bounds, shutdown: CancellationToken) -> io::Result<Self> {
        let denied = config.denied_channels.iter().map(|text| text.trim().parse());
        let denied = denied.collect::<Result<_, UnknownChannel>>().map_err(invalid)?;
        if !is_tick_rate(config.tick_rate) {
            return Err(invalid(format!("tick_rate {} is not between 0 and {TICK_RATE_MAX}", config.tick_rate)));
        }
        Ok(Self {
            keys: config.keys.clone(),
            connections_max: config.connections_max,
            denied,
            limits,
            accounts: Accounts::default(),
            faults: watch::Sender::default(),
            arrivals: AtomicU32::new(0),
            sockets: Arc::new(Semaphore::new(SOCKETS_MAX)),
            sessions: TaskTracker::new(),
            shutdown,
        })
    }

    /// Makes the handle of a session that has just arrived.
    fn admit(&self, connection: Option<u32>) -> (Arc<Peer>, mpsc::Receiver<Outgoing>) {
        let arrival = self.arrivals.fetch_add(1, Relaxed).wrapping_add(1);
        let connection = connection.unwrap_or(arrival);
        if self.faults.borrow().mute(connection, Instant::now()).is_some() {
            // A muted session does not see its client go. The client is back: the old session is its ghost.
            for (ghost, _) in self.accounts.list(Some(connection)) {
                ghost.finish(End::Drop);
            }
        }
        Peer::new(u64::from(arrival), connection, self.limits.queue)
    }

    fn has_fault(&self, fault: Lasting, connection: u32) -> bool {
        self.faults.borrow().has(fault, connection, Instant::now())
    }

    /// Why a key does not do; `None` when it does.
    fn refusal_of(&self, connection: u32, key: &SecretString) -> Option<End> {
        let is_known =
            self.keys.as_ref().is_none_or(|keys| keys.iter().any(|known| known.expose_secret() == key.expose_secret()));
        if self.has_fault(Lasting::RefusePlan, connection) {
            Some(End::PlanRefused)
        } else {
            (!is_known || self.has_fault(Lasting::RefuseKey, connection)).then_some(End::Refused)
        }
    }

    fn is_denied(&self, connection: u32, channel: Channel) -> bool {
        self.denied.contains(&channel) || self.has_fault(Lasting::DenyChannel(channel), connection)
    }
}

fn is_tick_rate(rate: f64) -> bool {
    (0.0..=TICK_RATE_MAX).contains(&rate)
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// Serves WebSocket clients at `/stocks` and faults at `/control` until `shutdown`, when open sessions are closed with
/// 1001.
///
/// # Errors
/// When the configuration names an unknown channel or an impossible rate, or the listener fails.
pub async fn serve(config: SimulatorConfig, listener: TcpListener, shutdown: CancellationToken) -> io::Result<()> {
    serve_within(&config, Bounds::default(), listener, shutdown).await
}

async fn serve_within(
    config: &SimulatorConfig,
    limits: Bounds,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let simulator = Arc::new(Simulator::new(config, limits, shutdown.clone())?);
    // A set, so that the feed ends with this future, however that ends.
    let mut feed = JoinSet::new();
    feed.spawn(feed::run(Arc::clone(&simulator), config.tick_rate, rand::random()));
    let router = router(Arc::clone(&simulator)).into_make_service_with_connect_info::<SocketAddr>();
    // Without this the kernel holds small frames back for the sake of large ones.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let out_of_patience = async {
        shutdown.cancelled().await;
        tokio::time::sleep(SHUTDOWN).await;
    };
    tokio::select! {
        served = async {
            let served = server.await;
            simulator.sessions.close();
            simulator.sessions.wait().await;
            served
        } => served,
        // It runs for ever, so it can only have panicked: better no market than one that stands still.
        _ = feed.join_next() => Err(io::Error::other("the simulated market stopped")),
        () = out_of_patience => Ok(()),
    }
}

fn router(simulator: Arc<Simulator>) -> Router {
    Router::new()
        .route("/", get(|| async { "A simulated market that speaks Massive's protocol: ws://…/stocks\n" }))
        .route("/stocks", get(upgrade))
        .merge(control::router())
        .layer(middleware::from_fn(visitors::no_web_pages))
        .with_state(simulator)
}

#[derive(Deserialize)]
struct Address {
    connection: Option<String>,
}

async fn upgrade(
    State(simulator): State<Arc<Simulator>>,
    Query(address): Query<Address>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Ok(permit) = Arc::clone(&simulator.sockets).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sockets\n").into_response();
    };
    // A number that is none is no reason to turn a client away: it gets one by its arrival.
    let connection = address.connection.and_then(|text| control::connection_number(text.parse().ok()?));
    let upgrade = upgrade.read_buffer_size(READ_BYTES).max_message_size(REQUEST_BYTES_MAX);
    upgrade.max_frame_size(REQUEST_BYTES_MAX).on_upgrade(async move |socket| {
        let session = session::run(socket, Arc::clone(&simulator), connection);
        simulator.sessions.track_future(session).await;
        drop(permit);
    })
}
