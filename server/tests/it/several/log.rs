//! What is seen from outside: what subscribers of Redis get, and who holds the lease when.

use crate::util::RedisServer;
use app::model::time::UnixMillis;
use futures_util::StreamExt;
use redis::Client;
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const STATUS: &str = "tickstock:websocket:status";
const RELEASED: &str = "tickstock:{collector}:released";

/// A tick, as a subscriber got it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) epoch: u64,
    pub(super) symbol: String,
    pub(super) number: u64,
    /// When.
    pub(super) at: UnixMillis,
}

/// A look at the lease.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) asked: Instant,
    pub(super) answered: Instant,
    /// Who holds it, under which epoch.
    pub(super) holder: Option<(String, u64)>,
}

/// What is written down of one Redis server.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    ticks: Vec<Seen>,
    /// How often was subscribed, and when nothing was heard in between.
    subscriptions: usize,
    deaf: Vec<(UnixMillis, UnixMillis)>,
    looks: Vec<Look>,
    /// Of statuses: who published under which epoch.
    publishers: Vec<(u64, String)>,
    /// Who was asked to follow the collector of which epoch, and when it was let in.
    offers: Vec<(u64, String)>,
    invited: Vec<(Instant, String)>,
}

/// Writes while it lives.
pub(super) struct Writers {
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Log {
    pub(super) fn write(redis: &RedisServer) -> (Self, Writers) {
        let log = Self::default();
        let tasks = [tokio::spawn(read(redis.client(), log.clone())), tokio::spawn(watch(redis.client(), log.clone()))];
        (log, Writers { _tasks: tasks.map(AbortOnDropHandle::new) })
    }

    pub(super) fn ticks(&self) -> Vec<Seen> {
        self.0.lock().unwrap().ticks.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().ticks.len()
    }

    /// How often was subscribed so far: what is published then is heard.
    pub(super) fn subscriptions(&self) -> usize {
        self.0.lock().unwrap().subscriptions
    }

    /// When nothing was heard because the connection was ended.
    pub(super) fn deaf(&self) -> Vec<(UnixMillis, UnixMillis)> {
        self.0.lock().unwrap().deaf.clone()
    }

    pub(super) fn looks(&self) -> Vec<Look> {
        self.0.lock().unwrap().looks.clone()
    }

    /// Who was let in by the collector, and when.
    pub(super) fn invited(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap().invited.clone()
    }

    pub(super) fn publishers(&self) -> Vec<(u64, String)> {
        self.0.lock().unwrap().publishers.clone()
    }
}

impl Inner {
    /// A word of a hand-over.
    fn hear(&mut self, word: &Value) {
        let Some(epoch) = word["epoch"].as_u64() else { return };
        if word["word"] == "offer" {
            self.offers.push((epoch, word["to"].as_str().unwrap().to_owned()));
        } else if word["word"] == "come"
            && let Some((_, to)) = self.offers.iter().rev().find(|(offered, _)| *offered == epoch)
        {
            self.invited.push((Instant::now(), to.clone()));
        }
    }
}

async fn read(client: Client, log: Log) {
    let mut heard: Option<UnixMillis> = None;
    loop {
        if let Ok(mut pubsub) = client.get_async_pubsub().await
            && pubsub.subscribe(super::TICKS).await.is_ok()
            && pubsub.subscribe(STATUS).await.is_ok()
            && pubsub.subscribe(RELEASED).await.is_ok()
        {
            {
                let mut log = log.0.lock().unwrap();
                log.subscriptions += 1;
                log.deaf.extend(heard.map(|heard| (heard, UnixMillis::now())));
            }
            let mut messages = pubsub.into_on_message();
            while let Some(message) = messages.next().await {
                let at = UnixMillis::now();
                heard = Some(at);
                let mut log = log.0.lock().unwrap();
                let Ok(json) = serde_json::from_slice::<Value>(message.get_payload_bytes()) else { continue };
                if message.get_channel_name() == RELEASED {
                    log.hear(&json);
                    continue;
                }
                if message.get_channel_name() == STATUS {
                    let collector = &json["collector"];
                    if let (Some(epoch), Some(server)) = (collector["epoch"].as_u64(), collector["server"].as_str()) {
                        log.publishers.push((epoch, server.to_owned()));
                    }
                    continue;
                }
                log.ticks.push(Seen {
                    epoch: json["epoch"].as_u64().expect("every tick says its epoch"),
                    symbol: json["symbol"].as_str().unwrap().to_owned(),
                    number: json["price"].as_f64().unwrap() as u64,
                    at,
                });
            }
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn watch(client: Client, log: Log) {
    loop {
        if let Ok(mut connection) = client.get_multiplexed_async_connection().await {
            let mut question = redis::cmd("HMGET");
            question.arg("tickstock:{collector}:lease").arg("server").arg("epoch");
            loop {
                let asked = Instant::now();
                let Ok((server, epoch)) = question.query_async::<(Option<String>, Option<u64>)>(&mut connection).await
                else {
                    break;
                };
                let look = Look { asked, answered: Instant::now(), holder: server.zip(epoch) };
                log.0.lock().unwrap().looks.push(look);
                sleep(Duration::from_millis(20)).await;
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}
