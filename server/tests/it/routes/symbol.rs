//! What is told of one symbol.

use crate::util::{TestServer, eventually};
use app::model::time::UnixMillis;
use serde_json::{Value, json};
use server::auth::Role;

const ONE: [(&str, &str); 3] = [
    ("USE_MULTI_CONNECTION", "true"),
    ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
    ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_symbol_is_recorded_while_somebody_asks_for_it() {
    let server = TestServer::start(ONE).await;
    let admin = server.admin().await;
    let symbol = async |rest: &str| admin.get_json(&format!("/api/admin/symbol?symbol={rest}"), 200).await;
    let detail = eventually("AAPL ticks, and its events are kept", || async {
        let detail = symbol("AAPL").await;
        (detail["seconds"].as_array().unwrap().len() >= 2 && detail["ingest"]["rhythm"]["usual_gap_ms"].is_u64())
            .then_some(detail)
    })
    .await;
    let event: Value = serde_json::from_str(detail["ingest"]["event"]["text"].as_str().unwrap()).unwrap();
    assert_eq!((&event["sym"], detail["row"]["symbol"].as_str()), (&json!("AAPL"), Some("AAPL")));
    let ticks =
        detail["seconds"].as_array().unwrap().iter().map(|second| second["ticks"].as_u64().unwrap()).sum::<u64>();
    assert!(ticks > 0 && ticks <= detail["row"]["ticks_total"].as_u64().unwrap(), "{detail}");
    let time = |value: &Value| serde_json::from_value::<UnixMillis>(value.clone()).unwrap();
    assert!(time(&detail["ingest"]["event"]["received_at"]) >= time(&detail["ingest"]["watched_since"]));
    assert!(time(&detail["last_arrival"]) >= time(&detail["recorded_since"]));
    let other = symbol("MSFT&connection=1").await;
    assert_eq!(
        (other["seconds"].as_array().unwrap().len(), &other["ingest"]["event"]),
        (0, &json!(null)),
        "not before"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_ask_and_what_is_not_there_is_said() {
    let server = TestServer::start(ONE).await;
    let admin = server.admin().await;
    for (client, status) in [(server.stranger(), 401), (server.sign_in(Role::Moderator).await, 403)] {
        client.get("/api/admin/symbol?symbol=AAPL", status).await;
        client.post("/api/admin/fn/symbol", "connection=1&symbol=AAPL", status).await;
    }
    for query in ["symbol=NONE", "symbol=AAPL&connection=2"] {
        let error = admin.get_json(&format!("/api/admin/symbol?{query}"), 404).await;
        assert_eq!(error["error"]["code"], "not_found");
    }
    for query in ["", "symbol=A%20B", "symbol=AAPL&connection=x", "symbol=AAPL&colour=red"] {
        let error = admin.get_json(&format!("/api/admin/symbol?{query}"), 400).await;
        assert_eq!(error["error"]["code"], "bad_request", "{query}");
    }
}
