//! Every route with everybody who may ask for it: who may only look changes nothing.

use crate::util::{Client, TestServer, email_of};
use reqwest::Method;
use server::auth::{Role, Scope};
use std::{collections::BTreeSet, path::Path};

/// What a route needs of who calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// To see the dashboard.
    See,
    /// To operate it.
    Act,
}

/// Every route under `/admin` and `/api`, as it is called.
const ROUTES: [(&str, &str, &str, Needs); 58] = [
    ("GET", "/admin/websockets", "", Needs::See),
    ("GET", "/admin/websockets/", "", Needs::See),
    ("GET", "/admin/metrics", "", Needs::See),
    ("GET", "/admin/replay", "", Needs::See),
    ("GET", "/admin/audit", "", Needs::See),
    ("GET", "/admin/alerts", "", Needs::See),
    ("POST", "/admin/alerts/acknowledge", "", Needs::Act),
    ("POST", "/admin/alerts/silence", "", Needs::Act),
    ("POST", "/admin/alerts/silence/end", "", Needs::Act),
    ("POST", "/admin/alerts/rule", "", Needs::Act),
    ("POST", "/admin/alerts/test", "", Needs::Act),
    ("GET", "/admin/account", "", Needs::See),
    // The own account: whoever is signed in guards it, and changes nothing of the monitor.
    ("POST", "/admin/account/password", "", Needs::See),
    ("POST", "/admin/account/sessions", "", Needs::See),
    ("GET", "/admin/account/second-factor", "", Needs::See),
    ("POST", "/admin/account/second-factor/start", "", Needs::See),
    ("POST", "/admin/account/second-factor/confirm", "", Needs::See),
    ("POST", "/admin/account/second-factor/codes", "", Needs::See),
    ("POST", "/admin/account/second-factor/off", "", Needs::See),
    ("GET", "/admin/account/screens", "", Needs::Act),
    ("POST", "/admin/account/screens", "", Needs::Act),
    ("POST", "/admin/account/screens/end", "", Needs::Act),
    ("POST", "/admin/account/tokens", "", Needs::Act),
    ("POST", "/admin/account/tokens/revoke", "", Needs::Act),
    ("GET", "/api/admin/websocket-status", "", Needs::See),
    ("GET", "/api/admin/servers", "", Needs::See),
    ("GET", "/api/admin/alerts", "", Needs::See),
    ("POST", "/api/admin/alerts/1/acknowledge", "", Needs::Act),
    ("GET", "/api/admin/silences", "", Needs::See),
    ("POST", "/api/admin/silences", "", Needs::Act),
    ("DELETE", "/api/admin/silences/1", "", Needs::Act),
    ("GET", "/api/admin/alert-rules", "", Needs::See),
    ("PATCH", "/api/admin/alert-rules", "", Needs::Act),
    ("GET", "/api/admin/alert-destinations", "", Needs::See),
    ("POST", "/api/admin/alert-destinations/none/test", "", Needs::Act),
    ("GET", "/api/admin/symbol?symbol=AAPL", "", Needs::See),
    ("POST", "/api/admin/config/refresh", "", Needs::Act),
    ("POST", "/api/admin/connections/99/retry", "", Needs::Act),
    ("GET", "/api/admin/audit", "", Needs::See),
    ("POST", "/api/admin/fn/reliability", "{}", Needs::See),
    ("POST", "/api/admin/fn/history", "query=", Needs::See),
    ("POST", "/api/admin/fn/symbol", "{}", Needs::See),
    ("POST", "/api/admin/fn/acknowledge_gap", "id=1&note=seen", Needs::Act),
    ("GET", "/api/admin/history/samples", "", Needs::See),
    ("GET", "/api/admin/history/events", "", Needs::See),
    ("GET", "/api/admin/history/gaps", "", Needs::See),
    ("POST", "/api/admin/history/gaps/1/acknowledge", r#"{"note":"seen"}"#, Needs::Act),
    ("POST", "/api/admin/history/gaps/1/notes", r#"{"note":"seen"}"#, Needs::Act),
    ("GET", "/api/admin/recording", "", Needs::See),
    ("GET", "/api/admin/recording/board?at=-1m", "", Needs::See),
    ("GET", "/api/admin/recording/ticks", "", Needs::See),
    ("POST", "/api/admin/recording/keep", r#"{"from":"-2m","to":"-1m","note":"seen"}"#, Needs::Act),
    ("DELETE", "/api/admin/recording/kept/none", "", Needs::Act),
    ("GET", "/api/openapi.json", "", Needs::See),
    ("GET", "/api/asyncapi.json", "", Needs::See),
    ("GET", "/api/admin", "", Needs::See),
    ("GET", "/api/admin/", "", Needs::See),
    ("GET", "/api/admin/nonesuch", "", Needs::See),
];

/// Are they let in? Pages lead strangers to sign in, and the rest is 401 and 403.
async fn may(client: &Client, (method, path, body, _): (&str, &str, &str, Needs)) -> bool {
    let form = if body.starts_with('{') { "application/json" } else { "application/x-www-form-urlencoded" };
    let request = client.http.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", client.base));
    let answer = request.header("content-type", form).body(body.to_owned()).send().await.unwrap();
    let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()).unwrap_or_default();
    assert!(!answer.status().is_server_error() || answer.status() == 503, "{method} {path}: {}", answer.status());
    !matches!(answer.status().as_u16(), 401 | 403) && !to.starts_with("/login")
}

async fn check(server: &TestServer, client: &Client, who: &str, expected: impl Fn(Needs) -> bool) {
    for route in ROUTES {
        assert_eq!(may(client, route).await, expected(route.3), "{who}: {route:?}");
    }
    assert_eq!(client.try_socket(None, &server.url("")).await.is_ok(), expected(Needs::See), "{who}: socket");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let server = TestServer::start([("VIEWER_ROLE", "moderator")]).await;
    check(&server, &server.stranger(), "a stranger", |_| false).await;
    check(&server, &server.sign_in(Role::User).await, "a user", |_| false).await;
    let viewer = server.sign_in(Role::Moderator).await;
    check(&server, &viewer, "a viewer", |needs| needs == Needs::See).await;
    for role in [Role::Admin, Role::Super] {
        check(&server, &server.sign_in(role).await, role.as_str(), |_| true).await;
    }

    // Tokens are for the API and the socket: a page takes one for nobody.
    for scope in Scope::ALL {
        let program = server.program(scope.as_str(), scope).await;
        let needed = if scope == Scope::Read { Needs::See } else { Needs::Act };
        for route in ROUTES {
            let expected = route.1.starts_with("/api/") && route.3 == needed;
            assert_eq!(may(&program, route).await, expected, "a token to {scope}: {route:?}");
        }
        let opened = program.try_socket(None, &server.url("")).await;
        assert_eq!(opened.is_ok(), scope == Scope::Read, "a token to {scope}: socket");
    }

    // What a viewer tried is on record, and says why it was refused.
    let error = viewer.post("/api/admin/config/refresh", "", 403).await;
    assert!(error.contains(r#""code":"read_only""#) && error.contains("only administrators"), "{error}");
    let query = format!("/api/admin/audit?outcome=refused&actor={}", email_of(Role::Moderator).replace('@', "%40"));
    let refused = crate::util::eventually("the refusals are on record", || async {
        let log = viewer.get_json(&query, 200).await;
        let records = log["records"].as_array().unwrap().clone();
        let is_at_the_door = |r: &serde_json::Value| ["api_call", "page_view"].contains(&r["action"].as_str().unwrap());
        let records: Vec<_> = records.into_iter().filter(is_at_the_door).collect();
        let targets: BTreeSet<_> = records.iter().map(|r| r["target"].as_str().unwrap().to_owned()).collect();
        (targets.len() == 22).then_some((targets, records))
    })
    .await;
    assert!(refused.0.contains("POST /api/admin/fn/acknowledge_gap"), "{refused:?}");
    assert!(refused.1.iter().all(|r| r["role"] == "moderator"), "{refused:?}");

    let page = viewer.get("/admin/websockets", 200).await;
    assert!(page.contains(r#"data-testid="pause""#) && !page.contains(r#"data-testid="refresh""#), "{page}");
    assert!(!viewer.get("/admin/account", 200).await.contains("API tokens"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_socket_of_a_viewer_ends_with_the_role() {
    let server = TestServer::start([("VIEWER_ROLE", "moderator")]).await;
    let mut socket = server.sign_in(Role::Moderator).await.socket(None).await;
    let other = server.other_process().await;
    let mut change = other.change().await.unwrap();
    change.set_role(&email_of(Role::Moderator).parse().unwrap(), Role::User).await.unwrap();
    change.commit().await.unwrap();
    assert_eq!(socket.close_code().await, 4003);
}

/// A route that is added and not tried above fails here.
#[test]
fn every_route_is_tried() {
    let tried = |route: &str| {
        let fixed = route.split('{').next().unwrap();
        ROUTES.iter().any(|(_, path, ..)| {
            if route.contains('{') { path.starts_with(fixed) } else { path.split('?').next() == Some(route) }
        })
    };
    let mut found = 0;
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = if entry.file_name() == "tests.rs" { "" } else { text.split("#[cfg(test)]").next().unwrap() };
            let code = code
                .replace(".route(SECOND_FACTOR", &format!(".route(\"{}\"", app::address::SECOND_FACTOR))
                .replace(".route(SCREENS", &format!(".route(\"{}\"", app::address::SCREENS));
            for route in code.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
                found += 1;
                let is_guarded = route.starts_with("/admin/") || route.starts_with("/api/");
                assert!(!is_guarded || route == "/admin/{*rest}" || tried(route), "{route} is tried with no role");
            }
        }
    }
    assert!(found > 15, "routes are written as this test reads them");
    for path in app::address::PATHS.iter().filter(|path| path.starts_with("/admin")) {
        assert!(tried(path), "{path}");
    }
}
