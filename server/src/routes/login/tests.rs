use crate::auth::{
    Role,
    testing::{self, Browser, PASSWORD, account, location, text},
};
use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header::SET_COOKIE},
};

fn set_cookie(answer: &Response<Body>) -> &str {
    answer.headers()[SET_COOKIE].to_str().unwrap()
}

#[tokio::test]
async fn the_right_password_leads_to_the_dashboard_with_a_guarded_cookie() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::new(&database);
    let answer = browser.sign_in("Ann@X", PASSWORD).await;
    assert_eq!(location(&answer), "/admin/websockets");
    let cookie = set_cookie(&answer);
    let (pair, flags) = cookie.split_once("; ").unwrap();
    assert!(
        pair.starts_with("tickstock_session_3000=") && pair.len() == "tickstock_session_3000=".len() + 22,
        "{cookie}"
    );
    assert_eq!(flags, "HttpOnly; SameSite=Strict; Path=/; Max-Age=43200");
    assert_eq!(text(browser.get("/admin/websockets").await).await, "ann@x admin");

    browser.site = testing::site(&database, true);
    let answer = browser.sign_in("ann@x", PASSWORD).await;
    let cookie = set_cookie(&answer);
    assert!(cookie.starts_with("__Host-tickstock_session_3000=") && cookie.contains("; Secure; Path=/;"), "{cookie}");
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000; includeSubDomains");
}

#[tokio::test]
async fn wrong_password_unknown_and_disabled_account_are_one_answer() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    account(&database, "off@x", Role::Admin).await;
    testing::set_disabled(&database, &"off@x".parse().unwrap(), true).await;
    let mut browser = Browser::new(&database);
    for (email, password) in [
        ("ann@x", "wrong"),
        ("bob@x", PASSWORD),
        ("bob@example.com", PASSWORD),
        ("off@x", PASSWORD),
        ("", ""),
        ("rubbish", PASSWORD),
        ("P@ssw0rd!x", PASSWORD),
    ] {
        let answer = browser.sign_in(email, password).await;
        assert_eq!(location(&answer), "/login?error=credentials", "{email}");
        // No session, and the email alone is kept, whether there is such an account or not; no password in its place.
        let kept = answer.headers().get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap().to_owned());
        let flags = "HttpOnly; SameSite=Strict; Path=/login; Max-Age=60";
        let expected = email.ends_with(".com").then(|| format!("tickstock_email={email}; {flags}"));
        assert_eq!(kept, expected, "{email}");
        assert!(!text(answer).await.contains(PASSWORD));
    }
}

#[tokio::test]
async fn a_sign_in_leads_back_to_the_page_that_was_asked_for() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::new(&database);
    let led = browser.get("/admin/websockets?paused=1&c2=tape").await;
    let there = location(&led);
    assert_eq!(there, "/login?next=%2Fadmin%2Fwebsockets%3Fpaused%3D1%26c2%3Dtape");
    let next = there.split_once("next=").unwrap().1;
    let form = |password: &str| format!("email=ann%40x&password={}&next={next}", password.replace(' ', "+"));
    let refused = browser.post("/login", &form("wrong")).await;
    assert_eq!(location(&refused), format!("/login?error=credentials&next={next}"), "a wrong password forgets nothing");
    let answer = browser.post("/login", &form(PASSWORD)).await;
    assert_eq!(location(&answer), "/admin/websockets?paused=1&c2=tape");
}

#[tokio::test]
async fn a_link_from_elsewhere_is_asked_for_again_by_our_own_page_which_brings_the_cookie() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let link = |headers: &[(&str, &str)]| {
        let request =
            Request::get("/admin/websockets?c2=tape").header("host", "h").header("sec-fetch-mode", "navigate");
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .body(Body::empty())
            .unwrap()
    };
    // The browser leaves a strict cookie out of what another site began.
    let mut browser = Browser::new(&database);
    let answer = browser.send(link(&[("sec-fetch-site", "cross-site"), ("referer", "https://chat.example/")])).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["refresh"], "0; url=/admin/websockets?c2=tape");
    assert!(!text(answer).await.contains("c2=tape"), "nothing of the request is in the page");
    // Once only: if the browser still calls it another site's, there is no session.
    let answer =
        browser.send(link(&[("sec-fetch-site", "cross-site"), ("referer", "http://h/admin/websockets")])).await;
    assert_eq!(location(&answer), "/login?next=%2Fadmin%2Fwebsockets%3Fc2%3Dtape");
    let answer = browser.send(link(&[("sec-fetch-site", "same-origin")])).await;
    assert_eq!(location(&answer), "/login?next=%2Fadmin%2Fwebsockets%3Fc2%3Dtape");
    let mut ann = Browser::signed_in(&database, "ann@x").await;
    assert_eq!(ann.send(link(&[("sec-fetch-site", "cross-site")])).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_but_a_page_of_ours_is_led_back_to() {
    for address in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/admin/\\evil.example",
        "javascript:alert(1)",
        "",
        "/",
        "/login",
        "/logout",
        "/api/admin/audit",
        "/admin",
        "admin/websockets",
        " /admin/websockets",
        "/admin/web sockets",
        "/admin/\r\nx: y",
        "/admin/\u{2028}",
        "/pkg/app.js",
        &format!("/admin/{}", "x".repeat(3000)),
    ] {
        assert_eq!(super::destination(Some(address)), super::DASHBOARD, "{address}");
    }
    for address in ["/admin/metrics?range=6h&connection=2", "/admin/audit", "/admin/websockets?next=//evil.example"] {
        assert_eq!(super::destination(Some(address)), address);
    }
}

#[tokio::test]
async fn the_form_cannot_lead_elsewhere() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::new(&database);
    let form = format!("email=ann%40x&password={}&next=https%3A%2F%2Fevil.example", PASSWORD.replace(' ', "+"));
    let answer = browser.post("/login?next=//evil.example&redirect=https://evil.example", &form).await;
    assert_eq!(location(&answer), "/admin/websockets");
    assert_eq!(location(&browser.post("/logout?next=//evil.example", "").await), "/login");
    assert_eq!(location(&browser.get("/?next=//evil.example").await), "/admin/websockets");
}

#[tokio::test]
async fn a_form_that_is_none_or_too_big_is_refused_without_repeating_it() {
    let (_folder, database) = testing::database().await;
    let mut browser = Browser::new(&database);
    for (form, status) in [
        ("password=hunter2hunter2".to_owned(), StatusCode::BAD_REQUEST),
        ("%%%=hunter2hunter2".to_owned(), StatusCode::BAD_REQUEST),
        (format!("email=a%40x&password=hunter2hunter2{}", "x".repeat(9000)), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let answer = browser.post("/login", &form).await;
        assert_eq!(answer.status(), status);
        let text = text(answer).await;
        assert!(text.contains("fields email and password") && !text.contains("hunter2"), "{text}");
    }
    let json = Request::post("/login")
        .header("host", "h")
        .header("content-type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(browser.send(json).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn the_session_id_changes_at_every_sign_in_and_the_old_one_is_worthless() {
    let (_folder, database) = testing::database().await;
    account(&database, "mallory@x", Role::User).await;
    account(&database, "ann@x", Role::Admin).await;

    // An id that the server never gave.
    let mut browser = Browser::new(&database);
    let planted = "tickstock_session_3000=AAAAAAAAAAAAAAAAAAAAAA".to_owned();
    browser.cookie = Some(planted.clone());
    browser.sign_in("ann@x", PASSWORD).await;
    assert_ne!(browser.cookie.as_ref(), Some(&planted));

    // A live session of another account, planted into the administrator's browser.
    let mut mallory = Browser::signed_in(&database, "mallory@x").await;
    let mut ann = Browser::new(&database);
    ann.cookie.clone_from(&mallory.cookie);
    ann.sign_in("ann@x", PASSWORD).await;
    assert_ne!(ann.cookie, mallory.cookie);
    assert_eq!(ann.api_status().await, StatusCode::OK);
    assert_eq!(mallory.api_status().await, StatusCode::UNAUTHORIZED);

    // One's own.
    let mut before = Browser { site: ann.site.clone(), cookie: ann.cookie.clone() };
    ann.sign_in("ann@x", PASSWORD).await;
    assert_ne!(ann.cookie, before.cookie);
    assert_eq!(before.api_status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn signing_out_deletes_the_session_on_the_server() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::signed_in(&database, "ann@x").await;
    let mut thief = Browser { site: browser.site.clone(), cookie: browser.cookie.clone() };
    assert_eq!(thief.api_status().await, StatusCode::OK);

    let answer = browser.post("/logout", "").await;
    assert_eq!(location(&answer), "/login");
    assert!(set_cookie(&answer).contains("Max-Age=0") && set_cookie(&answer).contains("Path=/"));
    assert_eq!(browser.cookie, None);
    assert_eq!(thief.api_status().await, StatusCode::UNAUTHORIZED);
    assert_eq!(location(&browser.post("/logout", "").await), "/login", "again, signed in or not");
}

#[tokio::test]
async fn of_several_cookies_the_living_one_counts_and_a_strangers_is_left_alone() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut ann = Browser::signed_in(&database, "ann@x").await;
    let living = ann.cookie.clone().unwrap();
    let dead = "tickstock_session_3000=AAAAAAAAAAAAAAAAAAAAAA";
    // Of another monitor on this host, on another port.
    let neighbour = "tickstock_session_3001=BBBBBBBBBBBBBBBBBBBBBB";
    for cookies in [
        format!("{dead}; {living}"),
        format!("{living}; {dead}"),
        format!("{neighbour}; {dead}; theme=dark; {living}; tickstock_session_3000="),
    ] {
        ann.cookie = Some(cookies.clone());
        assert_eq!(ann.api_status().await, StatusCode::OK, "{cookies}");
    }
    let mut stranger = Browser::new(&database);
    stranger.cookie = Some(format!("{neighbour}; {dead}"));
    let answer = stranger.get("/admin/websockets").await;
    assert_eq!(location(&answer), "/login");
    assert!(answer.headers().get(SET_COOKIE).is_none(), "no cookie is removed but by signing out");
}
