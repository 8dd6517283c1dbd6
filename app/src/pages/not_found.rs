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
            <h1>"Page not found"</h1>
            <p>"There is no page at this address. It may be mistyped, or the page has moved."</p>
            <p><a class="button button-primary" href="/admin/websockets" rel="external">"Go to the dashboard"</a></p>
        </main>
    }
    .into_any()
}
