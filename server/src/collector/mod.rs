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
mod handover;
mod keeper;
mod lease;
mod relay;

pub use connections::Connections;
pub use keeper::{Keeper, Standing, Tenure, keep};

use crate::{
    bus::{Collecting, HandoverOnRedis, Right},
    hub::Hub,
    monitor::Before,
};
use app::model::{connection::ConnectionId, status::ServerRole, time::UnixMillis};
use handover::Follower;
use std::{collections::BTreeSet, time::Duration};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The time that the end of the connections gets, and what came over them to be published.
const FAREWELL: Duration = Duration::from_millis(250);
/// The time that history gets after that before the lease is given up all the same.
const HISTORY_FAREWELL: Duration = Duration::from_millis(400);
/// The time in which the publisher counts what it gives up.
const COUNTING: Duration = Duration::from_millis(50);

/// A tenure that began, and what was seen of the one before.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Which.
    pub tenure: Tenure,
    /// Of whoever collected before.
    pub before: Before,
    /// Connections that were taken over without missing a tick; `None`: the one before did not let this server in.
    pub whole: Option<BTreeSet<ConnectionId>>,
}

/// This server among the others, and how it talks to them.
#[derive(Clone)]
pub struct Peer {
    /// How it is called.
    pub server: String,
    /// What lets it collect.
    pub right: Right,
    /// How it follows another one, and is followed.
    pub talk: HandoverOnRedis,
}

/// Starts and ends the connections as the lease comes and goes, tells the hub, and `begun` of each tenure. Ends with `stop`, or
/// when the lease is given up for good.
pub async fn follow(
    mut standing: watch::Receiver<Standing>,
    connections: Connections,
    peer: Peer,
    hub: Hub,
    begun: watch::Sender<Option<Begun>>,
    stop: CancellationToken,
) {
    let right = peer.right;
    let mut follower = Follower::new(peer.server, connections.clone(), peer.talk, &right);
    let mut tenure: Option<Tenure> = None;
    loop {
        let now = standing.borrow_and_update().clone();
        if tenure.as_ref().map(Tenure::number) != now.tenure.as_ref().map(Tenure::number) {
            if tenure.take().is_some() {
                connections.end().await;
                right.set_collecting(None);
                follower.listen_anew();
                // What was not published is known before history ends.
                let _ = timeout(COUNTING, connections.flush()).await;
            }
            let before = hub.stand(now.view.clone()).await;
            if let Some(new) = now.tenure {
                right.set_collecting(Some(Collecting { since: new.since, last_ticks: before.last_ticks.clone() }));
                let whole = follower.collect().await;
                connections.start().await;
                begun.send_replace(Some(Begun { tenure: new.clone(), before, whole }));
                tenure = Some(new);
            } else {
                begun.send_replace(None);
            }
        } else {
            hub.stand(now.view.clone()).await;
        }
        let changed = async {
            tokio::select! {
                changed = standing.changed() => changed.is_ok(),
                () = follower.follow(), if tenure.is_none() => false,
            }
        };
        if stop.run_until_cancelled(changed).await != Some(true) {
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

/// Hands the lease over: lets the server that stands by in where there is one, ends the connections, so that what came is published,
/// then history, so that it has what was not, and gives it up. The successor is told at once.
pub async fn hand_over(
    keeper: &Keeper,
    connections: &Connections,
    peer: &Peer,
    hub: &Hub,
    history_ended: impl Future<Output = ()>,
) {
    let since = tokio::time::Instant::now();
    let farewell =
        if keeper.has_others() { handover::let_in(connections, &peer.talk, &peer.right).await } else { None };
    let ended = async {
        connections.end().await;
        // Where ticks go out in frames alone, those are made first.
        hub.settle().await;
        connections.flush().await;
        if let Some(farewell) = farewell {
            farewell.say(connections, &peer.talk).await;
        }
    };
    let are_published = timeout(FAREWELL, ended).await.is_ok();
    // From here on nothing is published: what was not is given up, and counted.
    peer.right.set_collecting(None);
    let _ = timeout(COUNTING, connections.flush()).await;
    let written = async {
        hub.settle().await;
        history_ended.await;
    };
    if timeout(HISTORY_FAREWELL, written).await.is_err() || !are_published {
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
