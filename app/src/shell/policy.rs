//! The Content-Security-Policy of the pages.

use leptos::{
    nonce::use_nonce,
    prelude::*,
    server_fn::axum_export::http::{HeaderValue, header::CONTENT_SECURITY_POLICY},
};
use leptos_axum::ResponseOptions;

/// Puts the policy on the response under way; nothing without one, as in tests.
pub(super) fn send(options: &LeptosOptions) {
    let Some(response) = use_context::<ResponseOptions>() else { return };
    // While developing, the page listens to cargo-leptos for changes.
    let reload =
        std::env::var("LEPTOS_WATCH").is_ok().then(|| options.reload_external_port.unwrap_or(options.reload_port));
    let nonce = use_nonce().map(|nonce| nonce.to_string()).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(policy(&nonce, reload)) {
        response.insert_header(CONTENT_SECURITY_POLICY, value);
    }
}

/// Only what the pages use: our own files, scripts with this response's nonce, WASM, our own socket.
fn policy(nonce: &str, reload_port: Option<u32>) -> String {
    let reload = reload_port.map(|port| format!(" ws://127.0.0.1:{port} ws://localhost:{port}")).unwrap_or_default();
    format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval'; style-src 'self'; \
         connect-src 'self'{reload}; img-src 'self' data:; font-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_inline_is_allowed_without_the_nonce() {
        let strict = policy("abc", None);
        assert!(strict.contains("script-src 'self' 'nonce-abc' 'wasm-unsafe-eval';"), "{strict}");
        assert!(!strict.contains("unsafe-inline") && strict.contains("connect-src 'self';"), "{strict}");
        assert!(policy("abc", Some(3001)).contains("connect-src 'self' ws://127.0.0.1:3001 "));
    }
}
