//! The HTTP client for requests to others: receivers of alerts, the identity provider.

use reqwest::{Client, ClientBuilder, redirect::Policy};
use std::time::Duration;

/// A client that goes to the address it is given and nowhere else: no redirect and no proxy of the environment leads it on. `whole`
/// is the time for a request with its answer, `connect` that for the connection alone.
pub(crate) fn http_client(connect: Duration, whole: Duration) -> ClientBuilder {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("tickstock-monitor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .timeout(whole)
        .pool_max_idle_per_host(1)
}
