//! What the tests stand on.

mod clock;
mod front;
mod hook;
mod identity;
mod monitor;
mod nginx;
mod postgres;
mod proxy;
mod redis;
mod sentinel;
mod server;
mod socket;

pub(crate) use clock::Clock;
pub(crate) use front::Front;
pub(crate) use hook::Hook;
pub(crate) use identity::{ACCESS_TOKEN, CLIENT_SECRET, IdentityProvider, REFRESH_TOKEN, now_s};
pub(crate) use monitor::Monitor;
pub(crate) use nginx::Nginx;
pub(crate) use postgres::Postgres;
pub(crate) use proxy::Proxy;
pub(crate) use redis::{Listener, RedisServer};
pub(crate) use sentinel::Watched;
use server::make_accounts;
pub(crate) use server::{Client, PASSWORD, TestServer, email_of};
pub(crate) use socket::Socket;

use ::server::database::Database;
use std::{fs::File, future::Future, ops::Range, os::unix::fs::MetadataExt, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a condition may take to come true: far more than it needs, so that a slow machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// For databases that are copied from this one: with tables, and an account for each role.
pub(crate) async fn make_tables(url: &str) {
    let database = Database::open(url).await.unwrap();
    make_accounts(&database).await;
    database.close().await;
}

/// Asks until the answer is `Some`.
///
/// # Panics
/// When patience runs out; says what was waited for.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    eventually_within(PATIENCE, what, ask).await
}

/// The same with another patience.
pub(crate) async fn eventually_within<T, F: Future<Output = Option<T>>>(
    patience: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let since = Instant::now();
    for asked in 0.. {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(since.elapsed() < patience, "waited in vain for: {what}");
        // Often at first, then more rarely than what the API allows to a session.
        sleep(Duration::from_millis(if asked < 50 { 20 } else { 150 })).await;
    }
    unreachable!("patience runs out before numbers do")
}

/// Below those that systems give to connections on their way out, or one of them could have a port before whoever it is meant for.
const PORTS: Range<u16> = 10_000..20_000;
/// So many ports are this process's alone.
const PORTS_PER_BLOCK: u16 = 50;

/// Ports that no other process with tests gives out while the file is locked.
struct Block {
    left: Range<u16>,
    _lock: File,
}

impl Block {
    /// One that nobody has.
    fn take() -> Self {
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        let folder = std::env::temp_dir().join(format!("tickstock-monitor-test-ports-{user}"));
        std::fs::create_dir_all(&folder).unwrap();
        let blocks = (PORTS.end - PORTS.start) / PORTS_PER_BLOCK;
        std::iter::repeat_with(|| PORTS.start + rand::random_range(0..blocks) * PORTS_PER_BLOCK)
            .find_map(|first| {
                let lock = File::create(folder.join(first.to_string())).unwrap();
                lock.try_lock().ok()?;
                Some(Self { left: first..first + PORTS_PER_BLOCK, _lock: lock })
            })
            .unwrap()
    }
}

/// A port that nobody listens on, and that no other test is given: whoever has it may end and start again on it.
pub(crate) fn free_port() -> u16 {
    static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut blocks = BLOCKS.lock().unwrap();
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    loop {
        if let Some(port) = blocks.last_mut().and_then(|block| block.left.find(is_free)) {
            return port;
        }
        blocks.push(Block::take());
    }
}
