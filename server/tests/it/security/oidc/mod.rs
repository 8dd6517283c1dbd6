//! Signing in at an identity provider: as people do it, and as whoever would get past it tries.

mod sessions;

use crate::util::{CLIENT_SECRET, Client, IdentityProvider, PASSWORD, TestServer, email_of, eventually, now_s};
use reqwest::{Response, header};
use serde_json::{Value, json};
use server::auth::Role;

const STATUS: &str = "/api/admin/websocket-status";

async fn server(provider: &IdentityProvider) -> TestServer {
    TestServer::start(provider.variables()).await
}

fn location(answer: &Response) -> &str {
    assert_eq!(answer.status().as_u16(), 303, "{answer:?}");
    answer.headers()[header::LOCATION].to_str().unwrap()
}

async fn get(client: &Client, path: &str) -> Response {
    client.http.get(format!("{}{path}", client.base)).send().await.unwrap()
}

/// To the provider, which sends the browser back to the address that is answered, a path of ours.
async fn at_provider(client: &Client, begin: &str) -> String {
    let there = client.redirect(begin).await;
    let back = client.http.get(there).send().await.unwrap();
    location(&back).strip_prefix(&client.base).expect("back to us").to_owned()
}

/// The whole way.
async fn signs_in(client: &mut Client, begin: &str) -> Response {
    let back = at_provider(client, begin).await;
    let answer = get(client, &back).await;
    let cookies = answer.headers().get_all(header::SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok());
    for cookie in cookies.filter(|cookie| cookie.starts_with("tickstock_session")) {
        client.cookie = cookie.split(';').next().map(str::to_owned);
    }
    answer
}

/// Somebody who is in.
async fn signed_in(server: &TestServer) -> Client {
    let mut client = server.stranger();
    let answer = signs_in(&mut client, "/login/oidc").await;
    assert_eq!(answer.headers()["refresh"], "0; url=/admin/websockets", "{answer:?}");
    client.get(STATUS, 200).await;
    client
}

/// The newest refusal of a sign-in, once it is on record, has these words.
async fn refused_because(admin: &Client, why: &str, what: &str) {
    eventually(&format!("{why}: {what}"), || async {
        let log = admin.get_json("/api/admin/audit?action=sign_in&outcome=refused&limit=1", 200).await;
        log["records"][0]["reason"].as_str().unwrap_or_default().contains(why).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_provider_there_is_nothing_of_it() {
    let server = TestServer::start([]).await;
    let stranger = server.stranger();
    assert!(!stranger.get("/login", 200).await.contains("single-sign-on"));
    for path in ["/login/oidc", "/login/oidc/callback?code=a&state=b"] {
        stranger.get(path, 404).await;
    }
    assert_eq!(stranger.form("/login/oidc/logout", "logout_token=a.b.c", &[]).await.status().as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_let_in_wherever_the_provider_has_them_and_nothing_else_does() {
    let provider = IdentityProvider::start().await;
    let server = TestServer::start({
        let [a, b, c, d] = provider.variables();
        [a, b, c, d, ("OIDC_GROUPS_CLAIM", "realm.groups"), ("VIEWER_ROLE", "moderator")]
    })
    .await;
    let many: Vec<_> = (0..500).map(|n| format!("group-{n}")).chain(["ops".to_owned()]).collect();
    let realm = |groups: Value| json!({"realm": {"groups": groups}});
    for (n, (id_token, user_info, role)) in [
        (realm(json!(["desk", "ops"])), json!({}), Some("admin")),
        (realm(json!("desk")), json!({}), Some("moderator")),
        (json!({}), realm(json!(["ops"])), Some("admin")),
        (json!({}), realm(json!("ops")), Some("admin")),
        (realm(json!(many)), json!({}), Some("admin")),
        (json!({}), realm(json!(many)), Some("admin")),
        (json!({}), json!({}), None),
        (json!({"groups": ["ops"]}), json!({}), None),
        (realm(json!([])), json!({}), None),
        (realm(json!(["nobody", "OPS"])), json!({}), None),
        (realm(json!([["ops"]])), json!({}), None),
        (realm(json!({"ops": true})), json!({}), None),
    ]
    .into_iter()
    .enumerate()
    {
        {
            let mut script = provider.script();
            script.subject = format!("somebody-{n}");
            (script.id_token, script.user_info) = (id_token.clone(), user_info.clone());
        }
        let mut client = server.stranger();
        let answer = signs_in(&mut client, "/login/oidc").await;
        let Some(role) = role else {
            assert_eq!(location(&answer), "/login?error=groups", "{id_token} {user_info}");
            client.get(STATUS, 401).await;
            assert!(client.get("/login?error=groups", 200).await.contains("none of your groups"));
            continue;
        };
        assert_eq!(answer.headers()["refresh"], "0; url=/admin/websockets", "{id_token} {user_info}");
        client.get(STATUS, 200).await;
        let page = client.get("/admin/account", 200).await;
        let lead = page.split("admin-lead").nth(1).unwrap().split("</p>").next().unwrap();
        // No email was told: the subject has a name of its own.
        assert!(lead.contains(role) && lead.contains("sub-") && lead.contains("@127.0.0.1"), "{lead}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_the_providers_for_this_browser_now_opens_nothing() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let admin = server.admin().await;
    let good = provider.script().clone();
    for (algorithm, changes, why) in [
        ("ES256", json!({"nonce": "another"}), "nonce"),
        ("ES256", json!({"nonce": null}), "nonce"),
        ("ES256", json!({"iss": "https://evil.example"}), "issuer"),
        ("ES256", json!({"aud": "another"}), "audience"),
        ("ES256", json!({"aud": ["monitor", "another"]}), "audience"),
        ("ES256", json!({"exp": now_s() - 120}), "xpired"),
        ("ES256", json!({"iat": now_s() + 600}), "future"),
        ("ES256", json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "access token"),
        ("none", json!({}), "ignature"),
        ("HS256", json!({}), "algorithm"),
        ("other key", json!({}), "rypto"),
    ] {
        {
            let mut script = provider.script();
            *script = good.clone();
            script.algorithm = algorithm;
            for (name, value) in changes.as_object().unwrap() {
                script.id_token[name] = value.clone();
            }
        }
        let mut client = server.stranger();
        let answer = signs_in(&mut client, "/login/oidc").await;
        assert_eq!(location(&answer), "/login?error=oidc", "{algorithm} {changes}");
        assert_eq!(client.cookie, None, "{algorithm} {changes}");
        client.get(STATUS, 401).await;
        refused_because(&admin, why, &format!("{algorithm} {changes}")).await;
    }
    *provider.script() = good;
    signed_in(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_this_browsers_own_and_goes_once() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let refused = async |client: &Client, path: &str| {
        let answer = get(client, path).await;
        assert_eq!(location(&answer), "/login?error=oidc", "{path}");
        client.get(STATUS, 401).await;
    };
    // What an attacker got at the provider for themselves, in the victim's browser: with no sign-in under way there, and with one.
    let attacker = server.stranger();
    let theirs = at_provider(&attacker, "/login/oidc").await;
    let victim = server.stranger();
    refused(&victim, &theirs).await;
    let own = at_provider(&victim, "/login/oidc").await;
    refused(&victim, &theirs).await;
    refused(&victim, &own).await; // The first refusal ended it.

    // A code that was overheard, brought with the attacker's own state: it is bound to the victim's verifier.
    let heard = at_provider(&victim, "/login/oidc").await;
    let code = |path: &str| path.split("code=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let swapped = theirs.replace(&code(&theirs), &code(&heard));
    refused(&attacker, &swapped).await;

    for change in ["state=x", "state=", "code=", "iss=https%3A%2F%2Fevil.example", "iss=", "error=access_denied"] {
        let client = server.stranger();
        let back = at_provider(&client, "/login/oidc").await;
        let name = change.split('=').next().unwrap();
        let (path, query) = back.split_once('?').unwrap();
        let kept = query.split('&').filter(|pair| pair.split('=').next() != Some(name));
        let changed = change.split_once('=').filter(|(_, value)| !value.is_empty()).map(|_| change);
        let query = kept.chain(changed).collect::<Vec<_>>().join("&");
        refused(&client, &format!("{path}?{query}")).await;
    }

    // The same way back once more: with the cookie gone, and with a copy of it, as the provider takes a code once.
    let mut client = server.stranger();
    let begun = get(&client, "/login/oidc").await;
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.starts_with("tickstock_oidc_") && cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age=600"),
        "{cookie}"
    );
    assert!(!cookie.contains(CLIENT_SECRET));
    let back = client.http.get(location(&begun)).send().await.unwrap();
    let back = location(&back).to_owned();
    let answer = client.http.get(&back).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let other = server.stranger();
    let pair = cookie.split(';').next().unwrap();
    let again = other.http.get(&back).header("cookie", pair).send().await.unwrap();
    assert_eq!(location(&again), "/login?error=oidc");
    client.cookie = None;
    assert_eq!(location(&client.http.get(&back).send().await.unwrap()), "/login?error=oidc");
    // A cookie that was changed.
    let changed = [&pair[..pair.len() - 4], "AAAA"].concat();
    let forged = other.http.get(&back).header("cookie", changed).send().await.unwrap();
    assert_eq!(location(&forged), "/login?error=oidc");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_session_is_signed_in_and_no_address_leads_elsewhere() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let planted = server.sign_in(Role::User).await.cookie.unwrap();
    let client = server.stranger();
    for (next, to) in [
        ("https%3A%2F%2Fevil.example", "/admin/websockets"),
        ("%2F%2Fevil.example", "/admin/websockets"),
        ("%2Fadmin%2F%5Cevil.example", "/admin/websockets"),
        ("%2Flogin%2Foidc", "/admin/websockets"),
        ("%2Fadmin%2Fmetrics%3Frange%3D6h", "/admin/metrics?range=6h"),
    ] {
        let back = at_provider(&client, &format!("/login/oidc?next={next}")).await;
        let answer = client.http.get(format!("{}{back}&next={next}", client.base)).send().await.unwrap();
        assert_eq!(answer.headers()["refresh"], format!("0; url={to}"), "{next}");
    }

    let begun = get(&client, "/login/oidc").await;
    let own = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let back = client.http.get(location(&begun)).send().await.unwrap();
    let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let asked = plain.get(location(&back)).header("cookie", format!("{planted}; {own}"));
    let answer = asked.send().await.unwrap();
    let given = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    let given = given.filter_map(|cookie| cookie.split(';').next()).find(|pair| pair.contains("_session_")).unwrap();
    let status = async |cookie: &str| {
        plain.get(server.url(STATUS)).header("cookie", cookie).send().await.unwrap().status().as_u16()
    };
    assert_ne!(given, planted);
    assert_eq!((status(&planted).await, status(given).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_their_subject_and_never_an_email() {
    let provider = IdentityProvider::start().await;
    let server = server(&provider).await;
    let name = async |client: &Client| {
        let page = client.get("/admin/account", 200).await;
        let lead = page.split("admin-lead").nth(1).unwrap().split("</p>").next().unwrap().to_owned();
        lead.split(['>', ' ', '<']).find(|word| word.contains('@')).unwrap().to_owned()
    };
    let ann = signed_in(&server).await;
    assert_eq!(name(&ann).await, "ann@firm.example");
    // Another email, the same Ann; the same email, another Ann.
    provider.script().id_token["email"] = json!("ann.lee@firm.example");
    assert_eq!(name(&signed_in(&server).await).await, "ann@firm.example");
    provider.script().id_token["email"] = json!("ann@firm.example");
    provider.script().subject = "ann-2".into();
    assert!(name(&signed_in(&server).await).await.starts_with("sub-"));
    // The email of a local administrator, and one that nobody has verified.
    for (n, (email, verified)) in
        [(email_of(Role::Admin), true), ("boss@firm.example".to_owned(), false)].into_iter().enumerate()
    {
        provider.script().subject = format!("mallory-{n}");
        provider.script().id_token["email"] = json!(email);
        provider.script().id_token["email_verified"] = json!(verified);
        assert!(name(&signed_in(&server).await).await.starts_with("sub-"), "{email}");
    }
    assert_eq!(name(&server.admin().await).await, email_of(Role::Admin), "local accounts stay");

    // No password opens Ann's account, and none can be given to it.
    let stranger = server.stranger();
    for password in [PASSWORD, "", "!"] {
        let answer = stranger.try_sign_in("ann@firm.example", password, &[]).await;
        assert_eq!(location(&answer), "/login?error=credentials");
    }
    let form = format!("current=&new={0}&again={0}", "seven+purple+lanterns");
    assert_eq!(location(&ann.form("/admin/account/password", &form, &[]).await), "/admin/account?error=provider");
    let started = ann.form("/admin/account/second-factor/start", "current=", &[]).await;
    assert!(location(&started).ends_with("error=provider"));

    // Disabled here, the provider's word opens nothing.
    let mut change = server.database.change().await.unwrap();
    change.set_disabled(&"ann@firm.example".parse().unwrap(), true).await.unwrap();
    change.commit().await.unwrap();
    ann.get(STATUS, 401).await;
    provider.script().subject = "ann-1".into();
    assert_eq!(location(&signs_in(&mut server.stranger(), "/login/oidc").await), "/login?error=groups");
}
