//! The heartbeat: a request a minute while all is well, so that somebody outside notices when it does not come.
//!
//! Well is: this server hears of its connections, its database takes what it has to keep, and it is the one that tells. It is not
//! that no alert is open, as somebody is told of those.

use super::{Alerts, Answer};
use app::model::{status::StatusReport, time::UnixMillis};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

const INTERVAL: Duration = Duration::from_secs(60);
/// A status that is older is none.
const FRESH_MS: i64 = 15_000;

pub(super) async fn keep(
    alerts: Alerts,
    reports: watch::Receiver<Arc<StatusReport>>,
    sends: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let Some(url) = alerts.0.heartbeat.clone() else { return };
    let mut beats = interval(INTERVAL);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut trouble: Option<String> = None;
    while stop.run_until_cancelled(beats.tick()).await.is_some() {
        let age_ms = UnixMillis::now().millis_since(reports.borrow().head.generated_at);
        if !*sends.borrow() || age_ms > FRESH_MS || alerts.0.database.trouble().await.is_some() {
            continue;
        }
        let now = match alerts.0.courier.beat(&url).await {
            Answer::Taken(_) => None,
            answer => Some(answer.text().to_owned()),
        };
        match (&trouble, &now) {
            (None, Some(why)) => warn!("The heartbeat (ALERT_HEARTBEAT_URL) is not taken: {why}"),
            (Some(_), None) => info!("The heartbeat is taken again"),
            _ => {}
        }
        trouble = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{AlertsConfig, Context, testing::Receiver};
    use std::time::Instant;

    #[tokio::test]
    async fn it_beats_while_this_server_tells_and_hears_of_its_connections() {
        let folder = tempfile::tempdir().unwrap();
        let database =
            crate::database::Database::open(&format!("sqlite://{}/a.db", folder.path().display())).await.unwrap();
        let stop = CancellationToken::new();
        let mut receivers = Vec::new();
        // Well comes last: once it was heard, the others would have been.
        for (sends, age_ms) in [(false, 0), (true, FRESH_MS + 1_000), (true, 0)] {
            let receiver = Receiver::start([]).await;
            let config = AlertsConfig {
                heartbeat: Some(receiver.url.clone().into()),
                allowed_nets: vec!["127.0.0.1/32".parse().unwrap()],
                ..AlertsConfig::default()
            };
            let (alerts, _keeper) = Alerts::new(&config, Context::default(), database.clone());
            let mut report = StatusReport::default();
            report.head.generated_at = UnixMillis(UnixMillis::now().0 - age_ms);
            let (reports, sends) = (watch::channel(Arc::new(report)).1, watch::channel(sends).1);
            tokio::spawn(keep(alerts, reports, sends, stop.clone()));
            receivers.push(receiver);
        }
        let since = Instant::now();
        while receivers[2].requests().is_empty() {
            assert!(since.elapsed() < Duration::from_secs(20), "it does not beat");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(receivers[2].requests()[0].line, "GET /hook HTTP/1.1");
        assert!(receivers[0].requests().is_empty() && receivers[1].requests().is_empty());
        stop.cancel();
    }
}
