//! A real nginx in front, configured as the guide says, and as it comes.

use crate::util::{Client, Nginx, PASSWORD, TestServer, email_of};
use server::auth::Role;

/// What docs/configuration.md asks of a proxy.
const AS_DOCUMENTED: &str = "proxy_http_version 1.1;
proxy_set_header Host $http_host;
proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $http_connection;";

/// A browser that knows the monitor by the proxy's address alone.
fn browser(nginx: &Nginx) -> Client {
    Client::at(nginx.origin())
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_hands_on_what_it_should_everything_works() {
    let server = TestServer::start([("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let nginx = Nginx::in_front_of(server.address, AS_DOCUMENTED).await;
    let mut browser = browser(&nginx);
    let origin = nginx.origin();
    let answer = browser.try_sign_in(&email_of(Role::Admin), PASSWORD, &[("origin", &origin)]).await;
    assert_eq!(answer.status(), 303);
    browser.keep_cookie(&answer);
    assert!(browser.get("/admin/websockets", 200).await.contains("primary"));
    let mut socket = browser.socket(Some("tickstock.v1.bin")).await;
    socket.frame().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_as_it_comes_the_answer_says_which_setting_is_missing() {
    let server = TestServer::start([]).await;
    let nginx = Nginx::in_front_of(server.address, "").await;
    let mut browser = browser(&nginx);
    let origin = nginx.origin();
    assert!(browser.get("/login", 200).await.contains("Sign in"));
    let answer = browser.try_sign_in(&email_of(Role::Admin), PASSWORD, &[("origin", &origin)]).await;
    assert_eq!(answer.status(), 403);
    let page = answer.text().await.unwrap();
    assert!(page.contains("<h1>") && page.contains("proxy_set_header Host $http_host;"), "{page}");

    // A program is let in, as it names no origin; its socket is told what the proxy keeps to itself.
    let answer = browser.try_sign_in(&email_of(Role::Admin), PASSWORD, &[]).await;
    assert_eq!(answer.status(), 303);
    browser.keep_cookie(&answer);
    let handshake =
        browser.http.get(format!("{origin}/admin-ws")).header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let answer = handshake.header("sec-websocket-version", "13").send().await.unwrap();
    assert_eq!(answer.status(), 426);
    let error = answer.text().await.unwrap();
    assert!(error.contains("proxy_set_header Upgrade $http_upgrade"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secure_cookie_without_tls_is_explained() {
    let server = TestServer::start([("COOKIE_SECURE", "true")]).await;
    let origin = server.url("");
    let answer = server.stranger().try_sign_in(&email_of(Role::Admin), PASSWORD, &[("origin", &origin)]).await;
    assert_eq!(answer.status(), 403);
    let page = answer.text().await.unwrap();
    assert!(page.contains("<h1>") && page.contains("unset <code>COOKIE_SECURE</code>"), "{page}");
}
