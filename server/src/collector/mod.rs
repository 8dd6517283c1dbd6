//! Which of several servers collects. With Redis, servers of the same configuration compete for one lease: who has it owns the
//! upstream connections, publishes and writes history; the others stand by, show what it publishes, and take over.
//!
//! ```text
//!                 asks, keeps, gives up                      grants, until …
//!  Redis ◀──────────────────────────────▶ Keeper ──lease.rs──▶ Right ──▶ publisher, connections
//!                                           │
//!                                        Standing (watch) ──▶ follow ──▶ Connections (start, end), hub, history
//! ```
//!
//! The keeper has a thread of its own, as a right that is renewed late is lost. Nothing here waits for the database, and the
//! keeper waits for nobody.

mod connections;
mod keeper;
mod lease;

pub use connections::Connections;
pub use keeper::{Keeper, Standing, Tenure, keep};

use crate::{
    bus::Right,
    hub::{Hub, LastTicks},
};
use app::model::{status::ServerRole, time::UnixMillis};
use std::time::Duration;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The time that the end of the connections and of history gets before the lease is given up all the same.
const FAREWELL: Duration = Duration::from_millis(250);

/// A tenure that began, and what was seen of the one before.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which.
    pub tenure: Tenure,
    /// When each connection had ticked last.
    pub last_ticks: LastTicks,
}

/// Starts and ends the connections as the lease comes and goes, tells the hub, and `begun` of each tenure. Ends with `stop`, or
/// when the lease is given up for good.
pub async fn follow(
    mut standing: watch::Receiver<Standing>,
    connections: Connections,
    right: Right,
    hub: Hub,
    begun: watch::Sender<Option<Begun>>,
    stop: CancellationToken,
) {
    let mut tenure: Option<Tenure> = None;
    loop {
        let now = standing.borrow_and_update().clone();
        if tenure.as_ref().map(Tenure::number) != now.tenure.as_ref().map(Tenure::number) {
            if tenure.take().is_some() {
                connections.end().await;
                right.set_collecting(None);
            }
            let last_ticks = hub.stand(now.view.clone()).await;
            if let Some(new) = now.tenure {
                right.set_collecting(Some(new.since));
                connections.start().await;
                begun.send_replace(Some(Begun { tenure: new.clone(), last_ticks }));
                tenure = Some(new);
            } else {
                begun.send_replace(None);
            }
        } else {
            hub.stand(now.view.clone()).await;
        }
        if !matches!(stop.run_until_cancelled(standing.changed()).await, Some(Ok(()))) {
            return;
        }
    }
}

/// The same for a server that never collects.
pub async fn look_on(mut standing: watch::Receiver<Standing>, hub: Hub, stop: CancellationToken) {
    loop {
        let view = standing.borrow_and_update().view.clone();
        hub.stand(view).await;
        if !matches!(stop.run_until_cancelled(standing.changed()).await, Some(Ok(()))) {
            return;
        }
    }
}

/// Hands the lease over: ends the connections and history, so that what came is published and written, and gives it up. The
/// successor is told at once.
pub async fn hand_over(keeper: &Keeper, connections: &Connections, history_ended: impl Future<Output = ()>) {
    let since = tokio::time::Instant::now();
    let ended = async {
        connections.end().await;
        connections.flush().await;
    };
    if timeout(FAREWELL, async { tokio::join!(ended, history_ended) }).await.is_err() {
        warn!("The lease is given up before everything of it has ended");
    }
    if keeper.release().await {
        info!("Gave the lease of the collector up, after {} ms", since.elapsed().as_millis());
    }
}

/// What a server is shown as before it has heard of any lease.
#[must_use]
pub fn first_view(competes: bool) -> app::model::status::Standing {
    let role = if competes { ServerRole::Standby } else { ServerRole::Dashboard };
    app::model::status::Standing { role, collector: None, nobody_since: Some(UnixMillis::now()) }
}
