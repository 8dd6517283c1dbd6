//! What the tests stand on.

mod certificate;
mod clock;
mod front;
mod hook;
mod identity;
mod monitor;
mod nginx;
mod ports;
mod postgres;
mod proxy;
mod redis;
mod sentinel;
mod server;
mod socket;

pub(crate) use certificate::certificate;
pub(crate) use clock::Clock;
pub(crate) use front::Front;
pub(crate) use hook::Hook;
pub(crate) use identity::{ACCESS_TOKEN, CLIENT_SECRET, IdentityProvider, REFRESH_TOKEN, now_s};
pub(crate) use monitor::Monitor;
pub(crate) use nginx::Nginx;
pub(crate) use ports::free_port;
pub(crate) use postgres::Postgres;
pub(crate) use proxy::Proxy;
pub(crate) use redis::{Listener, RedisServer};
pub(crate) use sentinel::Watched;
use server::make_accounts;
pub(crate) use server::{Client, PASSWORD, TestServer, email_of};
pub(crate) use socket::Socket;

use ::server::database::Database;
use std::{future::Future, time::Duration};
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
