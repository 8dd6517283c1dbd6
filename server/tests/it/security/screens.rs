//! Screens on walls: paired, and what somebody who stands before one, or asks to be taken for one, can try.

use crate::util::{Client, PASSWORD, TestServer};
use server::auth::Role;

const SCREENS: &str = "/admin/account/screens";
const STATUS: &str = "/api/admin/websocket-status";

/// The code on a screen.
async fn code_on(screen: &Client) -> String {
    let page = screen.get("/screen", 200).await;
    page.split(r#"data-testid="code">"#).nth(1).unwrap().split('<').next().unwrap().to_owned()
}

fn pairing(code: &str, name: &str, password: &str) -> String {
    format!("code={code}&name={name}&days=30&current={}", password.replace(' ', "+"))
}

async fn pair(by: &Client, fields: &str, to: &str) {
    let answer = by.form(SCREENS, fields, &[]).await;
    assert!(
        answer.headers()["location"].to_str().unwrap().ends_with(to),
        "{:?} for {to}",
        answer.headers()["location"]
    );
}

/// The screen goes on by itself once it is paired; it has a new cookie then.
async fn go_on(screen: &mut Client) {
    let answer = screen.http.get(format!("{}/screen", screen.base)).send().await.unwrap();
    assert_eq!(answer.headers()["location"], "/admin/websockets");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && cookie.contains("Max-Age=2591"), "30 days: {cookie}");
    screen.keep_cookie(&answer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_screen_that_was_paired_looks_and_does_nothing_else_until_it_is_ended() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let mut screen = server.stranger();
    let code = code_on(&screen).await;
    assert_eq!(code_on(&screen).await, code, "the same while it waits");
    screen.get(STATUS, 401).await;
    let page = admin.get(&format!("{SCREENS}?code={code}"), 200).await;
    assert!(page.contains(&format!("value=\"{code}\"")) && page.contains("asks from 127.0.0.1"), "{page}");
    pair(&admin, &pairing(&code.to_lowercase(), "Lobby", PASSWORD), "done=paired").await;
    pair(&admin, &pairing(&code, "other", PASSWORD), "error=code-unknown").await;
    go_on(&mut screen).await;

    let page = screen.get("/admin/websockets", 200).await;
    assert!(page.contains("screen:lobby") && !page.contains(r#"data-testid="refresh""#), "{page}");
    screen.get("/admin/metrics", 200).await;
    screen.get(STATUS, 200).await;
    for path in ["/admin/audit", "/admin/account", "/api/admin/audit", SCREENS, "/admin/account/second-factor"] {
        screen.get(path, 403).await;
    }
    for path in ["/api/admin/config/refresh", "/api/admin/connections/1/retry", "/api/admin/history/gaps/1/notes"] {
        assert!(screen.post(path, "{}", 403).await.contains("read_only"), "{path}");
    }
    screen.post("/api/admin/fn/acknowledge_gap", "id=1&note=x", 403).await;

    // Another browser with the cookie alone: what a restart leaves.
    let cookie = screen.cookie.clone().unwrap();
    let restarted = reqwest::Client::new().get(server.url(STATUS)).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(restarted.status().as_u16(), 200);
    let mut socket = screen.socket(None).await;

    let page = admin.get(SCREENS, 200).await;
    let id = page.split(r#"name="id" value=""#).nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(page.contains(">lobby<"), "{page}");
    let ended = admin.form("/admin/account/screens/end", &format!("id={id}"), &[]).await;
    assert!(ended.headers()["location"].to_str().unwrap().ends_with("done=ended"));
    assert_eq!(socket.close_code().await, 4001);
    screen.get(STATUS, 401).await;
    let log = admin.get("/api/admin/audit?from=-5m", 200).await;
    let secret = cookie.split_once('=').unwrap().1;
    assert!(log.contains("screen_pair") && log.contains("screen_end") && log.contains("screen:lobby"), "{log}");
    assert!(!log.contains(secret) && !log.contains(&code), "{log}");
    let file = std::fs::read(server.database_file()).unwrap();
    assert!(!file.windows(secret.len()).any(|part| part == secret.as_bytes()), "the database has a hash alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_paired_who_should_not_be() {
    let server = TestServer::start([("VIEWER_ROLE", "moderator")]).await;
    let (admin, viewer) = (server.admin().await, server.sign_in(Role::Moderator).await);
    let mut screen = server.stranger();
    let code = code_on(&screen).await;
    // A viewer, another site's page, a stolen session without the password, and a guess.
    assert_eq!(viewer.form(SCREENS, &pairing(&code, "lobby", PASSWORD), &[]).await.status().as_u16(), 403);
    let elsewhere =
        admin.form(SCREENS, &pairing(&code, "lobby", PASSWORD), &[("origin", "https://evil.example")]).await;
    assert_eq!(elsewhere.status().as_u16(), 403);
    pair(&admin, &pairing(&code, "lobby", "wrong password"), "error=current").await;
    pair(&admin, &pairing(&code, "a<b>", PASSWORD), "error=name").await;
    pair(&admin, &pairing("AAAA-AAAA", "lobby", PASSWORD), "error=code-unknown").await;
    screen.get(STATUS, 401).await;

    // Who saw or planted the screen's first cookie has nothing of it once the screen has gone on.
    let answer = server.stranger().http.get(server.url("/screen")).send().await.unwrap();
    let planted = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let text = answer.text().await.unwrap();
    let other = text.split(r#"data-testid="code">"#).nth(1).unwrap().split('<').next().unwrap();
    assert_ne!(other, code);
    pair(&admin, &pairing(&code, "lobby", PASSWORD), "done=paired").await;
    let ask = async |cookie: &str| {
        let asked = reqwest::Client::new().get(server.url(STATUS)).header("cookie", cookie);
        asked.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask(&planted).await, 401, "it waits still");
    go_on(&mut screen).await;
    let first = screen.cookie.clone().unwrap();
    go_on(&mut screen).await;
    assert_eq!((ask(&first).await, ask(screen.cookie.as_deref().unwrap()).await), (401, 200));

    // Guessing is limited, and so is asking for codes.
    let mut statuses = Vec::new();
    for n in 0..12 {
        let code = format!("AAAA-{}", ["BBBB", "CCCC", "DDDD"][n % 3]);
        statuses.push(admin.form(SCREENS, &pairing(&code, "lobby", PASSWORD), &[]).await.status().as_u16());
    }
    assert!(statuses.ends_with(&[429]), "{statuses:?}");
    let mut codes = Vec::new();
    for _ in 0..15 {
        codes.push(reqwest::get(server.url("/screen")).await.unwrap().status().as_u16());
    }
    assert!(codes.ends_with(&[429]), "{codes:?}");
}
