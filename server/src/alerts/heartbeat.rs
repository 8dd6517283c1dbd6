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
