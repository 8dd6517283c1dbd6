//! The sessions that are open, and how many of them a key may have.

use super::peer::Peer;
use secrecy::{ExposeSecret, SecretString};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
struct Entry {
    peer: Arc<Peer>,
    /// `None` until authenticated.
    key: Option<SecretString>,
}

/// The open sessions; those that authenticated are in the order in which they did.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    entries: Mutex<Vec<Entry>>,
    /// Rises whenever what the market has to simulate may have changed.
    version: AtomicU64,
}

/// Takes the session off the books when its task ends, however it ends.
pub(super) struct Registration<'a> {
    accounts: &'a Accounts,
    id: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.accounts.entries().retain(|entry| entry.peer.id != self.id);
        self.accounts.touch();
    }
}

impl Accounts {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn register(&self, peer: Arc<Peer>) -> Registration<'_> {
        let id = peer.id;
        self.entries().push(Entry { peer, key: None });
        Registration { accounts: self, id }
    }

    /// Books a session on a key. Returns the sessions that have to go for it: the oldest, while the key has more than
    /// `connections_max`. The newcomer stays, as it does with the real server (`docs/provider.md`, "Handshake and status messages").
    pub(super) fn authenticate(&self, id: u64, key: SecretString, connections_max: usize) -> Vec<Arc<Peer>> {
        let mut entries = self.entries();
        let Some(position) = entries.iter().position(|entry| entry.peer.id == id) else { return Vec::new() };
        if entries[position].key.is_some() {
            return Vec::new();
        }
        let mut newcomer = entries.remove(position);
        let is_same =
            |entry: &&mut Entry| entry.key.as_ref().is_some_and(|other| other.expose_secret() == key.expose_secret());
        let mut others: Vec<&mut Entry> = entries.iter_mut().filter(is_same).collect();
        let excess = (others.len() + 1).saturating_sub(connections_max.max(1));
        let evicted = others.drain(..excess).map(|entry| {
            // Off the key's books at once, though the session may take a moment to end.
            entry.key = None;
            Arc::clone(&entry.peer)
        });
        let evicted = evicted.collect();
        newcomer.key = Some(key);
        entries.push(newcomer);
        evicted
    }

    /// The open sessions.
    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        self.entries().iter().map(|entry| Arc::clone(&entry.peer)).collect()
    }

    /// The open sessions of one connection number, or all, and whether each has authenticated.
    pub(super) fn list(&self, connection: Option<u32>) -> Vec<(Arc<Peer>, bool)> {
        let entries = self.entries();
        let meant = entries.iter().filter(|entry| connection.is_none_or(|number| entry.peer.connection == number));
        meant.map(|entry| (Arc::clone(&entry.peer), entry.key.is_some())).collect()
    }

    /// Says that subscriptions changed.
    pub(super) fn touch(&self) {
        self.version.fetch_add(1, Relaxed);
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::QueueLimits;
    use super::*;

    fn arrive<'a>(accounts: &'a Accounts, id: u64) -> Registration<'a> {
        let (peer, _) = Peer::new(id, 1, QueueLimits { frames: 1, bytes: 1 });
        accounts.register(peer)
    }

    const NOBODY: [u64; 0] = [];

    fn authenticate(accounts: &Accounts, id: u64, key: &str) -> Vec<u64> {
        accounts.authenticate(id, key.to_owned().into(), 2).iter().map(|peer| peer.id).collect()
    }

    #[test]
    fn the_oldest_session_of_the_same_key_goes() {
        let accounts = Accounts::default();
        let _open: Vec<_> = (1..=5).map(|id| arrive(&accounts, id)).collect();
        // Session 3 authenticated before 1 did, so it is the older one.
        assert_eq!(authenticate(&accounts, 3, "a"), NOBODY);
        assert_eq!(authenticate(&accounts, 1, "a"), NOBODY);
        assert_eq!(authenticate(&accounts, 2, "b"), NOBODY);
        assert_eq!(authenticate(&accounts, 4, "a"), [3]);
        assert_eq!(authenticate(&accounts, 5, "a"), [1]);
    }

    #[test]
    fn authenticating_twice_changes_nothing() {
        let accounts = Accounts::default();
        let _open: Vec<_> = (1..=2).map(|id| arrive(&accounts, id)).collect();
        for id in [1, 2, 1, 2] {
            assert_eq!(authenticate(&accounts, id, "a"), NOBODY);
        }
    }

    #[test]
    fn a_session_that_ended_no_longer_counts() {
        let accounts = Accounts::default();
        for id in 1..=9 {
            let _open = arrive(&accounts, id);
            assert_eq!(authenticate(&accounts, id, "a"), NOBODY);
        }
        assert!(accounts.peers().is_empty());
    }
}
