//! Sessions and the sockets that live by them.

use crate::util::{TestServer, email_of};
use server::auth::{Role, hash_password};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_closes_the_sockets_of_that_session_and_no_others() {
    let server = TestServer::start([]).await;
    let (leaving, staying) = (server.admin().await, server.admin().await);
    let (mut first, mut second) = (leaving.socket(None).await, leaving.socket(None).await);
    let mut other = staying.socket(None).await;
    leaving.form("/logout", "", &[]).await;
    assert_eq!((first.close_code().await, second.close_code().await), (4001, 4001));
    other.event_named("tick_update").await;
    staying.status().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_command_line_does_to_an_account_reaches_its_sockets_at_once() {
    let server = TestServer::start([]).await;
    let email = email_of(Role::Admin).parse().unwrap();
    let other_process = server.other_process().await;
    // Its first look at the accounts is how they were.
    tokio::time::sleep(Duration::from_millis(1_500)).await;

    for (what, code) in [("role", 4003), ("sign-out", 4001), ("password", 4001), ("disabled", 4001)] {
        let admin = server.admin().await;
        let mut socket = admin.socket(None).await;
        socket.event_named("connection_status_update").await;
        let since = Instant::now();
        let mut change = other_process.change().await.unwrap();
        let known = match what {
            "role" => change.set_role(&email, Role::Moderator).await,
            "sign-out" => change.sign_out(&email).await,
            "password" => {
                let hash = hash_password(crate::util::PASSWORD.into()).await.unwrap();
                change.set_password_hash(&email, &hash).await
            }
            _ => change.set_disabled(&email, true).await,
        };
        assert!(known.unwrap());
        change.commit().await.unwrap();
        assert_eq!(socket.close_code().await, code, "{what}");
        // The look that needs no telling comes every 15 s.
        assert!(since.elapsed() < Duration::from_secs(12), "{what}: {:?}", since.elapsed());
        let status = if what == "role" { 403 } else { 401 };
        admin.get("/api/admin/websocket-status", status).await;
        let mut back = other_process.change().await.unwrap();
        back.set_role(&email, Role::Admin).await.unwrap();
        back.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_cookie_is_worthless_after_signing_out_and_a_planted_one_after_signing_in() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let old = admin.cookie.clone().unwrap();
    admin.form("/logout", "", &[]).await;
    let replay = |cookie: &str| {
        let request = reqwest::Client::new().get(server.url("/api/admin/websocket-status")).header("cookie", cookie);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(replay(&old).await, 401);

    // The attacker's own session, planted in the victim's browser before the victim signs in.
    let attacker = server.sign_in(Role::User).await;
    let planted = attacker.cookie.clone().unwrap();
    let victim = server.stranger();
    let answer =
        victim.try_sign_in(&email_of(Role::Admin), crate::util::PASSWORD, &[("cookie", planted.as_str())]).await;
    let given = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_ne!(given, planted);
    assert_eq!((replay(&planted).await, replay(&given).await), (401, 200));
    let name = old.split_once('=').unwrap().0;
    for invented in ["AAAAAAAAAAAAAAAAAAAAAA", "", "../../x"] {
        assert_eq!(replay(&format!("{name}={invented}")).await, 401, "{invented}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_role_counts_at_the_next_request() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let email = email_of(Role::Admin).parse().unwrap();
    for (role, status) in [(Role::User, 403), (Role::Super, 200), (Role::Moderator, 403)] {
        let mut change = server.database.change().await.unwrap();
        change.set_role(&email, role).await.unwrap();
        change.commit().await.unwrap();
        admin.get("/api/admin/websocket-status", status).await;
        admin.get("/admin/websockets", status).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_database_file_signs_nobody_in() {
    let mut server = TestServer::start([]).await;
    let admin = server.admin().await;
    admin.status().await;
    admin.get("/admin/account", 200).await;
    let id = admin.cookie.as_ref().unwrap().split_once('=').unwrap().1.to_owned();
    let file = server.database_file();
    let look = || {
        let folder = file.parent().unwrap();
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        // SQLite's side files come and go.
        let bytes: Vec<u8> = files.filter_map(|path| std::fs::read(path).ok()).flatten().collect();
        assert!(bytes.windows(b"admin@example.com".len()).any(|window| window == b"admin@example.com"));
        assert!(!bytes.windows(id.len()).any(|window| window == id.as_bytes()), "the id is in the database's files");
        let raw = id.parse::<tower_sessions::session::Id>().unwrap().0;
        for spelling in [raw.to_le_bytes(), raw.to_be_bytes()] {
            assert!(!bytes.windows(16).any(|window| window == spelling), "its bits are in the database's files");
        }
    };
    look();
    // The write-ahead log is folded into the file.
    server.stop().await;
    look();
}
