//! What is looked at rarely: is the audit log whole, when does the certificate end?

use super::{Alerts, Fact};
use crate::{
    audit,
    front::{TlsConfig, certificate_end},
};
use std::time::Duration;
use tokio::{runtime::Handle, sync::watch, task::spawn_blocking, time::sleep};
use tokio_util::sync::CancellationToken;

const LOOK_INTERVAL: Duration = Duration::from_secs(3_600);
/// Reading the whole audit log takes some work: not while everything starts, and not every hour.
const FIRST_READING: Duration = Duration::from_secs(30);
const LOOKS_PER_READING: u64 = 6;

pub(super) async fn keep(
    alerts: Alerts,
    tls: Option<TlsConfig>,
    sends: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let checks = async {
        alerts.tell(Fact::Certificate(tls.as_ref().and_then(certificate_end)));
        sleep(FIRST_READING).await;
        let mut looks: u64 = 0;
        loop {
            alerts.tell(Fact::Certificate(tls.as_ref().and_then(certificate_end)));
            if looks.is_multiple_of(LOOKS_PER_READING) && *sends.borrow() {
                read_audit(&alerts).await;
            }
            looks += 1;
            sleep(LOOK_INTERVAL).await;
        }
    };
    stop.run_until_cancelled(checks).await;
}

async fn read_audit(alerts: &Alerts) {
    let (database, runtime) = (alerts.0.database.clone(), Handle::current());
    // It hashes for seconds where the log is long: not on a thread that others share.
    let reading = spawn_blocking(move || runtime.block_on(audit::verify(&database, &[])));
    let Ok(found) = reading.await else { return };
    match found {
        Ok(Ok(_)) => alerts.tell(Fact::AuditChain(None)),
        Ok(Err(breaks)) => {
            let text = breaks.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join("; ");
            alerts.tell(Fact::AuditChain(Some(text)));
        }
        Err(error) => tracing::warn!(%error, "The audit log could not be checked; trying again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        alerts::{AlertsConfig, Context},
        auth::testing,
    };

    #[tokio::test]
    async fn an_audit_log_that_was_changed_is_told_as_long_as_it_is_and_a_certificate_with_its_end() {
        let (home, database) = testing::database().await;
        let (alerts, mut keeper) = Alerts::new(&AlertsConfig::default(), Context::default(), database.clone());
        read_audit(&alerts).await;
        assert_eq!(keeper.facts.try_recv(), Ok(Fact::AuditChain(None)));
        database.tamper("CREATE TRIGGER quiet AFTER INSERT ON history_runs BEGIN SELECT 1; END").await.unwrap();
        read_audit(&alerts).await;
        let text = "the trigger quiet does not belong there".to_owned();
        assert_eq!(keeper.facts.try_recv(), Ok(Fact::AuditChain(Some(text))));

        let (certificate, key) = (home.path().join("c.pem"), home.path().join("k.pem"));
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        let tls = TlsConfig { certificate, key };
        let stop = CancellationToken::new();
        let sends = watch::channel(true).1;
        tokio::spawn(keep(alerts, Some(tls.clone()), sends, stop.clone()));
        assert_eq!(keeper.facts.recv().await, Some(Fact::Certificate(certificate_end(&tls))));
        assert!(certificate_end(&tls).is_some());
        stop.cancel();
    }
}
