//! Faults on demand, one test each.

use super::super::symbols;
use super::*;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

const A_WHILE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn drop_hits_the_named_connection_and_no_other() {
    let server = Server::start(with_rate(100.0)).await;
    let mut first = server.subscribed(1, "T.AAPL").await;
    let mut second = server.subscribed(2, "T.AAPL").await;
    assert_eq!(server.control(json!({"fault": "drop", "connection": 2})).await, json!({"sessions": 1}));
    assert_eq!(second.ended().await, Ended::Lost);
    first.ping().await;
}

#[tokio::test]
async fn close_sends_its_code_to_all() {
    let server = Server::start(SimulatorConfig::default()).await;
    let (mut first, mut second) = (server.connect(1).await, server.connect(2).await);
    assert_eq!(server.control(json!({"fault": "close", "code": 1011})).await, json!({"sessions": 2}));
    assert_eq!((first.ended().await, second.ended().await), (Ended::Closed(1011), Ended::Closed(1011)));
    let mut third = server.connect(3).await;
    server.control(json!({"fault": "close"})).await;
    assert_eq!(third.ended().await, Ended::Closed(1000));
}

#[tokio::test]
async fn stall_stops_the_data_and_not_the_pongs_until_its_time_is_over() {
    let server = Server::start(with_rate(1_000.0)).await;
    let mut client = server.subscribed(1, "T.AAPL").await;
    server.control(json!({"fault": "stall", "connection": 1, "seconds": 0.5})).await;
    client.ping().await;
    // One step may have been on its way while the order was taken.
    let _ = timeout(Duration::from_millis(60), client.0.next()).await;
    client.expect_silence(A_WHILE).await;
    client.ping().await;
    client.event("T").await;
}

#[tokio::test]
async fn mute_pings_is_a_silent_death_until_cleared() {
    let server = Server::start(with_rate(1_000.0)).await;
    let mut client = server.subscribed(1, "T.AAPL").await;
    server.control(json!({"fault": "mute_pings", "connection": 1})).await;
    while timeout(Duration::from_millis(100), client.0.next()).await.is_ok() {}
    client.send(Message::Ping("anybody".into())).await;
    client.expect_silence(A_WHILE).await;
    server.control(json!({"fault": "clear", "connection": 1})).await;
    client.ping().await;
    client.event("T").await;
}

#[tokio::test]
async fn a_client_that_comes_back_to_a_muted_connection_leaves_no_ghost() {
    let server = Server::start(SimulatorConfig::default()).await;
    let _ghost = server.connect(1).await;
    server.control(json!({"fault": "mute_pings", "connection": 1})).await;
    let mut client = server.connect_unheard(1).await;
    client.expect_silence(A_WHILE).await;
    assert_eq!(server.show().await["connections"].as_array().map(Vec::len), Some(1));
    server.control(json!({"fault": "clear"})).await;
    assert_eq!(client.status().await.0, "connected");
}

#[tokio::test]
async fn refuse_key_refuses_new_keys_of_its_connection_until_cleared() {
    let server = Server::start(SimulatorConfig::default()).await;
    server.control(json!({"fault": "refuse_key", "connection": 2})).await;
    server.connect(1).await.authenticate("key").await;
    let mut client = server.connect(2).await;
    client.ask("auth", "key").await;
    assert_eq!(client.status().await.0, "auth_failed");
    server.control(json!({"fault": "clear", "connection": 2})).await;
    server.connect(2).await.authenticate("key").await;
}

#[tokio::test]
async fn evict_says_that_there_are_too_many_connections() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.connect(1).await;
    server.control(json!({"fault": "evict", "connection": 1})).await;
    assert_eq!(client.status().await.0, "max_connections");
    assert_eq!(client.ended().await, Ended::Closed(1008));
}

#[tokio::test]
async fn garbage_is_no_json_and_the_session_goes_on() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.connect(1).await;
    server.control(json!({"fault": "garbage"})).await;
    assert!(serde_json::from_str::<Value>(&client.text().await).is_err());
    client.authenticate("key").await;
}

#[tokio::test]
async fn flood_sends_trades_of_the_subscribed_symbols_at_its_rate() {
    let server = Server::start(with_rate(0.0)).await;
    let mut client = server.subscribed(1, "A.AAPL,A.MSFT").await;
    let flood = json!({"fault": "flood", "connection": 1, "events_per_second": 20_000, "seconds": 0.5});
    server.control(flood).await;
    let mut events = Vec::new();
    while let Ok(Some(Ok(Message::Text(text)))) = timeout(Duration::from_millis(500), client.0.next()).await {
        events.extend(serde_json::from_str::<Vec<Value>>(&text).expect("an array"));
    }
    assert!((7_000..13_000).contains(&events.len()), "{} events where about 10,000 are expected", events.len());
    assert!(events.iter().all(|event| event["ev"] == "T" && (event["sym"] == "AAPL" || event["sym"] == "MSFT")));
}

#[tokio::test]
async fn deny_channel_refuses_new_subscriptions_to_it_until_cleared() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut client = server.subscribed(1, "T.ZZZZZ").await;
    server.control(json!({"fault": "deny_channel", "channel": "Q"})).await;
    client.ask("subscribe", "Q.ZZZZZ").await;
    assert_eq!(client.status().await, ("error".to_owned(), "not authorized".to_owned()));
    server.control(json!({"fault": "clear"})).await;
    client.ask("subscribe", "Q.ZZZZZ").await;
    assert_eq!(client.statuses().await, [ok("subscribed to: Q.ZZZZZ")]);
}

#[tokio::test]
async fn duplicate_bar_sends_the_last_bar_again() {
    let server = Server::start(with_rate(100.0)).await;
    // One whose bars are sent right after the end of their second.
    let early = (1..=20).map(|n| format!("SIM{n:05}"));
    let is_early = |symbol: &String| symbols::listing(symbols::slot(symbol).expect("trades")).phase_ms == 0;
    let symbol = early.into_iter().find(is_early).expect("a phase of zero");
    let mut client = server.subscribed(1, &format!("A.{symbol}")).await;
    let bar = client.event("A").await;
    server.control(json!({"fault": "duplicate_bar", "connection": 1})).await;
    assert_eq!(client.event("A").await, bar);
}

#[tokio::test]
async fn sessions_and_faults_are_listed_and_keys_are_not() {
    let server = Server::start(with_rate(100.0)).await;
    let _idle = server.connect(2).await;
    let mut client = server.connect(1).await;
    client.authenticate("hush").await;
    client.ask("subscribe", "T.AAPL,A.ZZZZZ").await;
    client.event("T").await;
    server.control(json!({"fault": "stall", "connection": 2, "seconds": 20})).await;
    server.control(json!({"fault": "deny_channel", "channel": "NOI"})).await;
    let shown = server.show().await;
    let [first, second] = &shown["connections"].as_array().expect("an array")[..] else { panic!("two sessions") };
    assert_eq!((&first["connection"], &first["authenticated"]), (&json!(1), &json!(true)));
    assert_eq!((&first["subscriptions"], first["events_sent"].as_u64() > Some(0)), (&json!(2), true));
    assert!(first["since"].as_str().is_some_and(|since| since.ends_with('Z')));
    assert_eq!((&second["connection"], &second["authenticated"]), (&json!(2), &json!(false)));
    let faults = &shown["faults"];
    assert_eq!((&faults[0]["fault"], &faults[0]["connection"]), (&json!("stall"), &json!(2)));
    assert!(faults[0]["seconds_left"].as_f64().is_some_and(|left| (15.0..20.0).contains(&left)));
    let expected = json!({"fault": "deny_channel", "connection": null, "seconds_left": null, "channel": "NOI"});
    assert_eq!(faults[1], expected);
    assert!(!shown.to_string().contains("hush"));
}

#[tokio::test]
async fn clients_without_a_number_are_numbered_by_arrival() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut clients = Vec::new();
    for query in ["", "?connection=7", "?connection=x"] {
        let url = format!("ws://{}/stocks{query}", server.address);
        let mut client = Client(connect_async(url).await.expect("a WebSocket").0);
        assert_eq!(client.status().await.0, "connected");
        clients.push(client);
    }
    let shown = server.show().await;
    let numbers: Vec<_> = (0..3).map(|n| shown["connections"][n]["connection"].as_u64()).collect();
    assert_eq!(numbers, [Some(1), Some(3), Some(7)]);
}

#[tokio::test]
async fn mistakes_are_answered_with_400_and_what_is_accepted() {
    let server = Server::start(SimulatorConfig::default()).await;
    let (status, answer) = server.try_control(json!({"fault": "offline"})).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_request")));
    assert!(answer["error"]["message"].as_str().is_some_and(|message| message.contains("accepted: drop, close")));
}

#[tokio::test]
async fn another_sites_page_opens_no_socket_and_puts_nobody_out() {
    let server = Server::start(SimulatorConfig::default()).await;
    let mut monitor = server.connect(1).await;
    let port = server.address.port();
    let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")];
    let handshake = async |host: &str, origin: Option<&str>| {
        let mut request = format!("ws://{}/stocks", server.address).into_client_request().expect("a request");
        request.headers_mut().insert("host", host.parse().expect("a host"));
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().expect("an origin"));
        }
        let stream = TcpStream::connect(server.address).await.expect("a connection");
        match client_async(request, stream).await {
            Ok(_) => 101,
            Err(Error::Http(answer)) => answer.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    };
    for host in &own {
        assert_eq!(handshake(host, None).await, 101, "a program, {host}");
        assert_eq!(handshake(host, Some(&format!("http://{host}"))).await, 101, "a page of this machine, {host}");
        for origin in ["https://evil.example", "http://127.0.0.1:1", "http://localhost.evil.example", "null", ""] {
            assert_eq!(handshake(host, Some(origin)).await, 403, "{host} {origin}");
        }
    }
    // A name that was made to point here, with and without what a browser says of the page.
    for host in [format!("evil.example:{port}"), "localhost.evil.example".to_owned(), "192.0.2.1".to_owned()] {
        for origin in [None, Some(format!("http://{host}"))] {
            assert_eq!(handshake(&host, origin.as_deref()).await, 403, "{host} {origin:?}");
        }
        for path in ["/control", "/", "/stocks"] {
            let request = server.http.get(format!("http://{}{path}", server.address)).header("host", &host);
            assert_eq!(request.send().await.expect("an answer").status().as_u16(), 403, "{host} {path}");
        }
    }
    let doubled = server.http.get(format!("http://{}/stocks?connection=1&connection=2", server.address));
    assert_eq!(doubled.send().await.expect("an answer").status().as_u16(), 400);
    monitor.ping().await;
}

#[tokio::test]
async fn web_pages_are_turned_away_from_the_control_interface() {
    let server = Server::start(SimulatorConfig::default()).await;
    let request =
        server.http.post(format!("http://{}/control", server.address)).header("origin", "https://evil.example");
    let response = request.body(r#"{"fault":"drop"}"#).send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 403);
}
