//! Alerts: somebody is told what is wrong, once, and that it is well again.
//!
//! ```text
//!  status reports, gaps, facts ──▶ Keeper: Machine ──step, deliveries: one transaction──▶ outbox ──▶ Sender, one a destination
//!                                     ▲       └──watch: open alerts──▶ hub, API, metrics                └──▶ webhook, mail, …
//!  people ──API──▶ database ──said────┘
//! ```
//!
//! One task reads the reports that the timeline is made of, from a watch channel: ingest and hub wait for nothing here. Of
//! servers that share a database one judges and sends, under a lease; the others show what the database says. A step and its deliveries
//! are written before anything is sent; only while the database takes nothing are they sent without, under the same ids.

mod checks;
mod destination;
mod fact;
mod heartbeat;
mod keeper;
mod lease;
mod listener;
mod machine;
mod reach;
mod reckoning;
mod sender;
#[cfg(test)]
mod testing;

pub use destination::{AlertData, AlertTold, Answer, Context, Courier, Destination, Email, Format, SmtpUrl, data};
pub(crate) use destination::{PAGERDUTY_URL, are_addresses, is_address, key_of};
pub use fact::{ConnectionFact, Fact};
pub use keeper::{Keeper, Sources};
pub use machine::{Machine, Receiver};
pub use reach::{Reach, Unreachable};
pub use reckoning::Reckoned;

use crate::database::{
    Database, QueryError,
    alerts::{Delivered, Outcome},
};
use app::model::{
    alert::{Alert, OpenAlerts, Severity, Transition, TransitionKind},
    time::UnixMillis,
};
use ipnet::IpNet;
use secrecy::SecretString;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

/// Facts that wait for the machine: they are few.
const FACTS_MAX: usize = 64;

/// Who is told.
#[derive(Clone, Debug, Default)]
pub struct AlertsConfig {
    /// All of them.
    pub destinations: Vec<Destination>,
    /// `ALERT_HEARTBEAT_URL`.
    pub heartbeat: Option<SecretString>,
    /// `ALERT_ALLOWED_NETS`.
    pub allowed_nets: Vec<IpNet>,
}

/// What the rest of the server knows of alerts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Alerts(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    database: Database,
    destinations: Vec<Destination>,
    heartbeat: Option<SecretString>,
    courier: Courier,
    open: watch::Sender<Arc<Vec<Alert>>>,
    lines: watch::Sender<OpenAlerts>,
    /// Tells this run of the server from every other.
    run: String,
    /// Is this the server that judges and sends?
    sends: watch::Sender<bool>,
    /// What is known of the other servers.
    servers: watch::Sender<OtherServers>,
    /// Somebody said something to the database.
    said: Notify,
    facts: mpsc::Sender<Fact>,
    /// How often rules would have fired, as it was reckoned last.
    reckoned: Mutex<Option<reckoning::Known>>,
    reckoning: Semaphore,
    /// Deliveries since the start, by destination and how they ended.
    counts: Mutex<BTreeMap<(String, &'static str), u64>>,
    /// Destinations that are switched off, as they said that they are gone.
    gone: Mutex<BTreeMap<String, UnixMillis>>,
}

/// What alerts need to know of the other servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherServers {
    /// Those that are gone without a word, and when they were last heard of.
    pub lost: Vec<(String, UnixMillis)>,
    /// Does one of them send alerts, by its own word?
    pub another_sends: bool,
    /// Is that the collector, or one that comes before this one by its name?
    pub a_better_one_sends: bool,
}

impl Alerts {
    /// The handle, and what keeps it up to date.
    #[must_use]
    pub fn new(config: &AlertsConfig, context: Context, database: Database) -> (Self, Keeper) {
        let courier = Courier::new(Reach::new(&config.allowed_nets), context);
        let (facts, received) = mpsc::channel(FACTS_MAX);
        let alerts = Self(Arc::new(Shared {
            database,
            destinations: config.destinations.clone(),
            heartbeat: config.heartbeat.clone(),
            courier,
            open: watch::Sender::default(),
            lines: watch::Sender::default(),
            run: format!("{:016x}", rand::random::<u64>()),
            sends: watch::Sender::new(false),
            servers: watch::Sender::default(),
            said: Notify::new(),
            facts,
            reckoned: Mutex::default(),
            reckoning: Semaphore::new(1),
            counts: Mutex::default(),
            gone: Mutex::default(),
        }));
        let keeper = Keeper::new(alerts.clone(), received);
        (alerts, keeper)
    }

    /// The open alerts, the oldest first.
    #[must_use]
    pub fn open(&self) -> Arc<Vec<Alert>> {
        Arc::clone(&self.0.open.borrow())
    }

    /// The same as they change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Vec<Alert>>> {
        self.0.open.subscribe()
    }

    /// Their lines on the dashboard, as they change.
    #[must_use]
    pub fn lines(&self) -> watch::Receiver<OpenAlerts> {
        self.0.lines.subscribe()
    }

    /// Where alerts are told.
    #[must_use]
    pub fn destinations(&self) -> &[Destination] {
        &self.0.destinations
    }

    /// Since when a destination is switched off, as it said that it is gone.
    #[must_use]
    pub fn gone_since(&self, name: &str) -> Option<UnixMillis> {
        self.0.gone.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// What messages say beside the alert.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.0.courier.context
    }

    /// Does this server send alerts? Another one does where it does not.
    #[must_use]
    pub fn sends(&self) -> bool {
        *self.0.sends.borrow()
    }

    /// What is known of the other servers from now on.
    pub fn tell_servers(&self, others: OtherServers) {
        self.0.servers.send_if_modified(|known| (*known != others).then(|| *known = others).is_some());
    }

    /// Takes a fact that is in no status report: how the audit log is, for example.
    fn tell(&self, fact: Fact) {
        // With so many waiting the machine is not there; a fact that lasts is told again.
        let _ = self.0.facts.try_send(fact);
    }

    /// Somebody acknowledged, silenced or changed a rule: to be read from the database at once.
    pub fn look(&self) {
        self.0.said.notify_waiters();
    }

    /// Deliveries since the start: destination, how they ended, how many.
    #[must_use]
    pub fn counts(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|((name, outcome), count)| (name.clone(), *outcome, *count)).collect()
    }

    /// Sends a test to a destination and waits for its answer; `None` when there is no such destination.
    ///
    /// # Errors
    /// When it could not be put among the destination's deliveries.
    pub async fn test(&self, name: &str) -> Result<Option<Answer>, QueryError> {
        let Some(destination) = self.0.destinations.iter().find(|destination| destination.name == name) else {
            return Ok(None);
        };
        let now = UnixMillis::now();
        let answer = self.try_test(destination, now).await;
        let taken = matches!(answer, Answer::Taken(_));
        let outcome = if taken { Outcome::Delivered } else { Outcome::GivenUp };
        let delivered = Delivered { outcome, attempts: 1, at: now, answer: answer.text().to_owned() };
        self.0.database.add_test_delivery(&test_step(destination, now, 1).id, name, &delivered).await?;
        if taken && self.0.gone.lock().unwrap_or_else(PoisonError::into_inner).remove(name).is_some() {
            self.0.database.set_destination_gone(name, &destination.address_hash(), None).await?;
        }
        Ok(Some(answer))
    }

    async fn try_test(&self, destination: &Destination, now: UnixMillis) -> Answer {
        let first = self.0.courier.tell(destination, &test_step(destination, now, 1), now).await;
        let lasts = matches!(destination.format, Format::PagerDuty { .. } | Format::Alertmanager { .. });
        if lasts && matches!(first, Answer::Taken(_)) {
            // They keep what is open.
            return self.0.courier.tell(destination, &test_step(destination, now, 2), now).await;
        }
        first
    }

    fn count(&self, destination: &str, outcome: &'static str) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((destination.to_owned(), outcome)).or_default() += 1;
    }

    /// The open alerts from now on.
    fn publish(&self, mut open: Vec<Alert>) {
        open.sort_by(|a, b| (a.started_at, &a.id).cmp(&(b.started_at, &b.id)));
        self.0.lines.send_if_modified(|lines| {
            let now = OpenAlerts::of(&open);
            (*lines != now).then(|| *lines = now).is_some()
        });
        self.0.open.send_if_modified(|known| (**known != open).then(|| *known = Arc::new(open)).is_some());
    }
}

/// A step that nobody has to do anything about.
fn test_step(destination: &Destination, now: UnixMillis, number: u32) -> Transition {
    let id = format!("test-{}-{}", destination.name, now.0);
    let resolved = number > 1;
    let alert = Alert {
        fingerprint: ["test:", &destination.name].concat(),
        severity: destination.min_severity.max(Severity::Info),
        title: "Test".to_owned(),
        text: "This is a test of this destination. Nothing is wrong.".to_owned(),
        started_at: now,
        fired_at: now,
        ended_at: resolved.then_some(now),
        transitions: number,
        id,
        ..Alert::default()
    };
    let kind = if resolved { TransitionKind::Resolved } else { TransitionKind::Firing };
    Transition { id: format!("{}-{number}", alert.id), kind, at: now, alert, to: Vec::new() }
}
