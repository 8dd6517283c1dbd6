//! `tickstock-monitor`: see `docs/` for what it does and `--help` for how to call it.

mod commands;

use anyhow::Context;
use clap::{Parser, Subcommand};
use server::{
    audit::cli::AuditCommand,
    auth::{cli::UserCommand, token_cli::TokenCommand},
    logging,
    site::Site,
};
use simulator::SimulatorArgs;
use std::{process::ExitCode, time::Duration};

/// The browser's files, in releases: `scripts/build.sh` writes the list and names it when it compiles this file.
#[cfg(embedded_site)]
const SITE: Option<&Site> = Some(&include!(env!("SITE_LIST")));
#[cfg(not(embedded_site))]
const SITE: Option<&Site> = None;

/// How long the end waits for threads that are still busy.
const FAREWELL: Duration = Duration::from_secs(1);

/// Watches the market-data connections of TickStock.
#[derive(Parser)]
#[command(name = "tickstock-monitor", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the monitor (the default).
    Serve,
    /// Run the simulated market alone.
    Simulator(SimulatorArgs),
    /// Manage accounts.
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the tokens of programs.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Look after the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Look after the database.
    #[command(subcommand)]
    Database(commands::database::DatabaseCommand),
    /// Check the configuration and say every problem.
    CheckConfig,
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    let result = start(command);
    if let Err(error) = &result {
        logging::line(&format!("tickstock-monitor: {error:#}"));
    }
    logging::flush();
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(command: Command) -> anyhow::Result<()> {
    logging::start().context("cannot start")?;
    // Rendering pages can block a worker for a moment; with fewer than four, others would wait (leptos #4647).
    let workers = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .context("cannot start")?;
    let result = runtime.block_on(run(command));
    runtime.shutdown_timeout(FAREWELL);
    result
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve => commands::serve::run(SITE).await,
        Command::Simulator(args) => commands::simulator::run(args).await,
        Command::User(command) => commands::user(command).await,
        Command::Token(command) => commands::token(command).await,
        Command::Audit(command) => commands::audit(command).await,
        Command::Database(command) => commands::database::run(command).await,
        Command::CheckConfig => commands::check_config::run().await,
    }
}
