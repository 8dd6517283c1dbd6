//! The frame of the pages that are forms and tables: product, the way to the other pages, who is signed in.
//!
//! All but the full metrics are rendered on the server alone, and all work without JavaScript. To the router of the full
//! metrics they are nothing: links to them are `rel="external"`.

use crate::{
    address::{ACCOUNT, ALERTS, AUDIT, DASHBOARD, METRICS, REPLAY},
    model::time::UnixMillis,
};
#[cfg(feature = "ssr")]
use crate::{
    api::{Backend, CurrentViewer},
    components::{
        icon::{Icon, WARNING},
        tab_title::keep_tab_title,
    },
};
use leptos::prelude::*;
#[cfg(feature = "ssr")]
use std::sync::Arc;

/// The pages that bars lead to: address and name, in their order.
pub const PAGES: [(&str, &str); 6] = [
    (DASHBOARD, "Connections"),
    (METRICS, "Full metrics"),
    (REPLAY, "Replay"),
    (ALERTS, "Alerts"),
    (AUDIT, "Audit log"),
    (ACCOUNT, "Account"),
];

/// A point in time to the second, `2026-01-21 12:34:56`; the heading says that it is UTC.
#[must_use]
pub fn second(time: UnixMillis) -> String {
    let text = time.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(clock)) => [day, " ", clock].concat(),
        _ => text,
    }
}

/// The way to the other pages, alike in every bar.
#[component]
pub fn Pages(
    /// The address of this page, without a query.
    here: &'static str,
) -> impl IntoView {
    let links = PAGES.map(|(address, name)| {
        let current = (address == here).then_some("page");
        // Past the router of the full metrics, which would find nothing there.
        view! { <a href=address rel="external" aria-current=current>{name}</a> }
    });
    view! { <nav class="admin-nav" aria-label="Pages">{links}</nav> }
}

/// The bar on top. `here` is the page's own address.
#[component]
pub fn AdminBar(
    /// Who is signed in.
    email: String,
    /// The address of this page, without a query.
    here: &'static str,
    /// What this page has more than the others.
    #[prop(optional)]
    children: Option<Children>,
) -> impl IntoView {
    let title = email.clone();
    view! {
        <header class="top-bar">
            <p class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></p>
            <Pages here/>
            {children.map(|children| children())}
            <form class="account admin-account" method="post" action="/logout">
                <span class="account-email" title=title>{email}</span>
                <button type="submit" class="button" data-testid="sign-out">"Sign out"</button>
            </form>
        </header>
    }
}

/// A page that is rendered on the server alone: title and bar around what `body` makes for whoever is signed in. Nothing
/// where nobody is; such requests end before a page is made.
#[cfg(feature = "ssr")]
pub(crate) fn admin_page(
    title: &'static str,
    here: &'static str,
    class: &'static str,
    body: impl FnOnce(CurrentViewer, Arc<dyn Backend>) -> AnyView,
) -> AnyView {
    let (Some(admin), Some(backend)) = (use_context::<CurrentViewer>(), use_context::<Arc<dyn Backend>>()) else {
        return ().into_any();
    };
    let email = admin.email.clone();
    keep_tab_title(move || title.to_owned());
    view! {
        <div class="admin">
            <AdminBar email here/>
            <main class=class>
                <h1>{title}</h1>
                {body(admin, backend)}
            </main>
        </div>
    }
    .into_any()
}

/// A user agent in a few words, `Chrome on Linux`; as it is where it is no browser's.
#[cfg(feature = "ssr")]
pub(crate) fn browser(user_agent: &str) -> String {
    // In this order: each of them claims to be those after it.
    const BROWSERS: [(&str, &str); 5] =
        [("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(sign, _)| user_agent.contains(sign)).map(|(_, name)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => [browser, " on ", system].concat(),
        (Some(browser), None) => browser.to_owned(),
        _ => user_agent.to_owned(),
    }
}

/// Says at once, also to who cannot see it, what went wrong.
#[cfg(feature = "ssr")]
pub(crate) fn problem(text: impl IntoView + 'static, test_id: &'static str) -> impl IntoView {
    view! {
        <p class="banner" data-tone="bad" role="alert" data-testid=test_id><Icon path=WARNING/> <span>{text}</span></p>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "ssr")]
    #[test]
    fn a_browser_is_told_in_a_few_words() {
        let chrome =
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        assert_eq!(
            browser("Mozilla/5.0 (Windows NT 10.0; rv:153.0) Gecko/20100101 Firefox/153.0"),
            "Firefox on Windows"
        );
        assert_eq!(browser("curl/8.5.0"), "curl/8.5.0");
    }

    #[test]
    fn a_time_is_shown_to_the_second() {
        assert_eq!(second(UnixMillis(1_768_998_896_789)), "2026-01-21 12:34:56");
    }
}
