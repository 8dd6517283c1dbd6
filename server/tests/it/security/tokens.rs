//! API tokens, as a program uses them and as somebody who has found one, or wants one, would try.

use crate::util::{Client, PASSWORD, TestServer, eventually};
use server::{
    audit::Actor,
    auth::{Role, Scope},
    limits::{SOCKETS_PER_TOKEN, TOKEN_CALLS},
};
use std::time::{Duration, Instant};

const STATUS: &str = "/api/admin/websocket-status";

/// The token in a page that shows a new one.
fn token_in(page: &str) -> String {
    let start = page.find("tsm_").expect("a token");
    page[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

fn form(name: &str, scope: &str, days: &str, password: &str) -> String {
    format!("name={name}&scope={scope}&days={days}&current={}", password.replace(' ', "+"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_on_the_page_after_the_password_shown_once_and_used_and_revoked() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let make = async |fields: String| admin.form("/admin/account/tokens", &fields, &[]).await;
    for (fields, to) in [
        (form("report", "read", "30", "wrong password"), "error=current"),
        (form("report", "read", "0", PASSWORD), "error=token"),
        (form("report", "read", "366", PASSWORD), "error=token"),
        (form("report", "admin", "30", PASSWORD), "error=token"),
        (form("a%40b", "read", "30", PASSWORD), "error=token"),
        ("name=report".to_owned(), "error=form"),
    ] {
        let answer = make(fields).await;
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.ends_with(to), "{location} for {to}");
    }
    let answer = make(form("Report", "read", "30", PASSWORD)).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let token = token_in(&answer.text().await.unwrap());
    let taken = make(form("report", "operate", "1", PASSWORD)).await;
    assert!(taken.headers()["location"].to_str().unwrap().ends_with("error=token-name"));

    let program = Client::with_token(server.url(""), &token);
    program.get(STATUS, 200).await;
    let page = admin.get("/admin/account", 200).await;
    assert!(page.contains(">report<") && page.contains("admin@example.com") && !page.contains("tsm_"), "{page}");
    assert!(!page.contains(">never<"), "its use shows");
    let log = eventually("its acts are on record", || async {
        let log = admin.get_json("/api/admin/audit?actor=token:report", 200).await;
        (!log["records"].as_array().unwrap().is_empty()).then_some(log)
    })
    .await;
    assert_eq!(
        (&log["records"][0]["target"], &log["records"][0]["role"]),
        (&"GET /api/admin/websocket-status".into(), &serde_json::Value::Null)
    );

    let revoked = admin.form("/admin/account/tokens/revoke", "name=report", &[]).await;
    assert!(revoked.headers()["location"].to_str().unwrap().ends_with("done=revoked"));
    assert!(program.get(STATUS, 401).await.contains("was revoked"));
    let log = admin.get("/api/admin/audit?from=-5m", 200).await;
    assert!(log.contains("token_add") && log.contains("token_revoke") && !log.contains(&token), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_out_within_a_second_its_sockets_too() {
    let server = TestServer::start([]).await;
    let program = server.program("feed", Scope::Read).await;
    let mut socket = program.socket(None).await;
    program.get(STATUS, 200).await;
    // As the `token` command does it, in another process.
    let other = server.other_process().await;
    let mut change = other.change().await.unwrap();
    assert!(change.revoke_token(&"feed".parse().unwrap()).await.unwrap());
    change.commit().await.unwrap();
    let since = Instant::now();
    program.get(STATUS, 401).await;
    assert_eq!(socket.close_code().await, 4001);
    assert!(since.elapsed() < Duration::from_millis(1_500), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_none_lets_nobody_in_whatever_else_comes_with_it() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let program = server.program("feed", Scope::Read).await;
    let token = program.token.as_deref().unwrap();
    let ask = async |values: &[&str]| {
        let mut request = admin.http.get(server.url(STATUS));
        for value in values {
            request = request.header("authorization", *value);
        }
        request.send().await.unwrap()
    };
    let other = if token.ends_with('x') { "y" } else { "x" };
    let mistyped = [&token[..token.len() - 1], other].concat();
    let unknown = server.stranger();
    for values in
        [&[mistyped.as_str()] as &[&str], &[token, token], &[token, "Basic YTpi"], &["Bearer tsm_"], &["bearer  tsm_x"]]
    {
        let answer = ask(values).await;
        assert_eq!(answer.status().as_u16(), 401, "a session beside it does not help: {values:?}");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer error=\"invalid_token\"");
    }
    // What belongs to a proxy in front is none of ours.
    assert_eq!(ask(&["Basic YTpi"]).await.status().as_u16(), 200);
    assert_eq!(
        ask(&[&token.replace("Bearer", "BEARER")]).await.status().as_u16(),
        200,
        "the scheme is written as one likes"
    );

    // The names of the server and other origins' sockets hold for tokens as for everybody, cookies' rules do not.
    let from_elsewhere = |name: &'static str, value: &'static str| {
        let request = unknown.http.get(server.url(STATUS)).header("authorization", token).header(name, value);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(from_elsewhere("host", "evil.example").await, 421);
    assert_eq!(from_elsewhere("origin", "https://tool.example").await, 200);

    // Guessed at from one network, it is told to wait; who has a token does not notice.
    let bad = Client::with_token(server.url(""), "tsm_nothing");
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(bad.http.get(server.url(STATUS)).send().await.unwrap().status().as_u16());
    }
    assert!(statuses.contains(&401) && statuses.ends_with(&[429]), "{statuses:?}");
    program.get(STATUS, 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_an_address_is_refused_and_told_nobody() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let program = server.program("feed", Scope::Read).await;
    let token = program.token.as_deref().unwrap().strip_prefix("Bearer ").unwrap();
    for address in [
        format!("{STATUS}?token={token}"),
        format!("{STATUS}?access_token=Bearer%20{token}"),
        format!("{STATUS}?{token}"),
        format!("{STATUS}?token={}", token.replace("tsm_", "%74sm%5f")),
        format!("/{token}"),
        format!("/admin/websockets?next={token}"),
        format!("/admin-ws?token={token}"),
        format!("/login?next=/admin/audit?{token}"),
    ] {
        for client in [&server.stranger(), &admin, &program] {
            let error = client.get_json(&address, 400).await;
            assert_eq!(error["error"]["code"], "token_in_address", "{address}");
            assert!(error["error"]["message"].as_str().unwrap().contains("Authorization: Bearer"));
        }
    }
    let log = admin.get("/api/admin/audit?from=-5m&limit=1000", 200).await;
    assert!(!log.contains("tsm_") && log.contains("a token in the address"), "{log}");
    let file = std::fs::read(server.database_file()).unwrap();
    assert!(!file.windows(token.len()).any(|part| part == token.as_bytes()), "the database has a hash alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_limits_of_its_own() {
    let server = TestServer::start([]).await;
    let (program, other) = (server.program("one", Scope::Read).await, server.program("two", Scope::Read).await);
    let admin = server.admin().await;
    let mut refused = None;
    for _ in 0..1_000 {
        let answer = program.http.get(server.url(STATUS)).send().await.unwrap();
        if answer.status().as_u16() == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("too many calls are refused");
    assert!(refused.headers().contains_key("retry-after") && format!("{TOKEN_CALLS:?}").contains("100"));
    other.get(STATUS, 200).await;
    admin.get(STATUS, 200).await;

    let mut sockets = Vec::new();
    for _ in 0..SOCKETS_PER_TOKEN {
        sockets.push(other.socket(None).await);
    }
    assert_eq!(other.try_socket(None, &server.url("")).await.err(), Some(429));
    admin.socket(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_by_itself_and_acts_by_its_name() {
    let server = TestServer::start([]).await;
    let program = server.program("deploy", Scope::Operate).await;
    program.post("/api/admin/config/refresh", "", 200).await;
    let admin = server.sign_in(Role::Super).await;
    let log = admin.get_json("/api/admin/audit?action=config_refresh", 200).await;
    assert_eq!(log["records"][0]["actor"], "token:deploy");

    let (token, hash) = server::auth::generate_token();
    let long_ago = app::model::time::UnixMillis(app::model::time::UnixMillis::now().0 - 86_400_001);
    let new = server::database::NewToken::lasting(1, long_ago, "old".parse().unwrap(), Scope::Read, "x".into(), hash);
    let mut change = server.database.change().await.unwrap();
    change.add_token(&new, &Actor::command_line()).await.unwrap();
    change.commit().await.unwrap();
    let ended = Client::with_token(server.url(""), secrecy::ExposeSecret::expose_secret(&token));
    ended.get(STATUS, 401).await;
    assert_eq!(ended.try_socket(None, &server.url("")).await.err(), Some(401));
    assert!(admin.get("/admin/account", 200).await.contains("(ended)"));
}
