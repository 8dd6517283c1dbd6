//! Somebody is told: what a fault of the simulated provider ends in, through outbox and delivery, and what people do about it.

mod failover;
mod faults;
mod quick;
mod receivers;

use crate::util::{Client, Hook, Monitor, PATIENCE, TestServer, eventually};
use app::model::time::UnixMillis;
use serde_json::{Value, json};
use server::auth::Role;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn server(hook: &Hook) -> TestServer {
    let pairs = [
        ("ALERT_WEBHOOK_URL", hook.url.as_str()),
        ("ALERT_WEBHOOK_SECRET", SECRET),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
        ("PUBLIC_URL", "http://localhost"),
    ];
    TestServer::start(pairs).await
}

/// Rules that tell at once what they tell after a while.
async fn hurry(admin: &Client, rules: &[&str]) {
    for rule in rules {
        patch(admin, json!({"rule": rule, "for_seconds": 1, "resolve_seconds": 1}), 200).await;
    }
}

async fn patch(admin: &Client, body: Value, status: u16) -> Value {
    let url = format!("{}/api/admin/alert-rules", admin.base);
    let answer = admin.http.patch(url).json(&body).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), status, "{body}");
    answer.json().await.unwrap()
}

async fn post(admin: &Client, path: &str, body: Value, status: u16) -> Value {
    serde_json::from_str(&admin.post(path, &body.to_string(), status).await).unwrap()
}

/// Acknowledges an alert that is open, in the name of whoever this is.
async fn acknowledge(who: &Client, fingerprint: &str, note: &str) {
    let open = who.get_json("/api/admin/alerts", 200).await["alerts"].clone();
    let open = open.as_array().unwrap().iter().find(|alert| alert["fingerprint"] == fingerprint);
    let id = open.expect("it is open")["id"].as_str().unwrap();
    let answer = post(who, &format!("/api/admin/alerts/{id}/acknowledge"), json!({"note": note}), 200).await;
    assert_eq!((&answer["state"], &answer["acknowledged"]["note"]), (&json!("acknowledged"), &json!(note)));
}

/// The provider refuses the key of a connection, which is told as an alert of its own within seconds.
async fn refuse_key(server: &TestServer, id: usize) {
    server.fault(json!({"fault": "refuse_key", "connection": id})).await;
    server.fault(json!({"fault": "drop", "connection": id})).await;
}

/// Takes the faults away, and tries what waits because of them.
async fn mend(server: &TestServer, admin: &Client, ids: &[usize]) {
    server.fault(json!({"fault": "clear"})).await;
    for id in ids {
        // One that is on its way already waits for no attempt.
        let url = format!("{}/api/admin/connections/{id}/retry", admin.base);
        admin.http.post(url).send().await.unwrap();
    }
}

async fn all_connected(admin: &Client) {
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_lost_together_are_one_message_and_it_is_quick() {
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    server.fault(json!({"fault": "refuse_key"})).await;
    server.fault(json!({"fault": "drop"})).await;
    let told = hook.until_told("firing key_refused:1,2,3").await;
    let data = &told.body["data"];
    assert_eq!((&data["connection"], data["connections"].as_array().unwrap().len()), (&Value::Null, 3));
    assert_eq!(data["links"]["dashboard"], "http://localhost/admin/websockets");
    assert_eq!(hook.whats(), ["firing key_refused:1,2,3"]);
    let fired_at: UnixMillis = serde_json::from_value(data["fired_at"].clone()).unwrap();
    let seconds: i64 = told.headers["webhook-timestamp"].to_str().unwrap().parse().unwrap();
    assert!((0..2_000).contains(&(seconds * 1000 + 999 - fired_at.0)), "{seconds} after {fired_at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_is_told_later_in_order_and_one_that_is_gone_never() {
    let hook = Hook::start().await;
    hook.answers(503);
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    refuse_key(&server, 1).await;
    hook.until_told("firing key_refused:1").await;
    // It fails, and is tried again 5 s later.
    let deliveries = async || {
        let all = admin.get_json("/api/admin/alert-destinations", 200).await;
        all["destinations"][0].clone()
    };
    eventually("a failure is shown", || async {
        let shown = deliveries().await;
        let last = &shown["deliveries"][0];
        (last["attempts"] == 1 && last["outcome"] == "pending" && last["answer"].as_str()?.starts_with("503"))
            .then_some(())
    })
    .await;
    mend(&server, &admin, &[1]).await;
    eventually("it is over", || async {
        let open = admin.get_json("/api/admin/alerts", 200).await;
        open["alerts"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    hook.answers(200);
    hook.until_told("resolved key_refused:1").await;
    let told = hook.told();
    assert_eq!(told.iter().map(|told| told.what()).collect::<BTreeSet<_>>().len(), 2);
    assert_eq!(told.last().unwrap().what(), "resolved key_refused:1");
    let firing: BTreeSet<_> =
        told.iter().filter(|told| told.what() == "firing key_refused:1").map(|told| told.id()).collect();
    assert_eq!(firing.len(), 1, "the same id each time");

    hook.answers(410);
    let answer = post(&admin, "/api/admin/alert-destinations/webhook/test", json!({}), 200).await;
    assert_eq!(answer["taken"], false);
    refuse_key(&server, 2).await;
    hook.until_told("firing key_refused:2").await;
    eventually("it is switched off", || async { deliveries().await["gone_since"].is_string().then_some(()) }).await;
    let count = hook.told().len();
    hook.answers(200);
    refuse_key(&server, 3).await;
    eventually("given up", || async {
        let shown = deliveries().await;
        let given_up = shown["deliveries"].as_array()?.iter().filter(|one| one["outcome"] == "given_up").count();
        (given_up >= 3).then_some(())
    })
    .await;
    assert_eq!(hook.told().len(), count);
    let answer = post(&admin, "/api/admin/alert-destinations/webhook/test", json!({}), 200).await;
    assert_eq!(answer["taken"], true);
    assert_eq!(deliveries().await["gone_since"], Value::Null, "a test that is taken switches it on");
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_and_rules_are_checked_and_on_record() {
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    let until = UnixMillis(UnixMillis::now().0 + 600_000);
    let silence = json!({"rule": "key_refused", "connection": 1, "until": until, "reason": "maintenance"});
    let made = post(&admin, "/api/admin/silences", silence.clone(), 201).await;
    for (wrong, text) in [
        (json!({"rule": "noise", "until": until, "reason": "x"}), "rule: expected one of not_connected"),
        (json!({"until": UnixMillis(0), "reason": "x"}), "until: expected a time in the future"),
        (json!({"until": until, "reason": " "}), "reason: expected 1 to 200 characters"),
        (json!({"until": until, "reason": "x", "connection": 17}), "connection: expected a number from 1 to 16"),
        (json!({"until": until}), "expected a JSON body"),
    ] {
        let answer = post(&admin, "/api/admin/silences", wrong, 400).await;
        assert!(answer["error"]["message"].as_str().unwrap().starts_with(text), "{answer}");
    }
    for wrong in [
        json!({"rule": "mute", "threshold": 5}),
        json!({"rule": "rate", "threshold": -1}),
        json!({"rule": "bus", "connection": 1}),
        json!({"rule": "mute", "for_seconds": 86_401}),
    ] {
        patch(&admin, wrong, 400).await;
    }
    refuse_key(&server, 1).await;
    let open = eventually("a silenced alert is open", || async {
        let open = admin.get_json("/api/admin/alerts?state=open", 200).await;
        open["alerts"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&open["fingerprint"], &open["silenced"]), (&json!("key_refused:1"), &json!("maintenance")));
    assert_eq!(hook.whats(), [""; 0], "nobody is told");
    let id = made["id"].as_i64().unwrap();
    let end = || async {
        let url = format!("{}/api/admin/silences/{id}", admin.base);
        admin.http.delete(url).send().await.unwrap().status().as_u16()
    };
    assert_eq!([end().await, end().await], [204, 404]);
    hook.until_told("firing key_refused:1").await;
    patch(&admin, json!({"rule": "key_refused", "enabled": false}), 200).await;
    hook.until_told("resolved key_refused:1").await;
    let all = admin.get_json("/api/admin/alerts?state=all&from=-1h&limit=1", 200).await;
    assert_eq!(all["alerts"][0]["state"], "resolved");
    assert!(admin.get("/api/admin/alerts?state=shut", 400).await.contains("open or all"));
    for action in ["alert_silence", "alert_silence_end", "alert_rule"] {
        let acts = admin.get_json(&format!("/api/admin/audit?action={action}"), 200).await;
        assert!(!acts["records"].as_array().unwrap().is_empty(), "{action}");
    }
    for role in [Role::User, Role::Moderator] {
        let other = server.sign_in(role).await;
        for path in ["alerts", "silences", "alert-rules", "alert-destinations"] {
            other.get(&format!("/api/admin/{path}"), 403).await;
        }
    }
    server.stranger().get("/api/admin/alerts", 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_without_javascript_and_the_dashboard_says_what_fires() {
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    let page = admin.get("/admin/alerts", 200).await;
    assert!(page.contains("No alert is open.") && page.contains("127.0.0.1:"), "{page}");
    assert!(!page.contains(SECRET));
    refuse_key(&server, 1).await;
    let told = hook.until_told("firing key_refused:1").await;
    let id = told.body["data"]["id"].as_str().unwrap().to_owned();
    eventually("the dashboard has its line", || async {
        admin.get("/admin/websockets", 200).await.contains(r#"data-testid="open-alert""#).then_some(())
    })
    .await;
    let page = admin.get("/admin/alerts", 200).await;
    assert!(
        page.contains(&format!("/admin/alerts?alert={id}#alert")) && page.contains("/admin/metrics?from="),
        "{page}"
    );
    let origin = [("origin", admin.base.as_str())];
    for (path, form, there) in [
        ("acknowledge", format!("id={id}&note=seen&asked=%3Ftext%3Dkey%26nonsense%3D1"), "text=key&done=acknowledged"),
        ("acknowledge", format!("id={id}&note=seen"), "error=late"),
        ("silence", "rule=&connection=&hours=2&reason=works".to_owned(), "done=silenced"),
        ("silence", "rule=&connection=&hours=9999&reason=works".to_owned(), "error=input"),
        ("rule", "rule=mute&connection=2&enabled=on&for_seconds=30&resolve_seconds=60&do=save".to_owned(), "done=rule"),
        ("rule", "rule=mute&connection=2&for_seconds=30&resolve_seconds=60&do=reset".to_owned(), "done=rule"),
        ("test", "name=webhook".to_owned(), "done=test"),
        ("test", "name=nobody".to_owned(), "error=gone"),
        ("silence/end", "id=1".to_owned(), "done=ended"),
    ] {
        let answer = admin.form(&format!("/admin/alerts/{path}"), &form, &origin).await;
        assert_eq!(answer.status().as_u16(), 303, "{path} {form}");
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(location, format!("/admin/alerts?{there}"), "{path} {form}");
    }
    let page = admin.get("/admin/alerts?done=test", 200).await;
    assert!(page.contains("The test was taken.") && page.contains("admin@example.com: seen"), "{page}");
    server.stranger().redirect("/admin/alerts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_leads_from_a_fault_in_the_timeline_to_its_alert_and_back_also_when_it_is_long_over() {
    let hook = Hook::start().await;
    let server = server(&hook).await;
    let admin = server.admin().await;
    all_connected(&admin).await;
    hurry(&admin, &["key_refused"]).await;
    refuse_key(&server, 2).await;
    let told = hook.until_told("firing key_refused:2").await;
    let data = &told.body["data"];
    let id = data["id"].as_str().unwrap().to_owned();
    let there = format!("/admin/alerts?alert={id}#alert");
    assert_eq!(data["links"]["alert"], format!("http://localhost{there}"));
    // The alert began when the timeline says that the connection was refused.
    let events = admin.get_json("/api/admin/history/events?kind=state&connection=2", 200).await;
    let refused = events["events"].as_array().unwrap().iter().any(|event| event["at"] == data["started_at"]);
    assert!(refused, "{events} {data}");
    acknowledge(&admin, "key_refused:2", "on it").await;
    mend(&server, &admin, &[2]).await;
    hook.until_told("resolved key_refused:2").await;
    let links = |page: &str| page.matches(&there).count();
    // Fired, acknowledged and resolved; the gap; what happened to the connection before the alert fired.
    let page = eventually("the timeline has the steps", || async {
        let page = admin.get("/admin/metrics?range=15m&connection=2", 200).await;
        page.contains("Resolved: secondary: key refused").then_some(page)
    })
    .await;
    assert!(page.contains("Acknowledged by admin@example.com: secondary: key refused (on it)"), "{page}");
    assert!(links(&page) >= 5 && page.contains(r#"aria-label="Alert: secondary: key refused""#), "{page}");
    let steps = admin.get("/admin/metrics?range=15m&kind=alert", 200).await;
    assert_eq!(steps.matches(r#"data-kind="alert""#).count(), 3);
    let other = admin.get("/admin/metrics?range=15m&kind=alert&connection=1", 200).await;
    assert_eq!(other.matches(r#"data-kind="alert""#).count(), 0);
    assert!(admin.get("/api/admin/history/events?kind=alert", 400).await.contains("alerts are in /api/admin/alerts"));
    // On its page, with its steps and its gap, whatever the lists have.
    let page = admin.get(&format!("/admin/alerts?alert={id}&severity=info"), 200).await;
    assert!(page.contains("#2-1</a>") && page.contains("#gap-"), "{page}");
    assert!(page.contains(&format!("#alert-{id}-3")) && page.contains("None matches."), "{page}");
    let page = admin.get("/admin/alerts?alert=mute-1-7", 200).await;
    assert!(page.contains("There is no such alert"), "{page}");
}

/// So many kills; the long run takes a hundred.
fn kills() -> usize {
    std::env::var("ALERT_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_a_step_and_its_delivery_it_tells_it_all_the_same_and_nothing_under_another_id() {
    let hook = Hook::start().await;
    let variables =
        [("ALERT_WEBHOOK_URL", hook.url.as_str()), ("ALERT_ALLOWED_NETS", "127.0.0.1"), ("SIMULATOR_TICK_RATE", "50")];
    let mut monitor = Monitor::start(&variables);
    monitor.until_ready().await;
    {
        let admin = monitor.admin().await;
        hurry(&admin, &["key_refused"]).await;
    }
    for round in 0..kills() {
        monitor.until_ticks_come().await;
        // Both are gone with the process.
        for what in ["refuse_key", "drop"] {
            fault(&monitor, json!({"fault": what, "connection": 1})).await;
        }
        let database = monitor.database().await;
        let known = hook.told().len();
        // The step is written, and somewhere between then and its delivery is the end.
        let since = Instant::now();
        while database.open_alerts().await.unwrap().is_empty() {
            assert!(since.elapsed() < PATIENCE, "no alert");
            tokio::task::yield_now().await;
        }
        sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        monitor.kill();
        let id = database.open_alerts().await.unwrap()[0].id.clone();
        drop(database);
        monitor.start_again();
        let is_told = |what: &'static str| {
            let id = id.clone();
            hook.told().iter().skip(known).any(|told| told.what() == what && told.body["data"]["id"] == json!(id))
        };
        eventually("it is told", || async { is_told("firing key_refused:1").then_some(()) }).await;
        eventually("and that it is over", || async { is_told("resolved key_refused:1").then_some(()) }).await;
        let of_this: Vec<_> = hook.told().into_iter().filter(|told| told.body["data"]["id"] == json!(id)).collect();
        let firing: BTreeSet<_> =
            of_this.iter().filter(|t| t.what() == "firing key_refused:1").map(|t| t.id()).collect();
        assert_eq!(firing.len(), 1, "round {round}: repetitions have the same id");
        assert_eq!(of_this.last().unwrap().what(), "resolved key_refused:1", "round {round}: in order");
    }
}

async fn fault(monitor: &Monitor, fault: Value) {
    let control = format!("http://127.0.0.1:{}/control", monitor.simulator);
    let answer = reqwest::Client::new().post(control).json(&fault).send().await.unwrap();
    assert!(answer.status().is_success());
}
