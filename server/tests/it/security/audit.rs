//! The audit log over HTTP: what is on record, who reads it, and what happens when it cannot be written.

use crate::util::{PASSWORD, TestServer, email_of, eventually};
use app::model::audit::AuditRecord;
use serde_json::Value;
use server::{
    audit::verify,
    auth::Role,
    database::{AuditFilter, Database},
};

/// `actor action target outcome`, oldest first.
async fn log(database: &Database) -> Vec<String> {
    let records = database.audit_records(&AuditFilter::default(), 1_000).await.unwrap();
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let line = |record: &AuditRecord| {
        [text(&record.actor), record.action.clone(), text(&record.target), record.outcome.clone()].join(" ")
    };
    records.iter().rev().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_administrator_does_and_what_is_refused_is_on_record() {
    let mut server = TestServer::start([]).await;
    let stranger = server.stranger();
    stranger.redirect("/admin/websockets").await;
    stranger.get("/api/admin/websocket-status", 401).await;
    assert_eq!(stranger.try_socket(None, &server.url("")).await.err(), Some(401));
    stranger.try_sign_in("admin@example.com", "not the password", &[]).await;
    stranger.try_sign_in("hunter2hunter2", "oops, the wrong field", &[]).await;
    stranger.form("/login", "email=a&password=b", &[("origin", "https://evil.example")]).await;
    let user = server.sign_in(Role::User).await;
    user.get("/admin/websockets", 403).await;
    let admin = server.admin().await;
    admin.get("/admin/websockets", 200).await;
    admin.status().await;
    admin.status().await;
    let socket = admin.socket(None).await;
    admin.get("/api/admin/nonesuch", 404).await;
    drop(socket);
    admin.form("/logout", "", &[]).await;

    let log = log(&server.database).await;
    // What was typed into the wrong field is a hash, which nobody can tell here.
    let typed = log[4].strip_prefix("- sign_in unknown #").expect(&log[4]);
    assert_eq!(typed.len(), "0123456789ab refused".len(), "{typed}");
    let log = log.iter().map(|line| line.replace(&typed[..12], "HASH")).collect::<Vec<_>>();
    assert_eq!(
        log,
        [
            "- page_view GET /admin/websockets refused",
            "- api_call GET /api/admin/websocket-status refused",
            "- socket_open GET /admin-ws refused",
            "- sign_in admin@example.com refused",
            "- sign_in unknown #HASH refused",
            "- cross_origin POST /login refused",
            "user@example.com sign_in user@example.com ok",
            "user@example.com page_view GET /admin/websockets refused",
            "admin@example.com sign_in admin@example.com ok",
            "admin@example.com page_view GET /admin/websockets ok",
            "admin@example.com api_call GET /api/admin/websocket-status ok",
            "admin@example.com socket_open GET /admin-ws ok",
            "admin@example.com api_call GET /api/admin/{*rest} ok",
            "admin@example.com api_call GET /api/admin/{*rest} failed",
            "admin@example.com sign_out - ok",
        ]
    );
    let records = server.database.audit_records(&AuditFilter::default(), 1).await.unwrap();
    assert_eq!(records[0].role.as_deref(), Some("admin"));
    assert_eq!(records[0].address.as_deref(), Some("127.0.0.1"));

    // The second call of the API within the minute is written with its count when the server ends.
    server.stop().await;
    let other = server.other_process().await;
    let records = other.audit_records(&AuditFilter::default(), 1_000).await.unwrap();
    assert_eq!((records[0].action.as_str(), records[0].occurrences), ("api_call", 1));
    assert_eq!(verify(&other, &[]).await.unwrap().unwrap().records, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_filters_pages_and_exports() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    for _ in 0..3 {
        server.stranger().try_sign_in("=cmd|calc@x", "wrong", &[("user-agent", "=1+1")]).await;
        server.stranger().try_sign_in("bob@x", "wrong", &[]).await;
    }
    let get = async |query: &str| admin.get_json(&format!("/api/admin/audit?{query}"), 200).await;
    let seqs = |answer: &Value| -> Vec<i64> {
        answer["records"].as_array().unwrap().iter().map(|record| record["seq"].as_i64().unwrap()).collect()
    };
    let refused = get("action=sign_in&outcome=refused&from=-1h").await;
    assert_eq!(refused["records"].as_array().unwrap().len(), 2, "repetitions are counted: {refused}");
    // No account's email: it may be a password.
    assert!(refused["records"][0]["target"].as_str().unwrap().starts_with("unknown #"), "{refused}");
    assert_eq!(refused["records"][0]["address"], "127.0.0.1");
    assert!(refused["records"][0]["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(refused["next_cursor"], Value::Null);
    assert!(seqs(&get("to=-1h").await).is_empty());
    assert!(seqs(&get("address=192.0.2.1").await).is_empty());
    assert!(!seqs(&get("actor=ADMIN@example.com&action=sign_in").await).is_empty());

    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&format!("limit=1&action=sign_in{cursor}")).await;
        paged.extend(seqs(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, seqs(&get("action=sign_in").await));
    assert_eq!(paged.len(), 3);

    let query = "/api/admin/audit?format=csv&action=sign_in&outcome=refused";
    let compressed = admin.http.get(server.url(query)).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert!(compressed.bytes().await.unwrap().len() > 50, "whole, to its end");
    let csv = admin.get(query, 200).await;
    let lines: Vec<_> = csv.lines().collect();
    assert!(lines[0].starts_with("seq,at,actor,role,address,user_agent,action"), "{csv}");
    assert_eq!(lines.len(), 3, "{csv}");
    assert!(lines[2].contains("\"'=1+1\"") && !csv.contains("=cmd|calc@x"), "no formula: {csv}");
    let exports = get("action=export&limit=77").await;
    let reasons: Vec<_> = exports["records"].as_array().unwrap().iter().map(|record| &record["reason"]).collect();
    assert_eq!(reasons[..2], [&"json, at most 77 records", &"csv, at most 10000 records"], "whatever the form");
    assert_eq!((&exports["records"][0]["target"], &exports["records"][0]["outcome"]), (&"audit".into(), &"ok".into()));

    for (query, word) in [
        ("from=yesterday", "from="),
        ("action=reboot", "sign_in"),
        ("outcome=maybe", "refused"),
        ("limit=0", "1000"),
        ("limit=1001", "1000"),
        ("format=xml", "json or csv"),
        ("cursor=x", "next_cursor"),
        ("actr=bob", "actor"),
        ("actor=a&actor=b", "at most once"),
    ] {
        let error = admin.get_json(&format!("/api/admin/audit?{query}"), 400).await;
        assert!(error["error"]["message"].as_str().unwrap().contains(word), "{query}: {error}");
    }
    server.stranger().get("/api/admin/audit", 401).await;
    server.sign_in(Role::Moderator).await.get("/api/admin/audit", 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_log_with_filters_and_without_running_what_strangers_wrote() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let evil = [("user-agent", "<script>alert(1)</script>")];
    server.stranger().try_sign_in("\"><script>@x", "wrong", &evil).await;
    let page = admin.get("/admin/audit", 200).await;
    assert!(page.contains("sign_in") && page.contains("admin@example.com") && page.contains("</html>"), "{page}");
    assert!(!page.contains("<script>alert") && !page.contains("\"><script>@x"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    assert!(!page.contains(".wasm"), "a table needs no program");

    let refused = admin.get("/admin/audit?outcome=refused&from=-1h", 200).await;
    assert!(refused.contains("data-outcome=\"refused\"") && !refused.contains("data-outcome=\"ok\""), "{refused}");
    assert!(admin.get("/admin/audit?from=soon", 200).await.contains("expected a time like"));
    assert!(admin.get("/admin/audit?actor=nobody@x", 200).await.contains("No matching records"));
    let attack = admin.get("/admin/audit?actor=%22%3E%3Cscript%3Ealert(2)%3C/script%3E", 200).await;
    assert!(!attack.contains("<script>alert(2)"), "{attack}");
    assert_eq!(server.stranger().redirect("/admin/audit").await, "/login?next=%2Fadmin%2Faudit");
    server.sign_in(Role::User).await.get("/admin/audit", 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_written_lets_nobody_in_and_live_pages_and_ingest_go_on() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.wait_for_state(1, "connected").await;
    let mut socket = admin.socket(None).await;
    let other = server.other_process().await;
    let lock = other.change().await.unwrap();
    let error: Value = serde_json::from_str(&admin.get("/api/admin/nonesuch", 503).await).unwrap();
    assert_eq!(error["error"]["code"], "not_recorded");
    let page = admin.get("/admin/audit", 503).await;
    assert!(page.contains("recorded in the audit log") && page.contains("</html>"), "{page}");
    let sign_in = server.stranger().try_sign_in(&email_of(Role::Super), PASSWORD, &[]).await;
    assert_eq!(sign_in.status().as_u16(), 503);
    assert!(sign_in.headers().get("set-cookie").is_none());
    assert_eq!(admin.try_socket(Some("tickstock.v1.json"), &server.url("")).await.err(), None, "counted this minute");
    eventually("/readyz says which part is not ready", || async {
        let answer = admin.http.get(server.url("/readyz")).send().await.unwrap();
        let ready: Value = answer.json().await.unwrap();
        assert_eq!(ready["ingest"]["ok"], true, "{ready}");
        (ready["database"]["reason"] == "the database cannot be written" && ready["ready"] == false).then_some(())
    })
    .await;
    for _ in 0..50 {
        socket.event_named("tick_update").await;
    }
    drop(lock);
    eventually("the door is open again", || async {
        let answer = admin.http.get(server.url("/api/admin/nonesuch")).send().await.unwrap();
        (answer.status().as_u16() == 404).then_some(())
    })
    .await;
    eventually("all of it is ready again", || async {
        let answer = admin.http.get(server.url("/readyz")).send().await.unwrap();
        answer.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_allowed_and_not_done_does_not_read_as_done() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.get("/api/admin/config/refresh", 405).await;
    admin.post("/api/admin/history/gaps/7/acknowledge", "{}", 400).await;
    admin.get("/api/admin/audit?limit=0", 400).await;
    admin.form("/admin/websockets", "", &[]).await;
    admin.form("/logout", "", &[]).await;
    let failed = AuditFilter { outcome: "failed".parse().ok(), ..AuditFilter::default() };
    let records = server.database.audit_records(&failed, 9).await.unwrap();
    let lines: Vec<_> = records.iter().rev().map(|r| (r.target.as_deref(), r.reason.as_deref())).collect();
    assert_eq!(
        lines,
        [
            (Some("GET /api/admin/config/refresh"), Some("answered 405 Method Not Allowed")),
            (Some("POST /api/admin/history/gaps/{id}/acknowledge"), Some("answered 400 Bad Request")),
            (Some("GET /api/admin/audit"), Some("answered 400 Bad Request")),
            (Some("POST /admin/websockets"), Some("answered 405 Method Not Allowed")),
        ]
    );
}
