//! The servers that run beside this one, as events: who stands by, who is gone, and what differs.

use app::model::{
    servers::{ServerEntry, differences},
    status::ServerRole,
    time::UnixMillis,
};
use std::collections::BTreeMap;

/// Each server tells of itself once a second. One that has not for longer, in milliseconds, may be on its way out.
const FRESH_MS: i64 = 2_000;

/// What is known of the others. Begins with nobody: a server that takes over tells once who is there.
#[derive(Default)]
pub(super) struct Neighbours {
    known: BTreeMap<String, Known>,
    differences: Option<String>,
}

struct Known {
    entry: ServerEntry,
    is_gone: bool,
}

impl Neighbours {
    /// What became of them since the last look, and when. `servers` begins with this one, as it was last told on Redis.
    pub(super) fn observe(&mut self, servers: &[ServerEntry]) -> Vec<(UnixMillis, String)> {
        let Some(own) = servers.first() else { return Vec::new() };
        if own.role == ServerRole::Standby {
            // It took over just now, and the list is from before that.
            return Vec::new();
        }
        // Silence is measured up to there: while Redis is away, nobody is heard of and nobody is gone.
        let now = own.last_seen;
        let count = |name: &str| servers.iter().filter(|server| server.name == name).count();
        // Of two that share a name nothing can be told, but that they do.
        let others = || servers.iter().skip(1).filter(|server| count(&server.name) == 1);
        let mut news = Vec::new();
        for other in others() {
            news.extend(self.look_at(other, now));
        }
        for (name, known) in &mut self.known {
            if !known.is_gone && count(name) == 0 && known.entry.is_lost(now) {
                known.is_gone = true;
                news.push((known.entry.last_seen, [name, " has stopped"].concat()));
            }
        }
        // Forgotten by all, and told.
        self.known.retain(|name, known| !known.is_gone || count(name) > 0);
        let differences = differences(servers, now);
        if self.differences != differences {
            let text = differences.as_ref().map_or_else(
                || "Servers do not differ any more".to_owned(),
                |differences| ["Servers differ. ", differences].concat(),
            );
            news.push((now, text));
            self.differences = differences;
        }
        news
    }

    fn look_at(&mut self, other: &ServerEntry, now: UnixMillis) -> Option<(UnixMillis, String)> {
        let is_gone = other.is_lost(now);
        let before = self.known.insert(other.name.clone(), Known { entry: other.clone(), is_gone });
        let is_news = match &before {
            // Of one that is lost already the server before this one has told.
            None => now.millis_since(other.last_seen) <= FRESH_MS,
            Some(before) if is_gone => !before.is_gone,
            Some(before) => before.is_gone || (before.entry.role, before.entry.since) != (other.role, other.since),
        };
        let does = match other.role {
            _ if !is_news => return None,
            _ if is_gone => {
                let since = other.last_seen.clock();
                return Some((
                    other.last_seen,
                    [&other.name, " is lost: not heard of since ", &since, " UTC"].concat(),
                ));
            }
            ServerRole::Standby => " stands by",
            ServerRole::Dashboard => " shows what others collect",
            // That is told by whoever does; of one that does no more, not even it knows yet.
            ServerRole::Collector => return None,
        };
        Some((now, [&other.name, does, ", version ", &other.version].concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_764_400_000_000;

    fn server(name: &str, role: ServerRole, last_seen: i64) -> ServerEntry {
        let version = "0.2.0".to_owned();
        ServerEntry {
            name: name.into(),
            role,
            last_seen: UnixMillis(START + last_seen),
            version,
            ..ServerEntry::default()
        }
    }

    fn told(neighbours: &mut Neighbours, servers: &[ServerEntry]) -> Vec<(i64, String)> {
        neighbours.observe(servers).into_iter().map(|(at, text)| (at.0 - START, text)).collect()
    }

    #[test]
    fn who_comes_and_who_goes_is_told_once_with_the_time_at_which_it_did() {
        let mut neighbours = Neighbours::default();
        let own = |now| server("b:2", ServerRole::Collector, now);
        let (standby, dashboard) = (ServerRole::Standby, ServerRole::Dashboard);
        assert_eq!(told(&mut neighbours, &[]), []);
        // The one before is not known to be lost yet.
        let first = [
            own(1_000),
            server("a:1", ServerRole::Collector, 0),
            server("c:3", standby, 800),
            server("d:4", dashboard, 900),
        ];
        let stands_by = |name: &str| format!("{name} stands by, version 0.2.0");
        let shows = "d:4 shows what others collect, version 0.2.0".to_owned();
        assert_eq!(told(&mut neighbours, &first), [(1_000, stands_by("c:3")), (1_000, shows)]);
        assert_eq!(told(&mut neighbours, &first), []);
        let lost = "a:1 is lost: not heard of since 07:06:40 UTC".to_owned();
        let later = [own(5_500), first[1].clone(), server("c:3", standby, 5_300)];
        assert_eq!(told(&mut neighbours, &later), [(0, lost)]);
        let later = [own(7_000), first[1].clone(), server("c:3", standby, 6_800)];
        assert_eq!(told(&mut neighbours, &later), [(900, "d:4 has stopped".to_owned())]);
        // Back, started again, and the same once more while it was not missed.
        let mut again = server("a:1", standby, 7_900);
        assert_eq!(
            told(&mut neighbours, &[own(8_000), again.clone(), server("c:3", standby, 7_800)]),
            [(8_000, stands_by("a:1"))]
        );
        again.since = UnixMillis(START + 8_500);
        again.last_seen = UnixMillis(START + 8_900);
        assert_eq!(
            told(&mut neighbours, &[own(9_000), again, server("c:3", standby, 8_800)]),
            [(9_000, stands_by("a:1"))]
        );
    }

    #[test]
    fn while_redis_is_away_or_has_forgotten_all_nobody_is_gone() {
        let mut neighbours = Neighbours::default();
        let own = server("b:2", ServerRole::Collector, 1_000);
        let other = server("a:1", ServerRole::Standby, 900);
        assert_eq!(told(&mut neighbours, &[own.clone(), other.clone()]).len(), 1);
        assert_eq!(told(&mut neighbours, &[own, other]), [], "what was known, for as long as nothing is heard");
        let later = server("b:2", ServerRole::Collector, 60_000);
        let other = server("a:1", ServerRole::Standby, 59_000);
        assert_eq!(told(&mut neighbours, &[later, other]), []);
        let later = server("b:2", ServerRole::Collector, 61_000);
        assert_eq!(told(&mut neighbours, &[later]), [], "it has a few seconds to tell of itself again");
    }

    #[test]
    fn what_differs_is_told_when_it_begins_and_when_it_ends() {
        let mut neighbours = Neighbours::default();
        let own = server("b:2", ServerRole::Collector, 1_000);
        let mut other = server("a:1", ServerRole::Standby, 900);
        other.configuration = "another".into();
        let news = told(&mut neighbours, &[own.clone(), other.clone()]);
        assert!(
            news.len() == 2 && news[1].1.starts_with("Servers differ. a:1: another configuration than b:2."),
            "{news:?}"
        );
        assert_eq!(told(&mut neighbours, &[own.clone(), other.clone()]), []);
        other.configuration.clear();
        let news = told(&mut neighbours, &[own.clone(), other.clone()]);
        assert_eq!(news, [(1_000, "Servers do not differ any more".to_owned())]);
        // Two that took the same name: told as that, and not as one that comes and goes.
        let twin = ServerEntry { since: UnixMillis(START), ..other.clone() };
        for pair in [[&other, &twin], [&twin, &other], [&other, &twin]] {
            let servers = [own.clone(), pair[0].clone(), pair[1].clone()];
            let news = told(&mut neighbours, &servers);
            assert!(
                news.iter().all(|(_, text)| text.starts_with("Servers differ. Two servers are called a:1")),
                "{news:?}"
            );
        }
    }
}
