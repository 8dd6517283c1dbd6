//! One server among several: what it is called, its lease, and what hangs on that.

use crate::{
    bus::{Asker, HandoverOnRedis, LeaseOnRedis, Right, TickBus},
    collector::{self, Begun, Connections, Keeper, Peer},
    config::{Config, MonitorRole},
    database::Database,
    history::{Opening, Succession},
    hub::Hub,
    tasks::Tasks,
    thread::Thread,
};
use anyhow::Context;
use app::model::{history::HistoryNews, status::Standing};
use std::sync::Arc;
use tokio::{
    sync::{Mutex, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The claim to send alerts of a server that runs alone, or watches what others collect. A collector's is better.
pub(crate) const FIRST_CLAIM: u64 = 1;

/// A server that is one of several, before it runs.
pub(crate) struct Several {
    server: String,
    right: Right,
    competes: bool,
}

impl Several {
    /// `None` for a server that runs alone, or only watches others.
    pub(crate) fn of(config: &Config, port: u16) -> Option<Self> {
        let server = server_name(config, port);
        let competes = config.role == MonitorRole::Auto;
        config.is_among_several().then(|| Self { server, right: Right::default(), competes })
    }

    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn right(&self) -> &Right {
        &self.right
    }

    /// What it is shown as at first.
    pub(crate) fn first_view(&self) -> Standing {
        collector::first_view(self.competes)
    }

    /// From now on it competes, or looks on.
    pub(crate) fn start(
        self,
        config: &Config,
        connections: Option<Connections>,
        hub: &Hub,
        (history, notes): (Opening, watch::Receiver<String>),
        database: &Database,
        tasks: &Tasks,
    ) -> anyhow::Result<Running> {
        let Self { server, right, competes } = self;
        let redis = config.redis.as_ref().context("several servers without REDIS_URL")?;
        let asker = Asker { server: server.clone(), host: host(), build: env!("CARGO_PKG_VERSION").to_owned() };
        let thread = Thread::start("lease").context("no thread for the lease")?;
        let peer = Peer { server: server.clone(), right: right.clone(), talk: HandoverOnRedis::new(redis)? };
        let (keeper, task) = collector::keep(LeaseOnRedis::new(redis, asker)?, right.clone(), server.clone(), competes);
        let end = tasks.shutdown().clone();
        let (claim, changes) = (watch::Sender::new(0), right.changes());
        let claims = claim.subscribe();
        tasks.tracker().spawn(end.clone().run_until_cancelled_owned(tell(right, changes, claim)));
        tasks.on(thread.runtime()).spawn_vital_until("keeper of the lease", keeper.given_up().clone(), task);
        let (begun, tenures) = watch::channel(None);
        let (history_tasks, history_end, news) = (TaskTracker::new(), end.child_token(), history.into_news());
        match &connections {
            Some(connections) => {
                let following =
                    collector::follow(keeper.standing(), connections.clone(), peer.clone(), hub.clone(), begun, end);
                tasks.tracker().spawn(following);
                let (config, database, hub) = (config.clone(), database.clone(), hub.clone());
                let keeping =
                    Tenures { server, bus: connections.bus(), config, database, hub, news: news.clone(), notes };
                tasks.tracker().spawn(history_tasks.track_future(keeping.keep(tenures, history_end.clone())));
            }
            None => {
                tasks.tracker().spawn(collector::look_on(keeper.standing(), hub.clone(), end));
            }
        }
        history_tasks.close();
        let _held = Arc::new((thread, news));
        let (leaving, hub) = (Arc::default(), hub.clone());
        Ok(Running { keeper, connections, peer, hub, claims, leaving, history_tasks, history_end, _held })
    }
}

/// A server among several that runs.
#[derive(Clone)]
pub(crate) struct Running {
    keeper: Keeper,
    connections: Option<Connections>,
    peer: Peer,
    hub: Hub,
    claims: watch::Receiver<u64>,
    /// One hands over at a time.
    leaving: Arc<Mutex<()>>,
    history_tasks: TaskTracker,
    history_end: CancellationToken,
    /// The thread of the lease, and the word on history, which is none while others write it.
    _held: Arc<(Thread, watch::Sender<HistoryNews>)>,
}

impl Running {
    pub(crate) fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// How good its claim to send alerts is: that of the collector is the best, and a later one's better than an earlier one's.
    pub(crate) fn claims(&self) -> watch::Receiver<u64> {
        self.claims.clone()
    }

    /// Told to stop, a server lets another one that waits for it collect before anything else ends.
    pub(crate) async fn hand_over_early(self, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        if self.keeper.has_others() || !self.peer.right.is_collecting() {
            self.hand_over().await;
        }
    }

    /// Ends collecting, and gives the lease up. Done twice, the second time finds nothing to do.
    pub(crate) async fn hand_over(&self) {
        let _leaving = self.leaving.lock().await;
        let Some(connections) = &self.connections else {
            self.keeper.release().await;
            return;
        };
        let history_ended = async {
            self.history_end.cancel();
            self.history_tasks.wait().await;
        };
        collector::hand_over(&self.keeper, connections, &self.peer, &self.hub, history_ended).await;
    }
}

async fn tell(right: Right, mut changes: watch::Receiver<()>, claims: watch::Sender<u64>) {
    loop {
        claims.send_modify(|claim| {
            *claim = match right.epoch(Instant::now()) {
                _ if !right.is_collecting() => 0,
                Some(epoch) => FIRST_CLAIM + epoch,
                // It holds what it has for a while without the right.
                None => *claim,
            };
        });
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps history while this server collects.
struct Tenures {
    server: String,
    bus: Arc<dyn TickBus>,
    config: Config,
    database: Database,
    hub: Hub,
    news: watch::Sender<HistoryNews>,
    notes: watch::Receiver<String>,
}

impl Tenures {
    async fn keep(self, mut tenures: watch::Receiver<Option<Begun>>, stop: CancellationToken) {
        loop {
            let begun = tenures.borrow_and_update().clone();
            let over = stop.child_token();
            let keeping = async {
                let Some(Begun { tenure, before, whole }) = begun else { return over.cancelled().await };
                // It may be gone from the lease before this server looked for the first time.
                let reported = before.collector.filter(|collector| *collector != self.server);
                let succession = Succession {
                    server: self.server.clone(),
                    is_again: tenure.number() > 1,
                    // Who let this server in gave the lease up, whether or not that was heard before the lease was had.
                    predecessor: tenure
                        .predecessor
                        .clone()
                        .or(reported.map(|collector| (collector, false)))
                        .map(|(server, gave_up)| (server, gave_up || whole.is_some())),
                    epoch: Box::new(move || tenure.epoch()),
                    last_ticks: before.last_ticks,
                    whole: whole.unwrap_or_default(),
                };
                let opening = Opening::new(self.database.clone(), self.config.history, self.config.feed);
                let opening = opening.of(Arc::clone(&self.bus)).noting(self.notes.clone());
                opening.after(succession, self.news.clone()).keep(self.hub.reports(), over.clone()).await;
            };
            let ending = async {
                let _ = stop.run_until_cancelled(tenures.changed()).await;
                over.cancel();
            };
            tokio::join!(keeping, ending);
            if stop.is_cancelled() {
                return;
            }
            self.news.send_modify(|news| news.trouble = None);
        }
    }
}

/// How this server is called.
pub(crate) fn server_name(config: &Config, port: u16) -> String {
    config.server_name.clone().unwrap_or_else(|| format!("{}:{port}", host()))
}

/// The machine's name.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "unknown host".to_owned() } else { name.to_owned() }
}
