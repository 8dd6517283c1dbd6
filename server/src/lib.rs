//! TickStock Monitor's server.
//!
//! ```text
//!  provider ──ws──▶ upstream ──▶ bus ──▶ monitor ──▶ hub ──ws──▶ browsers
//!  (or simulator)   (manager)   (memory  (what we    (admin
//!                               | Redis)  know now)   sockets)
//! ```
//!
//! Data flows one way. Ingest owes the dashboard nothing: nothing upstream of the bus knows that anybody watches.

pub mod audit;
pub mod auth;
pub mod bus;
pub mod config;
pub mod database;
pub mod hub;
pub mod monitor;
pub mod routes;
pub mod simulator;
pub mod tasks;
pub mod universe;
pub mod upstream;

use anyhow::Context;
use app::model::{status::Feed, time::UnixMillis};
use audit::Audit;
use bus::{Role, TickBus};
use config::Config;
use database::Database;
use leptos::config::LeptosOptions;
use routes::AppState;
use secrecy::SecretString;
use simulator::SimulatorConfig;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tasks::Tasks;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use universe::{ConnectionPlan, Universes};
use upstream::Manager;

/// The time that sockets and requests get to end after `shutdown`.
const FAREWELL: Duration = Duration::from_secs(5);
const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Runs everything until `shutdown`: the connection manager or its absence, the bus, the hub, the web server on
/// `listener`.
///
/// # Errors
/// When something cannot be started that the configuration asks for: a universe file that cannot be read, an address
/// that is taken. What fails later is shown, not returned.
pub async fn run(
    config: Config,
    database: Database,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let universes = Universes::load(config.market.universes_file.as_deref())?;
    let plans = universe::plan(&config.connections, &universes);
    config.warnings.iter().for_each(|warning| warn!("{warning}"));

    let tasks = Tasks::new(shutdown.clone());
    let role = match config.feed {
        Feed::Simulator => Role::Collector { source: "simulator" },
        Feed::Massive => Role::Collector { source: "massive" },
        Feed::Redis => Role::Watcher,
    };
    let (bus, inbox) = bus::open(config.redis.as_ref(), role, &tasks)?;
    start_ingest(&config, plans.clone(), bus, &tasks).await?;

    let monitor = monitor::Monitor::new(config.feed, plans, UnixMillis::now());
    let pace = hub::Pace {
        frame_interval: config.dashboard.frame_interval,
        metrics_interval: config.dashboard.metrics_interval,
    };
    let (hub, hub_task) = hub::hub(monitor, inbox, pace);
    tasks.spawn_vital("hub", hub_task);
    tasks.tracker().spawn(database.clone().sweep_sessions(SESSION_SWEEP_INTERVAL, shutdown.clone()));
    let audit = Audit::new(database.clone());
    tasks.tracker().spawn(audit.clone().keep(config.accounts.audit_retention_days, shutdown.clone()));

    let state = AppState {
        audit,
        leptos: leptos_options(&config),
        config: Arc::new(config),
        database: database.clone(),
        hub,
        sockets: tasks.tracker().clone(),
        shutdown: shutdown.clone(),
    };
    serve(state, listener, shutdown).await?;
    tasks.tracker().close();
    if timeout(FAREWELL, tasks.tracker().wait()).await.is_err() {
        warn!("Some tasks did not end in time");
    }
    database.close().await;
    match tasks.broken() {
        Some(task) => anyhow::bail!("the {task} ended unexpectedly"),
        None => Ok(()),
    }
}

/// The connection manager, and the simulated market when that is the feed; nothing when others collect.
async fn start_ingest(
    config: &Config,
    plans: Vec<ConnectionPlan>,
    bus: Arc<dyn TickBus>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let endpoint = match config.feed {
        Feed::Redis => return Ok(()),
        Feed::Simulator => upstream::Endpoint::simulator(start_simulator(config, tasks).await?),
        Feed::Massive => {
            let key = config.market.api_key.clone().unwrap_or_else(|| SecretString::from(""));
            upstream::Endpoint::massive(config.market.massive_url.clone(), key)
        }
    };
    let policy = upstream::Policy::default();
    let _manager = Manager::start(plans, endpoint, bus, policy, config.dashboard.metrics_interval, tasks);
    Ok(())
}

async fn start_simulator(config: &Config, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let wanted = config.market.simulator_listen;
    let listener =
        TcpListener::bind(wanted).await.with_context(|| format!("SIMULATOR_LISTEN={wanted}: cannot listen there"))?;
    let address = listener.local_addr()?;
    info!("The simulated market listens on ws://{address}/stocks; faults: POST http://{address}/control");
    let simulator = SimulatorConfig {
        keys: None,
        connections_max: config.connections.len().max(3),
        denied_channels: Vec::new(),
        tick_rate: config.market.simulator_tick_rate,
    };
    let serving = simulator::serve(simulator, listener, tasks.shutdown().clone());
    tasks.spawn_vital("simulated market", async move {
        if let Err(error) = serving.await {
            warn!("The simulated market stopped: {error}");
        }
    });
    Ok(address)
}

async fn serve(state: AppState, listener: TcpListener, shutdown: CancellationToken) -> anyhow::Result<()> {
    use axum::serve::ListenerExt;

    // Frames are small and late ones are worthless: nothing waits for a fuller packet.
    let listener = listener.tap_io(|socket| {
        let _ = socket.set_nodelay(true);
    });
    let service = routes::router(state).into_make_service_with_connect_info::<SocketAddr>();
    let graceful = shutdown.clone().cancelled_owned();
    let serving = axum::serve(listener, service).with_graceful_shutdown(graceful).into_future();
    tokio::select! {
        served = serving => served?,
        () = async { shutdown.cancelled().await; tokio::time::sleep(FAREWELL).await } => {
            warn!("Some requests did not end in time");
        }
    }
    Ok(())
}

/// What the pages need to know of their files. The name is given when the server is compiled: see `.cargo/config.toml`.
fn leptos_options(config: &Config) -> LeptosOptions {
    LeptosOptions::builder()
        .output_name(option_env!("LEPTOS_OUTPUT_NAME").unwrap_or("tickstock"))
        .site_root(config.dashboard.site_root.clone())
        .site_addr(config.dashboard.listen)
        .build()
}
