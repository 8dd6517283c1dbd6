//! The account page: another password, an end to sessions.

use crate::util::{Client, PASSWORD, TestServer, email_of};
use server::{auth::Role, database::AuditFilter};

const OTHER: &str = "seven purple lanterns drift";

async fn change(client: &Client, current: &str, new: &str, again: &str) -> String {
    let plus = |text: &str| text.replace(' ', "+");
    let form = format!("current={}&new={}&again={}", plus(current), plus(new), plus(again));
    let answer = client.form("/admin/account/password", &form, &[]).await;
    assert_eq!(answer.status().as_u16(), 303);
    answer.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_wants_the_current_one_and_ends_all_other_sessions() {
    let server = TestServer::start([]).await;
    let (admin, elsewhere) = (server.admin().await, server.admin().await);
    let mut socket = elsewhere.socket(None).await;
    assert!(admin.get("/admin/account", 200).await.contains("admin@example.com"));
    for (current, new, again, word) in [
        ("not the password", OTHER, OTHER, "current"),
        (PASSWORD, OTHER, "seven purple lanterns", "differ"),
        (PASSWORD, PASSWORD, PASSWORD, "same"),
        (PASSWORD, "short", "short", "short"),
        (PASSWORD, "passwordpassword", "passwordpassword", "common"),
    ] {
        assert_eq!(change(&admin, current, new, again).await, format!("/admin/account?error={word}"));
        let page = admin.get(&format!("/admin/account?error={word}"), 200).await;
        assert!(page.contains("role=\"alert\""), "{word}");
    }
    elsewhere.status().await;

    assert_eq!(change(&admin, PASSWORD, OTHER, OTHER).await, "/admin/account?done=password");
    admin.status().await;
    assert_eq!(socket.close_code().await, 4001, "at once");
    elsewhere.get("/api/admin/websocket-status", 401).await;
    let email = email_of(Role::Admin);
    let old = server.stranger().try_sign_in(&email, PASSWORD, &[]).await;
    assert_eq!(old.headers()["location"], "/login?error=credentials");
    let new = server.stranger().try_sign_in(&email, OTHER, &[]).await;
    assert_eq!(new.headers()["location"], "/admin/websockets");

    let filter = AuditFilter { action: "password_change".parse().ok(), ..AuditFilter::default() };
    let outcomes: Vec<_> =
        server.database.audit_records(&filter, 9).await.unwrap().into_iter().map(|record| record.outcome).collect();
    assert_eq!(outcomes, ["ok", "refused", "refused", "refused", "refused", "refused"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_the_current_password_is_limited() {
    let server = TestServer::start([]).await;
    let admin = server.admin().await;
    let form = "current=wrong+guess&new=seven+purple+lanterns+drift&again=seven+purple+lanterns+drift";
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(admin.form("/admin/account/password", form, &[]).await.status().as_u16());
    }
    assert!(statuses.starts_with(&[303, 303, 303, 303, 303]) && statuses.contains(&429), "{statuses:?}");
}

/// The numbers of the sessions that the page offers to end.
fn numbers(page: &str) -> Vec<String> {
    let fields = page.split("name=\"session\" value=\"").skip(1);
    fields.map(|rest| rest.split('"').next().unwrap().to_owned()).filter(|number| number != "others").collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_sessions_are_listed_and_ended_and_others_people_s_are_not() {
    let server = TestServer::start([]).await;
    let (admin, second, third) = (server.admin().await, server.admin().await, server.admin().await);
    let stranger_s = server.sign_in(Role::Super).await;
    let page = admin.get("/admin/account", 200).await;
    let listed = numbers(&page);
    assert_eq!(listed.len(), 2, "two others of one's own: {page}");
    assert!(page.contains("this browser") && page.contains("127.0.0.1"));
    for client in [&admin, &second, &third, &stranger_s] {
        let id = client.cookie.as_ref().unwrap().split_once('=').unwrap().1;
        assert!(!page.contains(id), "the page has numbers, not ids");
    }

    let mut socket = second.socket(None).await;
    // The newest is listed first.
    let end = async |client: &Client, session: &str| {
        let answer = client.form("/admin/account/sessions", &format!("session={session}"), &[]).await;
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(end(&admin, &listed[1]).await, "/admin/account?done=sessions");
    assert_eq!(socket.close_code().await, 4001, "at once");
    second.get("/api/admin/websocket-status", 401).await;
    third.status().await;

    let theirs = numbers(&server.sign_in(Role::Super).await.get("/admin/account", 200).await);
    assert_eq!(end(&admin, &theirs[0]).await, "/admin/account?error=session", "somebody else's");
    stranger_s.status().await;
    assert_eq!(end(&admin, "others").await, "/admin/account?done=sessions");
    third.get("/api/admin/websocket-status", 401).await;
    admin.status().await;
    assert_eq!(end(&admin, "x").await, "/admin/account?error=form");
}
