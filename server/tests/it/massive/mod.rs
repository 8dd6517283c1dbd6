//! The connection manager against everything that the provider is known to do, over real sockets to the simulated market,
//! with less patience than production has; and in `odd`, against a provider that does what the simulated one does not.
//!
//! Beyond this module: what no fault can make our client do (send no key, subscribe twice) is tested where messages are
//! read and lists are made, in unit tests.

mod data;
mod endings;
mod handshake;
mod isolation;
mod odd;
mod provider;
mod tls;

use app::model::{
    connection::{Channel, ConnectionId, Priority},
    status::{ConnectionConfig, ConnectionLive, StatusReport},
    symbol::Symbol,
    tick::Tick,
};
use serde_json::{Value, json};
use server::{
    bus::{self, Delivery, Inbox, Role},
    tasks::Tasks,
    universe::ConnectionPlan,
    upstream::{Endpoint, Manager, Policy},
};
use simulator::SimulatorConfig;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Handle, sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a condition may take to come true: a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(40);

/// Retries at once, everything else as in production.
fn hasty() -> Policy {
    let mut policy = Policy::default();
    policy.backoff.first = Duration::from_millis(20);
    policy.backoff.longest = Duration::from_millis(100);
    policy
}

/// Also notices silence and lateness after a second or two.
fn sharp() -> Policy {
    let mut policy = hasty();
    policy.pulse.floor_ms = 2_000;
    policy.pulse.unlearned_ms = 4_000;
    policy.pulse.first_tick_ms = 2_000;
    policy.pulse.symbol_floor_ms = 2_000;
    policy.pulse.late_ms = 2_000;
    policy
}

fn symbols(text: &str) -> Vec<Symbol> {
    text.split(',').map(|symbol| Symbol::parse(symbol).unwrap()).collect()
}

/// A connection that carries these symbols over these channels.
fn plan(id: ConnectionId, list: &str, channels: &[Channel]) -> ConnectionPlan {
    let priority = [Priority::High, Priority::Normal, Priority::Low][usize::from(id - 1) % 3];
    let config = ConnectionConfig {
        symbols: symbols(list),
        channels: channels.to_vec(),
        priority,
        ..ConnectionConfig::default()
    };
    ConnectionPlan { id, name: format!("connection {id}"), enabled: true, config, carried_elsewhere: Arc::default() }
}

/// Three connections with some symbols each.
fn three(channels: &[Channel]) -> Vec<ConnectionPlan> {
    vec![plan(1, "AAPL,MSFT,NVDA", channels), plan(2, "JPM,BRK.B,GS", channels), plan(3, "PFE,MRK,LLY", channels)]
}

/// What came over the bus.
#[derive(Default)]
struct Seen {
    ticks: Vec<Tick>,
    /// By connection number: ticks, conflated ones too.
    counts: [u64; 17],
}

/// A market, and a connection manager that is connected to it.
struct Rig {
    address: SocketAddr,
    manager: Manager,
    tasks: Tasks,
    seen: Arc<Mutex<Seen>>,
    report: watch::Receiver<Arc<StatusReport>>,
    http: reqwest::Client,
    _shutdown: DropGuard,
}

impl Rig {
    /// The market that takes any key, spoken to as the feed `simulator` does.
    async fn start(plans: Vec<ConnectionPlan>, policy: Policy) -> Self {
        let config = SimulatorConfig { tick_rate: 20.0, ..SimulatorConfig::default() };
        Self::start_with(config, plans, policy, &Endpoint::simulator).await
    }

    async fn start_with(
        config: SimulatorConfig,
        plans: Vec<ConnectionPlan>,
        policy: Policy,
        endpoint: &dyn Fn(SocketAddr) -> Endpoint,
    ) -> Self {
        let (address, shutdown) = serve(config).await;
        Self::connect(address, shutdown, plans, policy, endpoint(address))
    }

    fn connect(
        address: SocketAddr,
        shutdown: CancellationToken,
        plans: Vec<ConnectionPlan>,
        policy: Policy,
        endpoint: Endpoint,
    ) -> Self {
        Self::connect_on(&Handle::current(), address, shutdown, plans, policy, endpoint)
    }

    /// The same with the connection manager on a runtime of its own.
    fn connect_on(
        runtime: &Handle,
        address: SocketAddr,
        shutdown: CancellationToken,
        plans: Vec<ConnectionPlan>,
        policy: Policy,
        endpoint: Endpoint,
    ) -> Self {
        let tasks = Tasks::new(shutdown.clone());
        let (bus, inbox) = bus::open(None, Role::Collector { source: "test" }, &tasks).unwrap();
        let manager = Manager::start(plans, endpoint, bus, policy, Duration::from_millis(200), &tasks.on(runtime));
        let (sender, report) = watch::channel(Arc::default());
        let seen = Arc::new(Mutex::default());
        tasks.spawn_vital("reader of the bus", read(inbox, sender, Arc::clone(&seen)));
        Self { address, manager, tasks, seen, report, http: reqwest::Client::new(), _shutdown: shutdown.drop_guard() }
    }

    async fn fault(&self, fault: Value) {
        let answer = self.http.post(format!("http://{}/control", self.address)).json(&fault).send().await.unwrap();
        assert!(answer.status().is_success(), "{fault}: {}", answer.text().await.unwrap());
    }

    /// The market's side: sessions and faults.
    async fn control(&self) -> Value {
        let answer = self.http.get(format!("http://{}/control", self.address)).send().await.unwrap();
        answer.json().await.unwrap()
    }

    /// How often events of a connection were dropped for this reason.
    fn dropped(&self, id: ConnectionId, reason: &str) -> u64 {
        let report = self.report.borrow();
        let connection = report.connections.iter().find(|connection| connection.live.id == id).expect("it is there");
        connection.dropped.iter().find(|count| count.reason == reason).map_or(0, |count| count.total)
    }

    /// Waits until a connection is as described.
    async fn until(
        &mut self,
        id: ConnectionId,
        what: &str,
        mut is_so: impl FnMut(&ConnectionLive) -> bool,
    ) -> ConnectionLive {
        let find =
            |report: &StatusReport| report.connections.iter().map(|c| &c.live).find(|live| live.id == id).cloned();
        let waiting = self.report.wait_for(|report| find(report).is_some_and(|live| is_so(&live)));
        let found =
            timeout(PATIENCE, waiting).await.ok().and_then(|report| find(&report.expect("the manager reports")));
        found.unwrap_or_else(|| panic!("waited in vain for connection {id} to be {what}; it is {:#?}", self.live(id)))
    }

    async fn until_state(&mut self, id: ConnectionId, state: &str) -> ConnectionLive {
        self.until(id, state, |live| live.state.label() == state).await
    }

    async fn all_connected(&mut self) {
        for id in 1..=3 {
            self.until(id, "connected and ticking", |live| {
                live.state.label() == "connected" && live.metrics.last_update.is_some()
            })
            .await;
        }
    }

    fn live(&self, id: ConnectionId) -> ConnectionLive {
        let report = self.report.borrow();
        report.connections.iter().map(|c| &c.live).find(|live| live.id == id).cloned().expect("it is there")
    }

    fn count(&self, id: ConnectionId) -> u64 {
        self.seen.lock().unwrap().counts[usize::from(id)]
    }

    /// Ticks that came so far, the first hundred thousand of them.
    fn ticks(&self) -> Vec<Tick> {
        self.seen.lock().unwrap().ticks.clone()
    }
}

/// A market on a free port until the token is cancelled.
async fn serve(config: SimulatorConfig) -> (SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    tokio::spawn(simulator::serve(config, listener, shutdown.clone()));
    (address, shutdown)
}

async fn read(mut inbox: Inbox, report: watch::Sender<Arc<StatusReport>>, seen: Arc<Mutex<Seen>>) {
    let mut delivery = Delivery::default();
    loop {
        inbox.take(&mut delivery).await;
        let mut seen = seen.lock().unwrap();
        for (tick, count) in
            delivery.ticks.iter().map(|tick| (tick, 1)).chain(delivery.conflated.iter().map(|(t, n)| (t, *n)))
        {
            seen.counts[usize::from(tick.connection_id.unwrap_or_default())] += u64::from(count);
            if seen.ticks.len() < 100_000 {
                seen.ticks.push(*tick);
            }
        }
        assert_eq!(delivery.lost, 0);
        if let Some(status) = delivery.statuses.pop() {
            report.send_replace(status);
        }
    }
}

/// What the market counts of a connection's sessions that are open.
fn events_sent(control: &Value, id: ConnectionId) -> u64 {
    let sessions = control["connections"].as_array().unwrap();
    sessions.iter().filter(|session| session["connection"] == json!(id)).filter_map(|s| s["events_sent"].as_u64()).sum()
}
