//! Signing in: a plain form that works without JavaScript; rendered on the server alone.

use crate::{
    address::{self, LOGIN_OIDC},
    components::{
        icon::{Icon, WARNING},
        tab_title::keep_tab_title,
    },
};
use leptos::{
    prelude::*,
    server_fn::axum_export::http::{header::COOKIE, request::Parts},
};

/// The cookie that brings the email back into the form after a wrong password.
pub const TYPED_EMAIL: &str = "tickstock_email";

/// Can one sign in at an identity provider too? In the context of the page.
#[derive(Clone, Copy, Debug)]
pub struct SingleSignOn(pub bool);

/// May it stand in a cookie as it is (RFC 6265)? What may not is in no usual email.
#[must_use]
pub fn is_plain_in_cookies(c: char) -> bool {
    c.is_ascii_graphic() && !"\",;\\".contains(c)
}

/// What was typed as the email a moment ago.
fn typed_email() -> Option<String> {
    let parts = use_context::<Parts>()?;
    let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let typed = cookies
        .flat_map(|cookies| cookies.split(';'))
        .find_map(|cookie| cookie.trim().strip_prefix(TYPED_EMAIL)?.strip_prefix('=').map(str::to_owned));
    typed.filter(|email| email.contains('@') && email.chars().all(is_plain_in_cookies))
}

/// The form, and why the last attempt failed (`?error=`).
pub(crate) fn page() -> AnyView {
    let query = address::query();
    let error = query.get("error").map(error_text);
    // Where the sign-in leads back to; the server takes nothing for it but a page of ours.
    let next = query.get("next").map(str::to_owned);
    let single_sign_on =
        use_context::<SingleSignOn>().is_some_and(|there_is| there_is.0).then(|| single_sign_on(next.as_deref()));
    keep_tab_title(|| "Sign in".to_owned());
    // The field that is left to fill in has the focus.
    let email = typed_email();
    let is_known = email.is_some();
    view! {
        <main class="login">
            <form class="login-card" method="post" action="/login" data-testid="login">
                <h1 class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></h1>
                <p class="login-lead">"Sign in with an administrator account."</p>
                {error.map(|text| view! {
                    <p class="banner" data-tone="bad" role="alert" data-testid="login-error"><Icon path=WARNING/> <span>{text}</span></p>
                })}
                {single_sign_on}
                <label class="field">
                    <span>"Email"</span>
                    <input type="email" name="email" autocomplete="username" required autofocus=!is_known spellcheck="false" value=email/>
                </label>
                <label class="field">
                    <span>"Password"</span>
                    <input type="password" name="password" autocomplete="current-password" required autofocus=is_known/>
                </label>
                {next.map(|next| view! { <input type="hidden" name="next" value=next/> })}
                <button type="submit" class="button button-primary">"Sign in"</button>
            </form>
        </main>
    }
    .into_any()
}

/// A link rather than a form: what a form of ours is redirected to has to be ours.
fn single_sign_on(next: Option<&str>) -> impl IntoView + use<> {
    let next = next.map(|next| form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>());
    let address = next.map_or_else(|| LOGIN_OIDC.to_owned(), |next| [LOGIN_OIDC, "?next=", &next].concat());
    view! {
        <a class="button button-primary" href=address rel="external" data-testid="single-sign-on">"Sign in with single sign-on"</a>
        <p class="login-or">"or with a local account"</p>
    }
}

/// What an error code says. Never more than that: a code comes from the address, which anybody can write.
fn error_text(code: &str) -> &'static str {
    match code {
        "credentials" => "Email or password is wrong.",
        "limited" => "Too many attempts. Wait a minute, then try again.",
        "forbidden" => "You are signed in, but this account is not an administrator. Sign in with one that is.",
        "provider" => "The identity provider does not answer. Local accounts can sign in.",
        "oidc" => "The sign-in at the identity provider failed. Try again.",
        "groups" => "You are signed in at the identity provider, but none of your groups may use this monitor.",
        "expired" => "Your session has ended. Sign in again.",
        _ => "Sign-in failed. Try again.",
    }
}
