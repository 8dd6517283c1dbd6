//! Reading the configuration again while everything runs.
//!
//! ```text
//!  environment, .env ──▶ Config ──▶ plans ──┬──▶ manager: makes anew what changed, and nothing else
//!                          │                └──▶ hub: what the page shows
//!                          └── refused? then what ran before runs on
//! ```
//!
//! A bad setting of one connection leaves that connection as it was; with any other problem nothing is applied at all.
//! What is read only at a start is named. One refresh at a time, and it goes on to its end whoever stops waiting for it.

use crate::{
    audit::{Action, Actor, Audit, AuditAct, NotRecorded},
    collector::Connections,
    config::{Config, ConnectionSettings, Problem},
    hub::Hub,
    universe::{ConnectionPlan, Universes, added_and_removed, plan},
    upstream::Endpoint,
};
use app::model::{
    connection::ConnectionId,
    refresh::{ConnectionChange, RefreshOutcome, Refusal},
    status::Feed,
};
use secrecy::{ExposeSecret, SecretString};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// How often universes on a Redis that did not answer are asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Reads the configuration again. Cheap to clone.
#[derive(Clone)]
pub struct Refresher(Arc<Inner>);

struct Inner {
    audit: Audit,
    hub: Hub,
    /// `None` where others always collect.
    connections: Option<Connections>,
    /// Where the simulated market listens, when that is the feed.
    simulator: Option<SocketAddr>,
    current: Mutex<Current>,
    /// Tells the configuration that is in force from others.
    fingerprint: watch::Sender<String>,
}

/// What is in force.
struct Current {
    /// As of the start: what a refresh cannot change is still as it was then.
    started: Config,
    config: Config,
    plans: Vec<ConnectionPlan>,
    /// Redis could not be asked for the universe of a connection that is enabled, and never could since the start: a
    /// refresh is refused rather than make it so again.
    is_incomplete: bool,
}

/// Why a refresh has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It could not be put on record; nothing was read.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// It panicked. How far it came nobody knows; the next one applies everything that is missing.
    #[error(
        "reloading the configuration broke off because of an internal error; see the monitor's log, then reload again"
    )]
    Broken,
}

/// Where the connections go.
#[must_use]
pub fn endpoint(config: &Config, simulator: Option<SocketAddr>) -> Endpoint {
    match simulator {
        Some(address) => Endpoint::simulator(address),
        None => {
            let key = config.market.api_key.clone().unwrap_or_else(|| SecretString::from(""));
            Endpoint::massive(config.market.massive_url.clone(), key)
        }
    }
}

impl Refresher {
    /// Starts from what runs. `connections` and `simulator` are those of this server, if any.
    #[must_use]
    pub fn new(
        config: Config,
        (plans, universes): (Vec<ConnectionPlan>, &Universes),
        (connections, simulator): (Option<Connections>, Option<SocketAddr>),
        hub: Hub,
        audit: Audit,
    ) -> Self {
        let is_incomplete = lacks_universes(&config, universes);
        let current = Current { started: config.clone(), config, plans, is_incomplete };
        let fingerprint = watch::Sender::new(current.config.fingerprint(&current.plans));
        Self(Arc::new(Inner { audit, hub, connections, simulator, current: Mutex::new(current), fingerprint }))
    }

    /// What tells the configuration that is in force from others, now and from now on.
    #[must_use]
    pub fn fingerprint(&self) -> watch::Receiver<String> {
        self.0.fingerprint.subscribe()
    }

    /// Reads the configuration again for somebody, on record: that it was asked for, and what came of it. `asked` says who asked
    /// on which other server.
    ///
    /// # Errors
    /// When it cannot be put on record; then nothing is read. When it broke off.
    pub async fn refresh_by(&self, actor: &Actor, asked: Option<String>) -> Result<RefreshOutcome, RefreshError> {
        let to = |act: AuditAct| AuditAct { target: asked.clone(), ..act };
        self.0.audit.record(to(actor.does(Action::ConfigRefresh))).await?;
        let outcome = self.refresh().await;
        let act = match &outcome {
            Ok(done) if done.changed.is_empty() && !done.refused.is_empty() => {
                actor.failed_at(Action::ConfigRefresh, summary(done))
            }
            Ok(done) => actor.does(Action::ConfigRefresh).because(summary(done)),
            Err(error) => actor.failed_at(Action::ConfigRefresh, error.to_string()),
        };
        // It is done and the asking is on record; that its outcome is not is an error in the log.
        let _ = self.0.audit.record(to(act)).await;
        outcome
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// When it broke off.
    pub async fn refresh(&self) -> Result<RefreshOutcome, RefreshError> {
        let inner = Arc::clone(&self.0);
        // In a task of its own: half a refresh would leave connections stopped.
        outcome_of(tokio::spawn(async move { inner.refresh().await })).await
    }

    /// Asks Redis again for universes until it answers, where it did not at the start.
    pub async fn complete(self, stop: CancellationToken) {
        while self.0.current.lock().await.is_incomplete {
            if stop.run_until_cancelled(sleep(ASK_AGAIN)).await.is_none() {
                return;
            }
            let inner = Arc::clone(&self.0);
            let _ = tokio::spawn(async move { inner.ask_again().await }).await;
        }
    }
}

impl Inner {
    async fn refresh(&self) -> RefreshOutcome {
        let mut current = self.current.lock().await;
        let outcome = match self.read(&current).await {
            Ok((config, universes, refused)) => self.take_over(&mut current, config, &universes, refused).await,
            Err(problems) => nothing_taken(&current, problems),
        };
        for refusal in &outcome.refused {
            warn!("Configuration rejected: {}: expected {}", refusal.variable, refusal.accepted);
        }
        info!("Configuration reloaded: {}", summary(&outcome));
        outcome
    }

    /// Asks for universes once more, with the configuration that is in force: what somebody is about to write into a file
    /// is nobody's business here.
    async fn ask_again(&self) {
        let mut current = self.current.lock().await;
        let config = current.config.clone();
        match config.universes().await {
            Ok(universes) if universes.unasked().is_none() => {
                let outcome = self.take_over(&mut current, config, &universes, Vec::new()).await;
                info!("Universes reloaded from Redis: {}", summary(&outcome));
            }
            // Said on the dashboard already.
            Ok(_) => {}
            Err(error) => warn!("Cannot load universes: {error}"),
        }
    }

    /// The configuration as it is now, and what of it cannot be used.
    async fn read(&self, current: &Current) -> Result<(Config, Universes, Vec<Problem>), Vec<Problem>> {
        let variables = current.config.variables.read_again()?;
        let mut config = Config::read(&variables)?;
        let mut refused = config.warnings.clone();
        for settings in config.connections.iter_mut().filter(|settings| !settings.problems.is_empty()) {
            refused.extend(settings.problems.iter().cloned());
            let good = |old: &&ConnectionSettings| old.id == settings.id && old.problems.is_empty();
            if let Some(old) = current.config.connections.iter().find(good) {
                *settings = old.kept_for(&settings.problems);
            }
        }
        let universes = config.universes().await.map_err(|error| {
            let path = config.market.universes_file.as_deref().map(|path| path.display().to_string());
            vec![Problem::new("UNIVERSES_FILE", path.as_deref(), format!("a usable file; {error}"))]
        })?;
        // What runs by a universe that is on Redis would be stopped for want of symbols, or started with others.
        let is_new = !current.is_incomplete && lacks_universes(&config, &universes);
        if let Some(why) = universes.unasked().filter(|_| is_new) {
            let accepted = format!("a reachable Redis, as universes may be stored there ({why})");
            return Err(vec![Problem::new("REDIS_URL", None, accepted)]);
        }
        Ok((config, universes, refused))
    }

    async fn take_over(
        &self,
        current: &mut Current,
        config: Config,
        universes: &Universes,
        refused: Vec<Problem>,
    ) -> RefreshOutcome {
        let needs_restart = current.started.needs_restart_for(&config);
        if config.feed != current.started.feed {
            // Everything hangs on the feed, the defaults of the connections too.
            let outcome = nothing_taken(current, refused);
            return RefreshOutcome { needs_restart: feed_variables(&current.started, &config), ..outcome };
        }
        let plans = plan(&config.connections, universes);
        let moved = moved(&current.config, &config);
        let mut outcome = compare(&current.plans, &plans, &moved);
        outcome.refused = refused.into_iter().map(refusal).collect();
        outcome.needs_restart = needs_restart;
        current.is_incomplete = lacks_universes(&config, universes);
        (current.config, current.plans) = (config, plans.clone());
        self.fingerprint.send_replace(current.config.fingerprint(&current.plans));
        self.hub.replan(plans.clone()).await;
        if let Some(connections) = &self.connections {
            connections.apply(plans, endpoint(&current.config, self.simulator)).await;
        }
        outcome
    }
}

/// Is a connection enabled whose universe may be on a Redis that could not be asked?
fn lacks_universes(config: &Config, universes: &Universes) -> bool {
    let is_unsure = |settings: &ConnectionSettings| {
        settings.enabled && settings.universe_key.as_deref().is_some_and(|key| universes.doubt_about(key).is_some())
    };
    config.connections.iter().any(is_unsure)
}

/// What a refresh came to. One that panicked has no outcome: nobody may take it for one that changed nothing.
async fn outcome_of(refreshing: JoinHandle<RefreshOutcome>) -> Result<RefreshOutcome, RefreshError> {
    refreshing.await.map_err(|error| {
        error!("The refresh of the configuration broke off: {error}");
        RefreshError::Broken
    })
}

fn nothing_taken(current: &Current, problems: Vec<Problem>) -> RefreshOutcome {
    RefreshOutcome {
        unchanged: current.plans.iter().map(|plan| plan.id).collect(),
        refused: problems.into_iter().map(refusal).collect(),
        ..RefreshOutcome::default()
    }
}

fn refusal(problem: Problem) -> Refusal {
    Refusal { variable: problem.variable, value: problem.value, accepted: problem.accepted }
}

/// Of the variables that choose the feed, those that changed.
fn feed_variables(old: &Config, new: &Config) -> Vec<String> {
    let names = ["MARKET_FEED", "MASSIVE_API_KEY", "USE_MASSIVE_API"];
    let changed: BTreeSet<String> = names
        .into_iter()
        .filter(|name| old.variables.get(name) != new.variables.get(name))
        .map(str::to_owned)
        .chain(old.needs_restart_for(new))
        .collect();
    changed.into_iter().collect()
}

/// What changed for all connections: never the values, one of them is a secret.
fn moved(old: &Config, new: &Config) -> Vec<String> {
    let key = |config: &Config| config.market.api_key.as_ref().map(|key| key.expose_secret().to_owned());
    let mut moved = Vec::new();
    if new.feed == Feed::Massive && old.market.massive_url != new.market.massive_url {
        moved.push("provider address".to_owned());
    }
    if new.feed == Feed::Massive && key(old) != key(new) {
        moved.push("key".to_owned());
    }
    moved
}

fn compare(old: &[ConnectionPlan], new: &[ConnectionPlan], moved: &[String]) -> RefreshOutcome {
    let mut outcome = RefreshOutcome::default();
    let ids: BTreeSet<ConnectionId> = old.iter().chain(new).map(|plan| plan.id).collect();
    for id in ids {
        let find = |plans: &'_ [ConnectionPlan]| plans.iter().find(|plan| plan.id == id).cloned();
        let mut what = match (find(old), find(new)) {
            (Some(old), Some(new)) => differences(&old, &new),
            (None, _) => vec!["slot added".to_owned()],
            (_, None) => vec!["slot removed".to_owned()],
        };
        if find(new).is_some_and(|plan| plan.runs()) {
            what.extend_from_slice(moved);
        }
        if what.is_empty() {
            outcome.unchanged.push(id);
        } else {
            outcome.changed.push(ConnectionChange { connection: id, what });
        }
    }
    outcome
}

fn differences(old: &ConnectionPlan, new: &ConnectionPlan) -> Vec<String> {
    let mut what = Vec::new();
    let mut note = |name: &str, old: String, new: String| {
        if old != new {
            what.push(format!("{name}: {old} → {new}"));
        }
    };
    let on = |plan: &ConnectionPlan| if plan.enabled { "on" } else { "off" }.to_owned();
    let key = |plan: &ConnectionPlan| plan.config.universe_key.clone().unwrap_or_else(|| "none".to_owned());
    let channels = |plan: &ConnectionPlan| {
        plan.config.channels.iter().map(|channel| channel.prefix()).collect::<Vec<_>>().join(",")
    };
    let left = |plan: &ConnectionPlan| plan.carried_elsewhere.len().to_string();
    note("switched", on(old), on(new));
    note("name", old.name.clone(), new.name.clone());
    note("universe key", key(old), key(new));
    note("channels", channels(old), channels(new));
    note("duplicates routed elsewhere", left(old), left(new));
    note("priority", old.config.priority.label().to_owned(), new.config.priority.label().to_owned());
    what.extend(symbols(old, new));
    if old.config.warnings != new.config.warnings {
        what.push("warnings".to_owned());
    }
    what
}

fn symbols(old: &ConnectionPlan, new: &ConnectionPlan) -> Option<String> {
    let (before, after) = (&old.config.symbols, &new.config.symbols);
    let (added, removed) = added_and_removed(before, after);
    let detail = if added > 0 && removed > 0 { format!(" ({added} added, {removed} removed)") } else { String::new() };
    (added + removed > 0).then(|| format!("symbols: {} → {}{detail}", before.len(), after.len()))
}

/// In one line, for the log and the record.
fn summary(outcome: &RefreshOutcome) -> String {
    let changed: Vec<_> = outcome
        .changed
        .iter()
        .map(|change| format!("connection {}: {}", change.connection, change.what.join(", ")))
        .collect();
    let refused: Vec<_> = outcome.refused.iter().map(|refusal| refusal.variable.as_str()).collect();
    let mut parts = vec![if changed.is_empty() { "nothing changed".to_owned() } else { changed.join("; ") }];
    if !refused.is_empty() {
        parts.push(format!("rejected: {}", refused.join(", ")));
    }
    if !outcome.needs_restart.is_empty() {
        parts.push(format!("needs a restart: {}", outcome.needs_restart.join(", ")));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refresh_that_panics_is_not_one_that_changed_nothing() {
        let broken = outcome_of(tokio::spawn(async { panic!("half a refresh") })).await;
        assert!(matches!(broken, Err(RefreshError::Broken)), "{broken:?}");
        let done = outcome_of(tokio::spawn(async { RefreshOutcome::default() })).await;
        assert_eq!(done.ok(), Some(RefreshOutcome::default()));
    }
}
