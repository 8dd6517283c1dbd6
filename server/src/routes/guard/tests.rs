use crate::auth::{
    Role,
    testing::{self, Browser, PASSWORD, account, location, text},
};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_sign_in_by_pages_and_refused_by_the_api() {
    let (_folder, database) = testing::database().await;
    let mut browser = Browser::new(&database);
    assert_eq!(location(&browser.get("/admin/websockets").await), "/login");
    for path in ["/api/admin/websocket-status", "/admin-ws"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(text(answer).await, r#"{"error":{"code":"unauthorized","message":"sign in first"}}"#);
    }
    assert_eq!(browser.post("/api/admin/config/refresh", "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn only_admin_and_super_reach_page_api_and_socket() {
    let (_folder, database) = testing::database().await;
    for role in Role::ALL {
        let email = format!("{role}@x");
        account(&database, &email, role).await;
        let mut browser = Browser::signed_in(&database, &email).await;
        let expected = if role.is_admin() { StatusCode::OK } else { StatusCode::FORBIDDEN };
        for path in ["/admin/websockets", "/api/admin/websocket-status", "/admin-ws"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status(), expected, "{role} {path}");
            match (role.is_admin(), path) {
                (true, _) => assert_eq!(text(answer).await, format!("{email} {role}")),
                (false, "/admin/websockets") => {
                    let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
                    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
                    let page = text(answer).await;
                    assert!(page.contains(r#"<form method="post" action="/logout">"#), "{page}");
                    assert!(
                        !page.contains("style=") && !page.contains("<style") && !page.contains("<script"),
                        "{page}"
                    );
                }
                (false, _) => assert!(text(answer).await.starts_with(r#"{"error":{"code":"forbidden","#)),
            }
        }
        assert_eq!(browser.post("/api/admin/config/refresh", "").await.status(), expected, "{role}");
    }
}

#[tokio::test]
async fn a_change_of_role_counts_at_the_next_request() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let email = "ann@x".parse().unwrap();
    let mut browser = Browser::signed_in(&database, "ann@x").await;
    testing::set_role(&database, &email, Role::Moderator).await;
    assert_eq!(browser.api_status().await, StatusCode::FORBIDDEN);
    testing::set_role(&database, &email, Role::Super).await;
    assert_eq!(browser.api_status().await, StatusCode::OK);
    testing::set_disabled(&database, &email, true).await;
    assert_eq!(browser.api_status().await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_origin_can_post_nothing_and_open_no_socket() {
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::signed_in(&database, "ann@x").await;
    let socket = |name, value| {
        let request = Request::get("/admin-ws").header("host", "h").header("upgrade", "WebSocket").header(name, value);
        request.body(Body::empty()).unwrap()
    };
    let post = |path: &str, name, value| {
        let form = format!("email=ann%40x&password={}", PASSWORD.replace(' ', "+"));
        let request =
            Request::post(path).header("host", "h").header("content-type", "application/x-www-form-urlencoded");
        request.header(name, value).body(Body::from(form)).unwrap()
    };
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "same-site")] {
        for request in [
            post("/login", name, value),
            post("/logout", name, value),
            post("/api/admin/config/refresh", name, value),
            socket(name, value),
        ] {
            let answer = browser.send(request).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            assert!(answer.headers().get(header::SET_COOKIE).is_none());
            assert!(text(answer).await.to_lowercase().contains("another origin"));
        }
    }
    assert_eq!(browser.send(post("/api/admin/config/refresh", "origin", "http://h")).await.status(), StatusCode::OK);
    assert_eq!(browser.send(socket("origin", "http://h")).await.status(), StatusCode::OK);
    assert_eq!(browser.send(socket("x-no-browser", "1")).await.status(), StatusCode::OK);

    let read = Request::get("/api/admin/websocket-status").header("host", "h").header("sec-fetch-site", "cross-site");
    let answer = browser.send(read.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "no page elsewhere spends what a session may call");
}

#[tokio::test]
async fn every_answer_has_the_security_headers_and_only_files_may_be_stored() {
    let (_folder, database) = testing::database().await;
    let mut browser = Browser::new(&database);
    for (path, may_be_stored) in [
        ("/", false),
        ("/admin/websockets", false),
        ("/api/admin/websocket-status", false),
        ("/no/such/path", false),
        ("/pkg/none.js", false),
        ("/pkg/app.js", true),
        ("/icon.svg", true),
    ] {
        let answer = browser.get(path).await;
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"), "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "{path}: without TLS it would lock people out");
        assert!(headers.contains_key("permissions-policy"), "{path}");
        let stored = headers.get(header::CACHE_CONTROL).is_none_or(|value| value != "no-store");
        assert_eq!(stored, may_be_stored, "{path}");
    }
    let foreign =
        Request::post("/login").header("host", "h").header("origin", "http://evil").body(Body::empty()).unwrap();
    assert_eq!(browser.send(foreign).await.headers()["x-frame-options"], "DENY", "refusals too");
}

#[tokio::test]
async fn a_guarded_route_outside_the_session_layer_lets_nobody_in() {
    use crate::auth::{Admin, Viewer};
    use axum::{Router, middleware, routing::get};
    let (_folder, database) = testing::database().await;
    let access = testing::access(&database, false);
    let routes = || Router::new().route("/x", get(|| async { "secret" }));
    for site in [
        routes().layer(middleware::from_fn_with_state(access.clone(), super::api_for::<Viewer>)),
        routes().layer(middleware::from_fn_with_state(access.clone(), super::api_for::<Admin>)),
        routes().layer(middleware::from_fn_with_state(access.clone(), super::pages_for::<Viewer>)),
    ] {
        let answer = Browser { site, cookie: None }.get("/x").await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn an_act_that_was_put_behind_the_guard_of_viewers_is_done_for_nobody() {
    use crate::auth::{Accounts, Admin, Viewer, with_sessions};
    use axum::{Extension, Router, middleware, routing::post};
    let (_folder, database) = testing::database().await;
    account(&database, "ann@x", Role::Admin).await;
    let mut browser = Browser::signed_in(&database, "ann@x").await;
    let access = testing::access(&database, false);
    let act = |_: Extension<Admin>| async { "done" };
    let routes = Router::new()
        .route("/x", post(act))
        .layer(middleware::from_fn_with_state(access.clone(), super::api_for::<Viewer>));
    let routes = with_sessions(routes, &Accounts::new(database.clone()), access.sessions);
    browser.site = super::around(routes, &access);
    assert_eq!(browser.post("/x", "").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
