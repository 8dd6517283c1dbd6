//! TickStock Monitor's server.
//!
//! ```text
//!  provider ──ws──▶ upstream ──▶ bus ──▶ monitor ──▶ hub ──ws──▶ browsers
//!  (or simulator)   (manager)   (memory  (what we    (admin
//!                               | Redis)  know now)   sockets)
//! ```
//!
//! Data flows one way. Ingest owes the dashboard nothing: nothing upstream of the bus knows that anybody watches.

pub mod alerts;
pub mod audit;
pub mod auth;
mod backoff;
pub mod bus;
pub mod collector;
pub mod config;
pub mod database;
pub mod front;
pub mod history;
mod http_client;
pub mod hub;
pub mod limits;
pub mod logging;
pub mod model;
pub mod monitor;
pub mod network;
pub mod problem;
pub mod recording;
pub mod refresh;
mod rhythm;
pub mod routes;
pub mod servers;
mod service;
mod several;
pub mod signals;
pub mod site;
pub mod tasks;
pub mod text;
pub mod thread;
pub mod universe;
pub mod upstream;

use alerts::{Alerts, Context};
use anyhow::Context as _;
use app::model::{connection::CONNECTIONS_MAX, market::Calendar, status::Feed, time::UnixMillis};
use audit::Audit;
use auth::{Provider, Revocations, RoleRules, SessionRules, keep_roles};
use bus::Role;
use collector::Connections;
use config::{Config, MonitorRole};
use database::Database;
use front::{Places, TlsKeys};
use futures_util::future::BoxFuture;
use history::Opening;
use leptos::config::LeptosOptions;
use limits::Limits;
use recording::{Doing, Recording};
use refresh::Refresher;
use routes::{AppState, Collecting, guard::Access};
use servers::Servers;
use simulator::SimulatorConfig;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tasks::Tasks;
use thread::Thread;
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// The time that sockets and requests get to end after `shutdown`, and then the tasks.
const FAREWELL: Duration = Duration::from_secs(5);
/// The time that the database gets to fold its log into its file. A request that is stuck may still hold a connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
const SESSION_SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Runs everything until `shutdown`: the connection manager or its absence, the bus, the hub, the web server on
/// `listener`. At the end requests and sockets come first, whose readers may be stuck; ingest, publishing and history go on
/// meanwhile and end together, and then history's last write is done. Where another server stands by, it takes over before
/// anything else ends.
///
/// # Errors
/// When something cannot be started that the configuration asks for: a universe file that cannot be read, an address
/// that is taken. What fails later is shown, not returned.
pub fn run(
    config: Config,
    database: Database,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> BoxFuture<'static, anyhow::Result<()>> {
    // Behind a type of the library it is compiled with the library, not again with each program and test that runs it.
    Box::pin(run_until(config, database, listener, shutdown))
}

async fn run_until(
    config: Config,
    database: Database,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // Before anything is opened.
    let descriptors = front::raise_descriptor_limit();
    let universes = config.universes().await?;
    let plans = universe::plan(&config.connections, &universes);
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    for plan in &plans {
        plan.config.warnings.iter().for_each(|warning| warn!("Connection {}: {warning}", plan.id));
    }

    let end = CancellationToken::new();
    let tasks = Tasks::new(end.clone()).with_alarm(shutdown.clone());
    let ingest_thread = Thread::start("ingest").context("no thread for ingest")?;
    let ingest_tasks = tasks.on(ingest_thread.runtime());
    let among_several = several::Several::of(&config, listener.local_addr()?.port());
    let collects = config.feed != Feed::Redis && config.role != MonitorRole::Dashboard;
    let (bus, inbox) = bus::open(config.redis.as_ref(), role(&config, among_several.as_ref()), &ingest_tasks)?;
    let simulator = match config.feed {
        Feed::Simulator if collects => Some(start_simulator(&config, &tasks).await?),
        _ => None,
    };
    let connections = collects.then(|| {
        let endpoint = refresh::endpoint(&config, simulator);
        Connections::new(plans.clone(), endpoint, bus, config.dashboard.metrics_interval, &ingest_tasks)
    });

    let mut monitor = monitor::Monitor::new(config.feed, plans.clone(), UnixMillis::now());
    if let Some(several) = &among_several {
        monitor.stand(several.first_view(), UnixMillis::now());
    }
    let recording = if config.recording.enabled && collects {
        let (recording, tee, recorder) =
            Recording::start(config.recording.clone()).context("no thread for the recorder")?;
        monitor.record_to(tee);
        tasks.tracker().spawn(recorder.ended());
        recording
    } else {
        Recording::to_read(config.recording.clone())
    };
    let (notes, noted) = watch::channel(String::new());
    tasks.tracker().spawn(end.clone().run_until_cancelled_owned(note_recording(recording.doing(), notes)));
    let pace = hub::Pace {
        frame_interval: config.dashboard.frame_interval,
        metrics_interval: config.dashboard.metrics_interval,
    };
    let history = Opening::new(database.clone(), config.history, config.feed).noting(noted.clone());
    let hub_thread = Thread::start("hub").context("no thread for the hub")?;
    let context = Context { public_url: config.dashboard.public_url.clone(), is_recorded: recording.records() };
    let (alerts, alert_keeper) = Alerts::new(&config.alerts, context, database.clone());
    let news = history.news();
    let (hub, hub_task) = hub::hub(monitor, inbox, pace, news.clone(), alerts.lines(), hub_thread.runtime().clone());
    tasks.on(hub_thread.runtime()).spawn_vital("hub", hub_task);
    let several = match among_several {
        Some(several) => {
            Some(several.start(&config, connections.clone(), &hub, (history, noted), &database, &tasks)?)
        }
        None => {
            if let Some(connections) = &connections {
                connections.start().await;
            }
            let name = several::server_name(&config, listener.local_addr()?.port());
            tasks.tracker().spawn(history.in_turn(name).keep(hub.reports(), end.clone()));
            None
        }
    };
    tasks.tracker().spawn(database.clone().sweep_sessions(SESSION_SWEEP_INTERVAL, end.clone()));
    let port = config.dashboard.public_port().unwrap_or(listener.local_addr()?.port());
    let access = access(&config, port, &database, &tasks)?;
    let tls = match &config.dashboard.tls {
        None => None,
        Some(files) => {
            let (keys, renewal) = TlsKeys::load(files, end.clone())?;
            tasks.tracker().spawn(renewal);
            Some(keys)
        }
    };

    let refresher = Refresher::new(
        config.clone(),
        (plans, &universes),
        (connections.clone(), simulator),
        hub.clone(),
        access.audit.clone(),
    );
    tasks.tracker().spawn(refresher.clone().complete(shutdown.clone()));
    tasks.tracker().spawn(signals::refresh_on_hangup(refresher.clone(), shutdown.clone()));

    let orders = match &config.redis {
        Some(redis) if several.is_some() => Some(bus::OrdersOnRedis::new(redis)?),
        _ => None,
    };
    let name = several::server_name(&config, listener.local_addr()?.port());
    let presence = config.redis.as_ref().map(|redis| bus::PresenceOnRedis::new(redis, &name)).transpose()?;
    let (servers, presence) =
        Servers::new(name.clone(), refresher.fingerprint(), hub.clone(), alerts.clone(), presence, end.clone());
    tasks.tracker().spawn(presence);
    let sources = alerts::Sources {
        reports: hub.reports(),
        news,
        server: name,
        claims: several.as_ref().map_or_else(|| watch::channel(several::FIRST_CLAIM).1, several::Running::claims),
        calendar: Calendar::of(config.feed),
        tls: config.dashboard.tls.clone(),
        kept: config.history.rest,
    };
    tasks.tracker().spawn(alert_keeper.keep(sources, end.clone()));

    let places = Places::new(descriptors, config.dashboard.trusted_proxies.clone().into());
    let state = AppState {
        access,
        alerts,
        leptos: leptos_options(&config),
        config: Arc::new(config),
        database: database.clone(),
        hub: hub.clone(),
        collecting: Collecting {
            connections,
            keeper: several.as_ref().map(|several| several.keeper().clone()),
            orders,
        },
        recording,
        refresher,
        servers,
        sockets: TaskTracker::new(),
        shutdown: shutdown.clone(),
    };
    let parts = vec![ingest_thread.runtime().clone(), hub_thread.runtime().clone()];
    tasks.tracker().spawn(service::tell(parts, shutdown.clone()));
    if let Some(several) = &several {
        tasks.tracker().spawn(several.clone().hand_over_early(shutdown.clone()));
    }
    tasks.tracker().spawn(routes::orders::serve_others(state.clone(), end.clone()));
    serve(state, listener, tls, places, shutdown).await;
    if let Some(several) = several {
        several.hand_over().await;
    }
    end.cancel();
    // Not before: without anybody who knows it the hub ends, and would be taken for broken.
    drop(hub);
    tasks.tracker().close();
    if timeout(FAREWELL, tasks.tracker().wait()).await.is_err() {
        warn!("Some tasks did not end in time");
    }
    if timeout(CLOSE_TIMEOUT, database.close()).await.is_err() {
        warn!("The database was still in use at the end");
    }
    match tasks.broken() {
        Some(task) => anyhow::bail!("the {task} ended unexpectedly"),
        None => Ok(()),
    }
}

/// Says when nothing can be recorded, and when that is over.
async fn note_recording(mut doing: watch::Receiver<Doing>, notes: watch::Sender<String>) {
    let mut trouble: Option<UnixMillis> = None;
    while doing.changed().await.is_ok() {
        let now = doing.borrow_and_update().clone();
        let note = match (&now, trouble) {
            (Doing::Trouble(new), _) => {
                trouble = Some(new.since);
                format!("Ticks are not recorded: {}", new.reason)
            }
            (Doing::Recording(_), Some(since)) => {
                trouble = None;
                format!("Ticks are recorded again; not recorded since {} UTC", since.day_and_clock())
            }
            (Doing::Recording(_) | Doing::StandingBy, _) => continue,
        };
        warn!("{note}");
        notes.send_replace(note);
    }
}

/// What this process does on the bus.
fn role(config: &Config, several: Option<&several::Several>) -> Role {
    let source = if config.feed == Feed::Massive { "massive" } else { "simulator" };
    match several {
        _ if config.feed == Feed::Redis => Role::Watcher,
        None => Role::Collector { source },
        Some(_) if config.role == MonitorRole::Dashboard => Role::Watcher,
        Some(several) => {
            Role::Candidate { source, server: several.server().to_owned(), right: several.right().clone() }
        }
    }
}

async fn start_simulator(config: &Config, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let wanted = config.market.simulator_listen;
    let listener =
        TcpListener::bind(wanted).await.with_context(|| format!("SIMULATOR_LISTEN={wanted}: cannot listen there"))?;
    let address = listener.local_addr()?;
    info!("The simulated market listens on ws://{address}/stocks; faults: POST http://{address}/control");
    let simulator = SimulatorConfig {
        keys: None,
        // As many as a refresh may ask for.
        connections_max: CONNECTIONS_MAX.into(),
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

/// What the guards need, and the tasks that keep it.
fn access(config: &Config, port: u16, database: &Database, tasks: &Tasks) -> anyhow::Result<Access> {
    let stop = tasks.shutdown();
    let (audit, revocations) = (Audit::new(database.clone()), Revocations::default());
    tasks.tracker().spawn(audit.clone().keep(config.accounts.audit, stop.clone()));
    tasks.tracker().spawn(revocations.clone().watch(database.clone(), stop.clone()));
    let oidc = config.accounts.oidc.clone().map(Provider::new).transpose()?;
    if let Some(provider) = &oidc {
        let (provider, database) = (provider.clone(), database.clone());
        tasks.tracker().spawn(keep_roles(provider, database, revocations.clone(), stop.clone()));
    }
    Ok(Access {
        audit,
        database: database.clone(),
        oidc,
        public_url: config.dashboard.public_url.clone(),
        limits: Limits::new(config.redis.as_ref()),
        revocations,
        sessions: SessionRules {
            secure: config.dashboard.secure,
            port,
            idle: config.accounts.session_idle,
            lifetime: config.accounts.session_lifetime,
        },
        roles: RoleRules { viewer: config.accounts.viewer_role, second_factor: config.accounts.second_factor_roles },
        proxies: config.dashboard.trusted_proxies.clone().into(),
        hosts: config.dashboard.allowed_hosts.clone().into(),
    })
}

/// Serves until `shutdown`, and then until requests and sockets have ended, within [`FAREWELL`].
async fn serve(
    state: AppState,
    listener: TcpListener,
    tls: Option<TlsKeys>,
    places: Places,
    shutdown: CancellationToken,
) {
    let sockets = state.sockets.clone();
    let serving = front::serve(listener, tls, routes::router(state), places, shutdown.clone());
    let to_the_end = async {
        serving.await;
        sockets.close();
        sockets.wait().await;
    };
    tokio::select! {
        () = to_the_end => {}
        () = async { shutdown.cancelled().await; tokio::time::sleep(FAREWELL).await } => {
            warn!("Some requests or sockets did not end in time");
        }
    }
}

/// What the pages need to know of their files. The name is given when the server is compiled: see `.cargo/config.toml`.
fn leptos_options(config: &Config) -> LeptosOptions {
    let folder = config.dashboard.site.map_or_else(|| "pkg".to_owned(), site::Site::package_folder);
    LeptosOptions::builder()
        .site_pkg_dir(folder)
        .output_name(option_env!("LEPTOS_OUTPUT_NAME").unwrap_or("tickstock"))
        .site_root(config.dashboard.site_root.clone())
        .site_addr(config.dashboard.listen)
        .build()
}
