//! Asking the provider: in a few seconds, up to a size, without redirections; and what it means when nothing good comes back.

use super::OidcError;
use crate::text::tidy;
use openidconnect::{
    DiscoveryError, HttpRequest, HttpResponse, RequestTokenError, StandardErrorResponse, core::CoreErrorResponseType,
};

/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// An answer under way.
pub(super) type Fetching = std::pin::Pin<Box<dyn Future<Output = Result<HttpResponse, NoAnswer>> + Send>>;

/// Nothing came, or nothing that would be an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(pub(super) String);

pub(super) async fn fetch(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, NoAnswer> {
    let said = |error: reqwest::Error| {
        let what = match () {
            () if error.is_timeout() => "it took too long",
            () if error.is_connect() => "no connection",
            () => "the connection broke",
        };
        NoAnswer(what.to_owned())
    };
    let request = request.try_into().map_err(said)?;
    let mut answer = http.execute(request).await.map_err(said)?;
    let status = answer.status();
    if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
        return Err(NoAnswer(format!("it answered {status}")));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(said)? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(NoAnswer(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    let mut response = HttpResponse::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}

pub(super) fn discovery_error(error: &DiscoveryError<NoAnswer>) -> String {
    use DiscoveryError::{Parse, Request, Response, Validation};

    match error {
        Request(NoAnswer(why)) => why.clone(),
        Response(status, ..) => format!("it answered {status} when asked for its configuration"),
        Parse(error) => format!("its configuration cannot be read: {}", tidy(&error.to_string(), 256)),
        Validation(why) => tidy(why, 256),
        _ => "its configuration cannot be read".to_owned(),
    }
}

pub(super) fn token_error(
    error: RequestTokenError<NoAnswer, StandardErrorResponse<CoreErrorResponseType>>,
) -> OidcError {
    match error {
        RequestTokenError::Request(NoAnswer(why)) => OidcError::Unreachable(why),
        RequestTokenError::ServerResponse(answer) => {
            let code = tidy(answer.error().as_ref(), 64);
            match &*code {
                "server_error" | "temporarily_unavailable" => OidcError::Unreachable(format!("it answered {code}")),
                _ => OidcError::refused(format!("the identity provider answered {code}")),
            }
        }
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            OidcError::refused("what the identity provider answered cannot be read")
        }
    }
}
