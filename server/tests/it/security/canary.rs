//! A canary in every secret: the real program with everything logged, and whatever leaves it searched.

use super::{
    second_factor::App,
    tls::{ask, connect},
};
use crate::util::{
    ACCESS_TOKEN, CLIENT_SECRET, IdentityProvider, PATIENCE, REFRESH_TOKEN, TestServer, certificate, eventually,
    free_port,
};
use data_encoding::BASE32_NOPAD;
use futures_util::StreamExt;
use server::config::{Config, Variables};
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::timeout;

const KEY: &str = "canary-api-key-4711";
const PASSWORD: &str = "canary-Ochre-lantern-4712";
/// Typed into the email field, and looks like an email.
const MISTYPED: &str = "canary-Teal@kettle-4716";
const TOKEN: &str = "canary-metrics-token-4713";
const REDIS_PASSWORD: &str = "canary-redis-password-4714";

/// Holds the Redis address for the process that is to panic.
const PANICS_WITH: &str = "TICKSTOCK_TEST_PANICS_WITH";

/// A program whose output is kept, ended when it is dropped.
struct Running {
    child: Child,
    output: Arc<Mutex<String>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(program: &str, arguments: &[&str], variables: &[(&str, &str)], folder: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.envs(variables.iter().copied()).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let output = Arc::default();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let output: Arc<Mutex<String>> = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    output.lock().unwrap().push_str(&(line + "\n"));
                }
            });
        }
        Self { child, output }
    }

    fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    async fn says(&self, text: &str) {
        eventually(text, || async { self.output().contains(text).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_the_program_however_much_is_logged() {
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate(folder.path());
    let binary = env!("CARGO_BIN_EXE_tickstock-monitor");
    let (redis_port, market_port, port) = (free_port().to_string(), free_port(), free_port());
    let redis_arguments = ["--port", &redis_port, "--requirepass", REDIS_PASSWORD, "--save", "", "--bind", "127.0.0.1"];
    let redis = Running::start("redis-server", &redis_arguments, &[], folder.path());
    redis.says("Ready to accept connections").await;
    let market = format!("127.0.0.1:{market_port}");
    let market_arguments = ["simulator", "--listen", &market, "--keys", KEY];
    let simulator = Running::start(binary, &market_arguments, &[], folder.path());
    simulator.says("Simulated market on").await;

    let provider = IdentityProvider::start().await;
    let (market_url, address) = (format!("ws://{market}/stocks"), format!("127.0.0.1:{port}"));
    let redis_url = format!("redis://:{REDIS_PASSWORD}@127.0.0.1:{redis_port}");
    let variables = [
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", KEY),
        ("MASSIVE_WEBSOCKET_URL", market_url.as_str()),
        ("SYMBOL_UNIVERSE_KEY", "dow30"),
        ("LEPTOS_SITE_ADDR", address.as_str()),
        ("REDIS_URL", redis_url.as_str()),
        ("ADMIN_PASSWORD", PASSWORD),
        ("METRICS_TOKEN", TOKEN),
        ("TLS_CERT", "cert.pem"),
        ("TLS_KEY", "key.pem"),
        ("RUST_LOG", "trace"),
    ];
    let variables: Vec<_> = variables.into_iter().chain(provider.variables()).collect();
    let monitor = Running::start(binary, &[], &variables, folder.path());
    monitor.says("Connection 1 is connected").await;
    let address = address.parse().unwrap();

    let mut seen = Vec::new();
    let form = |fields: &str, path: &str, cookie: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{fields}",
            fields.len()
        )
    };
    let sign_in = form(&format!("email=admin%40localhost&password={PASSWORD}"), "/login", "");
    let answer = ask(connect(address, &trusted).await, &sign_in).await;
    let cookie = answer.split("set-cookie: ").nth(1).expect(&answer).split(';').next().unwrap().to_owned();
    let session = cookie.split_once('=').unwrap().1.to_owned();

    // The wrong field: what is on record of it is in the pages and exports below.
    for typed in [PASSWORD, &MISTYPED.replace('@', "%40")] {
        let fields = format!("email={typed}&password=the+other+one");
        let answer = ask(connect(address, &trusted).await, &form(&fields, "/login", "")).await;
        assert!(answer.contains("/login?error=credentials"), "{answer}");
        seen.push(("POST /login".to_owned(), answer));
    }
    for path in [
        "/login",
        "/login?error=credentials",
        "/admin/websockets",
        "/admin/audit",
        "/admin/account",
        "/admin/nonesuch",
        "/nonesuch",
        "/api/admin/websocket-status",
        "/api/admin/audit",
        "/api/admin/audit?format=csv",
        "/api/admin/audit?from=soon",
        "/api/admin/nonesuch",
        "/healthz",
        "/readyz",
        "/metrics",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n\
                               authorization: Bearer {TOKEN}\r\n\r\n"
        );
        let answer = ask(connect(address, &trusted).await, &request).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{path}: {answer}");
        seen.push((path.to_owned(), answer));
    }
    for (fields, path) in [
        (format!("email=admin%40localhost&password={PASSWORD}-not"), "/login"),
        (format!("password={PASSWORD}"), "/login"),
        (format!("email=a&password={PASSWORD}{}", "x".repeat(9_000)), "/login"),
        (format!("current={PASSWORD}&new={PASSWORD}&again={PASSWORD}"), "/admin/account/password"),
        (format!("current={PASSWORD}"), "/admin/account/password"),
        (format!("{{\"{PASSWORD}\":1}}"), "/api/admin/fn/reliability"),
    ] {
        let answer = ask(connect(address, &trusted).await, &form(&fields, path, &cookie)).await;
        seen.push((format!("POST {path}"), answer));
    }
    // A token that is made, used, and put where it does not belong.
    let fields = format!("name=canary&scope=read&days=1&current={PASSWORD}");
    let made = ask(connect(address, &trusted).await, &form(&fields, "/admin/account/tokens", &cookie)).await;
    let api_token: String =
        made.split_once("tsm_").expect(&made).1.chars().take_while(char::is_ascii_alphanumeric).collect();
    for (path, how) in [
        ("/api/admin/websocket-status", format!("authorization: Bearer tsm_{api_token}")),
        ("/api/admin/config/refresh", format!("authorization: Bearer tsm_{api_token}")),
        ("/admin/account", format!("authorization: Bearer tsm_{api_token}")),
        ("/metrics", format!("authorization: Bearer tsm_{api_token}")),
        (&format!("/api/admin/audit?token=tsm_{api_token}"), format!("cookie: {cookie}")),
        (&format!("/tsm_{api_token}"), "accept: */*".to_owned()),
        ("/admin/account", format!("cookie: {cookie}")),
        ("/api/admin/audit", format!("cookie: {cookie}")),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{how}\r\n\r\n");
        seen.push((
            format!("GET {}", path.replace(&api_token, "…")),
            ask(connect(address, &trusted).await, &request).await,
        ));
    }
    // A second factor that is turned on, so far as the key is shown.
    let fields = format!("current={PASSWORD}");
    let started =
        ask(connect(address, &trusted).await, &form(&fields, "/admin/account/second-factor/start", &cookie)).await;
    let seed = started.split_once(r#"data-testid="key">"#).expect(&started).1.split('<').next().unwrap().to_owned();
    let wrong = form("code=000000", "/admin/account/second-factor/confirm", &cookie);
    seen.push(("POST …/confirm".to_owned(), ask(connect(address, &trusted).await, &wrong).await));
    let again = format!(
        "GET /admin/account/second-factor HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n"
    );
    seen.push(("GET …/second-factor".to_owned(), ask(connect(address, &trusted).await, &again).await));
    let seed_in_one = seed.replace(' ', "");
    let app = App(BASE32_NOPAD.decode(seed_in_one.as_bytes()).unwrap());
    let right = form(&format!("code={}", app.code(0)), "/admin/account/second-factor/confirm", &cookie);
    let shown = ask(connect(address, &trusted).await, &right).await;
    let cookie = shown.split("set-cookie: ").nth(1).expect(&shown).split(';').next().unwrap().to_owned();
    let new_session = cookie.split_once('=').unwrap().1.to_owned();
    let recovery_codes: Vec<_> =
        shown.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    let get = |path: &str, cookie: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n")
    };
    // A recovery code that is used, and a wrong one.
    let fields = format!("email=admin%40localhost&password={PASSWORD}");
    let asked = ask(connect(address, &trusted).await, &form(&fields, "/login", "")).await;
    let half = asked.split("set-cookie: ").nth(1).expect(&asked).split(';').next().unwrap().to_owned();
    for code in ["AAAA-AAAA-AAAA-AAAA", recovery_codes[0]] {
        let answer = ask(connect(address, &trusted).await, &form(&format!("code={code}"), "/login/code", &half)).await;
        assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    }
    // A screen that asks to be paired, and shows its cookie wherever it goes.
    let screen = ask(connect(address, &trusted).await, &get("/screen", "")).await;
    let screen_cookie = screen.split("set-cookie: ").nth(1).expect(&screen).split(';').next().unwrap().to_owned();
    let screen_secret = screen_cookie.split_once('=').unwrap().1.to_owned();
    // Somebody who comes from the identity provider.
    let begun = ask(connect(address, &trusted).await, &get("/login/oidc", "")).await;
    let there = begun.split("location: ").nth(1).expect(&begun).lines().next().unwrap();
    let pending = begun.split("set-cookie: ").nth(1).expect(&begun).split(';').next().unwrap();
    let at_provider = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let back = at_provider.get(there).send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    let back = back.split_once("localhost").unwrap().1;
    let signed_in = ask(connect(address, &trusted).await, &get(back, pending)).await;
    assert!(signed_in.contains("refresh: 0; url=/admin/websockets"), "{signed_in}");
    let mut given = signed_in.split("set-cookie: ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let provider_cookie = given.find(|pair| pair.contains("_session_")).unwrap().to_owned();
    let provider_session = provider_cookie.split_once('=').unwrap().1.to_owned();
    seen.push(("GET /login/oidc".to_owned(), begun.clone()));
    for (path, cookie) in [
        (back, pending),
        ("/login/oidc/callback?code=x&state=y", pending),
        ("/admin/account", &provider_cookie),
        ("/screen", &screen_cookie),
        ("/admin/websockets", &screen_cookie),
        ("/admin/account/screens", &cookie),
        ("/admin/account/second-factor", &cookie),
        ("/api/admin/audit", &cookie),
        ("/admin/audit", &cookie),
    ] {
        seen.push((format!("GET {path}"), ask(connect(address, &trusted).await, &get(path, cookie)).await));
    }
    for token in [provider.logout_token(serde_json::json!({})), "a.b.c".to_owned()] {
        let told = form(&format!("logout_token={token}"), "/login/oidc/logout", "");
        seen.push(("POST /login/oidc/logout".to_owned(), ask(connect(address, &trusted).await, &told).await));
    }
    for subprotocol in ["tickstock.v1.json", "tickstock.v1.bin"] {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut handshake = format!("wss://localhost:{port}/admin-ws").into_client_request().unwrap();
        handshake.headers_mut().insert("cookie", cookie.parse().unwrap());
        handshake.headers_mut().insert("sec-websocket-protocol", subprotocol.parse().unwrap());
        let (mut socket, _) =
            tokio_tungstenite::client_async(handshake, connect(address, &trusted).await).await.unwrap();
        let mut bytes = Vec::new();
        for _ in 0..50 {
            let message = timeout(PATIENCE, socket.next()).await.expect("in time").unwrap().unwrap();
            bytes.extend(message.into_data());
        }
        seen.push((subprotocol.to_owned(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    // What was under way when it was asked is in the log a moment later.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let log = monitor.output();
    assert!(log.contains("TRACE") && log.contains("\"target\":\"audit\""));
    seen.push(("the log".to_owned(), log));

    let database = folder.path().join("data/monitor.db");
    for file in [database.clone(), database.with_extension("db-wal")] {
        seen.push((file.display().to_string(), String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned()));
    }
    let pem = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
    let tls_key = pem.lines().nth(1).unwrap();
    for (place, text) in &seen {
        // Hashes of passwords are in the database, and nowhere else.
        let hashes = if place.contains("monitor.db") { KEY } else { "$argon2" };
        for secret in [
            KEY,
            PASSWORD,
            MISTYPED,
            TOKEN,
            REDIS_PASSWORD,
            session.as_str(),
            api_token.as_str(),
            &seed,
            &seed_in_one,
            tls_key,
            hashes,
            new_session.as_str(),
            provider_session.as_str(),
            screen_secret.as_str(),
            CLIENT_SECRET,
            ACCESS_TOKEN,
            REFRESH_TOKEN,
        ]
        .into_iter()
        .chain(recovery_codes.iter().copied())
        {
            if let Some(found) = text.find(secret) {
                let around: String = text[..found].chars().rev().take(300).collect::<Vec<_>>().iter().rev().collect();
                panic!("{secret} is in {place}: …{around}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_running_server_tells_no_secret() {
    // The test starts itself once more, as the process that panics.
    if let Ok(redis_url) = std::env::var(PANICS_WITH) {
        return panic_in_a_running_server(&redis_url).await;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "security::canary::a_panic_in_a_running_server_tells_no_secret", "--nocapture"])
        .env(PANICS_WITH, format!("redis://:{REDIS_PASSWORD}@127.0.0.1:1"))
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a broken spring in Config {") && said.contains("stack backtrace"), "{said}");
    for secret in [KEY, PASSWORD, TOKEN, REDIS_PASSWORD, CLIENT_SECRET] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
}

/// As a bug would that prints what it holds.
async fn panic_in_a_running_server(redis_url: &str) {
    let variables = [
        ("MASSIVE_API_KEY", KEY),
        ("ADMIN_PASSWORD", PASSWORD),
        ("METRICS_TOKEN", TOKEN),
        ("REDIS_URL", redis_url),
        ("OIDC_ISSUER", "http://127.0.0.1:1"),
        ("OIDC_CLIENT_ID", "monitor"),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_ROLE_MAP", "ops=admin"),
    ];
    let _server = TestServer::start(variables).await;
    let config = Config::read(&Variables::from(variables)).unwrap();
    let tasks = server::tasks::Tasks::default();
    tasks.spawn_vital("clockwork", async move { panic!("a broken spring in {config:#?}") });
    tasks.shutdown().cancelled().await;
}

#[test]
fn a_start_that_fails_tells_no_secret() {
    let redis_url = format!("redis://:{REDIS_PASSWORD}@127.0.0.1:1");
    let variables = [
        ("MASSIVE_API_KEY", KEY),
        ("REDIS_URL", redis_url.as_str()),
        ("ADMIN_PASSWORD", PASSWORD),
        ("METRICS_TOKEN", TOKEN),
    ];
    let mut texts = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let bad = [
        ("LEPTOS_SITE_ADDR", "nowhere"),
        ("DATABASE_URL", "postgres://monitor:canary-database-4715@db"),
        ("TLS_CERT", "/nonexistent"),
        ("MARKET_FEED", "radio"),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_ISSUER", "https://monitor:canary-client-secret-4717@id.example.com"),
    ];
    for broken in bad {
        let output = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"))
            .env_clear()
            .env("LEPTOS_SITE_ADDR", "127.0.0.1:0")
            .envs(variables)
            .envs([broken])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{broken:?}");
        texts.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    for text in &texts {
        for secret in [KEY, PASSWORD, TOKEN, REDIS_PASSWORD, "canary-database", CLIENT_SECRET] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
