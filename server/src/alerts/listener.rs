//! What people said of alerts, on any server: read from the database when its revision moved.

use super::Alerts;
use crate::database::alerts::Said;
use app::model::time::UnixMillis;
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// How long a word on another server may go unheard.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks every second, and at once when it was said here.
pub(super) async fn listen(alerts: Alerts, said: watch::Sender<Said>, stop: CancellationToken) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        // Before anything is read: what is said meanwhile is looked for once more.
        let told = alerts.0.said.notified();
        // A database that does not answer is noticed, and told of, elsewhere.
        if let Ok(revision) = alerts.0.database.alert_revision().await
            && known != Some(revision)
            && let Ok(all) = alerts.0.database.alerts_said(UnixMillis::now()).await
        {
            known = Some(revision);
            said.send_replace(all);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = told => {}
            _ = looks.tick() => {}
        }
    }
}
