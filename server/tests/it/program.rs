//! The program as it is called: what it says when it cannot start.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixDatagram,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// Runs it in an empty folder with these variables and nothing else.
fn run<const N: usize>(arguments: &[&str], variables: [(&str, &str); N]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"))
        .args(arguments)
        .env_clear()
        .envs(variables)
        .current_dir(folder.path())
        .output()
        .unwrap()
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!text.contains("panicked"), "{text}");
    text
}

#[test]
fn every_bad_variable_is_named_at_once() {
    for arguments in [&[][..], &["check-config"]] {
        let text = complaint(&run(
            arguments,
            [
                ("FRAME_INTERVAL_MS", "soon"),
                ("MARKET_FEED", "radio"),
                ("LEPTOS_SITE_ADDR", "here"),
                ("DATABASE_URL", "postgres://monitor:hunter2@:x/?sslmode=on"),
                ("ADMIN_EMAIL", "boss"),
                ("ADMIN_PASSWORD", "tiny-secret"),
                ("UNIVERSES_FILE", "/nonexistent.json"),
                ("TLS_CERT", "/nonexistent.pem"),
                ("TLS_KEY", "/nonexistent.pem"),
            ],
        ));
        for part in [
            "FRAME_INTERVAL_MS=\"soon\": expected a whole number",
            "MARKET_FEED=\"radio\"",
            "LEPTOS_SITE_ADDR=\"here\"",
            "DATABASE_URL: expected an SQLite file, as in sqlite://data/monitor.db, or a PostgreSQL database, as in \
             postgres://USER:PASSWORD@HOST:5432/NAME; it names no host; it names no database behind the host, as in \
             …@HOST/NAME; its sslmode is none of disable",
            "ADMIN_EMAIL=\"boss\": expected an email",
            "ADMIN_PASSWORD: expected a stronger password: the password has 11 characters; at least 12 are needed",
            "UNIVERSES_FILE=\"/nonexistent.json\": cannot be read",
            "TLS_CERT=/nonexistent.pem: ",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("hunter2") && !text.contains("tiny-secret"), "{text}");
    }
}

#[test]
fn a_first_password_that_can_be_guessed_is_refused_and_later_ones_are_not_looked_at() {
    let variables = [("LEPTOS_SITE_ADDR", "127.0.0.1:0"), ("ADMIN_PASSWORD", "TickStock2026!")];
    for argument in ["serve", "check-config"] {
        let text = complaint(&run(&[argument], variables));
        assert!(
            text.contains("ADMIN_PASSWORD: expected a stronger password: the password is too easy to guess"),
            "{text}"
        );
        assert!(!text.contains("TickStock2026"), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let serves = |variables: &[(&str, &str)]| {
        let mut server = start(&folder, &[], variables);
        let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        lines.any(|line| line.contains("is connected"))
    };
    assert!(serves(&variables[..1]), "makes an account with a password of its own");
    assert!(serves(&variables));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = complaint(&run(&["serve"], [("LEPTOS_SITE_ADDR", &address)]));
    assert!(
        text.contains(&format!("LEPTOS_SITE_ADDR={address}: cannot listen there: Address already in use")),
        "{text}"
    );
}

#[test]
fn a_database_that_cannot_be_opened_is_named() {
    let text =
        complaint(&run(&[], [("LEPTOS_SITE_ADDR", "127.0.0.1:0"), ("DATABASE_URL", "sqlite:///dev/null/monitor.db")]));
    assert!(text.contains("the folder /dev/null of the database cannot be made"), "{text}");
}

#[test]
fn a_universe_file_that_is_not_there_is_named() {
    let text = complaint(&run(&["check-config"], [("UNIVERSES_FILE", "/nonexistent.json")]));
    assert!(text.contains("UNIVERSES_FILE=\"/nonexistent.json\": cannot be read"), "{text}");
}

/// What the command line does is told by the server, in whose output collectors look for it: what was done before it
/// started, what is done while it runs, and nothing twice.
#[test]
fn the_command_line_is_on_record_and_the_server_writes_it_out_and_the_log_is_proved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], password: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"));
        // Whatever the variable says, it is no account.
        let variables = [("SUDO_USER", "admin@example.com"), ("USER", "root")];
        command.args(arguments).env_clear().envs(variables).current_dir(folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (added, _, log) = run(&["user", "add", "bob@x", "--role", "admin"], "seven purple lanterns drift");
    assert!(added && !log.contains("\"target\":\"audit\""), "{log}");
    let (_, _, refused) = run(&["user", "add", "eve@x", "--role", "admin"], "passwordpassword");
    assert!(refused.contains("too easy to guess") && !refused.contains("passwordpassword"), "{refused}");

    let variables = [("LEPTOS_SITE_ADDR", "127.0.0.1:0"), ("ADMIN_WEBSOCKET_DASHBOARD_ENABLED", "false")];
    let records = |wanted: usize, meanwhile: &dyn Fn()| -> Vec<serde_json::Value> {
        let mut server = start(&folder, &[], &variables);
        let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut next = || {
            let line = lines.find(|line| line.contains(r#""target":"audit""#)).unwrap();
            serde_json::from_str::<serde_json::Value>(&line).expect("a line of JSON")
        };
        let first = next();
        meanwhile();
        let told = [first].into_iter().chain((1..wanted).map(|_| next())).collect();
        // In good order: after a crash the last lines may come twice.
        assert!(Command::new("kill").arg(server.0.id().to_string()).status().unwrap().success());
        server.0.wait().unwrap();
        told
    };
    let while_it_runs = || {
        assert!(run(&["user", "set-role", "bob@x", "--role", "super"], "").0);
        assert!(run(&["user", "disable", "bob@x"], "").0);
    };
    let told = records(3, &while_it_runs);
    let of = |record: &serde_json::Value| {
        [&record["actor"], &record["action"], &record["on"]].map(|text| text.as_str().unwrap().to_owned())
    };
    assert_eq!(
        told.iter().map(of).collect::<Vec<_>>(),
        ["account_add", "account_role", "account_disable"]
            .map(|action| ["cli:admin_example.com", action, "bob@x"].map(str::to_owned))
    );
    assert_eq!(told.iter().map(|record| record["seq"].as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);

    let (whole, said, _) = run(&["audit", "verify"], "");
    assert!(whole && said.starts_with("The audit log is intact: 3 records, 1 to 3, "), "{said}");
    assert!(said.contains("--known SEQ:HASH"), "{said}");
    let known = format!("1:{}", told[0]["hash"].as_str().unwrap());
    assert!(run(&["audit", "verify", "--known", &known], "").0);
    let (same, _, why) = run(&["audit", "verify", "--known", &format!("2:{}", &known[2..])], "");
    assert!(!same && why.contains("record 2 differs from the known one"), "{why}");

    assert!(run(&["user", "enable", "bob@x"], "").0);
    assert_eq!(records(1, &|| ())[0]["action"], "account_enable", "where the last one ended");
}

#[test]
fn a_good_configuration_is_summed_up() {
    let output = run(
        &["check-config"],
        [
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "dow30"),
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("connection 1 (primary): enabled, 30 tickers")
            && text.contains("connection 3 (tertiary): disabled"),
        "{text}"
    );
}

/// A program that runs until it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &tempfile::TempDir, arguments: &[&str], variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"));
    command.args(arguments).env_clear().envs(variables.iter().copied()).current_dir(folder.path());
    Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn no_secret_is_logged_however_much_is_logged() {
    const KEY: &str = "canary-key-4711";
    const PASSWORD: &str = "canary-password-4712";
    let folder = tempfile::tempdir().unwrap();
    let market = format!("127.0.0.1:{}", crate::util::free_port());
    let _market = start(&folder, &["simulator", "--listen", &market, "--keys", KEY], &[]);
    let url = format!("ws://{market}/stocks");
    let variables = [
        ("MARKET_FEED", "massive"),
        ("MASSIVE_API_KEY", KEY),
        ("MASSIVE_WEBSOCKET_URL", &url),
        ("SYMBOL_UNIVERSE_KEY", "dow30"),
        ("LEPTOS_SITE_ADDR", "127.0.0.1:0"),
        ("ADMIN_PASSWORD", PASSWORD),
        ("RUST_LOG", "trace"),
    ];
    let mut monitor = start(&folder, &[], &variables);
    let mut log = String::new();
    // It connects and takes the key; the market may come up a moment later than the monitor.
    for line in BufReader::new(monitor.0.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        let done = line.contains("Connection 1 is connected");
        log.push_str(&line);
        if done {
            break;
        }
    }
    assert!(log.contains("TRACE") && log.contains("is connected"));
    for secret in [KEY, PASSWORD] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_service_manager_is_told_when_the_server_is_ready_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut server = Command::new(env!("CARGO_BIN_EXE_tickstock-monitor"))
        .env_clear()
        .envs([
            ("LEPTOS_SITE_ADDR", "127.0.0.1:0"),
            ("WATCHDOG_USEC", "300000"),
            ("ADMIN_PASSWORD", "correct horse battery"),
        ])
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let told = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("the manager is told something");
        String::from_utf8(bytes[..length].to_vec()).unwrap().trim().to_owned()
    };
    let first: Vec<_> = std::iter::repeat_with(told).take(4).collect();
    assert_eq!(first, ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]);
    let stop = Command::new("kill").arg(server.id().to_string()).status().unwrap();
    assert!(stop.success());
    let last = std::iter::repeat_with(told).find(|state| state != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(server.wait().unwrap().success());
}
