//! One file a page: reads the route and the server's answer, builds the state, hands signals to components.

pub mod account;
pub mod audit;
pub mod login;
pub mod metrics;
pub mod monitor;
pub mod not_found;

use leptos::prelude::*;
use leptos_meta::{Title, provide_meta_context};
use leptos_router::{
    SsrMode,
    components::{Route, Router, Routes},
    path,
};

/// The application: the same on the server and in the browser.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    view! {
        <Title formatter=|title: String| if title.is_empty() { "TickStock Monitor".into() } else { title + " · TickStock Monitor" }/>
        <Router>
            <Routes fallback=not_found::NotFoundPage>
                // Async: all of the page is in the HTML, so that it reads without JavaScript.
                <Route path=path!("/admin/websockets") view=monitor::MonitorPage ssr=SsrMode::Async/>
                <Route path=path!("/admin/audit") view=audit::AuditLogPage ssr=SsrMode::Async/>
                <Route path=path!("/admin/account") view=account::AccountPage ssr=SsrMode::Async/>
                <Route path=path!("/admin/metrics") view=metrics::route() ssr=SsrMode::Async/>
                <Route path=path!("/login") view=login::LoginPage ssr=SsrMode::Async/>
            </Routes>
        </Router>
    }
}
