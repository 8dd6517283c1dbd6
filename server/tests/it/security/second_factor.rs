//! The second factor, as its owner uses it and as somebody who knows the password would try to get past it.

use crate::util::{Client, PASSWORD, TestServer, email_of, eventually};
use app::model::time::UnixMillis;
use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac};
use reqwest::Response;
use server::auth::Role;
use sha1::Sha1;

const PAGE: &str = "/admin/account/second-factor";
const STATUS: &str = "/api/admin/websocket-status";

/// What an authenticator app makes of the key that the page shows, now or `steps` later.
pub(super) struct App(pub(super) Vec<u8>);

impl App {
    pub(super) fn code(&self, steps: i64) -> String {
        let step = UnixMillis::now().0 / 30_000 + steps;
        let mut mac = Hmac::<Sha1>::new_from_slice(&self.0).unwrap();
        mac.update(&step.to_be_bytes());
        let hash = mac.finalize().into_bytes();
        let at = usize::from(hash[19] & 15);
        let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

fn location(answer: &Response) -> &str {
    assert_eq!(answer.status().as_u16(), 303);
    answer.headers()["location"].to_str().unwrap()
}

fn with_password(rest: &str) -> String {
    format!("current={}{rest}", PASSWORD.replace(' ', "+"))
}

/// Starts turning it on: the app has the key.
async fn scan(client: &Client) -> App {
    let answer = client.form(&format!("{PAGE}/start"), &with_password(""), &[]).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let page = answer.text().await.unwrap();
    assert!(page.contains("<svg") && !page.contains("style="), "{page}");
    let key = page.split(r#"data-testid="key">"#).nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    App(BASE32_NOPAD.decode(key.as_bytes()).unwrap())
}

/// Turns it on; answers the app and the recovery codes.
async fn turn_on(client: &mut Client) -> (App, Vec<String>) {
    let app = scan(client).await;
    let answer = client.form(&format!("{PAGE}/confirm"), &format!("code={}", app.code(0)), &[]).await;
    assert_eq!(answer.status().as_u16(), 200);
    client.keep_cookie(&answer);
    let page = answer.text().await.unwrap();
    let codes = page.split("<li><code>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect();
    (app, codes)
}

/// Signs in as far as the code.
async fn half_signed_in(server: &TestServer, role: Role) -> Client {
    let client = server.stranger();
    let answer = client.try_sign_in(&email_of(role), PASSWORD, &[]).await;
    assert_eq!(location(&answer), "/login/code");
    client
}

async fn enter(client: &Client, code: &str) -> Response {
    client.form("/login/code", &format!("code={code}"), &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_it_the_password_alone_opens_nothing_and_every_code_opens_once() {
    let server = TestServer::start([]).await;
    let mut admin = server.admin().await;
    let other = server.admin().await;
    let (app, codes) = turn_on(&mut admin).await;
    assert_eq!(codes.len(), 10);
    admin.get(STATUS, 200).await;
    other.get(STATUS, 401).await;

    let client = half_signed_in(&server, Role::Admin).await;
    client.get(STATUS, 401).await;
    assert_eq!(client.redirect("/admin/account").await, "/login?next=%2Fadmin%2Faccount");
    assert!(client.get("/login/code", 200).await.contains("authenticator app"));
    assert_eq!(location(&enter(&client, "000000").await), "/login/code?error=code");
    let used = enter(&client, &app.code(0)).await;
    assert_eq!(location(&used), "/login/code?error=code", "the code that turned it on is used up");
    let next = app.code(1);
    assert_eq!(location(&enter(&client, &next).await), "/admin/websockets");
    client.get(STATUS, 200).await;
    assert_eq!(client.redirect("/login/code").await, "/login?error=expired", "there is nothing to enter any more");

    // Somebody who has read the code over the shoulder, and knows the password.
    let thief = half_signed_in(&server, Role::Admin).await;
    assert_eq!(location(&enter(&thief, &next).await), "/login/code?error=code");
    assert_eq!(location(&enter(&thief, &codes[0]).await), "/admin/websockets");
    let again = half_signed_in(&server, Role::Admin).await;
    assert_eq!(location(&enter(&again, &codes[0]).await), "/login/code?error=code");
    assert_eq!(location(&enter(&again, &codes[1].to_uppercase().replace('-', "+")).await), "/admin/websockets");

    let page = admin.get(PAGE, 200).await;
    assert!(page.contains("8 recovery codes are left"), "{page}");
    let log = admin.get("/api/admin/audit?from=-5m", 200).await;
    assert!(log.contains("second_factor_on") && log.contains("wrong or used code"), "{log}");
    assert!(codes.iter().all(|code| !log.contains(code.as_str())), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_are_guessed_a_few_times_and_no_more_whatever_session_tries() {
    let server = TestServer::start([]).await;
    let mut admin = server.admin().await;
    let (app, codes) = turn_on(&mut admin).await;
    let mut refused = 0;
    for n in 0..12 {
        // A new session each time, with the right password: that forgives no code.
        let client = half_signed_in(&server, Role::Admin).await;
        let answer = enter(&client, &format!("{n:06}")).await;
        if answer.status().as_u16() == 429 {
            assert!(answer.headers().contains_key("retry-after"));
            refused += 1;
        }
    }
    assert!(refused >= 5, "{refused} of 12");
    let client = half_signed_in(&server, Role::Admin).await;
    for code in [app.code(1), codes[0].clone()] {
        assert_eq!(enter(&client, &code).await.status().as_u16(), 429, "a right one has to wait too");
    }
    // Nor is there another door to try them at.
    let fields = with_password("&new=an+other+password&again=an+other+password&code=000000");
    assert_eq!(admin.form("/admin/account/password", &fields, &[]).await.status().as_u16(), 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlives_a_session_asks_for_a_code_again() {
    let server = TestServer::start([]).await;
    let mut admin = server.admin().await;
    let (app, codes) = turn_on(&mut admin).await;
    let password = with_password("&new=quite+another+lantern&again=quite+another+lantern");
    let token = with_password("&name=report&scope=read&days=1");
    for (path, fields) in [
        ("/admin/account/password", &password),
        ("/admin/account/tokens", &token),
        ("/admin/account/second-factor/codes", &with_password("")),
    ] {
        let answer = admin.form(path, fields, &[]).await;
        assert!(location(&answer).ends_with("error=code"), "{path}: {}", location(&answer));
    }
    let page = admin.get("/admin/account", 200).await;
    assert_eq!(page.matches(r#"name="code""#).count(), 2, "{page}");
    let made = admin.form("/admin/account/tokens", &format!("{token}&code={}", app.code(1)), &[]).await;
    assert_eq!(made.status().as_u16(), 200);
    let replaced =
        admin.form("/admin/account/second-factor/codes", &with_password(&format!("&code={}", codes[0])), &[]).await;
    assert_eq!(replaced.status().as_u16(), 200);
    let again = admin.form("/admin/account/password", &format!("{password}&code={}", codes[1]), &[]).await;
    assert!(location(&again).ends_with("error=code"), "the old codes are void");

    // A half sign-in ends with the password that it began with.
    let client = half_signed_in(&server, Role::Admin).await;
    let other = server.other_process().await;
    let mut change = other.change().await.unwrap();
    assert!(change.sign_out(&email_of(Role::Admin).parse().unwrap()).await.unwrap());
    change.commit().await.unwrap();
    assert_eq!(location(&enter(&client, "000000").await), "/login?error=expired");
    assert_eq!(
        location(&enter(&server.stranger(), "000000").await),
        "/login?error=expired",
        "nor is there any without"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_asks_for_it_gets_nowhere_without() {
    let server = TestServer::start([("SECOND_FACTOR_ROLES", "admin,super")]).await;
    let mut admin = server.admin().await;
    for path in ["/admin/websockets", "/admin/account", "/admin/audit"] {
        assert_eq!(admin.redirect(path).await, PAGE);
    }
    assert_eq!(admin.get_json(STATUS, 403).await["error"]["code"], "second_factor_required");
    assert_eq!(admin.try_socket(None, &server.url("")).await.err(), Some(403));
    assert!(admin.get(PAGE, 200).await.contains("Your role asks for a second factor"));
    let wrong = admin.form(&format!("{PAGE}/start"), "current=wrong+password", &[]).await;
    assert!(location(&wrong).ends_with("error=current"), "a stolen session turns none on");
    assert!(location(&admin.form(&format!("{PAGE}/confirm"), "code=123456", &[]).await).ends_with("error=start"));

    let (app, codes) = turn_on(&mut admin).await;
    let mut socket = admin.socket(None).await;
    let off = admin.form(&format!("{PAGE}/off"), &with_password(&format!("&code={}", app.code(1))), &[]).await;
    assert!(location(&off).ends_with("error=role"));
    let started = admin.form(&format!("{PAGE}/start"), &with_password(&format!("&code={}", codes[0])), &[]).await;
    assert!(location(&started).ends_with("error=on"), "another phone does not take its place");

    // As `user reset-second-factor` does it, in another process.
    let other = server.other_process().await;
    let account = other.account_by_email(&email_of(Role::Admin).parse().unwrap()).await.unwrap().unwrap();
    let mut change = other.change().await.unwrap();
    assert!(change.remove_second_factor(account.id).await.unwrap());
    change.commit().await.unwrap();
    assert_eq!(socket.close_code().await, 4003);
    assert_eq!(admin.redirect("/admin/websockets").await, PAGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_turns_it_off_again_and_a_session_that_was_planted_is_not_signed_in() {
    let server = TestServer::start([]).await;
    let mut viewer = server.admin().await;
    let (app, codes) = turn_on(&mut viewer).await;
    // The attacker's half-made session, planted in the owner's browser.
    let attacker = half_signed_in(&server, Role::Admin).await;
    let answer = attacker.form("/login/code", &format!("code={}", app.code(1)), &[]).await;
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let again = attacker.try_sign_in(&email_of(Role::Admin), PASSWORD, &[]).await;
    assert_ne!(again.headers()["set-cookie"].to_str().unwrap(), cookie, "a new id at every step");
    attacker.get(STATUS, 401).await;

    let off = viewer.form(&format!("{PAGE}/off"), &with_password(&format!("&code={}", codes[0])), &[]).await;
    assert!(location(&off).ends_with("done=off"));
    server.admin().await.get(STATUS, 200).await;
    eventually("it is on record", || async {
        viewer.get("/api/admin/audit?action=second_factor_off", 200).await.contains("admin@example.com").then_some(())
    })
    .await;
}
