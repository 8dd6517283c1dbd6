//! `tickstock-monitor`: see `docs/` for what it does and `--help` for how to call it.

use anyhow::Context;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret;
use server::{
    audit::{self, cli::AuditCommand},
    auth::{self, FirstAccount, cli::UserCommand},
    config::{Config, DashboardConfig, Variables, unusable_files},
    database::Database,
    simulator::{self, SimulatorArgs},
};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

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
    /// Look after the audit log.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check the configuration and say every problem.
    CheckConfig,
}

fn main() -> ExitCode {
    // Rendering pages can block a worker for a moment; with fewer than four, others would wait (leptos #4647).
    let workers = std::thread::available_parallelism().map_or(4, |cores| cores.get().max(4));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let result = runtime.context("cannot start").and_then(|runtime| runtime.block_on(run(Cli::parse())));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tickstock-monitor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    start_logging();
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(read_config(unusable_files)?).await,
        Command::Simulator(args) => run_simulator(args).await,
        Command::User(command) => {
            let (database, config) = open_database().await?;
            auth::cli::run(command, &database, &config.accounts.names).await
        }
        Command::Audit(command) => audit::cli::run(command, &open_database().await?.0).await,
        Command::CheckConfig => check_config(&read_config(unusable_files)?).await,
    }
}

async fn open_database() -> anyhow::Result<(Database, Config)> {
    // Neither certificates nor universes play a part.
    let config = read_config(|_| Vec::new())?;
    Ok((Database::open(&config.accounts.database_url).await?, config))
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let address = config.dashboard.listen;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("LEPTOS_SITE_ADDR={address}: cannot listen there"))?;
    let database = Database::open(&config.accounts.database_url).await?;
    let accounts = &config.accounts;
    let (email, password) = (accounts.admin_email.clone(), accounts.admin_password.clone());
    let first = auth::first_account(&database, email, password, &accounts.names).await?;
    greet(&listener, &config.dashboard, &first)?;
    server::run(config, database, listener, until_told_to_stop()).await
}

/// The address, and the account when it was made now: its password is printed once and kept nowhere.
fn greet(listener: &TcpListener, dashboard: &DashboardConfig, first: &FirstAccount) -> anyhow::Result<()> {
    let scheme = if dashboard.tls.is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", listener.local_addr()?);
    println!("\n  TickStock Monitor   {}/admin/websockets", dashboard.public_url.as_ref().unwrap_or(&address));
    match first {
        FirstAccount::Made { email, generated_password: Some(password) } => {
            println!("  Sign in as          {}", email.as_str());
            println!("  with the password   {}   (shown once)\n", password.expose_secret());
        }
        FirstAccount::Made { email, generated_password: None } => {
            println!("  Sign in as          {}, with ADMIN_PASSWORD\n", email.as_str());
        }
        FirstAccount::AlreadyThere => {
            println!("  Sign in with an account that is there; `tickstock-monitor user` lists and adds them\n");
        }
    }
    Ok(())
}

async fn run_simulator(args: SimulatorArgs) -> anyhow::Result<()> {
    let address = args.listen;
    let config = args.try_into()?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("--listen {address}: cannot listen there"))?;
    println!("Simulated market on ws://{0}/stocks; faults: POST http://{0}/control", listener.local_addr()?);
    Ok(simulator::serve(config, listener, until_told_to_stop()).await?)
}

async fn check_config(config: &Config) -> anyhow::Result<()> {
    let universes = server::universe::Universes::gather(config).await?;
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    println!("feed: {}", config.feed.label());
    for plan in server::universe::plan(&config.connections, &universes) {
        let state = if plan.enabled { "enabled" } else { "disabled" };
        println!("connection {} ({}): {state}, {} tickers", plan.id, plan.name, plan.config.ticker_count);
        for warning in &plan.config.warnings {
            println!("  warning: {warning}");
        }
    }
    Ok(())
}

/// The configuration, or every problem of it, with what `check_files` finds.
fn read_config(check_files: impl Fn(&Variables) -> Vec<String>) -> anyhow::Result<Config> {
    let mut lines = Vec::new();
    match Variables::from_process() {
        Ok(variables) => {
            lines = check_files(&variables);
            match Config::read(&variables) {
                Ok(config) if lines.is_empty() => return Ok(config),
                Ok(_) => {}
                Err(problems) => lines.extend(problems.iter().map(ToString::to_string)),
            }
        }
        Err(problem) => lines.push(problem.to_string()),
    }
    anyhow::bail!("the configuration cannot be used:\n  {}", lines.join("\n  "))
}

/// Text for people, as much of it as `RUST_LOG` says; the audit log as JSON lines among it, whatever `RUST_LOG` says.
fn start_logging() {
    use tracing_subscriber::{EnvFilter, Layer, filter::filter_fn, fmt, prelude::*};

    const AUDIT: &str = "audit";
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    // The WebSocket library writes whole frames into its trace, and one of them carries the provider's key: whatever
    // RUST_LOG says, that stays out.
    let no_frames = filter_fn(|line| {
        line.target() != AUDIT && (!line.target().starts_with("tungstenite") || *line.level() <= tracing::Level::WARN)
    });
    let text = fmt::layer()
        .fmt_fields(server::text::OneLine)
        .with_writer(std::io::stderr)
        .with_filter(no_frames)
        .with_filter(chosen);
    let records = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(std::io::stderr)
        .with_filter(filter_fn(|line| line.target() == AUDIT));
    tracing_subscriber::registry().with(text).with(records).init();
}

/// Cancelled by Ctrl-C or SIGTERM.
fn until_told_to_stop() -> CancellationToken {
    let token = CancellationToken::new();
    let told = token.clone();
    tokio::spawn(async move {
        let interrupt = tokio::signal::ctrl_c();
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupt => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(_) => drop(interrupt.await),
        }
        told.cancel();
    });
    token
}
