//! A test for each line of the table in `docs/provider.md`, "Handshake and status messages".

use super::*;

#[tokio::test]
async fn greeting_and_authentication_come_in_frames_of_their_own_and_acknowledgements_may_share_one() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.connect_unheard(1).await;
    assert_eq!(client.text().await, r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#);
    client.ask("auth", "anything").await;
    assert_eq!(client.text().await, r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#);
    client.ask("subscribe", "T.ZZZZZ,A.ZZZZZ").await;
    assert_eq!(client.statuses().await, [ok("subscribed to: T.ZZZZZ"), ok("subscribed to: A.ZZZZZ")]);
    client.ask("unsubscribe", "T.ZZZZZ").await;
    assert_eq!(client.statuses().await, [ok("unsubscribed to: T.ZZZZZ")]);
}

#[tokio::test]
async fn a_bad_key_is_refused_and_the_socket_dropped_without_a_close_frame() {
    let keys = Some(vec!["good".to_owned().into()]);
    let server = Server::start(SimulatorConfig { keys, ..SimulatorConfig::default() }).await;
    let mut client = server.connect(1).await;
    // What is pipelined behind it is not served.
    client.ask("auth", "bad").await;
    client.ask("subscribe", "T.AAPL").await;
    assert_eq!(client.status().await, ("auth_failed".to_owned(), "authentication failed".to_owned()));
    assert_eq!(client.ended().await, Ended::Lost);
    server.connect(1).await.authenticate("good").await;
}

#[tokio::test]
async fn a_denied_channel_gets_an_unnamed_error_and_the_rest_of_the_message_is_served() {
    let denied_channels = vec!["NOI".to_owned()];
    let server = Server::start(SimulatorConfig { denied_channels, ..SimulatorConfig::default() }).await;
    let mut client = server.connect(1).await;
    client.authenticate("key").await;
    client.ask("subscribe", "T.ZZZZZ,NOI.ZZZZZ,A.ZZZZZ").await;
    let refused = ("error".to_owned(), "not authorized".to_owned());
    assert_eq!(client.statuses().await, [ok("subscribed to: T.ZZZZZ"), refused, ok("subscribed to: A.ZZZZZ")]);
}

#[tokio::test]
async fn a_client_that_sends_no_key_is_told_so_and_dropped() {
    let limits = Bounds { authentication: Duration::from_millis(50), ..Bounds::default() };
    let server = Server::start_within(SimulatorConfig::default(), limits).await;
    let mut client = server.connect(1).await;
    let expected = ("auth_timeout".to_owned(), "No authentication request received.".to_owned());
    assert_eq!(client.status().await, expected);
    assert_eq!(client.ended().await, Ended::Lost);
}

#[tokio::test]
async fn a_client_that_sent_its_key_is_not_timed_out() {
    let limits = Bounds { authentication: Duration::from_millis(50), ..Bounds::default() };
    let server = Server::start_within(SimulatorConfig::default(), limits).await;
    let mut client = server.connect(1).await;
    client.authenticate("key").await;
    client.expect_silence(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn an_unknown_ticker_is_acknowledged_and_never_trades() {
    let server = Server::start(with_rate(1_000.0)).await;
    let mut client = server.subscribed(1, "T.ZZZZZ,Q.ZZZZZ").await;
    client.expect_silence(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn an_unknown_channel_gets_no_answer_at_all() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.connect(1).await;
    client.authenticate("key").await;
    client.ask("subscribe", "ZZ.AAPL").await;
    client.ask("subscribe", "T.ZZZZZ").await;
    assert_eq!(client.statuses().await, [ok("subscribed to: T.ZZZZZ")]);
}

#[tokio::test]
async fn a_repeated_subscription_gets_no_answer() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.subscribed(1, "T.ZZZZZ").await;
    client.ask("subscribe", "T.ZZZZZ").await;
    client.ask("subscribe", "T.ZZZZZ,A.ZZZZZ").await;
    assert_eq!(client.statuses().await, [ok("subscribed to: A.ZZZZZ")]);
}

#[tokio::test]
async fn wildcards_are_acknowledged_as_such_and_carry_every_shipped_symbol() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.subscribed(1, "T.*").await;
    let mut symbols = std::collections::BTreeSet::new();
    while symbols.len() < 100 {
        symbols.extend(client.frame().await.iter().map(|event| event["sym"].to_string()));
    }
}

#[tokio::test]
async fn one_connection_too_many_evicts_the_oldest_with_1008_and_the_others_go_on() {
    let server = Server::start(SimulatorConfig { connections_max: 2, ..with_rate(100.0) }).await;
    let mut first = server.subscribed(1, "A.ZZZZZ").await;
    let mut second = server.subscribed(2, "T.AAPL").await;
    let mut third = server.subscribed(3, "T.AAPL").await;
    let expected = ("max_connections".to_owned(), "Maximum number of websocket connections exceeded. ".to_owned());
    assert_eq!(first.status().await, expected);
    assert_eq!(first.ended().await, Ended::Closed(1008));
    second.event("T").await;
    third.event("T").await;
    // Another key has a limit of its own.
    server.connect(4).await.authenticate("another key").await;
    second.ping().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_so_and_closed_with_1008() {
    let server = Server::start_within(SimulatorConfig::default(), small_queue()).await;
    let mut client = server.connect_narrow().await;
    client.status().await;
    client.authenticate("key").await;
    client.ask("subscribe", "T.AAPL").await;
    client.expect_acknowledged("T.AAPL").await;
    server.control(json!({"fault": "flood", "seconds": 60})).await;
    // The client reads nothing until the socket is full, which shows in a count that stands still.
    let (mut count, mut still) = (0, 0);
    while still < 6 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let sent = server.show().await["connections"][0]["events_sent"].as_u64().expect("a count");
        still = if sent == count { still + 1 } else { 0 };
        count = sent;
    }
    assert_eq!(client.status().await.0, "slow_consumer");
    assert_eq!(client.ended().await, Ended::Closed(1008));
}

#[tokio::test]
async fn authentication_and_subscription_may_be_sent_before_the_greeting_is_read() {
    let server = Server::start(with_rate(100.0)).await;
    let mut client = server.connect_unheard(1).await;
    client.ask("auth", "key").await;
    client.ask("subscribe", "T.AAPL").await;
    assert_eq!(client.status().await.0, "connected");
    assert_eq!(client.status().await.0, "auth_success");
    client.expect_acknowledged("T.AAPL").await;
    client.event("T").await;
}

#[tokio::test]
async fn params_are_trimmed_and_split_at_the_first_dot() {
    let server = Server::start(with_rate(100.0)).await;
    let mut client = server.connect(1).await;
    client.authenticate("key").await;
    client.ask("subscribe", " AM.ZZZZZ, T.BRK.B ").await;
    assert_eq!(client.statuses().await, [ok("subscribed to: AM.ZZZZZ"), ok("subscribed to: T.BRK.B")]);
    assert_eq!(client.event("T").await["sym"], "BRK.B");
}

#[tokio::test]
async fn no_data_follows_the_acknowledgement_of_an_unsubscription() {
    let server = Server::start(with_rate(1_000.0)).await;
    let mut client = server.subscribed(1, "T.AAPL").await;
    client.event("T").await;
    client.ask("unsubscribe", "T.AAPL").await;
    assert_eq!(client.statuses().await, [ok("unsubscribed to: T.AAPL")]);
    client.expect_silence(Duration::from_millis(150)).await;
}

#[tokio::test]
async fn a_large_subscription_is_acknowledged_topic_by_topic_in_batches() {
    let server = Server::start(with_rate(0.0)).await;
    let mut client = server.connect(1).await;
    client.authenticate("key").await;
    let topics: Vec<String> = (1..=1_050).map(|n| format!("T.SIM{n:05}")).collect();
    client.ask("subscribe", &topics.join(",")).await;
    let mut acknowledged = Vec::new();
    let mut frames = 0;
    while acknowledged.len() < topics.len() {
        acknowledged.extend(client.statuses().await.into_iter().map(|(_, message)| message));
        frames += 1;
    }
    assert_eq!(frames, 11);
    assert!(topics.iter().zip(&acknowledged).all(|(topic, message)| *message == format!("subscribed to: {topic}")));
}

#[tokio::test]
async fn what_is_no_request_and_what_comes_before_authentication_is_named_and_survived() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.connect(1).await;
    client.ask("subscribe", "T.AAPL").await;
    assert_eq!(client.status().await, ("error".to_owned(), "not authenticated".to_owned()));
    client.send(Message::text("rubbish")).await;
    assert_eq!(client.status().await, ("error".to_owned(), "malformed request".to_owned()));
    client.authenticate("key").await;
}

#[tokio::test]
async fn pings_are_answered_while_data_flows() {
    let server = Server::start(with_rate(1_000.0)).await;
    let mut client = server.subscribed(1, "T.*").await;
    client.ping().await;
}

#[tokio::test]
async fn events_have_the_fields_of_their_kind_and_trades_a_rising_sequence() {
    let server = Server::start(with_rate(200.0)).await;
    let mut client = server.subscribed(1, "T.NVDA,Q.NVDA").await;
    let mut last = 0;
    for _ in 0..3 {
        let trade = client.event("T").await;
        let sequence = trade["q"].as_u64().expect("q");
        assert!(sequence > last && trade["p"].as_f64() > Some(0.0) && trade["s"].as_u64() > Some(0), "{trade}");
        assert!(trade["i"].is_string() && trade["x"].is_u64() && trade["z"].is_u64(), "{trade}");
        let age = app::model::time::UnixMillis::now().0 - trade["t"].as_i64().expect("t");
        assert!((0..2_000).contains(&age), "{age} ms old");
        last = sequence;
    }
    let quote = client.event("Q").await;
    assert!(quote["bp"].as_f64() < quote["ap"].as_f64(), "{quote}");
}

#[tokio::test]
async fn a_server_that_stops_says_that_it_goes_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/stocks", listener.local_addr().expect("an address"));
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(super::super::serve(SimulatorConfig::default(), listener, shutdown.clone()));
    let mut client = Client(connect_async(url).await.expect("a WebSocket").0);
    assert_eq!(client.status().await.0, "connected");
    shutdown.cancel();
    assert_eq!(client.ended().await, Ended::Closed(1001));
    drop(client);
    assert!(timeout(PATIENCE, server).await.expect("in time").expect("no panic").is_ok());
}

#[tokio::test]
async fn a_configuration_that_names_no_channel_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let config = SimulatorConfig { denied_channels: vec!["X".to_owned()], ..SimulatorConfig::default() };
    let error = super::super::serve(config, listener, CancellationToken::new()).await.expect_err("an error");
    assert!(error.to_string().contains("\"X\" is not a channel"), "{error}");
}
