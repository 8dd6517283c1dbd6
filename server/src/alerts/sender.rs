//! Tells one destination what waits for it in the outbox, in the order of each alert, until it was told or a day is over.
//!
//! A destination that is slow or gone keeps nobody else waiting: each has a task of its own.

use super::{Alerts, Answer, Destination, Format};
use crate::database::alerts::{Delivered, Outcome, Waiting};
use app::model::{
    alert::{Alert, Transition},
    time::UnixMillis,
};
use rand::Rng;
use std::{cmp::Reverse, collections::BTreeSet, sync::Arc, sync::PoisonError, time::Duration};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Waits after a failure, in seconds: the last one again and again.
const RETRY_SECONDS: [i64; 6] = [5, 30, 120, 600, 1_800, 3_600];
/// After so long nobody wants to know any more.
const TOO_LATE_MS: i64 = 24 * 3_600_000;
/// How long the outbox is left alone when nothing is due.
const REST_MS: i64 = 30_000;
/// How long it is left alone when it cannot be read.
const BLIND_MS: i64 = 2_000;
/// Alertmanager is reminded so often of what lasts.
const REMIND_MS: i64 = 60_000;
/// Steps that are sent without the outbox, at most.
const DIRECT_MAX: usize = 256;

/// Where the keeper leaves word for a sender.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    pub(super) name: String,
    /// There is something new in the outbox.
    wake: Arc<Notify>,
    /// What the outbox does not take at the moment.
    direct: mpsc::Sender<Transition>,
}

impl Mailbox {
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    pub(super) fn send_without_outbox(&self, step: &Transition) {
        if self.direct.try_send(step.clone()).is_err() {
            warn!("Too many alerts at once for {} while the database takes none: one is sent later", self.name);
        }
    }
}

pub(super) struct Sender {
    alerts: Alerts,
    destination: Destination,
    sends: watch::Receiver<bool>,
    wake: Arc<Notify>,
    received: mpsc::Receiver<Transition>,
    /// Sent without the outbox: what is not over yet.
    direct: Vec<Waiting>,
    /// Over, and the outbox does not know it yet.
    unnoted: Vec<(String, Delivered)>,
    reminded_at: UnixMillis,
    is_gone: bool,
    is_failing: bool,
}

impl Sender {
    pub(super) fn new(alerts: Alerts, destination: Destination, sends: watch::Receiver<bool>) -> (Mailbox, Self) {
        let (direct, received) = mpsc::channel(DIRECT_MAX);
        let wake = Arc::new(Notify::new());
        let mailbox = Mailbox { name: destination.name.clone(), wake: Arc::clone(&wake), direct };
        let sender = Self {
            alerts,
            destination,
            sends,
            wake,
            received,
            direct: Vec::new(),
            unnoted: Vec::new(),
            reminded_at: UnixMillis::default(),
            is_gone: false,
            is_failing: false,
        };
        (mailbox, sender)
    }

    pub(super) async fn keep(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(&mut self) {
        self.read_gone().await;
        loop {
            while let Ok(step) = self.received.try_recv() {
                self.direct.push(Waiting { next_at: step.at, step, attempts: 0 });
            }
            self.note_what_is_over().await;
            // A test that was taken switches it on again.
            self.is_gone &= self.alerts.gone_since(&self.destination.name).is_some();
            let wait_ms = if *self.sends.borrow() { self.turn(&UnixMillis::now).await } else { REST_MS };
            if wait_ms <= 0 {
                continue;
            }
            let rest = Duration::from_millis(wait_ms.unsigned_abs());
            tokio::select! {
                () = self.wake.notified() => {}
                Some(step) = self.received.recv() => {
                    self.direct.push(Waiting { next_at: step.at, step, attempts: 0 });
                }
                // The server that sent before may have heard that it is gone.
                Ok(()) = self.sends.changed() => self.read_gone().await,
                () = sleep(rest) => {}
            }
        }
    }

    /// Tries what is due by this clock; answers how long to rest.
    async fn turn(&mut self, clock: &(impl Fn() -> UnixMillis + Sync)) -> i64 {
        let mut wait_ms = REST_MS;
        let (mut waiting, knows) = match self.alerts.0.database.waiting_deliveries(&self.destination.name).await {
            Ok(waiting) => (waiting, true),
            Err(_) => (Vec::new(), false),
        };
        if !knows {
            wait_ms = BLIND_MS;
        }
        let known: BTreeSet<_> =
            self.direct.iter().map(|one| &one.step.id).chain(self.unnoted.iter().map(|(id, _)| id)).collect();
        waiting.retain(|one| !known.contains(&one.step.id));
        waiting.extend(self.direct.iter().cloned());
        let now = clock();
        let mut due: Vec<_> = Vec::new();
        for one in waiting {
            if one.next_at <= now {
                due.push(one);
            } else {
                wait_ms = wait_ms.min(one.next_at.millis_since(now));
            }
        }
        due.sort_by_key(|one| (Reverse(one.step.alert.severity), one.step.at, one.step.alert.transitions));
        let any = !due.is_empty();
        for one in due {
            // Whoever is not the one that tells any more leaves the rest to the other.
            if !*self.sends.borrow() {
                break;
            }
            self.try_one(one, clock).await;
        }
        if matches!(self.destination.format, Format::Alertmanager { .. }) {
            wait_ms = wait_ms.min(self.remind(clock()).await);
        }
        // What was behind what was told just now is due.
        if any { 0 } else { wait_ms.max(1) }
    }

    async fn try_one(&mut self, one: Waiting, clock: &(impl Fn() -> UnixMillis + Sync)) {
        let now = clock();
        let attempts = one.attempts + 1;
        let is_late = now.millis_since(one.step.at) >= TOO_LATE_MS;
        let answer = if self.is_gone {
            Answer::Refused("the destination said that it is gone".to_owned())
        } else if is_late {
            Answer::Refused("a day has passed".to_owned())
        } else {
            self.alerts.0.courier.tell(&self.destination, &one.step, now).await
        };
        self.tell_how_it_goes(&answer);
        let (outcome, at) = match &answer {
            Answer::Taken(_) => (Outcome::Delivered, clock()),
            Answer::Refused(_) | Answer::Gone(_) => (Outcome::GivenUp, clock()),
            Answer::Failed(_) => (Outcome::Pending, UnixMillis(clock().0 + retry_ms(attempts))),
        };
        self.alerts.count(&self.destination.name, if outcome == Outcome::Pending { "failed" } else { outcome.name() });
        if matches!(answer, Answer::Gone(_)) {
            self.switch_off(now).await;
        }
        let delivered = Delivered { outcome, attempts, at, answer: answer.text().to_owned() };
        let id = one.step.id.clone();
        if let Some(place) = self.direct.iter().position(|direct| direct.step.id == id) {
            if outcome == Outcome::Pending {
                (self.direct[place].attempts, self.direct[place].next_at) = (attempts, at);
                return;
            }
            self.direct.remove(place);
        }
        self.note(id, delivered).await;
    }

    /// A failure is in the log when it begins and when it is over.
    fn tell_how_it_goes(&mut self, answer: &Answer) {
        let name = &self.destination.name;
        match answer {
            Answer::Taken(_) if std::mem::take(&mut self.is_failing) => info!("Alerts reach {name} again"),
            Answer::Taken(_) => {}
            Answer::Failed(why) if !self.is_failing => {
                self.is_failing = true;
                warn!("An alert did not reach {name}, trying again: {why}");
            }
            Answer::Failed(_) => {}
            Answer::Refused(why) | Answer::Gone(why) => warn!("An alert was given up for {name}: {why}"),
        }
    }

    async fn note(&mut self, id: String, delivered: Delivered) {
        match self.alerts.0.database.note_delivery(&id, &self.destination.name, &delivered).await {
            Ok(true) => {}
            Ok(false) | Err(_) if delivered.outcome != Outcome::Pending => self.unnoted.push((id, delivered)),
            // It stays as it was: tried again at once, or by whoever comes after.
            Ok(false) | Err(_) => {}
        }
    }

    /// What was told and could not be noted must not be told again.
    async fn note_what_is_over(&mut self) {
        for (id, delivered) in std::mem::take(&mut self.unnoted) {
            let is_old = UnixMillis::now().millis_since(delivered.at) > TOO_LATE_MS;
            let noted = self.alerts.0.database.note_delivery(&id, &self.destination.name, &delivered).await;
            if !matches!(noted, Ok(true)) && !is_old {
                self.unnoted.push((id, delivered));
            }
        }
    }

    async fn read_gone(&mut self) {
        let name = &self.destination.name;
        let hash = self.destination.address_hash();
        if let Ok(Some(at)) = self.alerts.0.database.destination_gone(name, &hash).await {
            self.is_gone = true;
            self.alerts.0.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), at);
        }
    }

    /// 410: nobody is there any more, and nobody is asked again until somebody tests it or configures another address.
    async fn switch_off(&mut self, now: UnixMillis) {
        self.is_gone = true;
        let (name, hash) = (self.destination.name.clone(), self.destination.address_hash());
        warn!("{name} answered that it is gone: it is switched off until a test reaches it or it gets another address");
        self.alerts.0.gone.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), now);
        let _ = self.alerts.0.database.set_destination_gone(&name, &hash, Some(now)).await;
    }

    /// Alertmanager takes for over what it is not told again. Answers when to do it next.
    async fn remind(&mut self, now: UnixMillis) -> i64 {
        let Format::Alertmanager { url } = &self.destination.format else { return REST_MS };
        let left = REMIND_MS - now.millis_since(self.reminded_at);
        if left > 0 {
            return left;
        }
        self.reminded_at = now;
        let open = self.alerts.open();
        let was_told = |alert: &&Alert| alert.told.contains(&self.destination.name);
        let open: Vec<_> = open.iter().filter(was_told).collect();
        if !open.is_empty() && !self.is_gone {
            let answer = self.alerts.0.courier.remind(url, &open, now).await;
            self.tell_how_it_goes(&answer);
        }
        REMIND_MS
    }
}

/// The wait after so many attempts, a tenth more or less, so that not all come at once.
fn retry_ms(attempts: u32) -> i64 {
    let place = (attempts.max(1) as usize - 1).min(RETRY_SECONDS.len() - 1);
    let millis = RETRY_SECONDS[place] * 1000;
    millis + rand::rng().random_range(-millis / 10..=millis / 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{AlertsConfig, Context, testing::Receiver};
    use app::model::alert::{Severity, TransitionKind};
    use std::{
        collections::BTreeMap,
        sync::atomic::{AtomicI64, Ordering::Relaxed},
    };
    use tokio::net::TcpListener;

    /// A step of an alert, told to the webhook.
    fn step(alert: &str, number: u32, kind: TransitionKind, at: i64) -> Transition {
        let alert = Alert {
            id: alert.into(),
            fingerprint: alert.into(),
            severity: Severity::Critical,
            transitions: number,
            ..Alert::default()
        };
        Transition { id: format!("{}-{number}", alert.id), kind, at: UnixMillis(at), alert, to: vec!["webhook".into()] }
    }

    #[tokio::test]
    async fn a_receiver_that_is_down_for_an_hour_is_told_all_of_it_once_and_in_order() {
        const HOUR_MS: i64 = 3_600_000;
        let folder = tempfile::tempdir().unwrap();
        let database = crate::database::Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await;
        let database = database.unwrap();
        // Nobody listens there yet.
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let format = Format::Webhook { url: format!("http://{address}/hook").into(), secret: None };
        let destination = Destination { name: "webhook".into(), min_severity: Severity::Info, format };
        let config = AlertsConfig {
            destinations: vec![destination.clone()],
            allowed_nets: vec!["127.0.0.1/32".parse().unwrap()],
            ..AlertsConfig::default()
        };
        let (alerts, _keeper) = Alerts::new(&config, Context::default(), database.clone());
        let (_mailbox, mut sender) = Sender::new(alerts, destination, watch::channel(true).1);

        let begin = 1_763_564_400_000;
        let (now, mut steps) = (AtomicI64::new(begin), BTreeMap::new());
        for (alert, after) in [("a", 0), ("b", 60_000), ("c", 1_800_000)] {
            steps.insert(begin + after, step(alert, 1, TransitionKind::Firing, begin + after));
            steps.insert(begin + after + 1, step(alert, 2, TransitionKind::Acknowledged, begin + after + 1));
            let end = begin + after + 1_200_000;
            steps.insert(end, step(alert, 3, TransitionKind::Resolved, end));
        }
        let (mut receiver, mut tries) = (None::<Receiver>, 0);
        while now.load(Relaxed) < begin + 3 * HOUR_MS {
            let at = now.load(Relaxed);
            let later = steps.split_off(&(at + 1));
            let written: Vec<_> = std::mem::replace(&mut steps, later).into_values().collect();
            assert!(database.write_transitions("", &written).await.unwrap());
            if receiver.is_none() && at >= begin + HOUR_MS {
                receiver = Some(Receiver::start_at(address, []).await);
            }
            let rest_ms = sender.turn(&|| UnixMillis(now.load(Relaxed))).await;
            tries += 1;
            let next_step = steps.keys().next().map_or(REST_MS, |next| next - at);
            now.fetch_add(rest_ms.clamp(0, next_step.max(0)), Relaxed);
        }
        assert!(tries < 2_000, "{tries}");
        let told: Vec<_> = receiver.unwrap().requests().iter().map(|r| r.header("webhook-id").to_owned()).collect();
        for alert in ["a", "b", "c"] {
            let of_it: Vec<_> = told.iter().filter(|id| id.starts_with(alert)).map(String::as_str).collect();
            assert_eq!(of_it, [1, 2, 3].map(|number| format!("{alert}-{number}")), "{told:?}");
        }
        let waits = database.waiting_deliveries("webhook").await.unwrap();
        assert_eq!(waits, []);
        let last = database.last_deliveries("webhook", 9).await.unwrap();
        assert!(last.iter().all(|delivery| delivery.outcome == "delivered"), "{last:?}");
        let first = last.iter().find(|delivery| delivery.kind == "firing" && delivery.alert_id == "a").unwrap();
        assert!((5..=8).contains(&first.attempts), "{first:?}");
    }

    #[test]
    fn a_failure_is_tried_again_soon_then_hourly_for_a_day() {
        let (mut at, mut tries) = (0, 0);
        while at < TOO_LATE_MS {
            tries += 1;
            at += retry_ms(tries);
        }
        assert!((26..=34).contains(&tries), "{tries}");
        assert!((4_500..=5_500).contains(&retry_ms(1)) && (27_000..=33_000).contains(&retry_ms(2)));
    }
}
