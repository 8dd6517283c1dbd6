//! What the server costs and how fast it is: real hub, real sockets on loopback, real Redis, side by side with floors
//! and with others, in one run, so that rows can be compared with each other.
//!
//! ```text
//!  this process                       a process for each row
//!  ┌───────────────────────┐          ┌───────────────────────────────────────────┐
//!  │ load: provider, Redis ├─ticks───▶│ manager or subscriber ─▶ bus ─▶ hub        │ ◀ CPU seconds and
//!  │ admins: count, time   │◀─frames──┤ (or: load ─▶ bus ─▶ hub; or: a relay)      │   peak memory from /proc
//!  └───────────────────────┘          └───────────────────────────────────────────┘
//! ```
//!
//! A tick's volume is the microsecond of its publishing, by which an admin finds out how long it took.

mod aims;
mod api;
mod child;
mod crowd;
mod decode;
mod fence;
mod floors;
mod history;
mod http;
mod ingest;
mod measure;
mod pace;
mod product;
mod provider;
mod recording;
mod redis;
mod relays;
mod rig;
mod scenario;
mod soak;
mod socket;
mod table;
mod tls;
mod usage;
mod wire;

use clap::{Parser, Subcommand};

/// Measures the server.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All rows, as a table.
    Table(table::Options),
    /// The whole server for a long time, with administrators coming and going.
    Soak(soak::Options),
    /// What publishing under a lease costs, beside publishing without one.
    Fence,
    /// What history costs the way of a tick, and how long questions to ninety days take.
    History(history::Options),
    /// What the recording costs: bytes a tick on disk, and time on the hub's thread.
    Recording(recording::Options),
    /// The whole server, as an operator runs it.
    #[command(hide = true)]
    Product { database: String, provider: String, symbols: u64 },
    /// The server's side of one row.
    #[command(hide = true)]
    Rig { scenario: String, source: Option<String> },
    /// The plain axum broadcast.
    #[command(hide = true)]
    Relay { provider: String },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Table(options) => table::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Fence => fence::run(),
        Command::History(options) => history::run(&options),
        Command::Recording(options) => recording::run(&options),
        Command::Product { database, provider, symbols } => product::run(&database, &provider, symbols),
        Command::Rig { scenario, source } => rig::run(&serde_json::from_str(&scenario)?, source.as_deref()),
        Command::Relay { provider } => relays::run(&provider),
    }
}
