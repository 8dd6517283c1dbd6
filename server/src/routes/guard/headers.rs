//! Headers that every answer carries.

use axum::{
    extract::{Request, State},
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, LAST_MODIFIED, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::Next,
    response::Response,
};

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-embedder-policy"), HeaderValue::from_static("require-corp")),
];
/// For a year, this host and what is below it: neighbours on the domain are not ours to decide about.
const ONLY_TLS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");
/// For what is no page: should a browser be made to show it as one, it does nothing.
const NO_PAGE: HeaderValue =
    HeaderValue::from_static("default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");

/// Middleware: the usual security headers, and `no-store` on everything but files that are the same for everybody, which
/// are `no-cache`, where the handler did not say otherwise; where browsers speak TLS to us (`secure`), the order to speak
/// nothing else. Pages send a content security policy of their own, with a nonce; what sends none gets one that allows
/// nothing.
pub async fn security_headers(State(secure): State<bool>, request: Request, next: Next) -> Response {
    let is_bundle = request.uri().path().starts_with("/pkg/");
    let mut response = next.run(request).await;
    // Only the file service tells when something was modified.
    let is_file = is_bundle || response.headers().contains_key(LAST_MODIFIED);
    let is_found = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(NO_PAGE);
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, ONLY_TLS);
    }
    // Files keep their names from one version to the next, so a browser has to ask whether it has the newest.
    let caching = if is_file && is_found { "no-cache" } else { "no-store" };
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(caching));
    response
}
