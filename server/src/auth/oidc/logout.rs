//! What a provider sends when somebody signs out there: a logout token (OpenID Connect Back-Channel Logout 1.0).

use super::{ALGORITHMS, LEEWAY_S, OidcError, Provider};
use crate::database::EndedElsewhere;
use app::model::time::UnixMillis;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeyUse, JwsSigningAlgorithm,
    core::{CoreJsonWebKey, CoreJwsSigningAlgorithm},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::time::Duration;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// How long one is under way.
const LASTS_S: i64 = 600;

#[derive(Deserialize)]
struct Header {
    alg: CoreJwsSigningAlgorithm,
    kid: Option<JsonWebKeyId>,
    crit: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    iat: f64,
    exp: Option<f64>,
    sub: Option<String>,
    sid: Option<String>,
    nonce: Option<Value>,
    events: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Provider {
    /// Whose sessions a logout token ends. One that comes once more ends nothing that was signed in to after it.
    ///
    /// # Errors
    /// What is wrong with it; [`OidcError::Unreachable`] when the provider's keys are not known.
    pub async fn read_logout(&self, token: &str) -> Result<EndedElsewhere, OidcError> {
        let wrong = |why: &str| OidcError::refused(format!("the logout token is not valid: {why}"));
        let parts: Vec<_> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else { return Err(wrong("it has not three parts")) };
        let header_: Header = part(header).ok_or_else(|| wrong("its header cannot be read"))?;
        if header_.crit.is_some() || !ALGORITHMS.contains(&header_.alg) {
            return Err(wrong("its signature is of a kind that is not accepted"));
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| wrong("its signature cannot be read"))?;
        let message = [header, ".", payload].concat();
        let is_signed = |keys: &[CoreJsonWebKey]| {
            let fitting = keys.iter().filter(|key| fits(key, &header_));
            fitting.into_iter().any(|key| key.verify_signature(&header_.alg, message.as_bytes(), &signature).is_ok())
        };
        let known = self.metadata(Duration::from_secs(3_600)).await?;
        let mut is_signed_by_provider = is_signed(known.jwks().keys());
        if !is_signed_by_provider && !known.jwks().keys().iter().any(|key| fits(key, &header_)) && self.may_ask_again()
        {
            is_signed_by_provider = is_signed(self.metadata(Duration::ZERO).await?.jwks().keys());
        }
        if !is_signed_by_provider {
            return Err(wrong("the provider has not signed it"));
        }
        let claims: Claims = part(payload).ok_or_else(|| wrong("its claims cannot be read"))?;
        check(&claims, &self.config().issuer, &self.config().client_id, UnixMillis::now()).map_err(wrong)?;
        Ok(EndedElsewhere {
            issuer: claims.iss,
            subject: claims.sub,
            sid: claims.sid,
            issued_at_s: seconds(claims.iat),
        })
    }
}

fn check(claims: &Claims, issuer: &str, client_id: &str, now: UnixMillis) -> Result<(), &'static str> {
    let now_s = now.0 / 1_000;
    let is_for_us = match &claims.aud {
        Audience::One(one) => one == client_id,
        Audience::Several(all) => all.iter().any(|one| one == client_id),
    };
    match () {
        () if claims.iss != issuer => Err("another issuer"),
        () if !is_for_us => Err("another audience"),
        () if !claims.events.get(EVENT).is_some_and(Value::is_object) => Err("it tells of no logout"),
        // So that nobody passes an ID token off as one.
        () if claims.nonce.is_some() => Err("it has a nonce"),
        () if claims.sub.is_none() && claims.sid.is_none() => Err("it names nobody"),
        () if !(now_s - LASTS_S..=now_s + LEEWAY_S).contains(&seconds(claims.iat)) => {
            Err("too old, or from the future")
        }
        () if claims.exp.is_some_and(|exp| seconds(exp) < now_s - LEEWAY_S) => Err("expired"),
        () => Ok(()),
    }
}

#[allow(clippy::cast_possible_truncation)] // Saturates.
fn seconds(at: f64) -> i64 {
    at as i64
}

fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// May a key have made such a signature?
fn fits(key: &CoreJsonWebKey, header: &Header) -> bool {
    let is_for_algorithm = match key.signing_alg() {
        JsonWebKeyAlgorithm::Algorithm(algorithm) => *algorithm == header.alg,
        JsonWebKeyAlgorithm::Unspecified => true,
        JsonWebKeyAlgorithm::Unsupported => false,
    };
    is_for_algorithm
        && header.alg.key_type().is_some_and(|kind| kind == *key.key_type())
        && key.key_use().is_none_or(JsonWebKeyUse::allows_signature)
        && header.kid.as_ref().is_none_or(|id| Some(id) == key.key_id())
}
