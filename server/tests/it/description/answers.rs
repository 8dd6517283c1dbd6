//! Every JSON answer is as described.

use super::Document;
use crate::util::{Client, Hook, TestServer, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Calls a route and holds the answer against the description.
struct Caller {
    admin: Client,
    document: Document,
    called: BTreeSet<(String, String, u16)>,
}

impl Caller {
    /// `path` as it is described; `address` is what is called.
    async fn call(&mut self, method: &str, path: &str, address: &str, body: Option<Value>, status: u16) -> Value {
        let admin = self.admin.clone();
        self.call_as(&admin, method, path, address, body, status).await
    }

    async fn call_as(
        &mut self,
        client: &Client,
        method: &str,
        path: &str,
        address: &str,
        body: Option<Value>,
        status: u16,
    ) -> Value {
        let request =
            client.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{address}", client.base));
        let request = request.header("content-type", "application/json");
        let request = if let Some(body) = body { request.body(body.to_string()) } else { request };
        let answer = request.send().await.unwrap();
        let what = format!("{method} {address}");
        assert_eq!(answer.status().as_u16(), status, "{what}");
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let text = answer.text().await.unwrap();

        let document = &self.document.0;
        let described = &document["paths"][path][method.to_lowercase()]["responses"];
        let class = format!("{}XX", status / 100);
        let mut described = described.get(status.to_string()).or(described.get(&class));
        if let Some(pointer) = described.and_then(|described| described["$ref"].as_str()) {
            described = document.pointer(&pointer[1..]);
        }
        let described = described.unwrap_or_else(|| panic!("{what}: {status} is not described"));
        self.called.insert((path.to_owned(), method.to_lowercase(), status));
        let Some(kind) = kind else {
            assert!(described["content"].is_null() && text.is_empty(), "{what}: {text}");
            return Value::Null;
        };
        let kind = kind.split(';').next().unwrap();
        let content = described["content"].get(kind);
        let schema = &content.unwrap_or_else(|| panic!("{what}: {kind} is not described"))["schema"];
        if kind != "application/json" || *schema == json!({"type": "string"}) {
            return text.into();
        }
        let value: Value = serde_json::from_str(&text).unwrap();
        self.document.check(&format!("{what}, {status}"), schema, &value);
        value
    }

    async fn get(&mut self, path: &str, query: &str) -> Value {
        self.call("GET", path, &format!("{path}{query}"), None, 200).await
    }

    /// Every JSON answer that is described was seen.
    fn saw_all(&self) {
        for (path, methods) in self.document.0["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    let is_json = answer["content"].get("application/json").is_some();
                    let seen = status
                        .parse()
                        .is_ok_and(|status| self.called.contains(&(path.clone(), method.clone(), status)));
                    assert!(
                        !is_json || seen,
                        "{method} {path} is described with {status}, and not called: add a line here"
                    );
                }
            }
        }
    }
}

/// A server on which as much as possible happened: a connection refused and lost for a while, and told of.
async fn eventful(hook: &Hook) -> (TestServer, Client) {
    let pairs = [
        ("ALERT_WEBHOOK_URL", hook.url.as_str()),
        ("ALERT_ALLOWED_NETS", "127.0.0.1"),
        ("PUBLIC_URL", "http://localhost"),
        ("RECORDING", "true"),
    ];
    let server = TestServer::start(pairs).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    server.fault(json!({"fault": "refuse_key", "connection": 3})).await;
    server.fault(json!({"fault": "drop", "connection": 3})).await;
    (server, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_json_answer_is_as_described_without_a_field_more() {
    let hook = Hook::start().await;
    let (server, admin) = eventful(&hook).await;
    let document = Document::openapi(&admin).await;
    let mut caller = Caller { admin: admin.clone(), document, called: BTreeSet::new() };

    let rule = json!({"rule": "key_refused", "for_seconds": 1, "connection": 3});
    caller.call("PATCH", "/api/admin/alert-rules", "/api/admin/alert-rules", Some(rule), 200).await;
    let told = hook.until_told("firing key_refused:3").await;
    let hook_schema =
        &caller.document.0["webhooks"]["alert"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    caller.document.check("what a webhook is told", hook_schema, &told.body);

    for path in ["/api/admin/websocket-status", "/api/admin/servers", "/api/admin/alert-rules", "/readyz", "/healthz"] {
        caller.get(path, "").await;
    }
    for path in ["/metrics", "/api/openapi.json", "/api/asyncapi.json"] {
        caller.get(path, "").await;
    }
    let symbol = caller.get("/api/admin/websocket-status", "").await["connections"][0]["config"]["symbols"][0].clone();
    let query = format!("?symbol={}", symbol.as_str().unwrap());
    let address = format!("/api/admin/symbol{query}");
    eventually("an event of the provider is kept", || async {
        admin.get_json(&address, 200).await["ingest"]["event"].is_object().then_some(())
    })
    .await;
    caller.get("/api/admin/symbol", &query).await;

    // Alerts.
    let silence = json!({"rule": "mute", "connection": 1, "until": "2999-01-01T00:00:00Z", "reason": "x"});
    let path = "/api/admin/silences";
    caller.call("POST", path, path, Some(silence), 400).await;
    let until = app::model::time::UnixMillis(app::model::time::UnixMillis::now().0 + 3_600_000);
    let silence = json!({"rule": "mute", "connection": 1, "until": until, "reason": "maintenance"});
    let silence = caller.call("POST", path, path, Some(silence), 201).await;
    assert_eq!(caller.get(path, "").await["silences"].as_array().unwrap().len(), 1);
    let id = silence["id"].as_i64().unwrap();
    caller.call("DELETE", "/api/admin/silences/{id}", &format!("{path}/{id}"), None, 204).await;
    let alerts = caller.get("/api/admin/alerts", "?state=all").await;
    let id = alerts["alerts"][0]["id"].as_str().unwrap().to_owned();
    let path = "/api/admin/alerts/{id}/acknowledge";
    caller.call("POST", path, &path.replace("{id}", &id), Some(json!({"note": "seen"})), 200).await;
    caller.call("POST", path, &path.replace("{id}", &id), None, 409).await;
    let path = "/api/admin/alert-destinations/{name}/test";
    caller.call("POST", path, &path.replace("{name}", "webhook"), None, 200).await;
    eventually("a delivery is on record", || async {
        let said = admin.get_json("/api/admin/alert-destinations", 200).await;
        (said["destinations"][0]["deliveries"][0]["outcome"] == "delivered").then_some(())
    })
    .await;
    caller.get("/api/admin/alert-destinations", "").await;

    // A connection that is refused waits long.
    let path = "/api/admin/connections/{id}/retry";
    caller.call("POST", path, &path.replace("{id}", "99"), None, 404).await;
    server.fault(json!({"fault": "clear"})).await;
    caller.call("POST", path, &path.replace("{id}", "3"), None, 200).await;
    admin.wait_for_state(3, "connected").await;
    // History.
    let gap = eventually("the gap is over", || async {
        let gaps = admin.get_json("/api/admin/history/gaps?from=-1h", 200).await;
        let gaps = gaps["gaps"].as_array().unwrap().clone();
        gaps.into_iter().find(|gap| gap["connection_id"] == 3 && gap["ended_at"].is_string())
    });
    let id = gap.await["id"].as_i64().unwrap().to_string();
    eventually("a second is on record", || async {
        let samples = admin.get_json("/api/admin/history/samples?resolution=1&from=-1m", 200).await;
        samples["samples"][0].is_object().then_some(())
    })
    .await;
    for (what, query) in [("gaps", ""), ("events", "?limit=2"), ("samples", "?resolution=1&from=-1m")] {
        let path = format!("/api/admin/history/{what}");
        let answer = caller.get(&path, query).await;
        assert!(!answer[what].as_array().unwrap().is_empty(), "{what}");
        caller.get(&path, if query.is_empty() { "?format=csv" } else { "?format=csv&limit=2" }).await;
    }
    for what in ["acknowledge", "notes"] {
        let path = format!("/api/admin/history/gaps/{{id}}/{what}");
        caller.call("POST", &path, &path.replace("{id}", &id), Some(json!({"note": "replayed"})), 200).await;
        caller.call("POST", &path, &path.replace("{id}", &id), Some(json!({"nota": "replayed"})), 400).await;
    }
    let gap = caller.get("/api/admin/history/gaps", "?connection=3").await["gaps"][0].clone();
    assert_eq!((&gap["note"], &gap["further_notes"][0]["note"]), (&json!("replayed"), &json!("replayed")));
    recording(&mut caller).await;
    caller.get("/api/admin/audit", "?limit=5").await;
    caller.get("/api/admin/audit", "?format=csv").await;
    caller.get("/api/admin/alerts", "?state=all").await;

    server.write_env("WEBSOCKET_CONNECTION_2_PRIORITY=loud\nUSE_MULTI_CONNECTION=true\n");
    let path = "/api/admin/config/refresh";
    let outcome = caller.call("POST", path, path, None, 200).await;
    assert!(!outcome["refused"].as_array().unwrap().is_empty(), "{outcome}");

    // A server whose bus is away.
    not_ready(&mut caller).await;

    let stranger = server.stranger();
    let paths = caller.document.0["paths"].as_object().unwrap().clone();
    for (path, methods) in paths.iter().filter(|(path, _)| path.starts_with("/api/")) {
        for method in methods.as_object().unwrap().keys() {
            caller.call_as(&stranger, &method.to_uppercase(), path, path, None, 401).await;
        }
    }
    caller.saw_all();
}

/// What is recorded, the board of a moment, and a stretch that is kept and dropped.
async fn recording(caller: &mut Caller) {
    let path = "/api/admin/recording";
    let admin = caller.admin.clone();
    let recorded = eventually("something is recorded", || async {
        let contents = admin.get_json(path, 200).await;
        contents["to"].is_string().then_some(contents)
    });
    let (from, to) = (recorded.await["from"].clone(), json!("-0s"));
    let wanted = json!({"from": from, "to": to, "note": "seen"});
    let kept = caller.call("POST", &format!("{path}/keep"), &format!("{path}/keep"), Some(wanted), 201).await;
    let contents = caller.get(path, "").await;
    assert_eq!((&contents["state"], &contents["kept"][0]), (&json!("recording"), &kept));
    let board = caller.get(&format!("{path}/board"), &format!("?at={}", contents["to"].as_str().unwrap())).await;
    assert!(!board["rows"].as_array().unwrap().is_empty(), "{board}");
    caller.call("GET", &format!("{path}/board"), &format!("{path}/board?at=2020-01-01T00:00:00Z"), None, 404).await;
    for query in ["", "?format=jsonl", "?format=parquet"] {
        caller.get(&format!("{path}/ticks"), query).await;
    }
    let id = kept["id"].as_str().unwrap();
    caller.call("DELETE", &format!("{path}/kept/{{id}}"), &format!("{path}/kept/{id}"), None, 204).await;
}

/// `/readyz` of a server that is not.
async fn not_ready(caller: &mut Caller) {
    let server = TestServer::start([("MARKET_FEED", "redis"), ("REDIS_URL", "redis://127.0.0.1:1")]).await;
    let admin = server.admin().await;
    caller.call_as(&admin, "GET", "/readyz", "/readyz", None, 503).await;
    let proxied = server.stranger();
    let request = proxied.http.get(format!("{}/readyz", proxied.base)).header("x-forwarded-for", "203.0.113.7");
    let said: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(said["ingest"], json!({"ok": false}), "why is for those who run it");
    let schema =
        &caller.document.0["paths"]["/readyz"]["get"]["responses"]["503"]["content"]["application/json"]["schema"];
    caller.document.check("/readyz for strangers", schema, &said);
}
