//! The program as a process: its outputs, its signals, its database on a disk that is full.

use crate::util::{Monitor, Socket, eventually};
use app::model::time::UnixMillis;
use server::{audit::Action, database::AuditFilter};
use std::{
    fs,
    io::{self, Read, Write},
    process::Command,
    time::{Duration, Instant},
};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_nothing_and_tells_what_it_dropped() {
    // So much that the pipe and what may wait are full in a moment.
    let mut monitor = Monitor::start(&[("RUST_LOG", "trace")]);
    monitor.until_ready().await;
    let http = reqwest::Client::new();
    let mut requests = 0;
    let since = Instant::now();
    while requests < 120 || since.elapsed() < Duration::from_secs(3) {
        let url = format!("http://127.0.0.1:{}/api/admin/websocket-status", monitor.port);
        let refused = http.get(url).header("user-agent", format!("browser {requests}")).send().await.unwrap();
        assert!(refused.status().is_client_error(), "{refused:?}");
        requests += 1;
    }
    let drop = r#"{"fault":"drop","connection":2}"#;
    let control = format!("http://127.0.0.1:{}/control", monitor.simulator);
    let fault = http.post(control).header("content-type", "application/json").body(drop).send().await.unwrap();
    assert!(fault.status().is_success());
    monitor.until_ticks_come().await;
    monitor.until_ready().await;

    let mut log = monitor.log();
    let line = Monitor::log_until(&mut log, " log lines were dropped because nothing was reading the log");
    let count = line.split("server::logging: ").nth(1).and_then(|words| words.split(' ').next()?.parse::<u64>().ok());
    assert!(count > Some(0), "{line}");
    // And nobody reads any more: it ends all the same.
    monitor.until_ticks_come().await;
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_the_log_names_the_connection_or_the_request_that_it_is_about() {
    let mut monitor = Monitor::start(&[("RUST_LOG", "info,server::routes=debug")]);
    let mut log = monitor.log();
    let line = Monitor::log_until(&mut log, "Connection 2 is connected");
    assert!(line.contains("INFO connection{id=2}: server::upstream::"), "{line}");

    let base = format!("http://127.0.0.1:{}", monitor.port);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = http.get(format!("{base}/admin/audit?action=hush")).header("x-request-id", "chosen-outside");
    let answer = request.send().await.unwrap();
    let id = answer.headers()["x-request-id"].to_str().unwrap();
    let line = Monitor::log_until(&mut log, &format!("request{{id={id} "));
    assert!(
        line.contains(r#" method=GET path="/admin/audit"}: "#) && line.contains("Answered 303 See Other"),
        "{line}"
    );
    assert!(!line.contains("hush") && !line.contains("chosen-outside"), "{line}");

    let form = format!("email=admin%40localhost&password={}", Monitor::PASSWORD.replace(' ', "+"));
    let login = http.post(format!("{base}/login")).header("content-type", "application/x-www-form-urlencoded");
    let answer = login.body(form).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap();
    let url = format!("{}/admin-ws", base.replace("http://", "ws://"));
    let _socket = Socket::open(&url, None, &base, &[("cookie", cookie)]).await.unwrap();
    let line = Monitor::log_until(&mut log, "admin@localhost opened a socket");
    assert!(line.contains(r#"method=GET path="/admin-ws"}:socket{account=1}: server::routes::"#), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_nobody_reads_does_not_keep_it_from_serving() {
    let (_reader, mut writer) = io::pipe().unwrap();
    // As much as a pipe takes.
    writer.write_all(&[b'\n'; 64 << 10]).unwrap();
    let mut command = Command::new(Monitor::BINARY);
    command.stdout(writer);
    let mut monitor = Monitor::start_in(tempfile::tempdir().unwrap(), command, &[]);
    monitor.until_ready().await;
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hangup_reads_the_configuration_again_on_record() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".env"), "WEBSOCKET_CONNECTION_1_NAME=before\nSYMBOL_UNIVERSE_KEY=dow30").unwrap();
    let mut monitor = Monitor::start_in(folder, Command::new(Monitor::BINARY), &[]);
    monitor.until_ready().await;
    fs::write(monitor.folder.path().join(".env"), "WEBSOCKET_CONNECTION_1_NAME=after\nSYMBOL_UNIVERSE_KEY=dow30")
        .unwrap();
    monitor.signal("-HUP");
    eventually("the new name is in force", || async {
        monitor.get("/metrics").await?.contains(r#"name="after""#).then_some(())
    })
    .await;
    let database = monitor.database().await;
    let filter = AuditFilter { action: Some(Action::ConfigRefresh), ..AuditFilter::default() };
    let records = eventually("what came of it is on record", || async {
        let records = database.audit_records(&filter, 10).await.unwrap();
        (records.len() == 2).then_some(records)
    })
    .await;
    assert!(records.iter().all(|record| record.actor.as_deref() == Some("server:SIGHUP")), "{records:?}");
    assert!(records[0].reason.as_deref().is_some_and(|reason| reason.contains("before → after")), "{records:?}");
    database.close().await;
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_goes_on_until_the_last_request_has_had_its_time() {
    let mut monitor = Monitor::start(&[]);
    monitor.until_ticks_come().await;
    let _stuck = monitor.stuck_request();
    let told = Instant::now();
    monitor.signal("-TERM");
    // Sockets and requests have five seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(monitor.sessions().await, 3, "ingest runs");
    assert!(monitor.end().await.success());
    let stopping_ms = told.elapsed().as_millis() as i64;
    assert!((4_500..9_000).contains(&stopping_ms), "{stopping_ms}");

    let database = monitor.database().await;
    let past = database.history_past(None).await.unwrap();
    let run = past.last_run.unwrap();
    let stopped = run.stopped_at.expect("stopped in good order");
    for rate in past.rates {
        let silent_ms = stopped.millis_since(rate.last_tick_at.expect("ticks"));
        assert!(
            silent_ms < 2_000,
            "connection {} ticked until the end, not until {silent_ms} ms before",
            rate.connection_id
        );
    }
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut monitor = Monitor::start(&[]);
    monitor.until_ready().await;
    let _stuck = monitor.stuck_request();
    monitor.signal("-TERM");
    eventually("it takes no more connections", || async { monitor.get("/healthz").await.is_none().then_some(()) })
        .await;
    // What comes right behind the first is the same signal.
    tokio::time::sleep(Duration::from_millis(400)).await;
    let since = Instant::now();
    monitor.signal("-INT");
    assert_eq!(monitor.end().await.code(), Some(130));
    assert!(since.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_database_is_refused_and_commands_work_beside_it() {
    let mut first = Monitor::start(&[]);
    first.until_ready().await;
    let url = first.database_url();
    let other = tempfile::tempdir().unwrap();
    let second = Command::new(Monitor::BINARY)
        .env_clear()
        .envs([("DATABASE_URL", url.as_str()), ("LEPTOS_SITE_ADDR", "127.0.0.1:0")])
        .current_dir(other.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    let holder = format!("is in use by another server (process {}, since 2", first.child.id());
    assert!(said.contains(&holder) && said.contains(&format!("on http://127.0.0.1:{})", first.port)), "{said}");

    for arguments in
        [&["user", "list"][..], &["audit", "verify"], &["check-config"], &["user", "sign-out", "admin@localhost"]]
    {
        let output = first.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    // Its claim ends with its process, however that ends.
    first.kill();
    let third = Monitor::start(&[("DATABASE_URL", url.as_str())]);
    third.until_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk_it_starts_and_ingests_and_keeps_history_once_there_is_room() {
    let mut before = Monitor::start(&[]);
    before.until_ticks_come().await;
    before.signal("-TERM");
    assert!(before.end().await.success());
    let folder = std::mem::replace(&mut before.folder, tempfile::tempdir().unwrap());

    let mut monitor = start_on_a_full_disk(folder, &[]);
    let not_ready = eventually("the monitor ingests without its database", || async {
        let ready = monitor.ready().await;
        (ready["ingest"]["ok"] == true).then_some(ready)
    })
    .await;
    assert_eq!(not_ready["database"]["reason"], "the database does not answer", "{not_ready}");
    monitor.until_ticks_come().await;
    let refused = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{}/login", monitor.port))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("email=admin%40localhost&password={}", Monitor::PASSWORD.replace(' ', "+")));
    assert!(refused.send().await.unwrap().status().is_server_error(), "nobody is let in who cannot be put on record");

    make_room_for(&monitor);
    monitor.until_ready().await;
    let mut log = monitor.log();
    Monitor::log_until(&mut log, "ingest runs without it");
    Monitor::log_until(&mut log, "History is being kept from now on");
    let database = monitor.database().await;
    let always = UnixMillis(0)..UnixMillis(i64::MAX);
    eventually("the gaps of the time in which nothing ran have ended", || async {
        let gaps = database.history_gaps(always.clone(), None, None, 10).await.ok()?;
        (gaps.len() == 3 && gaps.iter().all(|gap| gap.ended_at.is_some())).then_some(())
    })
    .await;
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();

    // What was not kept is on record.
    let filter = server::database::history::EventFilter {
        range: always,
        connections: None.into(),
        kind: Some(app::model::history::EventKind::History),
    };
    let events = database.history_events(&filter, None, 10).await.unwrap();
    assert!(events.iter().any(|event| event.text.starts_with("Not kept from ")), "{events:?}");
    let started = database.history_past(None).await.unwrap().last_run.unwrap().started_at;
    let gaps = database.history_gaps(filter.range, None, None, 10).await.unwrap();
    assert_eq!(gaps.len(), 3, "{gaps:?}");
    for gap in gaps {
        let after_start_ms = gap.ended_at.expect("it has ended").millis_since(started);
        assert!(after_start_ms < 3_000, "it ended with the first tick, not with the first sample: {gap:?}");
    }
    database.close().await;
}

/// Its files cannot grow until there is room.
fn start_on_a_full_disk(folder: TempDir, variables: &[(&str, &str)]) -> Monitor {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 0; exec \"$0\"", Monitor::BINARY]);
    Monitor::start_in(folder, command, variables)
}

fn make_room_for(monitor: &Monitor) {
    let id = monitor.child.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &id, "--fsize=unlimited"]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_account_is_made_when_its_database_can_be_opened_at_last() {
    let mut monitor = start_on_a_full_disk(tempfile::tempdir().unwrap(), &[]);
    let mut log = monitor.log();
    Monitor::log_until(&mut log, "ingest runs without it");
    make_room_for(&monitor);
    Monitor::log_until(&mut log, "The database could be opened");
    monitor.admin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_password_that_is_too_weak_is_told_by_a_late_database_too_and_ticks_go_on() {
    let mut monitor = start_on_a_full_disk(tempfile::tempdir().unwrap(), &[("ADMIN_PASSWORD", "monkey1")]);
    let mut log = monitor.log();
    Monitor::log_until(&mut log, "ingest runs without it");
    make_room_for(&monitor);
    let line = Monitor::log_until(&mut log, "No first account was made");
    assert!(line.contains("started with another. ADMIN_PASSWORD: expected a stronger password"), "{line}");
    assert!(!line.contains("monkey1"), "{line}");
    monitor.until_ticks_come().await;
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
    assert_eq!(monitor.database().await.account_count().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_that_are_turned_away_do_not_fill_the_log() {
    let mut monitor = Monitor::start(&[("TRUSTED_PROXIES", "127.0.0.1")]);
    monitor.until_ready().await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..300 {
        let request = http.post(format!("http://127.0.0.1:{}/login", monitor.port));
        let request = request.header("x-forwarded-for", format!("203.0.{}.{}", n / 250, n % 250));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        flood.spawn(request.body(format!("email=someone{n}%40example.com&password=guess")).send());
    }
    let answers = flood.join_all().await;
    assert!(answers.iter().any(|answer| answer.as_ref().is_ok_and(|answer| answer.status().as_u16() == 503)));
    monitor.signal("-TERM");
    assert!(monitor.end().await.success());
    let mut log = String::new();
    monitor.log().read_to_string(&mut log).unwrap();
    let errors: Vec<_> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(errors.is_empty(), "{} lines, such as {}", errors.len(), errors[0]);
}
