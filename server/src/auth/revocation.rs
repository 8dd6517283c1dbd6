//! Sessions and tokens that end while a socket is open: the socket hears of it at once, instead of at its next look.
//!
//! ```text
//!  sign-out, account page ──────────────────────────▶ Revocations ──▶ every open socket looks whether it may stay
//!  user, token commands ──▶ auth_revision ──▶ looked at twice a second ──┘
//! ```

use crate::database::Database;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

/// What another process ends is over within a second.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Says that somebody's right to be here may have ended, not whose: who is concerned looks for itself.
#[derive(Clone, Debug, Default)]
pub struct Revocations(Arc<watch::Sender<()>>);

impl Revocations {
    /// A session or more ended.
    pub fn tell(&self) {
        self.0.send_replace(());
    }

    /// Hears of what ends from now on.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }

    /// Tells what other processes changed about accounts, until stopped.
    pub async fn watch(self, database: Database, stop: CancellationToken) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            // A database that does not answer tells nothing; sockets go on until it does.
            let Ok(revision) = database.auth_revision().await else { continue };
            if known.replace(revision).is_some_and(|before| before != revision) {
                self.tell();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{
        Role,
        testing::{self, account},
    };
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn what_another_process_does_to_an_account_is_told() {
        let (folder, database) = testing::database().await;
        account(&database, "ann@x", Role::Admin).await;
        let email = "ann@x".parse().unwrap();
        let revocations = Revocations::default();
        let mut told = revocations.listen();
        let stop = CancellationToken::new();
        let watch = tokio::spawn(revocations.clone().watch(database.clone(), stop.clone()));

        let other = testing::open(&folder).await;
        // The first look only learns how it was; a change before it is none.
        let mut role = Role::User;
        while timeout(Duration::from_secs(2), told.changed()).await.is_err() {
            testing::set_role(&other, &email, role).await;
            role = if role == Role::User { Role::Moderator } else { Role::User };
        }
        told.mark_unchanged();
        testing::set_disabled(&other, &email, true).await;
        timeout(PATIENCE, told.changed()).await.expect("told").unwrap();
        stop.cancel();
        watch.await.unwrap();
    }
}
