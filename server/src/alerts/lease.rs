//! Which server sends, of those that share a database: the one that holds a lease in it. A file is one server's alone; of servers
//! that have a file each, the collector sends.
//!
//! The holder counts the lease's beats up every second. Another server takes the lease when its claim is better, or when the beats
//! have stood still for five seconds of its own monotonic clock: no two clocks are compared. Steps are written under the
//! lease, so a server that was stopped and goes on writes nothing of what another one judges by then.

use super::Alerts;
use crate::database::{QueryError, alerts::AlertLease};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

const BEAT: Duration = Duration::from_secs(1);
/// Who has not prolonged it for so long does not hold it any more.
const STALE: Duration = Duration::from_secs(5);

pub(super) struct Lease {
    alerts: Alerts,
    server: String,
    run: String,
    claims: watch::Receiver<u64>,
    /// As it was read last, and since when it has been so.
    seen: Option<(AlertLease, Instant)>,
    /// Was it got, the last time that it was tried?
    has_held: bool,
}

impl Lease {
    pub(super) fn new(alerts: Alerts, server: String, claims: watch::Receiver<u64>) -> Self {
        let run = alerts.0.run.clone();
        Self { alerts, server, run, claims, seen: None, has_held: false }
    }

    /// Holds the lease or waits for it, until `stop`; then it is given up.
    pub(super) async fn keep(mut self, stop: CancellationToken) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Ok(()) = self.claims.changed() => {}
                _ = beats.tick() => {}
            }
            let sends = self.try_hold().await.unwrap_or_else(|_| self.goes_on_without_database());
            let changed = self.alerts.0.sends.send_if_modified(|known| std::mem::replace(known, sends) != sends);
            // Alone there is nobody else.
            if changed && self.seen.as_ref().is_some_and(|(seen, _)| !seen.run.is_empty()) {
                info!("{}", if sends { "This server sends alerts" } else { "Another server sends alerts" });
            }
        }
        if self.alerts.0.sends.send_replace(false) {
            let _ = timeout(STALE, self.alerts.0.database.give_up_alert_lease(&self.run)).await;
        }
    }

    async fn try_hold(&mut self) -> Result<bool, QueryError> {
        let database = &self.alerts.0.database;
        let claim = *self.claims.borrow_and_update();
        if !database.is_shared() && self.has_held {
            return Ok(0 < claim || !self.alerts.0.servers.borrow().a_better_one_sends);
        }
        let found = database.alert_lease().await?;
        let is_first = self.seen.is_none();
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != found) {
            self.seen = Some((found.clone(), Instant::now()));
        }
        let is_stale = self.seen.as_ref().is_some_and(|(_, since)| since.elapsed() >= STALE);
        let is_own = found.run == self.run;
        // An earlier run of this server is over. Two servers of one name do not take it from each other for ever.
        let was_own = is_first && found.server == self.server;
        if database.is_shared() && !is_own && !was_own && claim <= found.claim && !is_stale {
            return Ok(false);
        }
        let lease = AlertLease { server: self.server.clone(), run: self.run.clone(), claim, beats: found.beats };
        self.has_held = database.hold_alert_lease(&lease).await?;
        Ok(self.has_held)
    }

    /// As long as the database answers nobody, nobody else gets the lease. Answers it others, one of them says so on Redis.
    fn goes_on_without_database(&self) -> bool {
        let was_sending = *self.alerts.0.sends.borrow() || self.seen.is_none() && *self.claims.borrow() > 0;
        was_sending && !self.alerts.0.servers.borrow().another_sends
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::{AlertsConfig, Context, OtherServers},
        auth::testing,
        database::Database,
    };

    fn candidate(database: &Database, server: &str, claim: u64) -> (Alerts, watch::Sender<u64>, Lease) {
        let (alerts, _keeper) = Alerts::new(&AlertsConfig::default(), Context::default(), database.clone());
        let (claims, receiver) = watch::channel(claim);
        let lease = Lease::new(alerts.clone(), server.to_owned(), receiver);
        (alerts, claims, lease)
    }

    #[tokio::test]
    async fn the_best_claim_sends_and_one_that_holds_on_keeps_the_lease_from_its_equals() {
        let (_home, database) = testing::postgres().await;
        let (_, _claims_a, mut a) = candidate(&database, "a", 1);
        let (_, claims_b, mut b) = candidate(&database, "b", 1);
        let (_, _claims_c, mut c) = candidate(&database, "c", 0);
        assert!(!c.try_hold().await.unwrap(), "whoever knows least leaves it to others");
        assert!(a.try_hold().await.unwrap());
        assert!(!b.try_hold().await.unwrap() && a.try_hold().await.unwrap() && !b.try_hold().await.unwrap());
        claims_b.send_replace(8);
        assert!(b.try_hold().await.unwrap() && !a.try_hold().await.unwrap() && b.try_hold().await.unwrap());
        // It collects no more, and says so with its next beat.
        claims_b.send_replace(0);
        assert!(b.try_hold().await.unwrap() && a.try_hold().await.unwrap() && !b.try_hold().await.unwrap());
        // Started again at once, a server need not wait for the run of it that was killed.
        let (_, _claims, mut again) = candidate(&database, "a", 1);
        assert!(again.try_hold().await.unwrap() && !a.try_hold().await.unwrap() && again.try_hold().await.unwrap());
    }

    #[tokio::test]
    async fn without_the_database_the_last_one_goes_on_until_another_says_that_it_sends() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap();
        let (alerts, _claims, mut lease) = candidate(&database, "a", 1);
        assert!(lease.try_hold().await.unwrap());
        alerts.0.sends.send_replace(true);
        assert!(lease.goes_on_without_database());
        alerts.tell_servers(OtherServers { another_sends: true, ..OtherServers::default() });
        assert!(!lease.goes_on_without_database());
    }

    #[tokio::test]
    async fn with_a_file_each_the_collector_sends_or_the_first_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap();
        let (alerts, claims, mut lease) = candidate(&database, "a", 0);
        assert!(lease.try_hold().await.unwrap() && lease.try_hold().await.unwrap());
        assert_eq!(database.alert_lease().await.unwrap().beats, 1, "nothing is written every second");
        alerts.tell_servers(OtherServers { a_better_one_sends: true, ..OtherServers::default() });
        assert!(!lease.try_hold().await.unwrap());
        claims.send_replace(5);
        assert!(lease.try_hold().await.unwrap());
    }
}
