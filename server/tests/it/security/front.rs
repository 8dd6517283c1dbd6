//! The front door from the attacker's side: thousands of connections that do nothing, answers that nobody reads, heads that
//! say two things at once, and names that are not ours.
//!
//! With `ATTACK_SECONDS` set, the crowd is of its full size, and it is waited for until all of it was let go.

use crate::util::{PATIENCE, TestServer, eventually, free_port};
use std::{
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

/// A body that was announced and never comes.
const SILENT_BODY: &str = "POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n\
                           content-length: 8000\r\n\r\nemail=";
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

fn is_full() -> bool {
    std::env::var("ATTACK_SECONDS").is_ok()
}

/// The program with a simulated market, under a hard limit of open files.
struct Program {
    process: Child,
    port: u16,
    simulator: String,
    log: Arc<Mutex<String>>,
    _folder: TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Program {
    async fn start(descriptors: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, simulator) = (free_port(), format!("127.0.0.1:{}", free_port()));
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {descriptors} && exec \"$0\""),
            env!("CARGO_BIN_EXE_tickstock-monitor"),
        ]);
        command.env_clear().current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("LEPTOS_SITE_ADDR", format!("0.0.0.0:{port}")).env("SIMULATOR_LISTEN", &simulator);
        command.env("ADMIN_PASSWORD", "seven purple lanterns drift");
        let mut process = command.spawn().unwrap();
        let (log, lines) =
            (Arc::new(Mutex::new(String::new())), BufReader::new(process.stderr.take().unwrap()).lines());
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| *written.lock().unwrap() += &format!("{line}\n"));
        });
        let program = Self { process, port, simulator, log, _folder: folder };
        eventually("the program is ready", || async { program.is_ready().await.then_some(()) }).await;
        program
    }

    fn address(&self, ip: IpAddr) -> SocketAddr {
        (ip, self.port).into()
    }

    fn local(&self) -> SocketAddr {
        self.address([127, 0, 0, 1].into())
    }

    fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    async fn is_ready(&self) -> bool {
        let request = HEALTH.replace("/healthz", "/readyz");
        try_ask(self.local(), &request).await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// How long `/healthz` takes.
    async fn health(&self) -> Duration {
        let since = Instant::now();
        let answer = try_ask(self.local(), HEALTH).await.expect("an answer");
        assert!(answer.ends_with("alive\n"), "{answer}");
        since.elapsed()
    }

    /// Reconnects of connection 1 so far.
    async fn reconnects(&self) -> u64 {
        let request = HEALTH.replace("/healthz", "/metrics");
        let text = try_ask(self.local(), &request).await.expect("metrics");
        let line = text.lines().find(|line| line.starts_with("tickstock_connection_reconnects_total{connection=\"1\""));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect(&text)
    }

    /// The provider drops every connection, and ingest comes back.
    async fn drop_and_return(&self) {
        let before = self.reconnects().await;
        let fault = reqwest::Client::new().post(format!("http://{}/control", self.simulator));
        assert!(fault.json(&serde_json::json!({"fault": "drop"})).send().await.unwrap().status().is_success());
        eventually("ingest is back", || async {
            (self.reconnects().await > before && self.is_ready().await).then_some(())
        })
        .await;
        let log = self.log();
        assert!(!log.contains("Too many open files"), "{log}");
    }
}

async fn try_ask(address: SocketAddr, request: &str) -> Option<String> {
    let asking = async {
        let mut socket = TcpStream::connect(address).await.ok()?;
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        // What comes after the answer may be a reset.
        let _ = socket.read_to_end(&mut answer).await;
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(PATIENCE, asking).await.expect("an end in time")
}

/// Opens connections one after the other and says on each what is given, if it is still heard.
async fn crowd(to: SocketAddr, count: usize, say: &str) -> Vec<TcpStream> {
    let mut crowd = Vec::with_capacity(count);
    for _ in 0..count {
        let Ok(Ok(mut socket)) = timeout(PATIENCE, TcpStream::connect(to)).await else { continue };
        let _ = socket.write_all(say.as_bytes()).await;
        crowd.push(socket);
    }
    crowd
}

/// How many of them the server has not hung up on.
fn open(crowd: &[TcpStream]) -> usize {
    let is_open = |socket: &&TcpStream| {
        let mut bytes = [0; 4_096];
        loop {
            match socket.try_read(&mut bytes) {
                Ok(1..) => {}
                Ok(0) => return false,
                Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
            }
        }
    };
    crowd.iter().filter(is_open).count()
}

async fn all_let_go(crowds: &[&[TcpStream]], since: Instant) {
    while crowds.iter().any(|crowd| open(crowd) > 0) {
        assert!(since.elapsed() < Duration::from_secs(45), "{:?} are open", crowds.iter().map(|crowd| open(crowd)));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("all let go {:?} after the last came", since.elapsed());
}

/// An address of this machine that is not loopback, as a stranger in the same network would have; nothing is sent.
fn other_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback() && !address.is_unspecified())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_under_few_descriptors_hold_neither_ingest_nor_health_checks_up() {
    let program = Program::start(1_024).await;
    assert!(program.log().contains("1024 open files and sockets, so 208 connections"), "{}", program.log());
    let idle = crowd(program.local(), 600, "").await;
    let bodies = crowd(program.local(), 500, SILENT_BODY).await;
    let since = Instant::now();
    let health = program.health().await;
    println!("{} idle connections and {} silent bodies: /healthz after {health:?}", idle.len(), bodies.len());
    assert!(health < Duration::from_secs(1), "{health:?}");
    eventually("208 places", || async { (open(&idle) + open(&bodies) <= 208).then_some(()) }).await;
    program.drop_and_return().await;
    if is_full() {
        all_let_go(&[&idle, &bodies], since).await;
    }
    eventually("a line in the log", || async {
        program.log().contains("Places for connections ran out").then_some(())
    })
    .await;
    assert!(program.log().matches("Places for connections ran out").count() < 8, "{}", program.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_takes_its_own_places_and_no_others() {
    let (count, descriptors, places) = if is_full() { (4_200, 20_000, 512) } else { (400, 1_024, 104) };
    let program = Program::start(descriptors).await;
    let Some(stranger) = other_address() else { return println!("this machine has no address but loopback") };
    let neighbour = crowd(program.local(), 50, "").await;
    let crowd = crowd(program.address(stranger), count, SILENT_BODY).await;
    let since = Instant::now();
    let health = program.health().await;
    println!("{} silent bodies of one network: /healthz after {health:?}", crowd.len());
    assert!(health < Duration::from_secs(1), "{health:?}");
    eventually("no more of one network", || async { (open(&crowd) <= places).then_some(()) }).await;
    let own = try_ask(program.address(stranger), HEALTH).await.expect("an answer");
    assert!(own.ends_with("alive\n"), "the newest of a network is served: {own}");
    if is_full() {
        all_let_go(&[&crowd, &neighbour], since).await;
    } else {
        assert_eq!(open(&neighbour), 50);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_bodies_from_one_address_hold_nobody_up() {
    let (count, descriptors, places) = if is_full() { (4_200, 20_000, 4_096) } else { (600, 2_192, 500) };
    let program = Program::start(descriptors).await;
    let since = Instant::now();
    let bodies = crowd(program.local(), count, SILENT_BODY).await;
    println!("{} silent bodies within {:?}, {} of them open", bodies.len(), since.elapsed(), open(&bodies));
    let since = Instant::now();
    let health = program.health().await;
    println!("/healthz after {health:?}");
    assert!(health < Duration::from_secs(1), "{health:?}");
    eventually("so many places", || async { (open(&bodies) <= places).then_some(()) }).await;
    program.drop_and_return().await;
    if is_full() {
        all_let_go(&[&bodies], since).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_let_go() {
    if !is_full() {
        // As a unit test in a tenth of a second: `front::tests::an_answer_that_nobody_reads…`.
        return;
    }
    let program = Program::start(1_024).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut unread = socket.connect(program.local()).await.unwrap();
    let request = HEALTH.replace("/healthz", "/login").replace("connection: close\r\n", "");
    // Until the server takes no more, as its answers are not read.
    while let Ok(Ok(())) = timeout(Duration::from_secs(2), unread.write_all(request.as_bytes())).await {}
    tokio::time::sleep(Duration::from_secs(35)).await;
    // What the system still has of it, and an end at once: had it not been let go, there would be more answers to come.
    let end = timeout(Duration::from_secs(2), unread.read_to_end(&mut Vec::new())).await;
    println!("the unread answers ended with {end:?}");
    assert!(end.is_ok(), "it is still held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_socket_that_nobody_reads_is_let_go() {
    if !is_full() {
        return;
    }
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut unread = socket.connect(server.address).await.unwrap();
    let handshake = format!(
        "GET /admin-ws HTTP/1.1\r\nhost: {0}\r\norigin: http://{0}\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\ncookie: {1}\r\n\r\n",
        server.address,
        admin.cookie.as_ref().unwrap()
    );
    unread.write_all(handshake.as_bytes()).await.unwrap();
    let is_open = async || admin.get("/metrics", 200).await.contains("tickstock_admin_sockets 1");
    eventually("the socket is open", || async { is_open().await.then_some(()) }).await;
    let since = Instant::now();
    while is_open().await {
        assert!(since.elapsed() < Duration::from_secs(45), "it is still held");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!("the unread socket was let go after {:?}", since.elapsed());
}

async fn status(server: &TestServer, request: &str) -> String {
    let answer = try_ask(server.address, request).await.expect("an answer");
    answer.get(9..12).map_or_else(|| format!("no status: {answer:?}"), str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_says_one_thing_and_is_not_larger_than_promised() {
    let server = TestServer::start([]).await;
    let get = |headers: &str| format!("GET /healthz HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
    let post = |headers: &str| format!("POST /login HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n0\r\n\r\n{HEALTH}");
    let padded = |bytes: usize| {
        let head = get("host: localhost\r\nx: \r\n");
        let padding = "a".repeat(bytes - head.len());
        get(&format!("host: localhost\r\nx: {padding}\r\n"))
    };
    for (request, expected) in [
        (get("host: localhost\r\n"), "200"),
        (get("host: localhost\r\nhost: localhost\r\n"), "400"),
        (get("host: localhost\r\nhost: evil.example\r\n"), "400"),
        (get(""), "400"),
        (get("host:\r\n"), "400"),
        ("GET /healthz HTTP/1.0\r\n\r\n".to_owned(), "400"),
        (padded(32 << 10), "200"),
        (padded((32 << 10) + 1), "431"),
        (padded(40 << 10), "431"),
        (post("content-length: 5\r\ncontent-length: 50\r\n"), "400"),
        (post("content-length: 5\r\ntransfer-encoding: chunked\r\n"), "400"),
        (post("transfer-encoding: chunked\r\ncontent-length: 5\r\n"), "400"),
        (post("transfer-encoding: chunked\r\n"), "400"),
    ] {
        let start = &request[..request.len().min(120)];
        assert_eq!(status(&server, &request).await, expected, "{start}");
        assert!(expected == "200" || !try_ask(server.address, &request).await.unwrap().contains("alive"), "{start}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_not_ours_is_refused_in_words_and_an_address_never() {
    let server =
        TestServer::start([("PUBLIC_URL", "https://monitor.example"), ("ALLOWED_HOSTS", "tick.internal")]).await;
    let ask = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        async move { try_ask(server.address, &request).await.expect("an answer") }
    };
    for host in ["localhost:3000", "127.0.0.1", "[::1]:3000", "10.1.2.3:3000", "monitor.example", "Tick.Internal:8443"]
    {
        for path in ["/healthz", "/login"] {
            let answer = ask(path, host).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
        }
    }
    let page = ask("/login", "rebound.example").await;
    assert!(page.starts_with("HTTP/1.1 421") && page.contains("<code>ALLOWED_HOSTS</code>"), "{page}");
    assert!(page.contains("x-frame-options: DENY") && !page.contains("rebound.example"), "{page}");
    let json = ask("/api/admin/websocket-status", "rebound.example:3000").await;
    assert!(json.starts_with("HTTP/1.1 421") && json.contains(r#"{"error":{"code":"misdirected_request""#), "{json}");
    for path in ["/healthz", "/metrics", "/pkg/tickstock.js", "/admin-ws", "/nowhere"] {
        assert!(ask(path, "rebound.example").await.starts_with("HTTP/1.1 421"), "{path}");
    }
}
