//! The bus between ingest and dashboard. Ticks and status go in on one side and come out on the other; which bus it is,
//! nobody downstream can tell.
//!
//! | | memory | Redis |
//! |---|---|---|
//! | delivery | at most once | at most once; when both connections are lost, the latest of a symbol perhaps twice |
//! | order | as published | as published, per publisher |
//! | a slow reader | gets latest price per symbol and exact counts | the same |
//! | a slow or dead Redis | – | publishing conflates the same way; the bus says so, and counts what was not published |
//! | a restart loses | nothing that was read | what was published meanwhile |
//!
//! Publishing never waits and never fails. Beside this folder only `limits` knows the Redis library.

pub mod frames;
mod handover;
pub mod mailbox;
mod memory;
mod redis;
mod right;
mod universes;
mod wire;

pub use handover::{LAST_TICKS, LastTick, Word};
pub use mailbox::{Delivery, Inbox, NewBoard};
pub use redis::handover::HandoverOnRedis;
pub use redis::lease::{Asker, LEASE, LeaseAnswer, LeaseOnRedis, Question};
pub use redis::orders::{Notice, OrdersOnRedis};
pub use redis::presence::{PresenceOnRedis, Said};
pub(crate) use redis::{RedisAddress, words};
pub use right::{Collecting, Right};
pub use universes::UniversesOnRedis;
pub use wire::{MarketTick, Rejection, TickStockStatus, read_tick, write_tick};

use crate::tasks::Tasks;
use app::model::{status::StatusReport, tick::Tick, time::UnixMillis};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use std::{collections::BTreeSet, sync::Arc};

/// Where Redis is, and what our names there begin with.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// `REDIS_URL`: may hold a password.
    pub url: SecretString,
    /// `REDIS_KEY_PREFIX`.
    pub key_prefix: String,
    /// `REDIS_PUBLISH_TICKS`: one JSON message a tick, beside the frames for our own dashboards.
    pub publish_ticks: bool,
}

/// The publishing side.
pub trait TickBus: Send + Sync {
    /// Hands ticks over, in order. Never waits: what the bus cannot carry now is conflated and counted.
    fn publish_ticks(&self, ticks: &[Tick]);

    /// Hands a status over; a newer one replaces one that was not read yet.
    fn publish_status(&self, status: Arc<StatusReport>);

    /// Without which nothing may be collected for this bus; `None` where nobody else could.
    fn right(&self) -> Option<&Right> {
        None
    }

    /// What was handed over before this moment, which is `now` at the latest, is published or counted as unpublished. What came since
    /// is lost without a trace when this process is killed.
    fn published_until(&self, now: UnixMillis) -> UnixMillis {
        now
    }

    /// Resolves when what was handed over is published, or cannot be.
    fn flushed(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What this process does on a Redis bus.
#[derive(Clone, Debug)]
pub enum Role {
    /// It runs the connection manager: publishes ticks and status, and reads the ticks back.
    Collector {
        /// What the ticks' `source` says.
        source: &'static str,
    },
    /// It collects while it has the lease, and else watches: what it publishes carries the lease's epoch, and Redis refuses it
    /// when the epoch is over.
    Candidate {
        /// What the ticks' `source` says.
        source: &'static str,
        /// How the server is called.
        server: String,
        /// What the lease allows.
        right: Right,
    },
    /// It only watches: reads ticks and status that others publish.
    Watcher,
}

impl Role {
    /// Does it collect now?
    fn is_collecting(&self) -> bool {
        match self {
            Self::Collector { .. } => true,
            Self::Candidate { right, .. } => right.is_collecting(),
            Self::Watcher => false,
        }
    }
}

/// Opens the bus: Redis when it is configured, else inside the process. Its tasks are among `tasks`.
///
/// # Errors
/// When the address cannot be understood. A Redis that does not answer is no error: the bus keeps trying and says so.
pub fn open(redis: Option<&RedisConfig>, role: Role, tasks: &Tasks) -> Result<(Arc<dyn TickBus>, Inbox), BusError> {
    match redis {
        Some(config) => redis::open(config, role, tasks),
        None => Ok(memory::open()),
    }
}

/// The universes among `keys` that are on Redis.
///
/// # Errors
/// Why Redis could not be asked; never its address.
pub async fn read_universes(redis: &RedisConfig, keys: &BTreeSet<String>) -> Result<UniversesOnRedis, String> {
    if keys.is_empty() { Ok(UniversesOnRedis::default()) } else { universes::read(redis, keys).await }
}

/// Why a bus cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address is not understood. It is not repeated: it may hold a password.
    #[error("REDIS_URL is not an address that can be used: {0}")]
    Address(String),
}

/// What is wrong with the address of a Redis server, as far as the address says; nothing of it that may be secret.
/// `docs/configuration.md` lists the forms.
///
/// # Errors
/// For addresses that cannot be used.
pub fn check_redis_address(url: &str) -> Result<(), String> {
    RedisAddress::parse(url).map(|_| ())
}
