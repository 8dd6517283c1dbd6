//! Integration tests: the whole server on a free port, real sockets, a real database, a real Redis.
//!
//! One binary, because linking is what costs. `routes/` mirrors the URLs, the rest the way of a tick.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod accounting;
mod alerts;
mod budgets;
mod bus;
mod bus_faults;
mod connections;
mod deploy;
mod description;
mod frames;
mod history;
mod massive;
mod modules;
mod parsers;
mod postgres;
mod process;
mod program;
mod proxies;
mod redis_feed;
mod refresh;
mod routes;
mod security;
mod several;
mod util;
