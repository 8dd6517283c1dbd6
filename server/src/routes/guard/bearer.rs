//! API tokens in requests: taken out of the header before anybody else sees them, and refused where they do not belong.

use super::{Access, Client};
use crate::{
    audit::Action,
    auth::read_token,
    model::TokenHash,
    routes::{api_error, query},
};
use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{AUTHORIZATION, COOKIE},
    },
    middleware::Next,
    response::Response,
};

/// The request came with an API token: it decides alone who asks, whatever cookies there are. In the extensions of such requests.
#[derive(Clone, Debug)]
pub(super) struct Bearer(
    /// What is known of it; `None` for one that is not whole, or not the only one.
    pub(super) Option<TokenHash>,
);

/// Middleware: takes an API token out of its header. The session layer gets no cookie of such a request, so that a page that a browser was lured
/// to has nothing of it, and what is written to the log by whomever has no token in it.
pub(super) async fn taken_out(mut request: Request, next: Next) -> Response {
    let values = request.headers().get_all(AUTHORIZATION);
    let tokens: Vec<_> = values.iter().filter_map(token_in).collect();
    if let [first, rest @ ..] = &tokens[..] {
        let is_only = rest.is_empty() && values.iter().count() == 1;
        let bearer = Bearer(is_only.then(|| read_token(first)).flatten());
        request.headers_mut().remove(AUTHORIZATION);
        request.headers_mut().remove(COOKIE);
        request.extensions_mut().insert(bearer);
    }
    next.run(request).await
}

/// Other schemes, and tokens of others, belong to proxies in front.
fn token_in(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && token.starts_with("tsm_")).then_some(token)
}

/// Middleware: refuses a token in an address, which ends up in logs of proxies, in histories and in `Referer`s.
pub(super) async fn not_in_address(State(access): State<Access>, request: Request, next: Next) -> Response {
    const MESSAGE: &str = "a token in an address ends up in logs: send it as the header `Authorization: Bearer tsm_…`, and \
                           revoke this one, which may be known by now";
    if !query::holds_token(&request) {
        return next.run(request).await;
    }
    let stranger = request.extensions().get::<Client>().map(Client::stranger).unwrap_or_default();
    // Not by its route: nothing was routed yet, and the address must not be told.
    access.audit.record_refusal(stranger.is_refused(Action::ApiCall, "a token in the address")).await;
    api_error(StatusCode::BAD_REQUEST, "token_in_address", MESSAGE)
}
