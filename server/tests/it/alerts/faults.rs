//! What goes wrong, and what only looks like it: the list of faults and their alerts, and no others.

use super::{acknowledge, all_connected, fault, hurry, patch};
use crate::util::{Client, Clock, Hook, Monitor, RedisServer, TestServer, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// Every fault of the simulated provider: the connection that has it, and the rule of the one alert that it ends in.
fn list() -> Vec<(usize, Value, Option<&'static str>)> {
    vec![
        (1, json!({"fault": "refuse_key"}), Some("key_refused")),
        (2, json!({"fault": "refuse_plan"}), Some("key_refused")),
        (3, json!({"fault": "limit", "at": "hello"}), Some("connection_limit")),
        (4, json!({"fault": "limit", "at": "auth"}), Some("connection_limit")),
        (5, json!({"fault": "limit", "at": "subscribed"}), Some("connection_limit")),
        (6, json!({"fault": "evict"}), Some("connection_limit")),
        (7, json!({"fault": "refuse_realtime"}), Some("not_connected")),
        (8, json!({"fault": "stall"}), Some("mute")),
        (9, json!({"fault": "mute_pings"}), Some("mute")),
        (10, json!({"fault": "deny_channel", "channel": "Q"}), Some("degraded")),
        (11, json!({"fault": "ignore_channel", "channel": "Q"}), Some("degraded")),
        (12, json!({"fault": "garbage", "seconds": 4}), Some("errors")),
        (13, json!({"fault": "lag", "by_ms": 3000}), Some("latency")),
        // Of these a connection comes back within seconds.
        (14, json!({"fault": "drop"}), None),
        (15, json!({"fault": "close"}), None),
        (16, json!({"fault": "slow_consumer"}), None),
        (14, json!({"fault": "force_disconnect"}), None),
        // And this is no trouble at all.
        (15, json!({"fault": "flood", "events_per_second": 500, "seconds": 2}), None),
        (15, json!({"fault": "halt", "symbol": "CEG"}), None),
        (16, json!({"fault": "duplicate_bar"}), None),
        (16, json!({"fault": "revise_bar"}), None),
        (16, json!({"fault": "large_frame"}), None),
        (16, json!({"fault": "strange_events"}), None),
    ]
}

/// Seen when the connection is opened the next time.
const NEXT_TIME: [&str; 6] =
    ["refuse_key", "refuse_plan", "refuse_realtime", "limit", "deny_channel", "ignore_channel"];
/// Counted over a minute, so that they end a minute after their fault.
const BY_THE_MINUTE: [&str; 2] = ["errors", "latency"];

const SYMBOLS: [&str; 16] = [
    "AAPL,MSFT",
    "NVDA,AMZN",
    "META,GOOGL",
    "TSLA,AVGO",
    "JPM,V",
    "LLY,UNH",
    "XOM,MA",
    "COST,HD",
    "PG,JNJ",
    "ABBV,WMT",
    "NFLX,BAC",
    "CRM,ORCL",
    "CVX,MRK",
    "KO,AMD",
    "CEG,PEP",
    "ADBE,TMO",
];

fn variables() -> Vec<(String, String)> {
    let mut all: Vec<_> =
        [("USE_MULTI_CONNECTION", "true"), ("WEBSOCKET_CONNECTIONS_MAX", "16"), ("SIMULATOR_TICK_RATE", "30")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    for (place, symbols) in SYMBOLS.into_iter().enumerate() {
        let name = |what: &str| format!("WEBSOCKET_CONNECTION_{}_{what}", place + 1);
        all.push((name("ENABLED"), "true".to_owned()));
        all.push((name("SYMBOLS"), symbols.to_owned()));
        all.push((name("CHANNELS"), "A,T,Q".to_owned()));
    }
    all
}

struct Place {
    monitor: Monitor,
    admin: Client,
    webhook: Hook,
}

impl Place {
    async fn inject(&self, id: usize, order: &Value) {
        let mut order = order.clone();
        if order["fault"] != "halt" {
            order["connection"] = json!(id);
        }
        let is_seen_next_time = NEXT_TIME.contains(&order["fault"].as_str().unwrap());
        fault(&self.monitor, order).await;
        if is_seen_next_time {
            fault(&self.monitor, json!({"fault": "drop", "connection": id})).await;
        }
    }

    /// Faults that end in alerts of one rule: the next one comes when the one before was told, or they would be told together.
    async fn one_after_the_other(&self, rule: &str, faults: &[(usize, Value)]) {
        for (id, order) in faults {
            self.inject(*id, order).await;
            let fingerprint = format!("{rule}:{id}");
            self.webhook.until_told(&format!("firing {fingerprint}")).await;
            acknowledge(&self.admin, &fingerprint, &format!("seen: {order}")).await;
            self.webhook.until_told(&format!("acknowledged {fingerprint}")).await;
        }
    }

    async fn harmless(&self, faults: &[(usize, Value)]) {
        let mut losses = BTreeMap::new();
        for (id, order) in faults {
            self.inject(*id, order).await;
            if ["drop", "close", "slow_consumer", "force_disconnect"].iter().all(|loss| order["fault"] != *loss) {
                continue;
            }
            let lost = losses.entry(*id).or_insert(0);
            *lost += 1;
            eventually("it is back", || async {
                let connection = self.admin.status().await["connections"][id - 1].clone();
                let is_back = connection["metrics"]["reconnects_total"] == *lost && connection["state"] == "connected";
                is_back.then_some(())
            })
            .await;
        }
    }

    /// Ends the faults. What waits because of them is tried at once, and what lacks a channel subscribes anew.
    async fn mend(&self) {
        fault(&self.monitor, json!({"fault": "clear"})).await;
        let helped = Mutex::new(BTreeSet::new());
        eventually("all are back", || async {
            let status = self.admin.status().await;
            let connections = status["connections"].as_array().unwrap();
            let down = connections.iter().filter(|connection| connection["state"] != "connected");
            let down: Vec<_> =
                down.map(|one| (one["id"].as_u64().unwrap(), one["state"].as_str().unwrap().to_owned())).collect();
            for (id, state) in &down {
                let is_stuck = state == "failed" || state == "degraded";
                if !is_stuck || !helped.lock().unwrap().insert(*id) {
                    continue;
                }
                if state == "failed" {
                    let url = format!("{}/api/admin/connections/{id}/retry", self.admin.base);
                    self.admin.http.post(url).send().await.unwrap();
                } else {
                    fault(&self.monitor, json!({"fault": "drop", "connection": id})).await;
                }
            }
            down.is_empty().then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_ends_in_exactly_the_alerts_that_it_should() {
    let (clock, webhook, pager) = (Clock::ahead(0), Hook::start().await, Hook::start().await);
    let alerts = [
        ("ALERT_WEBHOOK_URL", webhook.url.clone()),
        ("ALERT_PAGERDUTY_URL", pager.url.clone()),
        ("ALERT_PAGERDUTY_KEY", "0123456789abcdef0123456789abcdef".to_owned()),
        ("ALERT_ALLOWED_NETS", "127.0.0.1".to_owned()),
    ];
    let (of_connections, of_clock) = (variables(), clock.variables());
    let all = of_connections.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = all.chain(alerts.iter().chain(&of_clock).map(|(name, value)| (*name, value.as_str())));
    let monitor = Monitor::start_silent(&all.collect::<Vec<_>>());
    monitor.until_ready().await;
    let place = Place { admin: monitor.admin().await, monitor, webhook };
    let admin = &place.admin;
    for id in 1..=16 {
        admin.wait_for_state(id, "connected").await;
    }
    assert_eq!(names_in_the_list(), names_of_the_simulator(&place.monitor).await, "the list has every fault");

    let mut of_rules: BTreeMap<&str, Vec<(usize, Value)>> = BTreeMap::new();
    let mut harmless = Vec::new();
    for (id, order, rule) in list() {
        let Some(rule) = rule else {
            harmless.push((id, order));
            continue;
        };
        // So long it takes at most until a dropped connection is tried again, and refused.
        let for_seconds = if rule == "not_connected" { 4 } else { 1 };
        let numbers = json!({"rule": rule, "connection": id, "for_seconds": for_seconds, "resolve_seconds": 1});
        patch(admin, numbers, 200).await;
        of_rules.entry(rule).or_default().push((id, order));
    }
    // How a connection usually ticks takes some seconds to learn.
    eventually("silence means something", || async {
        let status = admin.status().await;
        let mute_after_ms = |id: usize| status["connections"][id - 1]["coverage"]["mute_after_ms"].as_u64();
        of_rules["mute"].iter().all(|(id, _)| mute_after_ms(*id).is_some_and(|ms| ms < 6_000)).then_some(())
    })
    .await;
    let told = join_all(of_rules.iter().map(|(rule, faults)| place.one_after_the_other(rule, faults)));
    tokio::join!(told, place.harmless(&harmless));

    let metrics = place.monitor.get("/metrics").await.unwrap();
    let line = r#"tickstock_alerts{rule="mute",severity="critical",state="acknowledged"} 2"#;
    assert!(metrics.contains(line), "{metrics}");
    let open = admin.get_json("/api/admin/alerts", 200).await;
    let path = format!("/api/admin/alerts/{}/acknowledge", open["alerts"][0]["id"].as_str().unwrap());
    admin.post(&path, "", 409).await;
    admin.post("/api/admin/alerts/none/acknowledge", "", 404).await;

    place.mend().await;
    let until_resolved = async |by_the_minute: bool| {
        for (rule, faults) in of_rules.iter().filter(|(rule, _)| BY_THE_MINUTE.contains(rule) == by_the_minute) {
            for (id, _) in faults {
                place.webhook.until_told(&format!("resolved {rule}:{id}")).await;
            }
        }
    };
    until_resolved(false).await;
    clock.advance(61_000);
    until_resolved(true).await;

    let fingerprints: Vec<_> = of_rules
        .iter()
        .flat_map(|(rule, faults)| faults.iter().map(move |(id, order)| (format!("{rule}:{id}"), order)))
        .collect();
    assert_steps(&place.webhook, &pager, &fingerprints).await;
    let delivered = |name: &str| {
        let count = fingerprints.len() * 3;
        format!(r#"tickstock_alert_deliveries_total{{destination="{name}",outcome="delivered"}} {count}"#)
    };
    eventually("deliveries are counted", || async {
        let metrics = place.monitor.get("/metrics").await?;
        ["webhook", "pagerduty"].iter().all(|name| metrics.contains(&delivered(name))).then_some(())
    })
    .await;
    // Who looked after it stays on record.
    let known = admin.get_json("/api/admin/alerts?state=all", 200).await;
    let known = known["alerts"].as_array().unwrap();
    assert_eq!(known.len(), fingerprints.len());
    let acts = admin.get("/api/admin/audit?action=alert_acknowledge", 200).await;
    for (fingerprint, order) in &fingerprints {
        let alert = known.iter().find(|alert| alert["fingerprint"] == *fingerprint).unwrap();
        assert_eq!(alert["state"], "resolved", "{alert}");
        let said = &alert["acknowledged"];
        let expected = format!("seen: {order}");
        assert_eq!((&said["by"], &said["note"]), (&json!("admin@localhost"), &json!(expected)), "{alert}");
        assert!(acts.contains(alert["id"].as_str().unwrap()), "{alert} in {acts}");
    }
}

/// Each alert was told as firing, acknowledged and resolved, in this order and once, and nothing else.
async fn assert_steps(webhook: &Hook, pager: &Hook, fingerprints: &[(String, &Value)]) {
    let whats = webhook.whats();
    for (fingerprint, order) in fingerprints {
        let of_it: Vec<_> = whats.iter().filter_map(|what| what.strip_suffix(&format!(" {fingerprint}"))).collect();
        assert_eq!(of_it, ["firing", "acknowledged", "resolved"], "{order}");
    }
    assert_eq!(whats.len(), fingerprints.len() * 3, "nothing else was told: {whats:?}");
    let ids: BTreeSet<_> = webhook.told().iter().map(|told| told.id()).collect();
    assert_eq!(ids.len(), whats.len(), "and nothing twice");
    eventually("the pager has all of it", || async { (pager.told().len() >= whats.len()).then_some(()) }).await;
    let mut of_incidents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for told in pager.told() {
        let text = |name: &str| told.body[name].as_str().unwrap().to_owned();
        of_incidents.entry(text("dedup_key")).or_default().push(text("event_action"));
    }
    assert_eq!(of_incidents.len(), fingerprints.len());
    for actions in of_incidents.values() {
        assert_eq!(actions, &["trigger", "acknowledge", "resolve"], "{of_incidents:?}");
    }
}

fn names_in_the_list() -> BTreeSet<String> {
    list().iter().map(|(_, order, _)| order["fault"].as_str().unwrap().to_owned()).collect()
}

/// All that its control interface takes.
async fn names_of_the_simulator(monitor: &Monitor) -> BTreeSet<String> {
    let control = format!("http://127.0.0.1:{}/control", monitor.simulator);
    let answer: Value =
        reqwest::Client::new().post(control).json(&json!({"fault": "?"})).send().await.unwrap().json().await.unwrap();
    let (_, names) = answer["error"]["message"].as_str().unwrap().split_once("accepted: ").unwrap();
    names.split(", ").filter(|name| *name != "clear").map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_bus_is_one_alert_whatever_follows_from_it() {
    let mut redis = RedisServer::start().await;
    let hook = Hook::start().await;
    let url = redis.url.clone();
    let server = TestServer::start([
        ("REDIS_URL", url.as_str()),
        ("ALERT_WEBHOOK_URL", hook.url.as_str()),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ])
    .await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["bus", "no_collector", "gap", "mute", "degraded"]).await;
    redis.kill();
    hook.until_told("firing bus").await;
    acknowledge(&admin, "bus", "starting it again").await;
    hook.until_told("acknowledged bus").await;
    server.fault(json!({"fault": "drop"})).await;
    redis.restart().await;
    hook.until_told("resolved bus").await;
    eventually("it is over", || async {
        let open = admin.get_json("/api/admin/alerts", 200).await;
        open["alerts"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(hook.whats(), ["firing bus", "acknowledged bus", "resolved bus"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn that_nobody_collects_is_told_until_somebody_does() {
    let (redis, hook) = (RedisServer::start().await, Hook::start().await);
    // With this feed the hours of the exchanges count.
    let clock = Clock::of_an_open_market();
    let variables = [
        ("MARKET_FEED", "redis"),
        ("REDIS_URL", &redis.url),
        ("USE_MULTI_CONNECTION", "true"),
        ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
        ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ("ALERT_WEBHOOK_URL", &hook.url),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
    ];
    let of_clock = clock.variables();
    let of_clock = of_clock.iter().map(|(name, value)| (*name, value.as_str()));
    let monitor = Monitor::start_silent(&variables.into_iter().chain(of_clock).collect::<Vec<_>>());
    eventually("it answers", || async { monitor.get("/healthz").await }).await;
    let admin = monitor.admin().await;
    hurry(&admin, &["no_collector"]).await;
    hook.until_told("firing no_collector").await;
    acknowledge(&admin, "no_collector", "starting it").await;
    hook.until_told("acknowledged no_collector").await;
    let seconds = || clock.now().0 as f64 / 1000.0;
    eventually("ticks end it", || async {
        let tick =
            json!({"type": "market_tick", "symbol": "AAPL", "price": 178.2, "volume": 1, "timestamp": seconds()});
        redis.publish("tickstock:market:ticks", &tick.to_string()).await;
        hook.whats().contains(&"resolved no_collector".to_owned()).then_some(())
    })
    .await;
    assert_eq!(hook.whats(), ["firing no_collector", "acknowledged no_collector", "resolved no_collector"]);
}
