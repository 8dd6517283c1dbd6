//! Sessions of people from the identity provider: how they end, here and there, and what they may do meanwhile.

use super::{STATUS, get, location, server, signed_in, signs_in};
use crate::util::{Client, IdentityProvider, REFRESH_TOKEN, TestServer, eventually, now_s};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Every session's role is to be taken anew.
async fn make_due(server: &TestServer) {
    const QUERY: &str = "UPDATE oidc_sessions SET checked_at_ms = 0";
    if server.database_url.starts_with("sqlite") {
        let pool = sqlx::SqlitePool::connect(&server.database_url).await.unwrap();
        sqlx::query(QUERY).execute(&pool).await.unwrap();
        pool.close().await;
    } else {
        let pool = sqlx::PgPool::connect(&server.database_url).await.unwrap();
        sqlx::query(QUERY).execute(&pool).await.unwrap();
        pool.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_role_there_loses_it_here_and_a_silent_provider_ends_nothing() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let good = provider.script().clone();

    provider.script().is_up = false;
    let client = server.stranger();
    assert_eq!(client.redirect("/login/oidc").await, "/login?error=provider");
    assert!(client.get("/login?error=provider", 200).await.contains("does not answer"));
    provider.script().is_up = true;
    let ann = signed_in(&server).await;
    let mut socket = ann.socket(None).await;
    provider.script().is_up = false;
    make_due(&server).await;
    // It was asked, and will be once more in a minute.
    eventually("the provider was asked", || async { (!is_due(&server).await).then_some(()) }).await;
    ann.get(STATUS, 200).await;
    socket.event_named("tick_update").await;
    server.admin().await;

    provider.script().is_up = true;
    provider.script().id_token["groups"] = json!(["desk"]);
    make_due(&server).await;
    assert_eq!(socket.close_code().await, 4003);
    ann.get(STATUS, 403).await;
    provider.script().id_token["groups"] = json!(["ops"]);
    make_due(&server).await;
    eventually("the role is back", || async { (get(&ann, STATUS).await.status() == 200).then_some(()) }).await;

    // No groups at all; and a session of which the provider knows no more.
    for (what, is_refreshed) in [("groups", true), ("session", false)] {
        *provider.script() = good.clone();
        let ann = signed_in(&server).await;
        let mut socket = ann.socket(None).await;
        socket.event_named("connection_status_update").await;
        {
            let mut script = provider.script();
            script.refreshes = is_refreshed;
            script.id_token["groups"] = Value::Null;
        }
        make_due(&server).await;
        assert_eq!(socket.close_code().await, 4001, "{what}");
        ann.get(STATUS, 401).await;
    }

    // Without a token to ask with: by what the provider says of whoever holds the other one.
    *provider.script() = good;
    provider.script().refreshes = false;
    provider.script().user_info = json!({"groups": ["ops"]});
    let ann = signed_in(&server).await;
    make_due(&server).await;
    eventually("the provider was asked", || async { (!is_due(&server).await).then_some(()) }).await;
    ann.get(STATUS, 200).await;
    provider.script().user_info = Value::Null;
    make_due(&server).await;
    eventually("the session is over", || async { (get(&ann, STATUS).await.status() == 401).then_some(()) }).await;
}

async fn is_due(server: &TestServer) -> bool {
    const QUERY: &str = "SELECT COUNT(*) FROM oidc_sessions WHERE checked_at_ms = 0";
    let count: i64 = if server.database_url.starts_with("sqlite") {
        let pool = sqlx::SqlitePool::connect(&server.database_url).await.unwrap();
        sqlx::query_scalar(QUERY).fetch_one(&pool).await.unwrap()
    } else {
        let pool = sqlx::PgPool::connect(&server.database_url).await.unwrap();
        sqlx::query_scalar(QUERY).fetch_one(&pool).await.unwrap()
    };
    count > 0
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_out_at_the_provider_is_out_here_within_a_second() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let ann = signed_in(&server).await;
    let mut socket = ann.socket(None).await;
    socket.event_named("connection_status_update").await;
    let tell = async |token: &str| {
        let answer = server.stranger().form("/login/oidc/logout", &format!("logout_token={token}"), &[]).await;
        answer.status().as_u16()
    };
    for (algorithm, changes) in [
        ("ES256", json!({"sub": "ann-1", "nonce": "x"})),
        ("ES256", json!({"sub": "ann-1", "events": {}})),
        ("ES256", json!({"sub": "ann-1", "aud": "another"})),
        ("ES256", json!({"sub": "ann-1", "iss": "https://evil.example"})),
        ("ES256", json!({"sub": "ann-1", "iat": now_s() - 3_600})),
        ("ES256", json!({"sub": "ann-1", "iat": now_s() + 3_600})),
        ("ES256", json!({"sub": "ann-1", "exp": now_s() - 120})),
        ("ES256", json!({})),
        ("none", json!({"sub": "ann-1"})),
        ("HS256", json!({"sub": "ann-1"})),
        ("other key", json!({"sub": "ann-1"})),
    ] {
        provider.script().algorithm = algorithm;
        assert_eq!(tell(&provider.logout_token(changes.clone())).await, 400, "{algorithm} {changes}");
    }
    provider.script().algorithm = "ES256";
    assert_eq!(tell("a.b").await, 400);
    // Right, and somebody else's; right, and older than the session.
    assert_eq!(tell(&provider.logout_token(json!({"sub": "bob"}))).await, 200);
    let old = provider.logout_token(json!({"sub": "ann-1", "iat": now_s() - 30}));
    assert_eq!(tell(&old).await, 200);
    ann.get(STATUS, 200).await;

    let since = Instant::now();
    assert_eq!(tell(&provider.logout_token(json!({"sub": "ann-1", "sid": "session-1"}))).await, 200);
    assert_eq!(socket.close_code().await, 4001);
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    ann.get(STATUS, 401).await;
    assert_eq!(ann.redirect("/admin/websockets").await, "/login");

    // By the session's name alone.
    let ann = signed_in(&server).await;
    assert_eq!(tell(&provider.logout_token(json!({"sid": "session-1"}))).await, 200);
    ann.get(STATUS, 401).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_here_signs_out_there() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let ann = signed_in(&server).await;
    let answer = ann.form("/logout", "", &[]).await;
    let refresh = answer.headers()["refresh"].to_str().unwrap().to_owned();
    assert!(
        refresh.starts_with(&format!("0; url={}/end?client_id=monitor&post_logout_redirect_uri=http", provider.url())),
        "{refresh}"
    );
    assert!(refresh.contains("%2Flogin&id_token_hint=ey") && !refresh.contains(REFRESH_TOKEN), "{refresh}");
    ann.get(STATUS, 401).await;
    // Local accounts, and a provider that is away, change nothing about signing out.
    let admin = server.admin().await;
    assert_eq!(location(&admin.form("/logout", "", &[]).await), "/login");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_a_session_takes_a_fresh_sign_in() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let mut ann = signed_in(&server).await;
    let page = ann.get("/admin/account", 200).await;
    assert!(page.contains("sign-in-again") && !page.contains(r#"type="password""#), "{page}");
    assert!(!ann.get("/admin/account/screens", 200).await.contains(r#"type="password""#));
    let make = async |ann: &Client| ann.form("/admin/account/tokens", "name=nightly&scope=read&days=1", &[]).await;
    assert_eq!(location(&make(&ann).await), "/admin/account?error=fresh", "the provider did not say when");

    // Asked to sign in anew, the provider has to say that somebody did.
    const FRESH: &str = "/login/oidc?fresh=1&next=%2Fadmin%2Faccount";
    let there = ann.redirect(FRESH).await;
    assert!(there.contains("prompt=login") && there.contains("max_age=0"), "{there}");
    for at in [Value::Null, json!(now_s() - 3_600)] {
        provider.script().id_token["auth_time"] = at;
        assert_eq!(location(&signs_in(&mut ann, FRESH).await), "/login?error=oidc");
    }
    provider.script().id_token["auth_time"] = json!(now_s());
    let before = ann.cookie.clone().unwrap();
    let answer = signs_in(&mut ann, FRESH).await;
    assert_eq!(answer.headers()["refresh"], "0; url=/admin/account");
    let made = make(&ann).await;
    assert_eq!(made.status().as_u16(), 200);
    assert!(made.text().await.unwrap().contains("tsm_"));
    let old = reqwest::Client::new().get(server.url(STATUS)).header("cookie", before).send().await.unwrap();
    assert_eq!(old.status().as_u16(), 401, "the new session takes the place of the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_ask_the_provider_so_often_and_no_more() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let mut statuses = Vec::new();
    let stranger = server.stranger();
    for _ in 0..120 {
        statuses.push(get(&stranger, "/login/oidc").await.status().as_u16());
    }
    assert!(statuses.starts_with(&[303]) && statuses.ends_with(&[429]), "{statuses:?}");
    server.admin().await;
}
