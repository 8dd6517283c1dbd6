//! The recording over the API and its socket: the past is what the live socket showed.

use crate::util::{Client, Socket, TestServer, eventually};
use app::model::{
    board::Board,
    protocol::{Frame, SUBPROTOCOL_BINARY},
    time::UnixMillis,
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use server::auth::Role;
use std::time::Duration;
use tokio_tungstenite::tungstenite::Message;

const RECORDS: (&str, &str) = ("RECORDING", "true");

async fn recorded_until(client: &Client, at: UnixMillis) -> Value {
    eventually("it is recorded", || async {
        let contents = client.get_json("/api/admin/recording", 200).await;
        let to: Option<UnixMillis> = serde_json::from_value(contents["to"].clone()).unwrap();
        to.is_some_and(|to| to > at).then_some(contents)
    })
    .await
}

/// Frames up to the word on where the reader stands.
async fn shown(socket: &mut Socket, frames: &mut Vec<Frame>) -> Value {
    loop {
        match socket.message().await {
            Message::Binary(bytes) => frames.push(Frame::decode(&bytes).expect("a frame")),
            Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_what_the_live_socket_showed() {
    let server = TestServer::start([RECORDS]).await;
    let admin = server.admin().await;
    admin.wait_for_state(3, "connected").await;
    // What a page shows at some moments, by its own frames.
    let mut live = admin.socket(Some(SUBPROTOCOL_BINARY)).await;
    let mut board = Board::default();
    let mut seen = Vec::new();
    let begun = UnixMillis::now();
    while UnixMillis::now().millis_since(begun) < 1_500 {
        let frame = live.frame().await;
        board.apply(&frame);
        if let Frame::Ticks(ticks) = frame {
            seen.push((ticks.at, board.rows.clone()));
        }
    }
    let last = seen.last().expect("ticks").0;
    let contents = recorded_until(&admin, last).await;
    assert_eq!((&contents["state"], &contents["trouble"]), (&json!("recording"), &Value::Null));
    assert!(contents["ticks"].as_u64() > Some(100), "{contents}");

    let mut past = admin.replay(Some(SUBPROTOCOL_BINARY)).await.expect("opens");
    past.say(r#"{"event":"set_tape","connections":[1,2,3]}"#).await;
    for (at, rows) in seen.iter().step_by(seen.len() / 10 + 1) {
        past.say(&json!({"event": "seek", "at": at}).to_string()).await;
        let mut frames = Vec::new();
        let state = shown(&mut past, &mut frames).await;
        assert_eq!((&state["event"], &state["data"]["playing"]), (&json!("replay"), &json!(false)), "{state}");
        let mut board = Board::default();
        frames.iter().for_each(|frame| {
            board.apply(frame);
        });
        // What a page joined in the middle of a flush may have another direction for a first tick: prices and counts are all.
        let prices = |rows: &[app::model::protocol::Row]| {
            rows.iter().map(|r| (r.symbol, r.price, r.ticks_total)).collect::<Vec<_>>()
        };
        assert_eq!(prices(&board.rows), prices(rows), "at {at}");
        assert!(frames.iter().any(|frame| matches!(frame, Frame::Tape(_))));
    }

    // Played from the first of them it comes to the last, however fast.
    past.say(&json!({"event": "seek", "at": seen[0].0}).to_string()).await;
    let mut frames = Vec::new();
    shown(&mut past, &mut frames).await;
    past.say(r#"{"event":"play","speed":10}"#).await;
    let mut board = Board::default();
    loop {
        let state = shown(&mut past, &mut frames).await;
        let at: UnixMillis = serde_json::from_value(state["data"]["at"].clone()).unwrap();
        if at >= last || state["data"]["at_end"] == json!(true) {
            break;
        }
    }
    frames.iter().for_each(|frame| {
        board.apply(frame);
    });
    let totals = |rows: &[app::model::protocol::Row]| rows.iter().map(|row| row.ticks_total).sum::<u64>();
    assert!(totals(&board.rows) >= totals(&seen.last().expect("ticks").1));
    past.say(r#"{"event":"step","back":true}"#).await;
    past.say(r#"{"event":"leap"}"#).await;
    loop {
        let said = shown(&mut past, &mut frames).await;
        if said["event"] == json!("error") {
            assert!(said["data"]["message"].as_str().unwrap().starts_with(r#"expected {"event":"seek""#));
            break;
        }
    }
    // Before it all, and for who speaks JSON.
    past.say(r#"{"event":"seek","at":"2020-01-01T00:00:00Z"}"#).await;
    assert!(
        shown(&mut past, &mut frames).await["data"]["message"]
            .as_str()
            .unwrap()
            .contains("nothing is recorded at 2020")
    );
    let mut json_socket = admin.replay(None).await.expect("opens");
    json_socket.say(&json!({"event": "seek", "at": last}).to_string()).await;
    assert_eq!(json_socket.event_named("tick_update").await["snapshot"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stretch_is_exported_kept_and_forgotten_and_all_of_it_is_on_record() {
    let server = TestServer::start([RECORDS]).await;
    let admin = server.admin().await;
    admin.wait_for_state(3, "connected").await;
    let at = UnixMillis::now();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    recorded_until(&admin, UnixMillis(at.0 + 1_000)).await;
    let window = format!("from={at}&to={}", UnixMillis(at.0 + 1_000));

    let csv = admin.get(&format!("/api/admin/recording/ticks?{window}&format=csv"), 200).await;
    let ticks = csv.lines().count() - 1;
    assert!(ticks > 10, "{ticks}");
    let lines = admin.get(&format!("/api/admin/recording/ticks?{window}&format=jsonl"), 200).await;
    assert_eq!(lines.lines().count(), ticks);
    let url = format!("{}/api/admin/recording/ticks?{window}&format=parquet", admin.base);
    let parquet = admin.http.get(url).send().await.unwrap().bytes().await.unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    for (query, named) in [("format=xml", "csv, jsonl or parquet"), ("from=soon", "from="), ("until=1", "parameter=")] {
        let refused = admin.get_json(&format!("/api/admin/recording/ticks?{query}"), 400).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains(named), "{refused}");
    }
    let board = admin.get_json(&format!("/api/admin/recording/board?at={}", UnixMillis(at.0 + 500)), 200).await;
    assert!(
        board["rows"].as_array().unwrap().len() > 100 && board["status"]["connections"].as_array().unwrap().len() == 3
    );
    let nothing = admin.get_json("/api/admin/recording/board?at=2020-01-01T00:00:00Z", 404).await;
    assert_eq!(nothing["error"]["code"], "not_recorded", "{nothing}");

    let wanted = json!({"from": at, "to": UnixMillis(at.0 + 1_000), "note": " the outage\nof Monday "}).to_string();
    let kept: Value = serde_json::from_str(&admin.post("/api/admin/recording/keep", &wanted, 201).await).unwrap();
    assert_eq!((&kept["by"], kept["bytes"].as_u64() > Some(0)), (&json!("admin@example.com"), true), "{kept}");
    let contents = admin.get_json("/api/admin/recording", 200).await;
    assert_eq!(contents["kept"], json!([kept]));
    for body in ["{}", r#"{"from":"-1m","to":"-2m","note":"x"}"#, r#"{"from":"-2m","to":"-1m","note":" "}"#] {
        admin.post("/api/admin/recording/keep", body, 400).await;
    }
    let forget = |id: String| {
        let url = format!("{}/api/admin/recording/kept/{id}", admin.base);
        admin.http.delete(url).send()
    };
    let answer = forget(kept["id"].as_str().unwrap().to_owned()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(forget("..%2F..".to_owned()).await.unwrap().status(), StatusCode::NOT_FOUND);

    let log = admin.get_json("/api/admin/audit?limit=50", 200).await.to_string();
    for action in ["recording_keep", "recording_forget", "csv, ", "jsonl, ", "parquet, "] {
        assert!(log.contains(action), "{action}");
    }
    let metrics = admin.get("/metrics", 200).await;
    assert!(
        metrics.contains("tickstock_recording_up 1") && metrics.contains("tickstock_recording_lost_ticks_total 0"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_users_see_nothing_of_the_past() {
    let server = TestServer::start([]).await;
    for (client, status) in [(server.stranger(), 401), (server.sign_in(Role::User).await, 403)] {
        assert_eq!(client.replay(None).await.err(), Some(status));
    }
    // Nothing is recorded where nobody wants it.
    let admin = server.admin().await;
    let contents = admin.get_json("/api/admin/recording", 200).await;
    assert_eq!((&contents["state"], &contents["from"], &contents["bytes"]), (&json!("off"), &Value::Null, &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_costs_the_recording_alone_and_is_an_event() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let server = TestServer::start([RECORDS, ("RECORDING_DIR", path.as_str())]).await;
    let admin = server.admin().await;
    admin.wait_for_state(3, "connected").await;
    let trouble = eventually("it says so", || async {
        let contents = admin.get_json("/api/admin/recording", 200).await;
        contents["trouble"].as_str().map(str::to_owned)
    })
    .await;
    assert!(trouble.starts_with("its folder cannot be used"), "{trouble}");
    eventually("it is an event", || async {
        let events = admin.get("/api/admin/history/events?kind=history", 200).await;
        events.contains("Ticks are not recorded: its folder cannot be used").then_some(())
    })
    .await;
    // The live page goes on.
    let mut live = admin.socket(Some(SUBPROTOCOL_BINARY)).await;
    while !matches!(live.frame().await, Frame::Ticks(_)) {}
}
