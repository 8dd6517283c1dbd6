//! An identity provider on loopback: it signs real tokens, with whatever is wrong about them that a test wants.

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::net::TcpListener;

pub(crate) const CLIENT_ID: &str = "monitor";
pub(crate) const CLIENT_SECRET: &str = "canary-client-secret-4717";
pub(crate) const ACCESS_TOKEN: &str = "canary-access-token-4718";
pub(crate) const REFRESH_TOKEN: &str = "canary-refresh-token-4719";

/// How the provider behaves from now on.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) subject: String,
    /// Goes into the ID token over what belongs there; null takes a claim away.
    pub(crate) id_token: Value,
    /// The same for what `/userinfo` answers; null: it refuses.
    pub(crate) user_info: Value,
    /// `ES256`, `HS256` with the client secret, `none`, or `other key`.
    pub(crate) algorithm: &'static str,
    /// Does it give a token to ask anew with, and take it?
    pub(crate) refreshes: bool,
    pub(crate) is_up: bool,
}

/// Who came, and with what they have to come back.
struct Code {
    nonce: Value,
    challenge: String,
    redirect: String,
}

struct Inner {
    url: String,
    key: EcdsaKeyPair,
    other_key: EcdsaKeyPair,
    script: Mutex<Script>,
    codes: Mutex<HashMap<String, Code>>,
}

/// Listens until the test is over.
#[derive(Clone)]
pub(crate) struct IdentityProvider(Arc<Inner>);

fn key() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.as_ref(), &random).unwrap()
}

pub(crate) fn now_s() -> i64 {
    app::model::time::UnixMillis::now().0 / 1_000
}

impl IdentityProvider {
    /// Ann, an administrator by the groups in her ID token.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let script = Script {
            subject: "ann-1".into(),
            id_token: json!({"groups": ["ops"], "email": "ann@firm.example"}),
            user_info: json!({}),
            algorithm: "ES256",
            refreshes: true,
            is_up: true,
        };
        let provider = Self(Arc::new(Inner {
            url: format!("http://{}", listener.local_addr().unwrap()),
            key: key(),
            other_key: key(),
            script: Mutex::new(script),
            codes: Mutex::default(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(configuration))
            .route("/jwks", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .layer(middleware::from_fn_with_state(provider.clone(), up))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// What the monitor is configured with.
    pub(crate) fn variables(&self) -> [(&str, &str); 4] {
        [
            ("OIDC_ISSUER", &self.0.url),
            ("OIDC_CLIENT_ID", CLIENT_ID),
            ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
            ("OIDC_ROLE_MAP", "ops=admin,desk=moderator,all=user"),
        ]
    }

    /// To be changed.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.0.script.lock().unwrap()
    }

    /// What goes into a logout token, signed by the provider.
    pub(crate) fn logout_token(&self, changes: Value) -> String {
        let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
        let mut claims = json!({"iss": self.0.url, "aud": CLIENT_ID, "iat": now_s(), "exp": now_s() + 120,
                                "jti": "once", "events": events});
        merge(&mut claims, &changes);
        let algorithm = self.script().algorithm;
        self.sign(algorithm, &claims)
    }

    fn sign(&self, algorithm: &str, claims: &Value) -> String {
        let (name, key) = match algorithm {
            "other key" => ("ES256", &self.0.other_key),
            name => (name, &self.0.key),
        };
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": name, "kid": "one", "typ": "JWT"})), part(claims));
        let signature = match name {
            "none" => Vec::new(),
            "HS256" => {
                let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).unwrap();
                mac.update(message.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            _ => key.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn tokens(&self, nonce: &Value) -> Value {
        let script = self.script().clone();
        let at_hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(ACCESS_TOKEN)[..16]);
        let mut claims = json!({"iss": self.0.url, "aud": CLIENT_ID, "sub": script.subject, "iat": now_s(),
                                "exp": now_s() + 300, "nonce": nonce, "at_hash": at_hash, "sid": "session-1"});
        merge(&mut claims, &script.id_token);
        let mut tokens = json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 300,
                                "id_token": self.sign(script.algorithm, &claims)});
        if script.refreshes {
            tokens["refresh_token"] = json!(REFRESH_TOKEN);
        }
        tokens
    }
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        into[name] = value.clone();
    }
    into.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

async fn up(State(provider): State<IdentityProvider>, request: axum::extract::Request, next: Next) -> Response {
    let is_up = provider.script().is_up;
    if is_up { next.run(request).await } else { StatusCode::SERVICE_UNAVAILABLE.into_response() }
}

async fn configuration(State(IdentityProvider(inner)): State<IdentityProvider>) -> Json<Value> {
    let url = &inner.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "userinfo_endpoint": format!("{url}/userinfo"),
        "end_session_endpoint": format!("{url}/end"),
        "jwks_uri": format!("{url}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // As a careless one would: what is taken is for the monitor to know.
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

async fn keys(State(IdentityProvider(inner)): State<IdentityProvider>) -> Json<Value> {
    let point = inner.key.public_key().as_ref();
    let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
    Json(json!({"keys": [{"kty": "EC", "crv": "P-256", "use": "sig", "kid": "one", "x": x, "y": y}]}))
}

async fn authorize(State(provider): State<IdentityProvider>, Query(query): Query<HashMap<String, String>>) -> Redirect {
    assert_eq!((&*query["client_id"], &*query["code_challenge_method"]), (CLIENT_ID, "S256"), "{query:?}");
    assert!(query["scope"].split(' ').any(|scope| scope == "openid"), "{query:?}");
    let (code, redirect) = (format!("code{:032x}", rand::random::<u128>()), query["redirect_uri"].clone());
    let to = format!("{redirect}?code={code}&state={}&iss={}", query["state"], provider.url());
    let kept = Code { nonce: json!(query["nonce"]), challenge: query["code_challenge"].clone(), redirect };
    provider.0.codes.lock().unwrap().insert(code, kept);
    Redirect::to(&to)
}

async fn token(
    State(provider): State<IdentityProvider>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response();
    let expected = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    if headers["authorization"] != expected.as_str() {
        return refused("invalid_client");
    }
    if form["grant_type"] == "refresh_token" {
        let is_good = form["refresh_token"] == REFRESH_TOKEN && provider.script().refreshes;
        return if is_good { Json(provider.tokens(&Value::Null)).into_response() } else { refused("invalid_grant") };
    }
    let code = provider.0.codes.lock().unwrap().remove(&form["code"]);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    match code {
        Some(code) if code.challenge == challenge && code.redirect == form["redirect_uri"] => {
            Json(provider.tokens(&code.nonce)).into_response()
        }
        _ => refused("invalid_grant"),
    }
}

async fn user_info(State(provider): State<IdentityProvider>, headers: HeaderMap) -> Response {
    let script = provider.script().clone();
    if headers["authorization"] != format!("Bearer {ACCESS_TOKEN}").as_str() || script.user_info.is_null() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let mut claims = json!({"sub": script.subject});
    merge(&mut claims, &script.user_info);
    Json(claims).into_response()
}
