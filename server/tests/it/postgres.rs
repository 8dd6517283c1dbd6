//! Servers on one PostgreSQL: what is done on one is so on the others; and what becomes of a server while PostgreSQL is away.

use crate::util::{Monitor, Postgres, Proxy, RedisServer, TestServer, email_of, eventually};
use app::model::time::UnixMillis;
use serde_json::Value;
use server::{
    audit::{Action, Actor, verify},
    auth::Role,
    database::{AuditFilter, Database},
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

async fn with_accounts() -> String {
    Postgres::shared().database("monitor_with_accounts").await.url
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_or_out_on_one_server_has_done_so_on_the_others() {
    let url = with_accounts().await;
    let (here, there) = (TestServer::start_on(&url, []).await, TestServer::start_on(&url, []).await);
    for how in ["signs out", "ends the others", "is disabled"] {
        let admin = here.admin().await;
        let mut elsewhere = admin.clone();
        elsewhere.base = there.url("");
        // The cookie's name has the port that browsers ask for, which is one behind a proxy.
        let port = |server: &TestServer| server.address.port().to_string();
        let cookie = admin.cookie.clone().unwrap().replacen(&port(&here), &port(&there), 1);
        let answer = there.stranger().http.get(there.url("/api/admin/websocket-status")).header("cookie", &cookie);
        assert_eq!(answer.send().await.unwrap().status(), 200, "signed in there, too");
        elsewhere.cookie = Some(cookie);
        let mut socket = elsewhere.socket(None).await;
        socket.event_named("connection_status_update").await;
        // Its first look at the accounts is how they were.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        let since = Instant::now();
        match how {
            "signs out" => drop(admin.form("/logout", "", &[]).await),
            "ends the others" => {
                let mut change = here.database.change().await.unwrap();
                let account = here.database.account_by_email(&email_of(Role::Admin).parse().unwrap()).await.unwrap();
                let all = server::database::SessionsToEnd::All;
                assert!(change.end_sessions(account.unwrap().id, all).await.unwrap() > 0);
                change.commit().await.unwrap();
            }
            _ => {
                let mut change = here.database.change().await.unwrap();
                change.set_disabled(&email_of(Role::Admin).parse().unwrap(), true).await.unwrap();
                change.commit().await.unwrap();
            }
        }
        assert_eq!(socket.close_code().await, 4001, "{how}");
        println!("{how}: the socket on the other server closed after {:?}", since.elapsed());
        // The look that needs no telling comes every 15 s.
        assert!(since.elapsed() < Duration::from_secs(5), "{how}: {:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_postgresql_is_away_nobody_signs_in_and_all_else_goes_on() {
    let postgres = Postgres::start();
    let database = postgres.database("monitor_with_accounts").await;
    let proxy = Proxy::start(postgres.port).await;
    let url = database.url.replace(&format!(":{}", postgres.port), &format!(":{}", proxy.port));
    let server = TestServer::start_on(&url, []).await;
    let admin = server.admin().await;
    let mut socket = admin.socket(None).await;
    for fault in ["stopped", "silent", "cut off"] {
        match fault {
            "stopped" => postgres.shut_down(),
            "silent" => {
                proxy.shut(true);
                proxy.forget_connections();
            }
            _ => {
                let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'";
                postgres.sql(&query.replace("{name}", &database.name)).await;
                proxy.shut(true);
            }
        }
        let since = Instant::now();
        let refused = server.stranger().try_sign_in(&email_of(Role::Admin), crate::util::PASSWORD, &[]).await;
        println!("{fault}: a sign-in is answered after {:?}", since.elapsed());
        assert_eq!(refused.status(), 503, "{fault}");
        assert!(since.elapsed() < Duration::from_secs(10), "{fault}: {:?}", since.elapsed());
        eventually("it is not ready, and says why", || async {
            let answer = server.stranger().http.get(server.url("/readyz")).send().await.ok()?;
            let ready: Value = answer.json().await.ok()?;
            let is_said = ready["database"]["reason"] == "the database does not answer";
            (is_said && ready["ingest"]["ok"] == true).then_some(())
        })
        .await;
        for _ in 0..3 {
            socket.event_named("tick_update").await;
        }

        if fault == "stopped" {
            postgres.start_again();
        }
        proxy.shut(false);
        eventually("somebody can sign in again", || async {
            let answer = server.stranger().try_sign_in(&email_of(Role::Admin), crate::util::PASSWORD, &[]).await;
            (answer.status() == 303).then_some(())
        })
        .await;
        eventually("it is ready again", || async {
            let answer = server.stranger().http.get(server.url("/readyz")).send().await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }
    socket.event_named("tick_update").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_starts_without_postgresql_and_takes_it_when_it_comes() {
    let postgres = Postgres::start();
    let url = postgres.empty_database().await.url;
    postgres.shut_down();
    let monitor = Monitor::start(&[("DATABASE_URL", url.as_str())]);
    let ready = eventually("the monitor ingests without its database", || async {
        let ready = monitor.ready().await;
        (ready["ingest"]["ok"] == true).then_some(ready)
    })
    .await;
    assert_eq!(ready["database"]["reason"], "the database does not answer", "{ready}");
    postgres.start_again();
    monitor.until_ready().await;
    monitor.admin().await;
}

/// In a process of its own: continues the log until it is killed, and says what is acknowledged.
#[tokio::test]
#[ignore = "part of another test"]
async fn writes_until_it_is_killed() {
    let Ok(url) = std::env::var("TEST_WRITES_TO") else { return };
    let database = Database::open(&url).await.unwrap();
    for number in 0..u64::MAX {
        let target = format!("{} {number}", std::process::id());
        let begun = Instant::now();
        let mut change = database.change().await.unwrap();
        change.record(&Actor::server().does(Action::PageView).to(target.clone())).await.unwrap();
        change.commit().await.unwrap();
        println!("written {} {target}", begun.elapsed().as_micros());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_write_one_chain_while_two_are_killed_and_nothing_acknowledged_is_missing() {
    let url = with_accounts().await;
    let mut writers: Vec<_> = (0..4)
        .map(|_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--ignored", "--exact", "--nocapture", "postgres::writes_until_it_is_killed"]);
            command.env("TEST_WRITES_TO", &url).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    let said: Vec<_> = writers
        .iter_mut()
        .map(|writer| {
            let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
            std::thread::spawn(move || {
                let told = |line: String| {
                    let (micros, target) = line.split_once("written ")?.1.split_once(' ')?;
                    Some((target.to_owned(), micros.parse::<u64>().ok()?))
                };
                lines.map_while(Result::ok).filter_map(told).collect::<Vec<_>>()
            })
        })
        .collect();
    let database = Database::open(&url).await.unwrap();
    let count = async || database.audit_records(&AuditFilter::default(), 1).await.unwrap().first().map_or(0, |r| r.seq);
    eventually("all write", || async { (count().await > 100).then_some(()) }).await;
    let (begun, before) = (Instant::now(), count().await);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let rate = (count().await - before) as f64 / begun.elapsed().as_secs_f64();
    for writer in &mut writers[..2] {
        writer.kill().unwrap();
    }
    let killed_at = count().await;
    eventually("the others go on", || async { (count().await > killed_at + 100).then_some(()) }).await;
    for mut writer in writers {
        let _ = writer.kill();
        writer.wait().unwrap();
    }
    let (said, mut micros): (BTreeSet<String>, Vec<u64>) =
        said.into_iter().flat_map(|reading| reading.join().unwrap()).unzip();
    micros.sort_unstable();
    let p99_ms = micros[micros.len() * 99 / 100] as f64 / 1_000.0;
    let whole = verify(&database, &[]).await.unwrap().unwrap();
    let records = database.audit_after(0, i64::MAX).await.unwrap();
    let written: BTreeSet<String> = records.into_iter().filter_map(|record| record.target).collect();
    let missing: Vec<_> = said.difference(&written).collect();
    println!(
        "{rate:.0} records a second from four processes, p99 {p99_ms} ms; {} records, {} acknowledged",
        whole.records,
        said.len()
    );
    assert!(missing.is_empty() && said.len() > 200, "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_copied_by_the_command_into_an_empty_one_and_back() {
    let first = Monitor::start(&[]);
    first.until_ready().await;
    let (file, postgres) = (first.database_url(), Postgres::shared().empty_database().await.url);
    let copy = |from: &str, to: &str| first.command(&["database", "copy", "--from", from, "--to", to]);
    let busy = copy(&file, &postgres);
    assert!(String::from_utf8_lossy(&busy.stderr).contains("is in use by another server"), "{busy:?}");
    let mut first = first;
    first.signal("-TERM");
    assert!(first.end().await.success());

    let copy = |from: &str, to: &str| first.command(&["database", "copy", "--from", from, "--to", to]);
    let there = copy(&file, &postgres);
    let said = String::from_utf8_lossy(&there.stdout).into_owned();
    assert!(
        there.status.success() && said.contains("1  accounts") && said.contains("audit log is intact"),
        "{there:?}"
    );
    let again = copy(&file, &postgres);
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty: there are rows in accounts"), "{again:?}");
    let back = copy(&postgres, &format!("sqlite://{}/back.db", first.folder.path().display()));
    assert!(back.status.success() && String::from_utf8_lossy(&back.stdout) == said, "{back:?}");

    // It goes on where it was.
    let second = Monitor::start(&[("DATABASE_URL", postgres.as_str())]);
    second.until_ready().await;
    second.admin().await;
    let proved = second.command(&["audit", "verify"]);
    assert!(proved.status.success(), "{proved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_watch_what_tickstock_collects_one_writes_history_and_the_other_follows_when_it_is_killed() {
    let (redis, database) = (RedisServer::start().await, Postgres::shared().empty_database().await);
    let start = |name: &str| {
        Monitor::start(&[
            ("SERVER_NAME", name),
            ("DATABASE_URL", &database.url),
            ("MARKET_FEED", "redis"),
            ("REDIS_URL", &redis.url),
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
        ])
    };
    let published = Arc::new(AtomicU64::new(0));
    let (count, url) = (Arc::clone(&published), redis.url.clone());
    let publishing = tokio::spawn(async move {
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        loop {
            let tick = r#"{"type":"market_tick","symbol":"AAPL","price":178.23,"volume":10}"#;
            let publish = redis::cmd("PUBLISH").arg("tickstock:market:ticks").arg(tick).to_owned();
            publish.query_async::<i64>(&mut connection).await.unwrap();
            count.fetch_add(1, Relaxed);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut first = start("a:1");
    first.until_ready().await;
    let second = start("b:2");
    second.until_ready().await;
    let known = Database::open(&database.url).await.unwrap();
    let written = async || {
        let all = UnixMillis(0)..UnixMillis(i64::MAX);
        let samples = known.history_samples(1, all, None, None, 10_000).await.unwrap();
        samples.iter().map(|sample| sample.ticks).sum::<u64>()
    };
    let writes_on = async |what: &str| {
        let before = written().await;
        eventually(what, || async { (written().await > before + 50).then_some(()) }).await;
    };
    writes_on("one of them writes").await;
    assert!(written().await <= published.load(Relaxed), "and no tick is counted twice");
    // Whoever was there first.
    assert_eq!(known.history_past(None).await.unwrap().last_run.unwrap().server, "a:1");
    first.kill();
    writes_on("the other one follows").await;
    assert_eq!(known.history_past(None).await.unwrap().last_run.unwrap().server, "b:2");
    first.start_again();
    first.until_ready().await;
    writes_on("and goes on when the first one is back").await;
    assert_eq!(known.history_past(None).await.unwrap().last_run.unwrap().server, "b:2");
    assert!(written().await <= published.load(Relaxed), "no tick is counted twice");
    publishing.abort();
}
