//! What tells the configurations of two servers apart.

use super::Config;
use crate::{text::hex, universe::ConnectionPlan};
use sha2::{Digest, Sha256};

impl Config {
    /// A hash of what has to be the same on all servers, with the connections as they are planned. No secret is part of it, and
    /// neither is what differs from server to server: names, addresses, files.
    #[must_use]
    pub fn fingerprint(&self, plans: &[ConnectionPlan]) -> String {
        let address = self.market.massive_url.split(['?', '#']).next();
        let (accounts, dashboard) = (&self.accounts, &self.dashboard);
        let text = format!(
            "{:?}",
            (
                (self.feed, plans, address, self.market.simulator_tick_rate),
                self.redis.as_ref().map(|redis| &redis.key_prefix),
                (accounts.session_idle, accounts.session_lifetime, &accounts.audit, self.history),
                (&dashboard.public_url, &dashboard.allowed_hosts, dashboard.enabled, dashboard.secure),
                (dashboard.frame_interval, dashboard.metrics_interval),
            )
        );
        hex(&Sha256::digest(text)[..6])
    }
}
