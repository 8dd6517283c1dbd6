//! What an unknown address shows. Rendered on the server alone.

use crate::{address::DASHBOARD, components::tab_title::keep_tab_title};
use leptos::prelude::*;

/// The page for an address that nothing answers to.
pub(crate) fn page() -> AnyView {
    if let Some(response) = use_context::<leptos_axum::ResponseOptions>() {
        response.set_status(leptos::server_fn::axum_export::http::StatusCode::NOT_FOUND);
    }
    keep_tab_title(|| "Not found".to_owned());
    view! {
        <main class="notice">
            <p class="notice-code number">"404"</p>
            <h1>"Page not found"</h1>
            <p>"There is no page at this address. It may be mistyped, or the page has moved."</p>
            <p><a class="button button-primary" href=DASHBOARD>"Go to the dashboard"</a></p>
        </main>
    }
    .into_any()
}
