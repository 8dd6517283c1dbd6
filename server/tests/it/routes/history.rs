//! History over the API: what is asked for, what comes, and who may.

use crate::util::{Client, PATIENCE, Socket, TestServer, eventually};
use app::model::{
    protocol::{Frame, Metrics, SUBPROTOCOL_BINARY},
    status::LiveReport,
    time::UnixMillis,
};
use serde_json::{Value, json};
use server::auth::Role;

const LISTS: [&str; 3] = ["samples", "events", "gaps"];

fn list(what: &str, rest: &str) -> String {
    format!("/api/admin/history/{what}{rest}")
}

async fn rows(client: &Client, what: &str, rest: &str) -> Vec<Value> {
    client.get_json(&list(what, rest), 200).await[what].as_array().unwrap().clone()
}

/// Waits until a connection has seconds of history.
async fn with_history(server: &TestServer) -> Client {
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    eventually("a second with ticks is on record", || async {
        let samples = rows(&admin, "samples", "?resolution=1&connection=3").await;
        samples.iter().any(|sample| sample["ticks"].as_u64() > Some(0)).then_some(())
    })
    .await;
    admin
}

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_read_history_or_acknowledge_a_gap() {
    let server = TestServer::start([]).await;
    for (client, status) in [(server.stranger(), 401), (server.sign_in(Role::Moderator).await, 403)] {
        for what in LISTS {
            client.get(&list(what, ""), status).await;
        }
        client.post(&list("gaps", "/1/acknowledge"), r#"{"note":"x"}"#, status).await;
        client.post(&list("gaps", "/1/notes"), r#"{"note":"x"}"#, status).await;
        client.post("/api/admin/fn/history", "query=&since=", status).await;
        client.post("/api/admin/fn/acknowledge_gap", "id=1&note=x", status).await;
    }
    assert_eq!(server.stranger().redirect("/admin/metrics").await, "/login?next=%2Fadmin%2Fmetrics");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_answered_with_what_is_accepted() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for (what, query, expected) in [
        ("samples", "?from=yesterday", "a time like 2026-01-21T12:34:56Z"),
        ("samples", "?resolution=7", "1, 10, 60 or 900"),
        ("events", "?kind=gossip", "one of state, error"),
        ("events", "?kind=audit", "acts are in /api/admin/audit"),
        ("gaps", "?colour=red", "expected one of from, to"),
        ("gaps", "?limit=1000000", "from 1 to 10000"),
    ] {
        let error = admin.get_json(&list(what, query), 400).await;
        assert_eq!(error["error"]["code"], "bad_request");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{query}: {message}");
    }
    admin.post(&list("gaps", "/999/acknowledge"), r#"{"note":"x"}"#, 404).await;
    admin.post(&list("gaps", "/x/acknowledge"), r#"{"note":"x"}"#, 404).await;
    for body in ["", "{}", r#"{"note":5}"#, r#"{"note":"x","more":1}"#] {
        assert!(admin.post(&list("gaps", "/1/acknowledge"), body, 400).await.contains(r#"{\"note\":\"…\"}"#));
    }
    assert!(admin.post(&list("gaps", "/1/acknowledge"), r#"{"note":"  "}"#, 400).await.contains("1 to 1000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_holds_what_the_api_answers_and_pages_fit_together() {
    let server = TestServer::start([]).await;
    let admin = with_history(&server).await;
    server.fault(json!({"fault": "drop", "connection": 1})).await;
    eventually("the gap has ended", || async {
        rows(&admin, "gaps", "").await.first().is_some_and(|gap| gap["ended_at"].is_string()).then_some(())
    })
    .await;
    // A range that is over: nothing is added to it while it is read.
    let status = admin.status().await;
    let to = status["generated_at"].as_str().unwrap();
    for what in LISTS {
        let rest = if what == "samples" { "&resolution=1" } else { "" };
        let rest = format!("?from=-1h&to={to}{rest}");
        let whole = rows(&admin, what, &format!("{rest}&limit=10000")).await;
        assert!(whole.len() > 2 || what == "gaps", "{what}: {whole:?}");

        let file = admin.get(&list(what, &format!("{rest}&format=csv")), 200).await;
        let mut lines = file.lines();
        let columns: Vec<_> = lines.next().unwrap().split(',').collect();
        assert_eq!(columns.len(), whole.first().map_or(columns.len(), |row| row.as_object().unwrap().len()));
        assert_eq!(lines.clone().count(), whole.len(), "{what}");
        for (line, row) in lines.zip(&whole) {
            let plain = ["id", "at", "connection_id", "number", "started_at", "ticks", "covered_ms", "kind"];
            let cells: Vec<_> = line.split(',').collect();
            for (column, cell) in columns.iter().zip(cells).filter(|(column, _)| plain.contains(column)) {
                let value = row[*column].as_str().map_or_else(|| row[*column].to_string(), str::to_owned);
                assert_eq!(cell, value.replace("null", ""), "{what}.{column}");
            }
        }

        let (mut paged, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = admin.get_json(&list(what, &format!("{rest}&limit=3{cursor}")), 200).await;
            paged.extend(page[what].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(paged, whole, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_is_a_gap_with_its_cause_and_an_admin_can_acknowledge_it() {
    let server = TestServer::start([]).await;
    let admin = with_history(&server).await;
    server.fault(json!({"fault": "close", "connection": 1, "code": 1008})).await;
    let gap_of = |id: u8| {
        let admin = admin.clone();
        async move { rows(&admin, "gaps", &format!("?connection={id}")).await.into_iter().next() }
    };
    let closed = eventually("connection 1 ticks again", || async {
        gap_of(1).await.filter(|gap| gap["first_tick_at"].is_string())
    })
    .await;
    assert_eq!(
        (&closed["name"], &closed["cause"], &closed["close_code"]),
        (&json!("#1-1"), &json!("closed"), &json!(1008))
    );
    assert_eq!((&closed["attempts"], closed["symbols"].as_array().unwrap().len()), (&json!(1), 50));
    assert!(closed["duration_ms"].as_u64() >= Some(1_000), "the backoff alone is a second: {closed}");

    // How often a connection usually ticks takes some seconds to learn; before, no silence is too long.
    eventually("the usual rate of connection 3 is known", || async {
        (rows(&admin, "samples", "?resolution=1&connection=3").await.len() >= 9).then_some(())
    })
    .await;
    // One after the other: a session that died counts for a while, and the limit evicts the oldest.
    server.fault(json!({"fault": "stall", "connection": 3})).await;
    let mute = eventually("connection 3 is mute", || gap_of(3)).await;
    assert_eq!((&mute["cause"], &mute["last_tick_at"]), (&json!("mute"), &mute["started_at"]));
    server.fault(json!({"fault": "clear", "connection": 3})).await;
    eventually("connection 3 ticks again", || async { gap_of(3).await.filter(|gap| gap["ended_at"].is_string()) })
        .await;

    server.fault(json!({"fault": "evict", "connection": 2})).await;
    let evicted = eventually("connection 2 has a gap", || gap_of(2)).await;
    assert_eq!((&evicted["cause"], &evicted["ended_at"]), (&json!("too_many_connections"), &Value::Null));
    assert!(
        evicted["words"].as_str().unwrap().contains("Maximum number of websocket connections exceeded."),
        "{evicted}"
    );

    let path = list("gaps", &format!("/{}/acknowledge", closed["id"]));
    let answer: Value =
        serde_json::from_str(&admin.post(&path, r#"{"note":"filled from flat files"}"#, 200).await).unwrap();
    assert_eq!(
        (&answer["acknowledged_by"], &answer["note"]),
        (&json!("admin@example.com"), &json!("filled from flat files"))
    );
    assert!(admin.post(&path, r#"{"note":"me too"}"#, 409).await.contains("already been acknowledged"));
    assert_eq!(gap_of(1).await.unwrap()["note"], "filled from flat files");

    let further = list("gaps", &format!("/{}/notes", closed["id"]));
    admin.post(&list("gaps", &format!("/{}/notes", evicted["id"])), r#"{"note":"x"}"#, 409).await;
    for note in ["half of it, in fact", "now all of it"] {
        admin.post(&further, &json!({"note": note}).to_string(), 200).await;
    }
    let gap = gap_of(1).await.unwrap();
    assert_eq!(gap["note"], "filled from flat files", "the first one stays");
    let said: Vec<_> =
        gap["further_notes"].as_array().unwrap().iter().map(|said| (&said["by"], &said["note"])).collect();
    let by = &json!("admin@example.com");
    assert_eq!(said, [(by, &json!("half of it, in fact")), (by, &json!("now all of it"))]);
    assert!(gap["further_notes"][1]["at"].is_string(), "{gap}");
    let log = admin.get("/api/admin/audit?action=gap_note&format=csv", 200).await;
    assert!(log.contains("half of it, in fact") && log.contains("now all of it"), "{log}");

    let states = rows(&admin, "events", "?connection=1&kind=state").await;
    assert!(
        states.iter().any(|event| event["state"] == "reconnecting" && event["text"].as_str().unwrap().contains("1008"))
    );
    assert!(rows(&admin, "events", "?kind=server").await[0]["text"].as_str().unwrap().starts_with("Started"));

    let page = admin.get("/admin/metrics?range=5m", 200).await;
    for part in ["#1-1", "closed by the provider", "connection limit", "filled from flat files", "</body></html>"] {
        assert!(page.contains(part), "{part}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_costs_history_alone_and_is_caught_up_with() {
    let server = TestServer::start([]).await;
    let admin = with_history(&server).await;
    let mut socket = admin.socket(Some(SUBPROTOCOL_BINARY)).await;
    let (file, elsewhere) = (server.database_file(), server.database_file().with_extension("elsewhere"));
    std::fs::rename(&file, &elsewhere).unwrap();
    let told = until(&mut socket, |live| live.head.history_trouble.clone()).await;
    assert_eq!(told.reason, "the database file was removed: put it back or restart the server");
    let before = until(&mut socket, |live| Some(live.head.summary.ticks_total)).await;
    until(&mut socket, |live| (live.head.summary.ticks_total > before + 100).then_some(())).await;
    let refused = admin.post(&list("gaps", "/1/acknowledge"), r#"{"note":"x"}"#, 503).await;
    assert!(refused.contains("not_recorded"), "nothing can be put on record: {refused}");

    std::fs::rename(&elsewhere, &file).unwrap();
    until(&mut socket, |live| live.head.history_trouble.is_none().then_some(())).await;
    let event = eventually("what became of history is on record", || async {
        rows(&admin, "events", "?kind=history").await.into_iter().next()
    })
    .await;
    assert!(event["text"].as_str().unwrap().ends_with("nothing was lost, all of it was written late"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_the_page_that_is_not_understood_is_refused_and_one_without_history_says_so() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for (query, said) in [
        ("range=5x", "range=5x: expected one of 5m, 15m"),
        ("from=2026-01-21T11:00&to=2026-01-21T10:00", "expected a time before to=2026-01-21T10:00"),
    ] {
        let page = admin.get(&format!("/admin/metrics?{query}"), 400).await;
        assert!(page.contains(said) && !page.contains("Live, as of"), "{query}: {page}");
    }
    for (range, said) in [
        ("from=2020-01-01T00:00&to=2020-01-02T00:00", "No history for this range. History begins at"),
        ("from=2099-01-01T00:00&to=2099-01-02T00:00", "No history for this range. It is in the future."),
    ] {
        let page = admin.get(&format!("/admin/metrics?{range}"), 200).await;
        assert!(page.contains(said) && !page.contains("No gaps in this range"), "{range}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_pages_are_told_within_seconds_that_a_gap_began_and_that_it_ended() {
    let server = TestServer::start([]).await;
    let admin = with_history(&server).await;
    let mut socket = admin.socket(Some(SUBPROTOCOL_BINARY)).await;
    let mut changed_after = async |known: UnixMillis| {
        let since = std::time::Instant::now();
        loop {
            if let Frame::Metrics(metrics) = socket.frame().await
                && metrics.ledger_changed_at > known
            {
                assert!(since.elapsed().as_secs() < 5, "{:?}", since.elapsed());
                return metrics.ledger_changed_at;
            }
        }
    };
    let ended = async || rows(&admin, "gaps", "?connection=2").await[0]["ended_at"].clone();
    server.fault(json!({"fault": "refuse_key", "connection": 2})).await;
    server.fault(json!({"fault": "drop", "connection": 2})).await;
    let began = changed_after(UnixMillis(0)).await;
    assert_eq!(ended().await, Value::Null, "it is in the database by then");
    // Refused it is another cause, which is news too.
    admin.wait_for_state(2, "failed").await;
    let refused = changed_after(began).await;
    server.fault(json!({"fault": "clear"})).await;
    admin.post("/api/admin/config/refresh", "", 200).await;
    admin.wait_for_state(2, "connected").await;
    changed_after(refused).await;
    assert_ne!(ended().await, Value::Null);
}

/// Reads frames until one says what is wanted.
async fn until<T>(socket: &mut Socket, wanted: impl Fn(&LiveReport) -> Option<T>) -> T {
    let since = std::time::Instant::now();
    loop {
        let live = match socket.frame().await {
            Frame::Live(live) | Frame::Metrics(Metrics { live, .. }) => live,
            _ => continue,
        };
        if let Some(found) = wanted(&live) {
            return found;
        }
        assert!(since.elapsed() < 3 * PATIENCE, "waited in vain");
    }
}
