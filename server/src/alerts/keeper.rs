//! The task around the machine: reports in, steps out, written before they are told.

use super::{
    Alerts, Fact, Machine, Transition, checks,
    fact::of_report,
    heartbeat,
    lease::Lease,
    listener::listen,
    sender::{Mailbox, Sender},
};
use crate::{
    database::{Database, QueryError, alerts::Said},
    front::TlsConfig,
    tasks::ended,
};
use app::model::{history::HistoryNews, market::Calendar, status::StatusReport, time::UnixMillis};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

/// The machine looks at the time at least so often, in milliseconds.
const PASS_MS: i64 = 1_000;
/// Steps that wait for the database, at most.
const UNWRITTEN_MAX: usize = 1_000;
/// How long steps that the database did not take wait before they are tried again.
const REWRITE_MS: i64 = 1_000;
const PRUNE_MS: i64 = 3_600_000;

/// Where the machine's facts come from, and how good this server's claim to send is.
pub struct Sources {
    /// The status, as the timeline gets it.
    pub reports: watch::Receiver<Arc<StatusReport>>,
    /// The gaps that last.
    pub news: watch::Receiver<HistoryNews>,
    /// How this server is called.
    pub server: String,
    /// Of servers that share a database the one with the highest claim sends: 0 does not write history, and knows less than
    /// one that does.
    pub claims: watch::Receiver<u64>,
    /// Whose hours count.
    pub calendar: Calendar,
    /// The server's own certificate.
    pub tls: Option<TlsConfig>,
    /// How long resolved alerts are kept.
    pub kept: Duration,
}

/// Keeps the alerts.
pub struct Keeper {
    alerts: Alerts,
    pub(super) facts: mpsc::Receiver<Fact>,
}

/// While this server is the one that sends.
struct Watcher {
    alerts: Alerts,
    database: Database,
    machine: Machine,
    mailboxes: Vec<Mailbox>,
    /// Steps that the database has not taken yet, and whether they were sent without.
    unwritten: Vec<(Transition, bool)>,
    /// When they may be tried again.
    write_at: UnixMillis,
    writing: Option<JoinHandle<(usize, Result<bool, QueryError>)>>,
    pruned_at: UnixMillis,
    kept: Duration,
}

impl Keeper {
    pub(super) fn new(alerts: Alerts, facts: mpsc::Receiver<Fact>) -> Self {
        Self { alerts, facts }
    }

    /// Judges, tells and shows until `stop`.
    pub async fn keep(mut self, mut sources: Sources, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let (said, mut heard) = watch::channel(Said::default());
        tasks.spawn(listen(self.alerts.clone(), said, stop.clone()));
        let (lease_end, mut sends) = (CancellationToken::new(), self.alerts.0.sends.subscribe());
        let lease = Lease::new(self.alerts.clone(), sources.server.clone(), sources.claims.clone());
        let lease = tokio::spawn(lease.keep(lease_end.clone()));
        let reports = sources.reports.clone();
        tasks.spawn(heartbeat::keep(self.alerts.clone(), reports, sends.clone(), stop.clone()));
        tasks.spawn(checks::keep(self.alerts.clone(), sources.tls.clone(), sends.clone(), stop.clone()));
        let mut mailboxes = Vec::new();
        for destination in self.alerts.destinations().to_vec() {
            let (mailbox, sender) = Sender::new(self.alerts.clone(), destination, sends.clone());
            tasks.spawn(sender.keep(stop.clone()));
            mailboxes.push(mailbox);
        }
        tasks.close();
        while !stop.is_cancelled() {
            if *sends.borrow_and_update() {
                self.tell(&mut sources, &mut sends, &mailboxes, &mut heard, &stop).await;
            } else {
                self.follow(&mut sends, &stop).await;
            }
        }
        tasks.wait().await;
        // Not before: the last steps are written under it.
        lease_end.cancel();
        let _ = lease.await;
    }

    /// Another server sends: its alerts are shown.
    async fn follow(&mut self, sends: &mut watch::Receiver<bool>, stop: &CancellationToken) {
        loop {
            if let Ok(open) = self.alerts.0.database.open_alerts().await {
                self.alerts.publish(open);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = sends.changed() => return,
                Some(_) = self.facts.recv() => {}
                () = self.alerts.0.said.notified() => {}
                () = sleep(Duration::from_millis(PASS_MS.unsigned_abs())) => {}
            }
        }
    }

    async fn tell(
        &mut self,
        sources: &mut Sources,
        sends: &mut watch::Receiver<bool>,
        mailboxes: &[Mailbox],
        heard: &mut watch::Receiver<Said>,
        stop: &CancellationToken,
    ) {
        let mut watcher = Watcher::new(&self.alerts, sources, mailboxes);
        let mut is_resumed = false;
        let mut servers = self.alerts.0.servers.subscribe();
        sources.reports.mark_changed();
        sources.news.mark_changed();
        servers.mark_changed();
        heard.mark_changed();
        loop {
            if !is_resumed {
                is_resumed = watcher.resume().await;
            }
            let now = UnixMillis::now();
            watcher.pass(now);
            let due = watcher.machine.due_at(now).map_or(PASS_MS, |due| due.millis_since(now).clamp(1, PASS_MS));
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = sends.changed() => {
                    if !*sends.borrow() {
                        break;
                    }
                }
                Ok(()) = sources.reports.changed() => {
                    let report = Arc::clone(&sources.reports.borrow_and_update());
                    let now = UnixMillis::now();
                    let writes_history = *sources.claims.borrow() > 0;
                    of_report(&report, writes_history).for_each(|fact| watcher.machine.take(fact, now));
                }
                Ok(()) = sources.news.changed() => {
                    let gaps = sources.news.borrow_and_update().open_gaps.clone();
                    if *sources.claims.borrow() > 0 {
                        watcher.machine.take(Fact::Gaps(gaps), UnixMillis::now());
                    }
                }
                Ok(()) = servers.changed() => {
                    let lost = servers.borrow_and_update().lost.clone();
                    watcher.machine.take(Fact::ServersLost(lost), UnixMillis::now());
                }
                Ok(()) = heard.changed() => {
                    let said = heard.borrow_and_update().clone();
                    watcher.hear(said);
                }
                Some(fact) = self.facts.recv() => watcher.machine.take(fact, UnixMillis::now()),
                written = ended(&mut watcher.writing) => watcher.settle(written),
                () = sleep(Duration::from_millis(due.unsigned_abs())) => {}
            }
        }
        watcher.end().await;
    }
}

impl Watcher {
    fn new(alerts: &Alerts, sources: &Sources, mailboxes: &[Mailbox]) -> Self {
        let receivers = alerts.destinations().iter().map(|one| (one.name.clone(), one.min_severity)).collect();
        Self {
            database: alerts.0.database.clone(),
            machine: Machine::new(sources.calendar, receivers),
            alerts: alerts.clone(),
            mailboxes: mailboxes.to_vec(),
            unwritten: Vec::new(),
            write_at: UnixMillis::default(),
            writing: None,
            pruned_at: UnixMillis::now(),
            kept: sources.kept,
        }
    }

    /// Takes up what earlier runs and other servers left. False while the database does not answer: until it does, the machine
    /// judges without it.
    async fn resume(&mut self) -> bool {
        let names: Vec<_> = self.mailboxes.iter().map(|mailbox| mailbox.name.clone()).collect();
        let Ok(open) = self.database.open_alerts().await else { return false };
        let Ok(given_up) = self.database.give_up_other_deliveries(&names, UnixMillis::now()).await else {
            return false;
        };
        if given_up > 0 {
            warn!("{given_up} deliveries are given up: their destinations are not configured any more");
        }
        let steps = self.machine.take_up(open, UnixMillis::now());
        self.write_later(steps);
        self.mailboxes.iter().for_each(Mailbox::wake);
        true
    }

    fn hear(&mut self, said: Said) {
        self.machine.set(said.settings, said.silences);
        let steps: Vec<_> =
            said.acknowledgements.into_iter().filter_map(|(id, said)| self.machine.acknowledge(&id, said)).collect();
        self.write_later(steps);
    }

    fn pass(&mut self, now: UnixMillis) {
        let steps = self.machine.pass(now);
        for step in &steps {
            let (kind, title, text) = (step.kind.name(), &step.alert.title, &step.alert.text);
            info!("Alert {kind}: {title}: {text}");
        }
        self.write_later(steps);
        self.alerts.publish(self.machine.open().cloned().collect());
        if self.writing.is_none() && !self.unwritten.is_empty() && now >= self.write_at {
            self.write();
        }
        if now.millis_since(self.pruned_at) >= PRUNE_MS {
            self.prune(now);
        }
    }

    fn write_later(&mut self, steps: Vec<Transition>) {
        self.unwritten.extend(steps.into_iter().map(|step| (step, false)));
        // Not while they are being written: they are counted from the front.
        if self.unwritten.len() > UNWRITTEN_MAX && self.writing.is_none() {
            let lost = self.unwritten.len() - UNWRITTEN_MAX;
            warn!("The database has not taken alerts for long: {lost} steps are on record nowhere");
            self.unwritten.drain(..lost);
        }
    }

    fn write(&mut self) {
        let steps: Vec<_> = self.unwritten.iter().map(|(step, _)| step.clone()).collect();
        let (database, run) = (self.database.clone(), self.alerts.0.run.clone());
        self.writing = Some(tokio::spawn(async move { (steps.len(), database.write_transitions(&run, &steps).await) }));
    }

    fn settle(&mut self, (count, written): (usize, Result<bool, QueryError>)) {
        match written {
            // Another server judges, and sends what it finds. The lease's next beat tells, or gets it back.
            Ok(false) => self.write_at = UnixMillis(UnixMillis::now().0 + REWRITE_MS),
            Ok(true) => {
                self.unwritten.drain(..count.min(self.unwritten.len()));
                self.mailboxes.iter().for_each(Mailbox::wake);
            }
            Err(error) => {
                warn!("Alerts could not be written, they are sent without: {}", error.reason());
                self.write_at = UnixMillis(UnixMillis::now().0 + REWRITE_MS);
                for (step, is_sent) in self.unwritten.iter_mut().filter(|(_, is_sent)| !is_sent) {
                    *is_sent = true;
                    let to = self.mailboxes.iter().filter(|mailbox| step.to.contains(&mailbox.name));
                    to.for_each(|mailbox| mailbox.send_without_outbox(step));
                }
            }
        }
    }

    fn prune(&mut self, now: UnixMillis) {
        self.pruned_at = now;
        let kept_ms = i64::try_from(self.kept.as_millis()).unwrap_or(i64::MAX);
        let (database, before) = (self.database.clone(), UnixMillis(now.0.saturating_sub(kept_ms)));
        tokio::spawn(async move {
            if let Err(error) = database.prune_alerts(before).await {
                warn!("Old alerts could not be deleted: {}", error.reason());
            }
        });
    }

    /// The last steps are not lost.
    async fn end(mut self) {
        let writes = async {
            if self.writing.is_some() {
                let written = ended(&mut self.writing).await;
                self.settle(written);
            }
            if !self.unwritten.is_empty() {
                self.write();
                let written = ended(&mut self.writing).await;
                self.settle(written);
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), writes).await;
    }
}
