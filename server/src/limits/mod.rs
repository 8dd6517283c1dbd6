//! How often somebody may do something: sign-in attempts, calls of the API, sockets, attempts of a connection.
//!
//! ```text
//!  guard, sign-in, socket ──▶ Limits ──▶ redis    several servers count together
//!                                └─────▶ memory   without Redis, and while it does not answer
//! ```
//!
//! A Redis that does not answer neither opens the door nor locks it: this server counts alone until it is back. Keys are
//! hashes, so that Redis learns neither emails nor addresses and no name from outside is part of a key.
//!
//! Deliberately absent: a place for what waits. Who comes too often is told when to come back.

mod memory;
mod redis;
mod sign_in;

pub use sign_in::Attempt;

use crate::bus::RedisConfig;
use app::model::connection::CONNECTIONS_MAX;
use memory::Memory;
use redis::Shared;
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Calls of the API by one session: fifty a second, a burst of 300. An answer takes less than a millisecond.
pub const API_CALLS: Rate = Rate { name: "api", burst: 300, interval: Duration::from_millis(20) };
/// Handshakes of sockets by one session: two a second, a burst of 60, so that its pages may all come back at once.
pub const SOCKET_CONNECTS: Rate = Rate { name: "sockets", burst: 60, interval: Duration::from_millis(500) };
/// Calls of the API with one token: ten a second, a burst of 100. A program that wants more of the live data opens the socket.
pub const TOKEN_CALLS: Rate = Rate { name: "token calls", burst: 100, interval: Duration::from_millis(100) };
/// Handshakes of sockets with one token: one in two seconds, a burst of ten.
pub const TOKEN_SOCKET_CONNECTS: Rate = Rate { name: "token sockets", burst: 10, interval: Duration::from_secs(2) };
/// Codes for screens to be paired, for one network: one in thirty seconds, a burst of ten.
pub const SCREEN_CODES: Rate = Rate { name: "screen codes", burst: 10, interval: Duration::from_secs(30) };
/// Codes of screens that somebody enters: one in thirty seconds, a burst of ten.
pub const PAIRINGS: Rate = Rate { name: "pairings", burst: 10, interval: Duration::from_secs(30) };
/// Sign-ins at the identity provider that one network begins or comes back from: two a second, a burst of a hundred, as
/// an office is one network in the morning.
pub const OIDC_SIGN_INS: Rate = Rate { name: "oidc sign-ins", burst: 100, interval: Duration::from_millis(500) };
/// Sign-outs that one network tells of as the identity provider: twenty a second, a burst of three hundred.
pub const OIDC_LOGOUTS: Rate = Rate { name: "oidc logouts", burst: 300, interval: Duration::from_millis(50) };
/// What is no token, from one network: one in two seconds, a burst of twenty.
pub const BAD_TOKENS: Rate = Rate { name: "bad tokens", burst: 20, interval: Duration::from_secs(2) };
/// Attempts of one connection that somebody asks for: one every ten seconds, three at once. The provider counts them.
pub const RETRIES: Rate = Rate { name: "retries", burst: 3, interval: Duration::from_secs(10) };
/// The same of all connections together, by the account that asks: one every two seconds, each connection once at once.
pub const RETRIES_OF_ACCOUNT: Rate =
    Rate { name: "account retries", burst: CONNECTIONS_MAX as u32, interval: Duration::from_secs(2) };
/// Open sockets of one account.
pub const SOCKETS_PER_ACCOUNT: usize = 20;
/// Open sockets of one token, or of one screen.
pub const SOCKETS_PER_TOKEN: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How long a socket counts without a word from the server that has it: until then those of a server that was killed keep the pages
/// out that come back on another one, where an account has many.
const LEASE: Duration = Duration::from_secs(15);
/// How often that word comes.
const LEASE_RENEWAL: Duration = Duration::from_secs(5);

/// So many at once, then one more each interval.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    name: &'static str,
    burst: u32,
    interval: Duration,
}

/// So many in a row, then each has to wait twice as long as the one before.
#[derive(Clone, Copy, Debug)]
struct Delay {
    name: &'static str,
    free: u32,
    first: Duration,
    longest: Duration,
    /// Without an attempt for so long, it starts from the beginning.
    forget: Duration,
}

/// Too often: come back after this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests; try again in {} s", self.seconds())]
pub struct Wait(Duration);

impl Wait {
    /// For `Retry-After`: whole seconds, at least one.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }
}

/// A hash of what is counted and of whom.
type Key = [u8; 16];

fn key(name: &str, of: &[&str]) -> Key {
    let mut sha = Sha256::new();
    for part in [name].iter().chain(of) {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    let mut key = Key::default();
    key.copy_from_slice(&sha.finalize()[..16]);
    key
}

/// Counts for one server, or for all that share a Redis. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Limits {
    local: Arc<Mutex<Memory>>,
    shared: Option<Arc<Shared>>,
}

/// A place among the open sockets of an account or a token, given back when it is dropped.
#[derive(Debug)]
pub struct SocketPlace {
    limits: Limits,
    key: Key,
    id: u64,
}

impl Limits {
    /// Counts on Redis where there is one.
    #[must_use]
    pub fn new(redis: Option<&RedisConfig>) -> Self {
        Self { local: Arc::default(), shared: redis.and_then(Shared::open).map(Arc::new) }
    }

    /// One more of what a rate limits.
    ///
    /// # Errors
    /// When it was too often; then it does not count.
    pub async fn take(&self, rate: Rate, of: &str) -> Result<(), Wait> {
        let key = key(rate.name, &[of]);
        if let Some(shared) = &self.shared
            && let Some(answer) = shared.take(rate, key).await
        {
            return answer;
        }
        self.local().take(rate, key, now_ms())
    }

    /// A place for one more of so many sockets of somebody; `None` when all are taken.
    pub async fn socket_place(&self, of: &str, places: usize) -> Option<SocketPlace> {
        let key = key("places", &[of]);
        let id = rand::random();
        if !self.local().lease(key, places) {
            return None;
        }
        // From here on dropping it gives the place back.
        let place = SocketPlace { limits: self.clone(), key, id };
        match &self.shared {
            Some(shared) => (shared.lease(key, id, places).await != Some(false)).then_some(place),
            None => Some(place),
        }
    }

    async fn attempt(&self, delay: Delay, key: Key) -> Result<(), Wait> {
        if let Some(shared) = &self.shared
            && let Some(answer) = shared.attempt(delay, key).await
        {
            return answer;
        }
        self.local().attempt(delay, key, now_ms())
    }

    async fn forgive(&self, key: Key, attempts: u32) {
        if let Some(shared) = &self.shared {
            shared.forgive(key, attempts).await;
        }
        self.local().forgive(key, attempts);
    }

    fn local(&self) -> MutexGuard<'_, Memory> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SocketPlace {
    /// Tells the other servers now and then that the place is still taken; never ends.
    pub async fn keep(&self) {
        let Some(shared) = &self.limits.shared else { return std::future::pending().await };
        loop {
            tokio::time::sleep(LEASE_RENEWAL).await;
            shared.renew(self.key, self.id).await;
        }
    }
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.limits.local().release(self.key);
        if let (Some(shared), Ok(runtime)) = (self.limits.shared.clone(), tokio::runtime::Handle::try_current()) {
            let (key, id) = (self.key, self.id);
            runtime.spawn(async move { shared.release(key, id).await });
        }
    }
}

/// Milliseconds by a clock that nobody sets: after a wall clock was set back, everybody who was counted before would be shut
/// out for as long. Starts beyond any wait, so that differences stay positive.
fn now_ms() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    const HEAD_START: Duration = Duration::from_secs(7 * 86_400);
    millis(START.elapsed() + HEAD_START)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
