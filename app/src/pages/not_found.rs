//! What an unknown address shows.

use leptos::prelude::*;
use leptos_meta::Title;

/// The page for an address that nothing answers to.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    #[cfg(feature = "ssr")]
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::NOT_FOUND);
    }
    view! {
        <Title text="Not found"/>
        <main class="notice">
            <p class="notice-code number">"404"</p>
            <h1>"Nothing is here"</h1>
            <p>"The address leads nowhere. It may have been mistyped, or the page has moved."</p>
            <p><a class="button button-primary" href="/admin/websockets" rel="external">"To the dashboard"</a></p>
        </main>
    }
    .into_any()
}
