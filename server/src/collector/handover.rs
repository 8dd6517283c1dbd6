//! How one server follows another that leaves: its connections come in one after the other while the old ones are there or go,
//! so that the provider never has more than the account allows.
//!
//! With a place to spare a connection ends when its successor is up: nothing is lost, and the follower drops what it heard as well
//! ([`relay`](super::relay)). Without one it ends first, and what comes until its successor is up is missed.

use super::connections::Connections;
use crate::bus::{HandoverOnRedis, LastTick, Right, Word};
use app::model::connection::ConnectionId;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::broadcast,
    time::{Instant, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

/// The time in which a server that stands by says that it follows.
const READY: Duration = Duration::from_millis(100);
/// The time for all connections together. What comes meanwhile over those that are there already is published only then.
const WHOLE: Duration = Duration::from_secs(2);
/// A server that was let in and does not get the lease in this time ends its connections again.
const STAY: Duration = Duration::from_secs(3);

/// What a collector that leaves tells of its connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Farewell {
    /// Those that ended after their successors were up.
    whole: Vec<ConnectionId>,
    epoch: u64,
}

/// Lets the server that stands by in; `None` when there is none that follows in this way. All connections for which there was time
/// have ended.
pub(super) async fn let_in(connections: &Connections, talk: &HandoverOnRedis, right: &Right) -> Option<Farewell> {
    let manager = connections.manager()?;
    let epoch = right.epoch(Instant::now())?;
    let to = talk.standby().await.ok()??;
    let mut words = right.words();
    connections.relay().note();
    let (began, deadline) = (Instant::now(), Instant::now() + WHOLE);
    talk.say(&Word::Offer { to: to.clone(), epoch }).await.ok()?;
    heard(&mut words, began + READY, |word| *word == Word::Ready { epoch }).await?;
    let running = manager.running();
    let spare = connections.places().await.saturating_sub(running.len());
    let mut whole = Vec::new();
    for (id, losses) in running {
        if spare == 0 {
            manager.end_one(id).await;
        }
        talk.say(&Word::Come { epoch, connection: id }).await.ok()?;
        let is_here = Word::Here { epoch, connection: id };
        let came = heard(&mut words, deadline, |word| *word == is_here).await.is_some();
        // One that was put out meanwhile missed something.
        let is_whole = came && spare > 0 && losses.is_some() && manager.running().contains(&(id, losses));
        if is_whole {
            whole.push(id);
        }
        manager.end_one(id).await;
        if !came {
            warn!("{to} does not take over connection {id} in time");
            break;
        }
    }
    Some(Farewell { whole, epoch })
}

impl Farewell {
    /// All that came is published.
    pub(super) async fn say(self, connections: &Connections, talk: &HandoverOnRedis) {
        let word = Word::Left { epoch: self.epoch, whole: self.whole, last: connections.relay().last() };
        if let Err(why) = talk.say(&word).await {
            warn!("The server that follows cannot be told what was published: {why}");
        }
    }
}

/// The first word of this kind.
async fn heard(
    words: &mut broadcast::Receiver<Arc<Word>>,
    deadline: Instant,
    is_it: impl Fn(&Word) -> bool,
) -> Option<Arc<Word>> {
    loop {
        match timeout_at(deadline, words.recv()).await.ok()? {
            Ok(word) if is_it(&word) => return Some(word),
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

/// The server that stands by, while another one lets it in.
pub(super) struct Follower {
    server: String,
    connections: Connections,
    talk: HandoverOnRedis,
    words: broadcast::Receiver<Arc<Word>>,
    guest: Option<Guest>,
}

/// It is being let in.
struct Guest {
    /// By the collector of this epoch,
    epoch: u64,
    /// and until then.
    until: Instant,
    /// What that one said when it left.
    left: Option<(Vec<ConnectionId>, Vec<LastTick>)>,
    coming: Vec<AbortOnDropHandle<()>>,
}

impl Follower {
    pub(super) fn new(server: String, connections: Connections, talk: HandoverOnRedis, right: &Right) -> Self {
        Self { server, connections, talk, words: right.words(), guest: None }
    }

    /// Listens, and does what it is asked for, for as long as this server does not collect. Resolves never.
    pub(super) async fn follow(&mut self) {
        loop {
            let until = self.guest.as_ref().map(|guest| guest.until);
            let word = tokio::select! {
                word = self.words.recv() => word,
                () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {
                    self.turn_out().await;
                    continue;
                }
            };
            match word {
                Ok(word) => self.hear(&word).await,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn hear(&mut self, word: &Word) {
        match word {
            Word::Offer { to, epoch } if *to == self.server && self.guest.is_none() => {
                let until = Instant::now() + STAY;
                self.guest = Some(Guest { epoch: *epoch, until, left: None, coming: Vec::new() });
                let _ = self.talk.say(&Word::Ready { epoch: *epoch }).await;
            }
            Word::Come { epoch, connection } => {
                let Some(guest) = self.guest.as_mut().filter(|guest| guest.epoch == *epoch) else { return };
                let (epoch, connection) = (*epoch, *connection);
                self.connections.let_in(connection, epoch, guest.until).await;
                let (mut status, talk) = (self.connections.relay().status(), self.talk.clone());
                guest.coming.push(AbortOnDropHandle::new(tokio::spawn(async move {
                    let is_up = status.wait_for(|status| {
                        let mut lives = status.iter().flat_map(|status| &status.connections).map(|status| &status.live);
                        lives.any(|live| live.id == connection && live.state.is_up())
                    });
                    if is_up.await.is_ok() {
                        let _ = talk.say(&Word::Here { epoch, connection }).await;
                    }
                })));
            }
            Word::Left { epoch, whole, last } => {
                if let Some(guest) = self.guest.as_mut().filter(|guest| guest.epoch == *epoch) {
                    guest.left = Some((whole.clone(), last.clone()));
                }
            }
            _ => {}
        }
    }

    /// This server collects from now on. Answers the connections of which nothing is missing, when those that were let in stay.
    pub(super) async fn collect(&mut self) -> Option<BTreeSet<ConnectionId>> {
        // It was said before the lease was given up, and may come a little later than that.
        let deadline = Instant::now() + READY;
        while self.guest.as_ref().is_some_and(|guest| guest.left.is_none() && !guest.coming.is_empty()) {
            match timeout_at(deadline, self.words.recv()).await {
                Ok(Ok(word)) => self.hear(&word).await,
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => {}
                _ => break,
            }
        }
        let guest = self.guest.take()?;
        if guest.coming.is_empty() {
            return None;
        }
        let Some((whole, last)) = guest.left else {
            self.connections.turn_out().await;
            return None;
        };
        let unbroken = self.connections.stay(&last).await?;
        let whole: BTreeSet<_> = whole.into_iter().filter(|id| unbroken.contains(id)).collect();
        info!("Followed the collector before connection by connection; nothing is missing of {} of them", whole.len());
        Some(whole)
    }

    /// This server collects no more: what was said meanwhile is old.
    pub(super) fn listen_anew(&mut self) {
        self.words = self.words.resubscribe();
    }

    async fn turn_out(&mut self) {
        self.guest = None;
        self.connections.turn_out().await;
    }
}
