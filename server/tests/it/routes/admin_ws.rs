//! `GET /admin-ws`: both protocols, with real clients.

use crate::util::TestServer;
use app::model::{board::Board, connection::ConnectionState, protocol::Frame};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_binary_protocol_starts_with_a_snapshot_and_goes_on_with_what_changes() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;

    let first = socket.frame().await;
    assert!(matches!(first, Frame::Snapshot(_)), "{first:?}");
    let mut board = Board::default();
    board.apply(&first);
    assert_eq!(board.report.connections.len(), 3);
    assert_eq!(board.report.connections[0].live.state, ConnectionState::Connected);
    assert!(board.rows.len() > 250, "{} rows", board.rows.len());

    let (mut ticked, mut beats) = (0, 0);
    while ticked < 50 || beats < 2 {
        let frame = socket.frame().await;
        match &frame {
            Frame::Ticks(ticks) => ticked += ticks.entries.len(),
            Frame::Metrics(_) => beats += 1,
            _ => {}
        }
        board.apply(&frame);
    }
    assert!(board.rows.iter().filter(|row| row.price.is_some()).count() > 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_json_protocol_has_the_events_of_the_contract() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(2, "connected").await;
    for subprotocol in [None, Some("tickstock.v1.json")] {
        let mut socket = admin.socket(subprotocol).await;
        for id in 1..=3 {
            let (name, data) = socket.event().await;
            assert_eq!((name.as_str(), &data["connection_id"]), ("connection_status_update", &json!(id)));
            assert!(data["status"].is_string() && data["timestamp"].is_string(), "{data}");
        }
        let metrics = socket.event_named("metrics_update").await;
        assert!(metrics["msgs_per_sec"].is_number() && metrics["uptime"].is_number(), "{metrics}");
        let tick = socket.event_named("tick_update").await;
        assert!(tick["symbol"].is_string() && tick["price"].is_number() && tick["volume"].is_number(), "{tick}");
        assert!(tick["connection_id"].is_number() && tick["timestamp"].is_string(), "{tick}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_stream_brings_metrics_alone_and_resumes_with_a_snapshot() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    socket.frame().await;
    socket.say(r#"{"event":"pause_stream"}"#).await;
    // Ticks that were on their way when the pause arrived may still come.
    let mut beats = 0;
    let mut ticks_after = 0;
    while beats < 5 {
        match socket.frame().await {
            Frame::Metrics(_) => beats += 1,
            Frame::Ticks(_) if beats >= 2 => ticks_after += 1,
            _ => {}
        }
    }
    assert_eq!(ticks_after, 0);
    socket.say(r#"{"event":"resume_stream"}"#).await;
    while !matches!(socket.frame().await, Frame::Snapshot(_)) {}
    while !matches!(socket.frame().await, Frame::Ticks(_)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_client_that_pauses_and_resumes_counts_to_the_tick() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let mut socket = admin.socket(None).await;
    // By the events alone: a repeated state sets the count, everything else adds to it.
    let mut counts = std::collections::HashMap::<(u64, String), u64>::new();
    let (mut ticks_heard, mut snapshots_after_resume) = (0, 0);
    for round in 0..3 {
        while ticks_heard < 400 || (round > 0 && snapshots_after_resume < 100 * round) {
            let (event, tick) = socket.event().await;
            if event != "tick_update" {
                continue;
            }
            ticks_heard += 1;
            let key = (tick["connection_id"].as_u64().unwrap(), tick["symbol"].as_str().unwrap().to_owned());
            let (ticks, total) = (tick["ticks"].as_u64().unwrap(), tick["ticks_total"].as_u64().unwrap());
            let count = counts.entry(key).or_default();
            if tick["snapshot"] == true {
                assert_eq!(ticks, total, "{tick}");
                snapshots_after_resume += u64::from(round > 0);
                *count = total;
            } else {
                *count += ticks;
            }
            assert_eq!(*count, total, "{tick}");
        }
        socket.say(r#"{"event":"pause_stream"}"#).await;
        ticks_heard = 0;
        // What ticks meanwhile is in the snapshot alone.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        socket.say(r#"{"event":"resume_stream"}"#).await;
    }
    assert!(snapshots_after_resume > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_come_when_they_are_asked_for() {
    let server = TestServer::start([("METRICS_INTERVAL_MS", "4000")]).await;
    let admin = server.admin().await;
    admin.wait_for_state(3, "connected").await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    socket.frame().await;
    socket.say(r#"{"event":"request_metrics"}"#).await;
    while !matches!(socket.frame().await, Frame::Live(_)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_answered_with_an_error_and_too_much_of_it_closes() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut socket = admin.socket(None).await;
    for text in ["", "{", r#"{"event":"reboot"}"#, r#"{"event":7}"#] {
        socket.say(text).await;
        let error = socket.event_named("error").await;
        assert!(error["message"].as_str().is_some_and(|message| message.contains("pause_stream")), "{error}");
    }
    for _ in 0..100 {
        socket.say("nonsense").await;
    }
    assert_eq!(socket.close_code().await, 4008);

    let mut socket = admin.socket(None).await;
    socket.say(&"x".repeat(5_000)).await;
    assert_eq!(socket.close_code().await, 4008);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_says_so() {
    let mut server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut socket = admin.socket(None).await;
    socket.event().await;
    let code = tokio::spawn(async move { socket.close_code().await });
    server.stop().await;
    assert_eq!(code.await.unwrap(), 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tape_brings_every_tick_of_its_connection_and_of_no_other() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(2, "connected").await;
    let mut socket = admin.socket(Some("tickstock.v1.bin")).await;
    let mut bystander = admin.socket(Some("tickstock.v1.bin")).await;
    let mut board = Board::default();
    board.apply(&socket.frame().await);
    socket.say(r#"{"event":"set_tape","connections":[2]}"#).await;

    // From the first tape on, both tell the same ticks: one by one, and conflated. Only the very first prices may stand
    // for ticks from before the tape was opened.
    let (mut told, mut counted, mut before) = (0_u32, 0_u32, None);
    while told < 200 {
        let frame = socket.frame().await;
        match &frame {
            Frame::Tape(tape) => {
                assert_eq!((tape.connection_id, tape.skipped), (2, 0));
                assert!(tape.entries.iter().all(|entry| board.rows[entry.row as usize].connection_id == 2));
                told += tape.entries.iter().map(|entry| entry.ticks).sum::<u32>();
            }
            Frame::Ticks(ticks) if told > 0 => {
                let of_two = ticks.entries.iter().filter(|entry| board.rows[entry.row as usize].connection_id == 2);
                counted += of_two.map(|entry| entry.ticks).sum::<u32>();
                assert_eq!(counted - told, *before.get_or_insert(counted - told), "a tape comes with its prices");
            }
            _ => {}
        }
        board.apply(&frame);
    }

    socket.say(r#"{"event":"set_tape","connections":[]}"#).await;
    let mut frames_without = 0;
    while frames_without < 50 {
        frames_without = if matches!(socket.frame().await, Frame::Tape(_)) { 0 } else { frames_without + 1 };
    }
    for _ in 0..100 {
        let frame = bystander.frame().await;
        assert!(!matches!(frame, Frame::Tape(_)), "whoever did not ask gets none: {frame:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tape_is_for_binary_sockets_and_for_connections_that_can_be() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut json = admin.socket(None).await;
    json.say(r#"{"event":"set_tape","connections":[1]}"#).await;
    let error = json.event_named("error").await;
    assert!(error["message"].as_str().is_some_and(|message| message.contains("tickstock.v1.bin")), "{error}");
    json.say(r#"{"event":"set_tape","connections":[99]}"#).await;
    let error = json.event_named("error").await;
    assert!(error["message"].as_str().is_some_and(|message| message.contains("set_tape")), "{error}");
}
