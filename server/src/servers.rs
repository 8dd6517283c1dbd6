//! Which servers run beside this one, and what each of them does: told once a second on Redis.

use crate::{
    alerts::{Alerts, OtherServers},
    bus::{PresenceOnRedis, Said},
    hub::Hub,
    text::{hex, tidy},
};
use app::model::{
    servers::ServerEntry,
    status::ServerRole,
    time::{UnixMillis, format_seconds},
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    sync::{Arc, LazyLock, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Each server tells of itself so often.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is shown of a server's name, and of what tells its build and configuration.
const NAME_BYTES_MAX: usize = 64;
/// A server that was not heard of for so long was taken away, not lost.
const LOST_KEPT_MS: i64 = 3_600_000;

/// This server and the others. Cheap to clone.
#[derive(Clone)]
pub struct Servers {
    own: Arc<Own>,
    others: watch::Receiver<Vec<ServerEntry>>,
}

/// What this server knows of itself.
struct Own {
    name: String,
    configuration: watch::Receiver<String>,
    hub: Hub,
    alerts: Alerts,
    /// What it does, and since when.
    role: Mutex<(ServerRole, UnixMillis)>,
}

impl Servers {
    /// `configuration` tells the one that is in force from others. With Redis the future tells of this server and hears of the
    /// others until `stop`.
    pub fn new(
        name: String,
        configuration: watch::Receiver<String>,
        hub: Hub,
        alerts: Alerts,
        redis: Option<PresenceOnRedis>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let role = (hub.report().head.role, UnixMillis::now());
        let own = Own { name, configuration, hub, alerts, role: Mutex::new(role) };
        let (tell, others) = watch::channel(Vec::new());
        let servers = Self { own: Arc::new(own), others };
        let own = Arc::clone(&servers.own);
        let task = async move {
            if let Some(redis) = redis {
                own.keep(redis, tell, stop).await;
            }
        };
        (servers, task)
    }

    /// How this server is called.
    #[must_use]
    pub fn this(&self) -> &str {
        &self.own.name
    }

    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<ServerEntry> {
        sorted(self.own.entry(UnixMillis::now()), self.others.borrow().clone())
    }
}

impl Own {
    fn entry(&self, now: UnixMillis) -> ServerEntry {
        let role = self.hub.report().head.role;
        let since = {
            let mut known = self.role.lock().unwrap_or_else(PoisonError::into_inner);
            if known.0 != role {
                *known = (role, now);
            }
            known.1
        };
        ServerEntry {
            name: self.name.clone(),
            role,
            since,
            last_seen: now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: BUILD.clone(),
            configuration: self.configuration.borrow().clone(),
            sockets: self.hub.counters().sockets.load(Relaxed).try_into().unwrap_or(u32::MAX),
            sends_alerts: self.alerts.sends(),
        }
    }

    async fn keep(&self, mut redis: PresenceOnRedis, tell: watch::Sender<Vec<ServerEntry>>, stop: CancellationToken) {
        let mut turns = interval(INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = None;
        let mut lost = BTreeMap::new();
        let mut told_at = UnixMillis::now();
        while stop.run_until_cancelled(turns.tick()).await.is_some() {
            let mut own = self.entry(UnixMillis::now());
            let said = redis.say(&serde_json::to_string(&own).unwrap_or_default()).await;
            let now = UnixMillis::now();
            match said {
                Ok(said) => {
                    (trouble, told_at) = (None, own.last_seen);
                    let _ = tell.send_replace(said.into_iter().filter_map(|said| read(&said, now)).collect());
                }
                // The others are those that were known, not heard of since.
                Err(why) => {
                    if trouble.as_ref() != Some(&why) {
                        warn!("Cannot tell other servers of this one: {why}");
                    }
                    trouble = Some(why);
                    // So that the silence of the others can be told from that of Redis.
                    own.last_seen = told_at;
                }
            }
            let mut servers = sorted(own, tell.borrow().clone());
            if trouble.is_none() {
                note_lost(&servers, &mut lost, now);
                let is_other = |server: &&ServerEntry| server.name != self.name && !server.is_lost(now);
                let mut senders = servers.iter().filter(is_other).filter(|server| server.sends_alerts).peekable();
                let another_sends = senders.peek().is_some();
                let a_better_one_sends =
                    senders.any(|server| server.role == ServerRole::Collector || server.name < self.name);
                let lost = lost.iter().map(|(name, since)| (name.clone(), *since)).collect();
                self.alerts.tell_servers(OtherServers { lost, another_sends, a_better_one_sends });
            }
            // This one first, so that a page knows which one it is from.
            servers.sort_by_key(|server| server.name != self.name);
            self.hub.tell_servers(servers).await;
        }
        redis.leave().await;
    }
}

/// Says once in the log which ones are lost, and which are back.
fn note_lost(servers: &[ServerEntry], lost: &mut BTreeMap<String, UnixMillis>, now: UnixMillis) {
    for server in servers {
        let was_lost = lost.contains_key(&server.name);
        if server.is_lost(now) && !was_lost {
            let seconds = now.millis_since(server.last_seen).unsigned_abs() / 1000;
            warn!(server = server.name, "A server was not heard of for {}", format_seconds(seconds));
            lost.insert(server.name.clone(), server.last_seen);
        } else if !server.is_lost(now) && was_lost {
            info!(server = server.name, "The server is back");
            lost.remove(&server.name);
        }
    }
    lost.retain(|_, last_seen| now.millis_since(*last_seen) <= LOST_KEPT_MS);
}

/// By name. One that was started again replaces the run of it that is silent.
fn sorted(own: ServerEntry, mut servers: Vec<ServerEntry>) -> Vec<ServerEntry> {
    let now = own.last_seen;
    servers.push(own);
    servers.sort_by(|a, b| a.name.cmp(&b.name).then(b.last_seen.cmp(&a.last_seen)));
    servers.dedup_by(|older, newer| older.name == newer.name && now.millis_since(older.last_seen) > 1_500);
    servers
}

/// What another one said. It comes from whoever may write on Redis.
fn read(said: &Said, now: UnixMillis) -> Option<ServerEntry> {
    let entry: ServerEntry = serde_json::from_str(&said.words).ok()?;
    let short = |text: &str| tidy(text, NAME_BYTES_MAX);
    Some(ServerEntry {
        name: short(&entry.name),
        version: short(&entry.version),
        build: short(&entry.build),
        configuration: short(&entry.configuration),
        // By this server's clock, whatever the other's says.
        last_seen: UnixMillis(now.0 - said.age_ms),
        ..entry
    })
}

/// Tells this build from others of its version: from the size of the program's file and samples all over it.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    const SAMPLES: u64 = 64;
    let read = || -> std::io::Result<Sha256> {
        // The file that runs, also when another one has taken its place.
        let file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?;
        let length = file.metadata()?.len();
        let mut sha = Sha256::new();
        sha.update(length.to_le_bytes());
        let mut sample = [0; 4096];
        for place in 0..SAMPLES {
            let read = file.read_at(&mut sample, length / SAMPLES * place)?;
            sha.update(&sample[..read]);
        }
        Ok(sha)
    };
    read().map_or_else(|_| "unknown".to_owned(), |sha| hex(&sha.finalize()[..6]))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_tidied_and_dated_by_our_clock() {
        let now = UnixMillis(1_764_400_000_000);
        let own = ServerEntry { name: "b:2".into(), last_seen: now, ..ServerEntry::default() };
        let words = serde_json::to_string(&ServerEntry { name: "x\u{202e}".repeat(90), ..own.clone() }).expect("JSON");
        let other = read(&Said { words, age_ms: 700 }, now).expect("an entry");
        assert!(other.name.len() <= NAME_BYTES_MAX && !other.name.contains('\u{202e}'), "{}", other.name);
        assert_eq!(other.last_seen, UnixMillis(now.0 - 700));
        assert_eq!(read(&Said { words: "{}".into(), age_ms: 0 }, now), None);
        let old = ServerEntry { last_seen: UnixMillis(now.0 - 9_000), ..own.clone() };
        assert_eq!(sorted(own.clone(), vec![old]), std::slice::from_ref(&own), "an older run of the same server");
        assert_eq!(sorted(own.clone(), vec![own]).len(), 2, "two with one name");
    }

    #[test]
    fn a_build_has_a_hash() {
        assert_eq!(BUILD.len(), 12, "{}", *BUILD);
    }
}
