//! The way to the provider and back.

use super::{
    LEEWAY_S, OidcError,
    anew::Kept,
    http::token_error,
    provider::{ANSWERED_WITHIN, KNOWN_FOR, Provider},
    seal::Purpose,
};
use crate::{
    auth::is_same_secret,
    database::OidcSession,
    model::{Email, Identity, Role},
    text::tidy,
};
use app::model::time::UnixMillis;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    AuthorizationCode, CsrfToken, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, Scope,
    TokenResponse,
    core::{CoreAuthPrompt, CoreAuthenticationFlow},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tower_sessions::session::Id;

/// How long somebody may take at the provider.
const SIGN_IN_LASTS_MS: i64 = 600_000;

/// A sign-in that has begun: where the browser goes, and what it keeps meanwhile.
#[derive(Debug)]
pub struct Begun {
    /// The provider's page.
    pub address: String,
    /// Sealed; nothing in it is to be read in the browser.
    pub cookie: String,
}

/// What the cookie holds. Not `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    redirect: String,
    next: String,
    /// Who signs in has to show the provider anew who they are.
    fresh: bool,
    /// The session that the new one takes the place of.
    replaces: Option<String>,
    at_ms: i64,
}

/// What the provider sends the browser back with.
#[derive(Deserialize)]
pub struct CallbackQuery {
    code: Option<String>,
    state: Option<String>,
    iss: Option<String>,
    error: Option<String>,
}

/// Somebody that the provider knows, and who may come in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub identity: Identity,
    /// What the provider calls their email, unless it says that nobody has verified it.
    pub email: Option<Email>,
    /// The highest role of their groups.
    pub role: Role,
    /// What is kept with the session.
    pub session: OidcSession,
    /// The page that was asked for before.
    pub next: String,
    /// The session that the new one takes the place of.
    pub replaces: Option<Id>,
}

impl Provider {
    /// Sends somebody to the provider, who comes back to `redirect`. With `fresh` they have to show there anew who they are.
    ///
    /// # Errors
    /// When the provider does not answer.
    pub async fn begin(
        &self,
        redirect: String,
        next: &str,
        fresh: bool,
        replaces: Option<&Id>,
    ) -> Result<Begun, OidcError> {
        let metadata = self.metadata(ANSWERED_WITHIN).await?;
        let client = self.client(&metadata, Some(&redirect))?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random)
            .set_pkce_challenge(challenge)
            .add_scopes(self.config().scopes.iter().cloned().map(Scope::new));
        if fresh {
            request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
        }
        let (address, state, nonce) = request.url();
        let pending = Pending {
            state: state.secret().clone(),
            nonce: nonce.secret().clone(),
            verifier: verifier.secret().clone(),
            redirect,
            next: next.to_owned(),
            fresh,
            replaces: replaces.map(Id::to_string),
            at_ms: UnixMillis::now().0,
        };
        let sealed = self.seal().seal(Purpose::SignIn, &pending);
        let sealed = sealed.ok_or_else(|| OidcError::refused("the sign-in cannot be kept"))?;
        Ok(Begun { address: address.into(), cookie: URL_SAFE_NO_PAD.encode(sealed) })
    }

    /// Takes somebody in whom the provider sent back.
    ///
    /// # Errors
    /// Why not.
    pub async fn finish(&self, cookie: Option<&str>, query: CallbackQuery) -> Result<SignedIn, OidcError> {
        let now = UnixMillis::now();
        let pending = cookie.and_then(|cookie| URL_SAFE_NO_PAD.decode(cookie).ok());
        let pending: Option<Pending> = pending.and_then(|sealed| self.seal().open(Purpose::SignIn, &sealed));
        let pending = pending.filter(|pending| (0..=SIGN_IN_LASTS_MS).contains(&(now.0 - pending.at_ms)));
        let pending =
            pending.ok_or_else(|| OidcError::refused("this browser began no sign-in in the last ten minutes"))?;
        if !query.state.is_some_and(|state| is_same_secret(&state, &pending.state)) {
            return Err(OidcError::refused("the state is not that of the sign-in that this browser began"));
        }
        let metadata = self.metadata(KNOWN_FOR).await?;
        let is_said = metadata.additional_metadata().authorization_response_iss_parameter_supported;
        if query.iss.map_or(is_said, |issuer| issuer != self.config().issuer) {
            return Err(OidcError::refused("the answer came from another issuer"));
        }
        if let Some(error) = query.error {
            return Err(OidcError::refused(format!("the identity provider answered {}", tidy(&error, 64))));
        }
        let code = query.code.ok_or_else(|| OidcError::refused("the identity provider sent no code"))?;
        let client = self.client(&metadata, Some(&pending.redirect))?;
        let tokens = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| OidcError::refused("the identity provider has no token endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier))
            .request_async(&self.http())
            .await
            .map_err(token_error)?;
        let id_token = tokens.id_token().ok_or_else(|| OidcError::refused("the identity provider sent no ID token"))?;
        let nonce = Nonce::new(pending.nonce);
        let claims = self.verified(&metadata, id_token, tokens.access_token(), Some(&nonce)).await?;
        let authenticated_at_s = claims.auth_time().map(|at| at.timestamp());
        if pending.fresh && authenticated_at_s.is_none_or(|at| at < pending.at_ms / 1_000 - LEEWAY_S) {
            return Err(OidcError::refused("the identity provider does not say that they signed in just now"));
        }
        let (groups, email) =
            self.groups_and_email(&client, Some(&claims), claims.subject(), tokens.access_token()).await?;
        let role = self.role_of(groups)?;
        let kept = Kept {
            access: tokens.access_token().secret().clone(),
            refresh: tokens.refresh_token().map(|token| token.secret().clone()),
            id: Some(id_token.to_string()),
        };
        Ok(SignedIn {
            identity: Identity { issuer: self.config().issuer.clone(), subject: claims.subject().to_string() },
            email,
            role,
            session: OidcSession {
                sid: claims.additional_claims().sid(),
                issued_at_s: claims.issue_time().timestamp(),
                authenticated_at_s,
                tokens: self.sealed(&kept)?,
            },
            next: pending.next,
            replaces: pending.replaces.and_then(|id| id.parse().ok()),
        })
    }
}
