//! What is said over Redis, and what is kept there, is as described.

use super::{Document, hold};
use crate::util::{RedisServer, TestServer, eventually};
use futures_util::StreamExt;
use jsonschema::Validator;
use redis::AsyncCommands;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use tokio_util::task::AbortOnDropHandle;

/// A message on any channel.
type Said = (String, Vec<u8>);

/// Everything that is published from now on, and every key that is written, as a message on `__keyevent@…`.
async fn listen(redis: &RedisServer) -> (Arc<Mutex<Vec<Said>>>, AbortOnDropHandle<()>) {
    redis.command("CONFIG SET notify-keyspace-events EA").await.unwrap();
    let mut pubsub = redis.client().get_async_pubsub().await.unwrap();
    pubsub.psubscribe("*").await.unwrap();
    let heard = Arc::<Mutex<Vec<Said>>>::default();
    let kept = Arc::clone(&heard);
    let task = tokio::spawn(async move {
        let mut messages = pubsub.into_on_message();
        while let Some(message) = messages.next().await {
            let said = (message.get_channel_name().to_owned(), message.get_payload_bytes().to_vec());
            kept.lock().unwrap().push(said);
        }
    });
    (heard, AbortOnDropHandle::new(task))
}

/// Is it this address or key, its parameters filled in?
fn fits(described: &str, name: &str) -> bool {
    let described = described.replace("{prefix}", "tickstock:").replace("{collector}", "\u{1}collector}");
    match described.split_once('{') {
        None => described.replace('\u{1}', "{") == name,
        Some((fixed, _)) => name.starts_with(&fixed.replace('\u{1}', "{")),
    }
}

/// Holds what messages and keys hold against what is described of them.
struct Checks<'a> {
    document: &'a Document,
    known: BTreeMap<String, Validator>,
}

impl Checks<'_> {
    fn check(&mut self, what: &str, described: &Value, bytes: &[u8]) {
        let kind = described["contentType"].as_str().unwrap();
        if kind == "application/octet-stream" {
            return;
        }
        let text = std::str::from_utf8(bytes).unwrap();
        let value = if kind == "application/json" { serde_json::from_str(text).unwrap() } else { Value::from(text) };
        let make = || self.document.validator(&described["payload"]);
        hold(what, self.known.entry(format!("{what} {kind}")).or_insert_with(make), &value);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_redis_is_described_and_all_json_is_as_described() {
    let redis = RedisServer::start().await;
    let (heard, _task) = listen(&redis).await;
    let start = async |name| TestServer::start([("REDIS_URL", redis.url.as_str()), ("SERVER_NAME", name)]).await;
    let mut first = start("a:1").await;
    let admin = first.admin().await;
    admin.wait_for_state(3, "connected").await;
    let second = start("b:2").await;
    let admin = second.admin().await;
    eventually("it stands by", || async { (admin.status().await["role"] == "standby").then_some(()) }).await;
    admin.post("/api/admin/config/refresh", "", 200).await;
    let document = Document::asyncapi(&admin).await;
    let keys = document.0["servers"]["redis"]["x-keys"].as_array().unwrap();

    let mut checks = Checks { document: &document, known: BTreeMap::new() };

    // What is there now.
    let mut connection = redis.client().get_multiplexed_async_connection().await.unwrap();
    let there: Vec<String> = connection.keys("*").await.unwrap();
    let mut json_seen = BTreeSet::new();
    for name in &there {
        let Some(key) = keys.iter().find(|key| fits(key["key"].as_str().unwrap(), name)) else { continue };
        let kind: String = redis::cmd("TYPE").arg(name).query_async(&mut connection).await.unwrap();
        let is_limit = name.contains(":limits:");
        assert!(is_limit || kind == "none" || key["type"] == *kind, "{name} is a {kind}");
        let held: Vec<Vec<u8>> = match &*kind {
            "string" => vec![connection.get(name).await.unwrap()],
            "hash" if !is_limit => connection.hvals(name).await.unwrap(),
            "list" => connection.lrange(name, 0, -1).await.unwrap(),
            _ => Vec::new(),
        };
        // What expired meanwhile is empty.
        for bytes in held.into_iter().filter(|bytes| !bytes.is_empty()) {
            // What a server says of itself comes after the time.
            let start =
                if name.ends_with(":servers") { bytes.iter().position(|byte| *byte == b' ').unwrap() + 1 } else { 0 };
            checks.check(name, key, &bytes[start..]);
            json_seen.insert(key["key"].as_str().unwrap());
        }
    }
    assert!(json_seen.len() >= 5, "{json_seen:?}");

    let market = ["ticks", "frames", "frames:ask"].map(|channel| format!("tickstock:market:{channel}"));
    eventually("ticks were published, and the board was asked for", || async {
        let heard = heard.lock().unwrap();
        market.iter().all(|channel| heard.iter().any(|(of, _)| of == channel)).then_some(())
    })
    .await;
    first.stop().await;
    let given_up =
        |said: &[Said]| said.iter().filter(|(channel, _)| channel == "tickstock:{collector}:released").count();
    eventually("the lease was given up, and the other one publishes", || async {
        let released = given_up(&heard.lock().unwrap()) > 0;
        (released && admin.status().await["role"] == "collector").then_some(())
    })
    .await;

    let heard = std::mem::take(&mut *heard.lock().unwrap());
    let channels = document.0["channels"].as_object().unwrap();
    let on_redis: Vec<_> =
        channels.values().filter(|channel| channel["servers"][0]["$ref"] == "#/servers/redis").collect();
    let mut seen = BTreeSet::new();
    for (channel, bytes) in &heard {
        if channel.starts_with("__keyevent@") {
            let key = std::str::from_utf8(bytes).unwrap();
            let known = keys.iter().any(|known| fits(known["key"].as_str().unwrap(), key));
            assert!(known, "the key {key} is not described: add it to server/src/routes/description/channels.rs");
            continue;
        }
        let described = on_redis.iter().find(|known| fits(known["address"].as_str().unwrap(), channel));
        let Some(described) = described else {
            panic!("the channel {channel} is not described: add it to server/src/routes/description/channels.rs")
        };
        // Others may say it otherwise. Where the message may be empty, it is JSON when it is not.
        let messages = described["messages"].as_object().unwrap();
        let ours = messages.values().filter(|message| message["name"] != "TickStockStatus");
        let ours =
            ours.min_by_key(|message| (message["contentType"] == "application/json") == bytes.is_empty()).unwrap();
        checks.check(channel, ours, bytes);
        seen.insert(described["address"].as_str().unwrap());
    }
    let all: BTreeSet<_> = on_redis.iter().map(|known| known["address"].as_str().unwrap()).collect();
    assert_eq!(seen, all, "every channel was heard");
}
