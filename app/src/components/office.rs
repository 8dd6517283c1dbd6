//! The frame of the pages that are forms and tables: product, the way to the other pages, who is signed in.
//!
//! These pages are rendered on the server alone and work without JavaScript. Whoever comes to one inside the browser's
//! router would find nothing: links to them are `rel="external"`.

use leptos::prelude::*;

/// The pages that bars lead to: address and name, in their order.
pub const PAGES: [(&str, &str); 3] =
    [("/admin/websockets", "Connections"), ("/admin/audit", "Audit log"), ("/admin/account", "Account")];

/// The bar on top. `here` is the page's own address.
#[component]
pub fn OfficeBar(
    /// Who is signed in.
    email: String,
    /// The address of this page, without a query.
    here: &'static str,
) -> impl IntoView {
    let links = PAGES.map(|(address, name)| {
        let current = (address == here).then_some("page");
        view! { <a href=address aria-current=current>{name}</a> }
    });
    let title = email.clone();
    view! {
        <header class="top-bar">
            <p class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></p>
            <nav class="office-nav" aria-label="Pages">{links}</nav>
            <form class="account office-account" method="post" action="/logout">
                <span class="account-email" title=title>{email}</span>
                <button type="submit" class="button" data-testid="sign-out">"Sign out"</button>
            </form>
        </header>
    }
}
