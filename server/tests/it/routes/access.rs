//! Who gets where.

use crate::util::TestServer;
use reqwest::Method;
use server::auth::Role;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

const API: [&str; 2] = ["/api/admin/websocket-status", "/api/admin/nonesuch"];

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_led_to_sign_in_and_the_api_and_the_socket_answer_401() {
    let server = TestServer::start([]).await;
    let stranger = server.stranger();
    assert_eq!(stranger.redirect("/").await, "/admin/websockets");
    assert_eq!(stranger.redirect("/admin/websockets").await, "/login");
    assert_eq!(stranger.redirect("/admin/websockets/").await, "/login?next=%2Fadmin%2Fwebsockets%2F");
    for path in API {
        let error = stranger.get_json(path, 401).await;
        assert_eq!(error["error"]["code"], "unauthorized", "{path}");
    }
    stranger.post("/api/admin/fn/reliability", "{}", 401).await;
    assert_eq!(stranger.try_socket(None, &server.url("")).await.err(), Some(401));
    assert!(stranger.get("/login", 200).await.contains(r#"action="/login""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_without_the_role_get_403_everywhere() {
    let server = TestServer::start([]).await;
    for role in [Role::User, Role::Moderator] {
        let client = server.sign_in(role).await;
        assert!(client.get("/admin/websockets", 403).await.contains("administrators only"));
        assert_eq!(client.get_json(API[0], 403).await["error"]["code"], "forbidden");
        client.post("/api/admin/fn/reliability", "{}", 403).await;
        assert_eq!(client.try_socket(None, &server.url("")).await.err(), Some(403));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_get_in_and_signing_out_ends_it() {
    let server = TestServer::start([]).await;
    for role in [Role::Admin, Role::Super] {
        let client = server.sign_in(role).await;
        let page = client.get("/admin/websockets", 200).await;
        assert!(page.contains("</body></html>") && page.contains("primary"));
        client.get("/admin/websockets/", 308).await;
        client.status().await;
        for path in ["/api/admin/nonesuch", "/api/admin", "/api/admin/"] {
            assert_eq!(client.get_json(path, 404).await["error"]["code"], "not_found");
        }
        let wrong = client.get_json("/api/admin/config/refresh", 405).await;
        assert_eq!(wrong["error"]["code"], "method_not_allowed");
        let huge = client.post("/api/admin/fn/reliability", &"x".repeat(100_000), 413).await;
        assert!(huge.contains("payload_too_large"), "{huge}");
        client.socket(None).await;
        client.post("/logout", "", 303).await;
        client.get(API[0], 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_origin_opens_no_socket_and_posts_no_form() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    assert_eq!(admin.try_socket(None, "https://evil.example").await.err(), Some(403));
    let cross_site = reqwest::Client::new().post(server.url("/login")).header("origin", "https://evil.example");
    let form = cross_site.header("content-type", "application/x-www-form-urlencoded").body("email=a&password=b");
    assert_eq!(form.send().await.unwrap().status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_dashboard_is_gone_and_ingest_goes_on() {
    let server = TestServer::start([("ADMIN_WEBSOCKET_DASHBOARD_ENABLED", "false")]).await;
    let stranger = server.stranger();
    let admin = server.admin().await;
    for path in [
        "/admin/websockets",
        "/admin/audit",
        "/admin/account",
        "/api/admin/websocket-status",
        "/api/admin/audit",
        "/api/openapi.json",
        "/api/asyncapi.json",
        "/admin-ws",
    ] {
        stranger.get(path, 404).await;
        admin.get(path, 404).await;
    }
    crate::util::eventually("ingest is up", || async {
        let answer = reqwest::get(server.url("/readyz")).await.unwrap();
        answer.status().is_success().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_pages_at_once_all_end() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let pages = (0..20).map(|_| {
        let admin = admin.clone();
        tokio::spawn(async move { admin.get("/admin/websockets", 200).await })
    });
    for page in pages.collect::<Vec<_>>() {
        let page = tokio::time::timeout(crate::util::PATIENCE, page).await.expect("the stream ends").unwrap();
        assert!(page.contains("</body></html>"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_keeps_its_policy_while_files_are_served() {
    let server = TestServer::start([("LEPTOS_SITE_ROOT", concat!(env!("CARGO_MANIFEST_DIR"), "/../public"))]).await;
    let admin = server.admin().await;
    let policy_of = async |path: &str| {
        let answer = admin.http.get(server.url(path)).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
        answer.headers()["content-security-policy"].to_str().unwrap().to_owned()
    };
    let all_pages_are_made = AtomicBool::new(false);
    let pages = async {
        for _ in 0..150 {
            let policy = policy_of("/admin/websockets").await;
            assert!(policy.contains("style-src 'self'"), "a page that no browser would draw: {policy}");
        }
        all_pages_are_made.store(true, Relaxed);
    };
    let files = async || {
        let mut served = 0;
        while !all_pages_are_made.load(Relaxed) {
            let policy = policy_of("/favicon.svg").await;
            assert!(!policy.contains("nonce"), "a file with a page's policy: {policy}");
            served += 1;
        }
        served
    };
    let (_, one, other, third) = tokio::join!(pages, files(), files(), files());
    assert!(one + other + third > 150, "files were served all the while");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_until_they_change_and_names_that_are_none_lead_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.css");
    std::fs::write(&path, "b {}").unwrap();
    let server = TestServer::start([("LEPTOS_SITE_ROOT", folder.path().to_str().unwrap())]).await;
    let http = reqwest::Client::new();
    let first = http.get(server.url("/a.css")).send().await.unwrap();
    let written = first.headers()["last-modified"].clone();
    assert_eq!(
        (&first.headers()["cache-control"], &first.headers()["vary"]),
        (&"no-cache".parse().unwrap(), &"accept-encoding".parse().unwrap())
    );
    assert_eq!(first.text().await.unwrap(), "b {}");
    let again = async || http.get(server.url("/a.css")).header("if-modified-since", &written).send().await.unwrap();
    let same = again().await;
    assert_eq!((same.status().as_u16(), &same.headers()["cache-control"]), (304, &"no-cache".parse().unwrap()));
    assert!(same.bytes().await.unwrap().is_empty());

    let older = std::time::SystemTime::now() - std::time::Duration::from_hours(48);
    std::fs::File::options().append(true).open(&path).unwrap().set_modified(older).unwrap();
    assert_eq!(again().await.status().as_u16(), 200, "an older one that was put back");

    for method in [Method::GET, Method::HEAD] {
        for name in ["x".repeat(300), "%00".into(), "a.css%00".into(), ".".into(), "b.css".into()] {
            let answer = http.request(method.clone(), server.url(&format!("/pkg/{name}"))).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 404, "{method} {name}");
        }
    }
    assert_eq!(http.post(server.url("/a.css")).send().await.unwrap().status().as_u16(), 404);
}
