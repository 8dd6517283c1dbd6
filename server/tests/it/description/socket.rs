//! What is said on the live socket is as described.

use super::{Document, hold};
use crate::util::{Client, Socket, TestServer, eventually};
use app::model::protocol::{CloseReason, Frame, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio_tungstenite::tungstenite::Message;

/// A new frame does not compile here before it has a name, and is refused before it is described.
fn name_of(frame: &Frame) -> &'static str {
    match frame {
        Frame::Snapshot(_) => "Snapshot",
        Frame::Rows(_) => "Rows",
        Frame::Ticks(_) => "Ticks",
        Frame::Live(_) => "Live",
        Frame::Metrics(_) => "Metrics",
        Frame::Tape(_) => "Tape",
    }
}

/// What the server says on a channel, by name.
fn messages<'a>(document: &'a Document, action: &str, channel: &str) -> Vec<(&'a str, &'a Value)> {
    let id = format!("{action}On{}{}", channel[..1].to_uppercase(), &channel[1..]);
    let operation = &document.0["operations"][&id];
    assert_eq!((&operation["action"], operation["messages"].is_array()), (&json!(action), true), "{id}");
    let pointers =
        operation["messages"].as_array().unwrap().iter().map(|message| &message["$ref"].as_str().unwrap()[1..]);
    pointers.map(|pointer| (pointer.rsplit('/').next().unwrap(), document.0.pointer(pointer).unwrap())).collect()
}

async fn started() -> (TestServer, Client, Document) {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for id in 1..=3 {
        admin.wait_for_state(id, "connected").await;
    }
    let document = Document::asyncapi(&admin).await;
    (server, admin, document)
}

/// Says everything that is described as taken: none of it is answered with an error.
async fn say_everything(socket: &mut Socket, commands: &[(&str, &Value)], document: &Document) {
    let mut said =
        vec![json!({"event": "pause_stream"}), json!({"event": "resume_stream"}), json!({"event": "request_metrics"})];
    if commands.len() > 3 {
        said.push(json!({"event": "set_tape", "connections": [1, 2, 3]}));
    }
    let names: BTreeSet<_> = said.iter().map(|said| said["event"].as_str().unwrap()).collect();
    assert_eq!(names, commands.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), "every command is tried here");
    for command in &said {
        let (_, described) = commands.iter().find(|(name, _)| command["event"] == **name).unwrap();
        document.check("a command", &described["payload"], command);
        socket.say(&command.to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_json_event_is_as_described_without_a_field_more() {
    let (server, admin, document) = started().await;
    let events: BTreeMap<_, _> = messages(&document, "send", "socketJson")
        .into_iter()
        .map(|(name, message)| (name, document.validator(&message["payload"])))
        .collect();
    let mut socket = admin.socket(Some(SUBPROTOCOL_JSON)).await;
    say_everything(&mut socket, &messages(&document, "receive", "socketJson"), &document).await;
    let mut seen = BTreeSet::new();
    let (mut lost, mut repeated, mut ticked) = (false, false, false);
    while !(seen.len() == events.len() && lost && repeated && ticked) {
        let (name, data) = socket.event().await;
        let described = events.get_key_value(&*name);
        let (name, validator) = described.unwrap_or_else(|| panic!("{name} is not described"));
        hold(name, validator, &json!({"event": name, "data": data}));
        lost |= data["reconnect"]["attempt"].as_u64() > Some(0);
        repeated |= data["snapshot"] == true;
        seen.insert(*name);
        // Once there are prices, they are repeated after a pause.
        if !ticked && *name == "tick_update" && data.get("snapshot").is_none() {
            ticked = true;
            for words in ["nonsense", r#"{"event":"pause_stream"}"#, r#"{"event":"resume_stream"}"#] {
                socket.say(words).await;
            }
            server.fault(json!({"fault": "drop", "connection": 2})).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_described_by_its_number() {
    let (_server, admin, document) = started().await;
    let sent = messages(&document, "send", "socketBinary");
    let mut socket = admin.socket(Some(SUBPROTOCOL_BINARY)).await;
    say_everything(&mut socket, &messages(&document, "receive", "socketBinary"), &document).await;
    let mut seen = BTreeSet::new();
    // New symbols come with a refresh alone; the name is held against the description all the same.
    let mut frames = vec![Frame::Rows(Vec::new())];
    while seen.len() < 6 {
        let frame = if let Some(frame) = frames.pop() { frame } else { socket.frame().await };
        let name = name_of(&frame);
        let described = sent.iter().find(|(known, _)| *known == name);
        let (_, message) = described.unwrap_or_else(|| {
            panic!("{name} is not described: add it to FRAMES in server/src/routes/description/channels.rs")
        });
        assert_eq!(message["x-frame"], frame.encode()[0], "{name}");
        seen.insert(name);
    }
    let names: BTreeSet<_> = sent.iter().map(|(name, _)| *name).filter(|name| *name != "error").collect();
    assert_eq!(names, seen);
    let codes = &document.0["channels"]["socketBinary"]["x-close-codes"];
    assert_eq!(codes.as_array().unwrap().len(), CloseReason::ALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_the_past_is_as_described() {
    let server = TestServer::start([("RECORDING", "true")]).await;
    let admin = server.admin().await;
    let document = Document::asyncapi(&admin).await;
    let recorded = eventually("a second is recorded", || async {
        admin.get_json("/api/admin/recording", 200).await["to"].as_str().map(ToOwned::to_owned)
    });
    let at = recorded.await;
    let told = messages(&document, "send", "replayBinary");
    let commands = messages(&document, "receive", "replayBinary");
    let mut socket = admin.replay(Some(SUBPROTOCOL_BINARY)).await.unwrap();
    let all = [
        json!({"event": "seek", "at": at}),
        json!({"event": "set_tape", "connections": [1]}),
        json!({"event": "step", "back": false}),
        json!({"event": "play", "speed": 2}),
        json!({"event": "pause"}),
        json!({"event": "nonsense"}),
    ];
    for command in all {
        let described = commands.iter().find(|(known, _)| command["event"] == **known);
        if let Some((_, described)) = described {
            document.check("a command", &described["payload"], &command);
        }
        socket.say(&command.to_string()).await;
    }
    let mut heard = BTreeSet::new();
    while !heard.contains("error") {
        let Message::Text(text) = socket.message().await else { continue };
        let said: Value = serde_json::from_str(&text).unwrap();
        let (name, described) = told.iter().find(|(known, _)| said["event"] == **known).unwrap();
        document.check(name, &described["payload"], &said);
        heard.insert(*name);
    }
    assert_eq!(heard, BTreeSet::from(["error", "replay"]));
    assert_eq!(commands.len(), 5, "every command is tried here");
}
