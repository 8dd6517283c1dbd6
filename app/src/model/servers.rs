//! The servers that run beside each other: `GET /api/admin/servers`.

use super::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// A server that was not heard of for so long is taken for lost.
const LOST_MS: i64 = 5_000;

/// What a server does among several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServerRole {
    /// It holds the upstream connections, publishes and writes history. So does a server that runs alone.
    #[default]
    Collector,
    /// Another one does; it would take over.
    Standby,
    /// Others do, and it never would.
    Dashboard,
}

impl ServerRole {
    /// The word for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Collector => "collector",
            Self::Standby => "standby",
            Self::Dashboard => "dashboard",
        }
    }
}

/// One server, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct ServerEntry {
    /// How it is called.
    pub name: String,
    /// What it does.
    pub role: ServerRole,
    /// Since when it does that.
    pub since: UnixMillis,
    /// When it was last heard of.
    pub last_seen: UnixMillis,
    /// Its version, such as `0.2.0`.
    pub version: String,
    /// Tells builds of one version apart.
    pub build: String,
    /// Tells configurations apart; nothing can be read off it.
    pub configuration: String,
    /// Pages and other clients that are connected to it.
    pub sockets: u32,
    /// Does it send the alerts?
    #[serde(default)]
    pub sends_alerts: bool,
}

impl ServerEntry {
    /// Was it not heard of for too long?
    #[must_use]
    pub fn is_lost(&self, now: UnixMillis) -> bool {
        now.millis_since(self.last_seen) > LOST_MS
    }

    /// What tells its program from others.
    fn program(&self) -> (&str, &str) {
        (&self.version, &self.build)
    }
}

/// What is wrong with these servers side by side, in a sentence; `None` when they fit. Without those that are lost.
#[must_use]
pub fn differences(servers: &[ServerEntry], now: UnixMillis) -> Option<String> {
    let here: Vec<_> = servers.iter().filter(|server| !server.is_lost(now)).collect();
    let twice = here.iter().enumerate().find(|(place, server)| here[..*place].iter().any(|s| s.name == server.name));
    if let Some((_, server)) = twice {
        return Some(["Two servers are called ", &server.name, ": give each its own SERVER_NAME."].concat());
    }
    // The collector's counts, or the first one's by name.
    let first = here.iter().find(|server| server.role == ServerRole::Collector).or(here.first())?;
    let names = |differs: &dyn Fn(&&&ServerEntry) -> bool| {
        let names: Vec<_> = here.iter().filter(differs).map(|server| server.name.as_str()).collect();
        names.join(", ")
    };
    let other_build = names(&|server| server.program() != first.program());
    if !other_build.is_empty() {
        return Some(
            [&other_build, ": another build than ", &first.name, ". Normal during a rolling deploy."].concat(),
        );
    }
    let other_configuration = names(&|server| server.configuration != first.configuration);
    (!other_configuration.is_empty()).then(|| {
        let advice =
            ". After a fail-over connections would change: make the settings equal, then press Refresh config.";
        [&other_configuration, ": another configuration than ", &first.name, advice].concat()
    })
}

/// The names of those that stand by, in words.
#[must_use]
pub fn standbys(servers: &[ServerEntry], now: UnixMillis) -> String {
    let is_standby = |server: &&ServerEntry| server.role == ServerRole::Standby && !server.is_lost(now);
    let names: Vec<_> = servers.iter().filter(is_standby).map(|server| server.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_764_400_000_000);

    fn server(name: &str, role: ServerRole) -> ServerEntry {
        ServerEntry { name: name.into(), role, last_seen: NOW, ..ServerEntry::default() }
    }

    #[test]
    fn servers_that_differ_are_named() {
        let mut servers = [
            server("a:1", ServerRole::Standby),
            server("b:2", ServerRole::Collector),
            server("c:3", ServerRole::Standby),
        ];
        assert_eq!(differences(&servers, NOW), None);
        assert_eq!(standbys(&servers, NOW), "a:1, c:3");
        servers[0].configuration = "x".into();
        let said = differences(&servers, NOW).expect("another configuration");
        assert!(said.starts_with("a:1: another configuration than b:2."), "{said}");
        servers[2].build = "y".into();
        let said = differences(&servers, NOW).expect("another build");
        assert!(said.starts_with("c:3: another build than b:2."), "{said}");
        servers[2].last_seen = UnixMillis(NOW.0 - 6_000);
        assert!(differences(&servers, NOW).expect("what is left").starts_with("a:1:"), "a lost one is not blamed");
        assert_eq!(standbys(&servers, NOW), "a:1");
        servers[0].name = "b:2".into();
        assert!(differences(&servers, NOW).expect("a name twice").starts_with("Two servers are called b:2"));
        assert_eq!(differences(&[], NOW), None);
    }
}
