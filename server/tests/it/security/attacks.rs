//! From the attacker's side: odd paths, odd bytes, too much of everything, other origins.

use crate::util::{PATIENCE, TestServer};
use server::auth::Role;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

/// Sends bytes as they are and answers what comes back: a library would tidy them first.
async fn raw(server: &TestServer, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    // A server that has heard enough hangs up while we still write.
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("an end in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n")
}

/// What only an administrator may see.
fn leaks(answer: &str) -> bool {
    ["column-1", "\"connections\"", "data-testid=\"record\"", "password-form", "password_hash", "root:x:"]
        .iter()
        .any(|secret| answer.contains(secret))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_path_leads_around_the_guards() {
    let server = TestServer::start([]).await;
    let user = server.sign_in(Role::User).await;
    let cookie = format!("cookie: {}\r\n", user.cookie.as_ref().unwrap());
    let mut paths = Vec::new();
    for page in
        ["/admin/websockets", "/admin/audit", "/admin/account", "/api/admin/websocket-status", "/api/admin/audit"]
    {
        let (first, rest) = page[1..].split_once('/').unwrap();
        paths.extend([
            page.to_owned(),
            format!("/{page}"),
            format!("//{first}//{rest}"),
            format!("{page}/"),
            format!("{page}//"),
            format!("{page}/."),
            format!("{page}/.."),
            format!("/x/..{page}"),
            format!("/./{first}/./{rest}"),
            format!("{page}%2f"),
            format!("{page}%00"),
            format!("{page};x=1"),
            format!("{page}?x=1"),
            format!("{page}#x"),
            format!("/{first}%2f{rest}"),
            format!("/%{:02x}{}/{rest}", first.as_bytes()[0], &first[1..]),
            format!("/{}/{rest}", first.to_uppercase()),
            format!("/pkg/..{page}"),
            format!("/pkg/%2e%2e{page}"),
            format!("/login/..{page}"),
            format!("/login/%2e%2e{page}"),
            format!("http://localhost{page}"),
            format!("http://localhost:1{page}"),
            format!("\\{first}\\{rest}"),
        ]);
    }
    paths.extend(
        [
            "/pkg/../../../data/monitor.db",
            "/pkg/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/..%2f..%2f..%2fetc%2fpasswd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/....//....//etc/passwd",
            "/.env",
            "/.git/config",
            "/monitor.db",
            "/data/monitor.db",
            "/api/admin/fn/reliability",
            "/api/admin/fn/../websocket-status",
            "/api/admin/",
            "/api/admin",
            "/admin",
            "/admin/",
        ]
        .map(str::to_owned),
    );
    for path in &paths {
        for headers in ["", cookie.as_str()] {
            let answer = raw(&server, get(path, headers).as_bytes()).await;
            assert!(!leaks(&answer), "{path}: {answer}");
            let status = answer.get(9..12).unwrap_or("end");
            assert!(["303", "308", "400", "401", "403", "404", "405", "end"].contains(&status), "{path}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_method_does_what_its_own_does() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for (method, path) in [
        ("POST", "/admin/websockets"),
        ("PUT", "/login"),
        ("DELETE", "/api/admin/audit"),
        ("GET", "/logout"),
        ("GET", "/admin/account/password"),
        ("GET", "/api/admin/fn/reliability"),
        ("TRACE", "/login"),
        ("CONNECT", "/admin-ws"),
    ] {
        let method = method.parse().unwrap();
        let answer = admin.http.request(method, server.url(path)).send().await.unwrap();
        assert!([404, 405, 400].contains(&answer.status().as_u16()), "{path}: {}", answer.status());
    }
    admin.status().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_much_of_anything_is_refused_and_the_server_lives() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let long_path = get(&format!("/{}", "a".repeat(100_000)), "");
    let many_headers = get("/login", &"x: y\r\n".repeat(5_000));
    let long_header = get("/login", &format!("cookie: {}\r\n", "a".repeat(200_000)));
    for request in [long_path, many_headers, long_header] {
        let answer = raw(&server, request.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"\0\0\0\0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(&server, rubbish).await;
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    let body = "x".repeat(20 << 20);
    for path in ["/login", "/admin/account/password", "/api/admin/fn/reliability", "/logout"] {
        let request = admin.http.post(server.url(path)).header("content-type", "application/x-www-form-urlencoded");
        // Refused, or hung up on while still sending.
        if let Ok(answer) = request.body(body.clone()).send().await {
            assert_ne!(answer.status().as_u16(), 200, "{path}");
            assert!(!answer.status().is_server_error(), "{path}: {}", answer.status());
        }
    }
    // Two lengths, or a length and chunks: what smuggles requests past a proxy.
    for lengths in
        ["content-length: 5\r\ncontent-length: 50\r\n", "content-length: 5\r\ntransfer-encoding: chunked\r\n"]
    {
        let request = format!(
            "POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lengths}\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
        );
        let answer = raw(&server, request.as_bytes()).await;
        assert!(!answer.contains("alive"), "{answer}");
    }
    server.admin().await.status().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_ends_its_first_line_is_hung_up_on() {
    let server = TestServer::start([]).await;
    let since = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(b"GET /login HTTP/1.1\r\nhost: loc").await.unwrap();
        slow.push(socket);
    }
    server.admin().await.status().await;
    for mut socket in slow {
        let mut answer = Vec::new();
        let _ = timeout(Duration::from_secs(60), socket.read_to_end(&mut answer)).await.expect("hung up on");
    }
    assert!(since.elapsed() > Duration::from_secs(5), "it had some time");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_bad_huge_or_too_many_end_the_socket_and_nothing_else() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut watching = admin.socket(None).await;
    let mut huge = admin.socket(None).await;
    huge.say(&"x".repeat(1 << 20)).await;
    assert_eq!(huge.close_code().await, 4008);
    let mut many = admin.socket(None).await;
    for _ in 0..60 {
        many.say(r#"{"event":"request_metrics"}"#).await;
    }
    assert_eq!(many.close_code().await, 4008);

    // Bytes that are no WebSocket frame: reserved bits, an unmasked frame, a control frame that is too long.
    for bytes in [&b"\xff\xff\xff\xff"[..], b"\x81\x05hello", b"\x89\xfe\x01\x00\0\0\0\0", b"\x83\x80\0\0\0\0"] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let handshake = format!(
            "GET /admin-ws HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncookie: {1}\r\n\r\n",
            server.address,
            admin.cookie.as_ref().unwrap()
        );
        socket.write_all(handshake.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        socket.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 101");
        socket.write_all(&[bytes, &[0; 512]].concat()).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut rest)).await.expect("an end");
    }
    watching.event_named("tick_update").await;
    admin.status().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_origin_changes_nothing_with_an_administrators_cookie() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let port = server.address.port();
    let neighbours = [
        "https://evil.example".to_owned(),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1:{}", port.wrapping_add(1)),
        format!("https://127.0.0.1:{port}.evil.example"),
        "null".to_owned(),
    ];
    for origin in &neighbours {
        assert_eq!(admin.try_socket(None, origin).await.err(), Some(403), "{origin}");
        for path in ["/logout", "/admin/account/password", "/admin/account/sessions", "/api/admin/fn/reliability"] {
            let answer = admin.form(path, "session=others", &[("origin", origin)]).await;
            assert_eq!(answer.status().as_u16(), 403, "{origin} {path}");
        }
    }
    // What a browser says of a form that another page sent, origin or not.
    let answer = admin.form("/logout", "", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(answer.status().as_u16(), 403);
    admin.status().await;
    admin.socket(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_function_follows_no_referer_and_a_mistake_is_the_clients() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let referer = ("referer", "https://evil.example/collect");
    for (path, form, status) in [
        ("/api/admin/fn/acknowledge_gap", "id=x&note=y", 400),
        ("/api/admin/fn/acknowledge_gap", "note=y", 400),
        ("/api/admin/fn/acknowledge_gap", "id=1&id=2&note=y", 400),
        ("/api/admin/fn/acknowledge_gap", "id=1&note=", 400),
        ("/api/admin/fn/acknowledge_gap", "id=999999&note=y", 400),
        ("/api/admin/fn/history", "", 400),
        ("/api/admin/fn/nonesuch", "", 404),
        ("/api/admin/fn/reliability", "", 200),
    ] {
        let answer = admin.form(path, form, &[referer]).await;
        assert_eq!(answer.status().as_u16(), status, "{path} {form}");
        assert!(!answer.headers().contains_key("location"), "{path} {form}");
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        // Never anything that a browser would show.
        let encoding = if status == 404 { "application/json" } else { "application/x-postcard" };
        assert_eq!(kind, encoding, "{path} {form}");

        // As a browser without JavaScript sends it: what worked leads to one place, whatever the request says.
        let answer = admin.form(path, form, &[referer, ("accept", "text/html,*/*")]).await;
        let expected = if status == 200 { 303 } else { status };
        assert_eq!(answer.status().as_u16(), expected, "{path} {form}");
        let location = answer.headers().get("location").map(|to| to.to_str().unwrap());
        assert_eq!(location, (status == 200).then_some("/admin/metrics"), "{path} {form}");
    }
    // Bytes that are no text.
    let request = reqwest::Client::new().post(server.url("/api/admin/fn/acknowledge_gap")).body(vec![0xff, 0xfe]);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let request = request.header("cookie", admin.cookie.as_deref().expect("a session"));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_is_given_twice_is_refused_on_every_route() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for path in [
        "/login?error=a&error=b",
        "/admin/websockets?symbol=a&symbol=b",
        "/admin/metrics?range=5m&range=1h",
        "/admin/audit?action=sign_in&%61ction=sign_out",
        "/api/admin/websocket-status?unasked&unasked",
        "/api/admin/audit?limit=1&limit=2",
        "/api/admin/history/samples?from=-1h&from=-2h",
        "/healthz?x=1&x=1",
        "/metrics?x&x",
        "/nonesuch?x&x",
    ] {
        assert!(admin.get(path, 400).await.contains("at most once"), "{path}");
    }
    for path in ["/admin/websockets?x=1&y=1", "/api/admin/websocket-status?unasked", "/healthz?&", "/login?"] {
        admin.get(path, 200).await;
    }
    let twice = "email=admin%40example.com&email=user%40example.com&password=x";
    assert_eq!(admin.form("/login", twice, &[]).await.status().as_u16(), 400);
    for (path, form) in [
        ("/admin/account/sessions", "session=others&session=1"),
        ("/admin/account/password", "current=a&current=b&new=c&again=c"),
    ] {
        let answer = admin.form(path, form, &[]).await;
        assert_eq!(answer.headers()["location"], "/admin/account?error=form", "{path}");
    }
}
