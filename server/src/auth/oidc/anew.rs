//! A session's tokens, and what the provider says of their owner: at the sign-in, and a while after.

use super::{
    OidcError,
    claims::MoreClaims,
    http::{NoAnswer, token_error},
    provider::{Claims, KNOWN_FOR, OidcClient, Provider},
    seal::Purpose,
};
use crate::model::{Email, Role};
use openidconnect::{
    AccessToken, OAuth2TokenResponse, RefreshToken, SubjectIdentifier, TokenResponse, UserInfoClaims, UserInfoError,
    core::CoreGenderClaim,
};
use serde::{Deserialize, Serialize};

/// Longer ones do not fit into an address.
const HINT_BYTES_MAX: usize = 4_096;

type Info = UserInfoClaims<MoreClaims, CoreGenderClaim>;

/// A session's tokens.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    pub(super) id: Option<String>,
}

/// What the provider says now of somebody who signed in a while ago.
pub(super) struct Anew {
    /// Sealed, if the provider gave others.
    pub(super) tokens: Option<Vec<u8>>,
    /// The highest role of their groups.
    pub(super) role: Result<Role, OidcError>,
}

impl Provider {
    /// The role that somebody has by now: by new tokens where the provider gave one to get them with, else by what it says of
    /// whoever has the old one.
    ///
    /// # Errors
    /// When the provider does not answer, or wants to know nothing of the session any more.
    pub(super) async fn take_anew(&self, subject: &str, sealed: &[u8]) -> Result<Anew, OidcError> {
        let kept: Option<Kept> = self.seal().open(Purpose::Session, sealed);
        let mut kept = kept.ok_or_else(|| OidcError::refused("its tokens are of another client secret"))?;
        let metadata = self.metadata(KNOWN_FOR).await?;
        let client = self.client(&metadata, None)?;
        let subject = SubjectIdentifier::new(subject.to_owned());
        let Some(refresh) = kept.refresh.clone().map(RefreshToken::new) else {
            let asked = self.groups_and_email(&client, None, &subject, &AccessToken::new(kept.access)).await;
            return match asked.and_then(|(groups, _)| self.role_of(groups)) {
                Err(error @ (OidcError::Unreachable(_) | OidcError::Refused(_))) => Err(error),
                role => Ok(Anew { tokens: None, role }),
            };
        };
        let tokens = client
            .exchange_refresh_token(&refresh)
            .map_err(|_| OidcError::refused("the identity provider has no token endpoint"))?
            .request_async(&self.http())
            .await
            .map_err(token_error)?;
        kept.access.clone_from(tokens.access_token().secret());
        kept.refresh = tokens.refresh_token().map(|token| token.secret().clone()).or(kept.refresh);
        kept.id = tokens.id_token().map(ToString::to_string).or(kept.id);
        let role = async {
            let claims = match tokens.id_token() {
                Some(token) => Some(self.verified(&metadata, token, tokens.access_token(), None).await?),
                None => None,
            };
            if claims.as_ref().is_some_and(|claims| *claims.subject() != subject) {
                return Err(OidcError::refused("the new ID token is somebody else's"));
            }
            let asked = self.groups_and_email(&client, claims.as_ref(), &subject, tokens.access_token());
            self.role_of(asked.await?.0)
        };
        // The old refresh token may be used up: the new one is kept whatever it says of groups.
        Ok(Anew { tokens: Some(self.sealed(&kept)?), role: role.await })
    }

    /// Where the browser goes to sign out at the provider too; `None` where it has no such place, or does not answer.
    pub async fn end_session_address(&self, sealed: &[u8], back: &str) -> Option<String> {
        let metadata = self.metadata(KNOWN_FOR).await.ok()?;
        let mut address = metadata.additional_metadata().end_session_endpoint.clone()?;
        let kept: Option<Kept> = self.seal().open(Purpose::Session, sealed);
        let hint = kept.and_then(|kept| kept.id).filter(|hint| hint.len() <= HINT_BYTES_MAX);
        let mut query = address.query_pairs_mut();
        query.append_pair("client_id", &self.config().client_id).append_pair("post_logout_redirect_uri", back);
        if let Some(hint) = hint {
            query.append_pair("id_token_hint", &hint);
        }
        drop(query);
        Some(address.into())
    }

    /// By the ID token; what it does not say, the provider is asked for.
    pub(super) async fn groups_and_email(
        &self,
        client: &OidcClient,
        claims: Option<&Claims>,
        subject: &SubjectIdentifier,
        access: &AccessToken,
    ) -> Result<(Option<Vec<String>>, Option<Email>), OidcError> {
        let path = &self.config().groups_claim;
        let groups = claims.and_then(|claims| claims.additional_claims().groups(path));
        let email =
            claims.and_then(|claims| email(claims.email().map(|email| email.as_str()), claims.email_verified()));
        if groups.is_some() && email.is_some() {
            return Ok((groups, email));
        }
        let Ok(request) = client.user_info(access.clone(), Some(subject.clone())) else { return Ok((groups, email)) };
        let info: Result<Info, _> = request.request_async(&self.http()).await;
        match info {
            Ok(info) => {
                let other = self::email(info.email().map(|email| email.as_str()), info.email_verified());
                Ok((groups.or_else(|| info.additional_claims().groups(path)), email.or(other)))
            }
            // A name is no reason to keep somebody out whose groups are known.
            Err(_) if groups.is_some() => Ok((groups, email)),
            Err(UserInfoError::Request(NoAnswer(why))) => Err(OidcError::Unreachable(why)),
            Err(UserInfoError::Response(status, ..)) => {
                Err(OidcError::refused(format!("the identity provider answered {status} when asked for groups")))
            }
            Err(_) => Err(OidcError::refused("what the identity provider says of groups cannot be read")),
        }
    }

    pub(super) fn role_of(&self, groups: Option<Vec<String>>) -> Result<Role, OidcError> {
        let config = self.config();
        let groups = groups.ok_or_else(|| {
            OidcError::NoRole(format!(
                "the identity provider sent no groups: no list in the claim {}",
                config.groups_claim
            ))
        })?;
        let none = || OidcError::NoRole("none of their groups has a role here (OIDC_ROLE_MAP)".to_owned());
        config.roles.role_of(&groups).ok_or_else(none)
    }

    pub(super) fn sealed(&self, kept: &Kept) -> Result<Vec<u8>, OidcError> {
        let sealed = self.seal().seal(Purpose::Session, kept);
        sealed.ok_or_else(|| OidcError::refused("the tokens cannot be kept"))
    }
}

fn email(email: Option<&str>, is_verified: Option<bool>) -> Option<Email> {
    email.filter(|_| is_verified != Some(false))?.parse().ok()
}
