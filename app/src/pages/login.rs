//! Signing in: a plain form that works without JavaScript.

use crate::components::icon::{Icon, WARNING};
use leptos::prelude::*;
use leptos_meta::Title;
use leptos_router::hooks::use_query_map;

/// The cookie that brings the email back into the form after a wrong password.
pub const TYPED_EMAIL: &str = "tickstock_email";

/// May it stand in a cookie as it is (RFC 6265)? What may not is in no usual email.
#[must_use]
pub fn is_plain_in_cookies(c: char) -> bool {
    c.is_ascii_graphic() && !"\",;\\".contains(c)
}

/// What was typed as the email a moment ago. Known to the server alone, which renders this page whole.
fn typed_email() -> Option<String> {
    #[cfg(feature = "ssr")]
    {
        use leptos::server_fn::axum_export::http::{header::COOKIE, request::Parts};

        let parts = use_context::<Parts>()?;
        let cookies = parts.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let typed = cookies
            .flat_map(|cookies| cookies.split(';'))
            .find_map(|cookie| cookie.trim().strip_prefix(TYPED_EMAIL)?.strip_prefix('=').map(str::to_owned));
        typed.filter(|email| email.contains('@') && email.chars().all(is_plain_in_cookies))
    }
    #[cfg(not(feature = "ssr"))]
    None
}

/// The form, and why the last attempt failed (`?error=`).
#[component]
pub fn LoginPage() -> impl IntoView {
    let query = use_query_map();
    let error = move || query.with(|query| query.get_str("error").map(error_text));
    // Where the sign-in leads back to; the server takes nothing for it but a page of ours.
    let next = move || query.with(|query| query.get("next"));
    // The field that is left to fill in has the focus.
    let email = typed_email();
    let is_known = email.is_some();
    view! {
        <Title text="Sign in"/>
        <main class="login">
            <form class="login-card" method="post" action="/login" data-testid="login">
                <h1 class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></h1>
                <p class="login-lead">"Sign in with an administrator account."</p>
                {move || error().map(|text| view! {
                    <p class="banner" data-tone="bad" role="alert" data-testid="login-error"><Icon path=WARNING/> <span>{text}</span></p>
                })}
                <label class="field">
                    <span>"Email"</span>
                    <input type="email" name="email" autocomplete="username" required autofocus=!is_known spellcheck="false" value=email/>
                </label>
                <label class="field">
                    <span>"Password"</span>
                    <input type="password" name="password" autocomplete="current-password" required autofocus=is_known/>
                </label>
                {move || next().map(|next| view! { <input type="hidden" name="next" value=next/> })}
                <button type="submit" class="button button-primary">"Sign in"</button>
            </form>
        </main>
    }
    .into_any()
}

/// What an error code says. Never more than that: a code comes from the address, which anybody can write.
fn error_text(code: &str) -> &'static str {
    match code {
        "credentials" => "Email or password is wrong.",
        "limited" => "Too many attempts. Wait a minute, then try again.",
        "forbidden" => "You are signed in, but this account is not an administrator. Sign in with one that is.",
        "expired" => "Your session has ended. Sign in again.",
        _ => "Sign-in failed. Try again.",
    }
}
