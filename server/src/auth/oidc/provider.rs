//! The provider: what it says of itself, kept for an hour; the way to it and back; tokens read and checked.

use super::{
    ALGORITHMS, LEEWAY_S, OidcConfig, OidcError,
    claims::MoreClaims,
    http::{Fetching, NoAnswer, discovery_error, fetch},
    seal::Seal,
};
use crate::{http_client::http_client, model::Identity, text::tidy};
use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, ClaimsVerificationError, Client, ClientId,
    ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, IdToken,
    IdTokenClaims, IdTokenFields, IssuerUrl, Nonce, ProviderMetadata, RedirectUrl, SignatureVerificationError,
    StandardErrorResponse, StandardTokenResponse,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreErrorResponseType,
        CoreGenderClaim, CoreGrantType, CoreIdTokenVerifier, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
        CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreSubjectIdentifierType, CoreTokenIntrospectionResponse, CoreTokenType,
    },
    url::Url,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(5);
/// What the provider says of itself is asked for anew after this long.
pub(super) const KNOWN_FOR: Duration = Duration::from_secs(3_600);
/// Nobody is sent to a provider that has not answered for so long; and for a key that is not known, it is asked no more often.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

type Metadata = ProviderMetadata<
    MoreMetadata,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;
type Tokens = StandardTokenResponse<
    IdTokenFields<
        MoreClaims,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
pub(super) type OidcClient = Client<
    MoreClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;
pub(super) type Claims = IdTokenClaims<MoreClaims, CoreGenderClaim>;

/// What a provider may say of itself beside.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct MoreMetadata {
    pub(super) end_session_endpoint: Option<Url>,
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for MoreMetadata {}

/// The provider. Clones share what is known of it.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: OidcConfig,
    issuer: IssuerUrl,
    http: reqwest::Client,
    seal: Seal,
    known: Mutex<Option<Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Arc<Metadata>,
    since: Instant,
}

impl Provider {
    /// Asks nothing yet: the provider may come later than the monitor.
    ///
    /// # Errors
    /// When the issuer is no address, or there can be no HTTP client.
    pub fn new(config: OidcConfig) -> anyhow::Result<Self> {
        let http = http_client(CONNECT_TIMEOUT, TIMEOUT).build()?;
        let issuer = IssuerUrl::new(config.issuer.clone())?;
        let seal = Seal::new(&config.client_secret).context("no key can be made of OIDC_CLIENT_SECRET")?;
        Ok(Self(Arc::new(Inner { config, issuer, http, seal, known: Mutex::default() })))
    }

    pub(super) fn seal(&self) -> &Seal {
        &self.0.seal
    }

    pub(super) fn config(&self) -> &OidcConfig {
        &self.0.config
    }

    /// What the provider says of itself, no older than this unless it does not answer and nothing newer is needed.
    pub(super) async fn metadata(&self, age_max: Duration) -> Result<Arc<Metadata>, OidcError> {
        let known = self.known();
        if let Some(known) = known.as_ref().filter(|known| known.since.elapsed() < age_max) {
            return Ok(Arc::clone(&known.metadata));
        }
        let found = Metadata::discover_async(self.0.issuer.clone(), &self.http()).await;
        match (found, known) {
            (Ok(metadata), _) => {
                let metadata = Arc::new(metadata);
                let known = Known { metadata: Arc::clone(&metadata), since: Instant::now() };
                *self.0.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
                Ok(metadata)
            }
            // Keys that are an hour old are as good as before.
            (Err(_), Some(known)) if age_max >= KNOWN_FOR => Ok(known.metadata),
            (Err(error), _) => Err(OidcError::Unreachable(discovery_error(&error))),
        }
    }

    /// Whether what is known is older than the shortest time between two questions.
    pub(super) fn may_ask_again(&self) -> bool {
        self.known().is_none_or(|known| known.since.elapsed() >= ANSWERED_WITHIN)
    }

    fn known(&self) -> Option<Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn client(&self, metadata: &Metadata, redirect: Option<&str>) -> Result<OidcClient, OidcError> {
        let config = self.config();
        let secret = ClientSecret::new(config.client_secret.expose_secret().to_owned());
        let id = ClientId::new(config.client_id.clone());
        // In the header, as the standard has it, unless the provider takes it in the form alone.
        let is_in_form = metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let auth_type = if is_in_form { AuthType::RequestBody } else { AuthType::BasicAuth };
        let client = OidcClient::from_provider_metadata(metadata.clone(), id, Some(secret)).set_auth_type(auth_type);
        let Some(redirect) = redirect else { return Ok(client) };
        let redirect = RedirectUrl::new(redirect.to_owned());
        Ok(client.set_redirect_uri(redirect.map_err(|_| OidcError::refused("PUBLIC_URL is no address"))?))
    }

    /// Asks the provider alone: to other places than its own scheme allows, nothing goes.
    pub(super) fn http(&self) -> impl Fn(HttpRequest) -> Fetching + use<> {
        let (http, is_secure) = (self.0.http.clone(), self.config().issuer.starts_with("https:"));
        move |request| {
            let http = http.clone();
            Box::pin(async move {
                if is_secure && request.uri().scheme_str() != Some("https") {
                    return Err(NoAnswer("it names an address without TLS".to_owned()));
                }
                fetch(&http, request).await
            })
        }
    }

    /// The claims of an ID token, once everything about it is right. For a key that is not known the provider is asked once more.
    pub(super) async fn verified(
        &self,
        metadata: &Arc<Metadata>,
        token: &IdToken<MoreClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>,
        access: &AccessToken,
        nonce: Option<&Nonce>,
    ) -> Result<Claims, OidcError> {
        let check = |metadata: &Metadata| {
            let verifier = self.verifier(metadata);
            let claims = match nonce {
                Some(nonce) => token.claims(&verifier, nonce),
                None => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
            }?;
            if let Some(expected) = claims.access_token_hash() {
                let hash = token.signing_alg().and_then(|alg| Ok((alg, token.signing_key(&verifier)?)));
                let (alg, key) = hash.map_err(ClaimsVerificationError::SignatureVerification)?;
                let actual = AccessTokenHash::from_token(access, alg, key)
                    .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
                if actual != *expected {
                    return Err(ClaimsVerificationError::Other("the access token is another one's".to_owned()));
                }
            }
            Ok(claims.clone())
        };
        let unknown = ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey);
        let claims = match check(metadata) {
            Err(error) if error == unknown && self.may_ask_again() => check(&*self.metadata(Duration::ZERO).await?),
            claims => claims,
        };
        claims.map_err(|error| {
            let why = match error {
                ClaimsVerificationError::SignatureVerification(why) => why.to_string(),
                error => error.to_string(),
            };
            OidcError::refused(format!("the ID token is not valid: {}", tidy(&why, 256)))
        })
    }

    fn verifier(&self, metadata: &Metadata) -> CoreIdTokenVerifier<'static> {
        let leeway = TimeDelta::seconds(LEEWAY_S);
        let from_the_future = move |at: DateTime<Utc>| match at > Utc::now() + leeway {
            true => Err("it was issued in the future".to_owned()),
            false => Ok(()),
        };
        // Without the secret nothing that is signed with it can be right.
        let client_id = ClientId::new(self.config().client_id.clone());
        CoreIdTokenVerifier::new_public_client(client_id, self.0.issuer.clone(), metadata.jwks().clone())
            .set_allowed_algs(ALGORITHMS)
            .set_issue_time_verifier_fn(from_the_future)
            .set_time_fn(move || Utc::now() - leeway)
    }
}

/// What names an account whose email says nothing: always the same for the same somebody.
pub(super) fn name_of(identity: &Identity) -> String {
    let digest =
        Sha256::new().chain_update(&identity.issuer).chain_update([0]).chain_update(&identity.subject).finalize();
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let host = Url::parse(&identity.issuer).ok().and_then(|issuer| issuer.host_str().map(str::to_owned));
    // An Email has no colon, and a host that is an IPv6 address has some.
    format!("sub-{short}@{}", host.filter(|host| !host.contains(':')).unwrap_or_else(|| "provider".to_owned()))
}
