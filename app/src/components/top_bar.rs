//! Product, feed, times, our own link, and what an administrator can do to the page.

use super::{
    icon::{Icon, PAUSE, REFRESH, RESUME},
    theme_toggle::ThemeToggle,
};
use crate::{
    model::{account::ACCOUNT, status::StatusHead, time::UnixMillis},
    store::{link::LinkState, view::View},
};
use leptos::prelude::*;

/// The bar. `email` is who is signed in.
#[component]
pub fn TopBar(
    /// The page's signals.
    view: View,
    /// Who is signed in.
    email: String,
    /// Freeze the view or let it go.
    on_pause: Callback<()>,
    /// Ask for fresh numbers.
    on_refresh: Callback<()>,
) -> impl IntoView {
    let head: Signal<StatusHead> = RwSignal::from(view.head).into();
    // Cut off when it is long; the whole address is in the title.
    let title = email.clone();
    let paused: Signal<bool> = RwSignal::from(view.paused).into();
    let link: Signal<LinkState> = RwSignal::from(view.link).into();
    let feed = Memo::new(move |_| head.with(|head| head.feed.label()));
    view! {
        <header class="top-bar">
            <h1 class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></h1>
            <p class="feed"><span class="visually-hidden">"Feed: "</span>{move || feed.get()}</p>
            <Clocks clock=RwSignal::from(view.clock).into()/>
            <LinkBadge link lag_ms=RwSignal::from(view.lag_ms).into()/>
            <div class="actions">
                // What comes and goes stands left of the buttons, which then never move.
                <Outcome
                    paused
                    behind=RwSignal::from(view.behind).into()
                    refreshing=RwSignal::from(view.refreshing).into()
                    refreshed=RwSignal::from(view.refreshed).into()
                />
                <PauseButton paused on_pause/>
                <RefreshButton link on_refresh/>
                <ThemeToggle/>
                <a class="bar-link" href="/admin/audit" rel="external">"Audit log"</a>
                <form class="account" method="post" action="/logout">
                    <a class="account-email bar-link" href=ACCOUNT rel="external" title=title>{email}</a>
                    <button type="submit" class="button" data-testid="sign-out">"Sign out"</button>
                </form>
            </div>
        </header>
    }
}

/// UTC and New York, where the exchanges are.
#[component]
fn Clocks(
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let utc = move || clock.get().map_or_else(|| "--:--:--".to_owned(), UnixMillis::clock);
    let new_york = move || clock.get().and_then(new_york_clock).unwrap_or_else(|| "--:--:--".to_owned());
    view! {
        <p class="clocks number">
            <span><span class="unit">"UTC "</span>{utc}</span>
            <span><span class="unit">"New York "</span>{new_york}</span>
        </p>
    }
}

/// The browser knows New York's daylight saving time; nothing else here does.
#[cfg(feature = "hydrate")]
fn new_york_clock(time: UnixMillis) -> Option<String> {
    let options = js_sys::Object::new();
    for (key, value) in [("timeZone", "America/New_York"), ("timeStyle", "medium")] {
        js_sys::Reflect::set(&options, &key.into(), &value.into()).ok()?;
    }
    let date = js_sys::Date::new(&(time.0 as f64).into());
    Some(date.to_locale_string("en-GB", &options).into())
}

#[cfg(not(feature = "hydrate"))]
fn new_york_clock(_time: UnixMillis) -> Option<String> {
    None
}

/// Our own socket: its state, and how late what it brings is.
#[component]
fn LinkBadge(
    /// The state.
    link: Signal<LinkState>,
    /// How late frames arrive, in milliseconds.
    lag_ms: Signal<Option<i64>>,
) -> impl IntoView {
    // Tens of milliseconds: a number that changes with every frame says nothing.
    let lag = Memo::new(move |_| link.get().is_live().then(|| lag_ms.get()).flatten().map(|lag| lag / 10 * 10));
    let lag_text = move || match lag.get() {
        None => String::new(),
        Some(lag) if lag < 10 => "lag < 10 ms".to_owned(),
        Some(lag) => ["lag ", &lag.to_string(), " ms"].concat(),
    };
    view! {
        <p class="link" data-testid="link" data-state=move || link.get().name()>
            <span class="link-dot" aria-hidden="true"></span>
            <span class="visually-hidden">"Link: "</span>
            <span class="link-label">{move || link.get().label()}</span>
            <span class="link-lag unit number">{lag_text}</span>
        </p>
    }
}

#[component]
fn PauseButton(
    /// Is the view frozen?
    paused: Signal<bool>,
    /// Freeze or let go.
    on_pause: Callback<()>,
) -> impl IntoView {
    let path = Signal::derive(move || if paused.get() { RESUME } else { PAUSE });
    view! {
        <button
            type="button"
            class="button button-pause"
            class:is-active=move || paused.get()
            data-testid="pause"
            aria-pressed=move || paused.get().to_string()
            title="Freeze the view (space)"
            on:click=move |_| on_pause.run(())
        >
            <Icon path/>
            {move || if paused.get() { "Resume" } else { "Pause" }}
        </button>
    }
}

#[component]
fn RefreshButton(
    /// Our own socket.
    link: Signal<LinkState>,
    /// Ask for fresh numbers.
    on_refresh: Callback<()>,
) -> impl IntoView {
    view! {
        <button
            type="button"
            class="button"
            data-testid="refresh"
            title="Ask for status and metrics now"
            // Before hydration a click would be lost; "connecting" is that state and the next.
            disabled=move || !link.get().is_live()
            on:click=move |_| on_refresh.run(())
        >
            <Icon path=REFRESH/>
            "Refresh"
        </button>
    }
}

/// What became of the buttons: how far behind a paused view is, when the last refresh was answered.
#[component]
fn Outcome(
    /// Is the view frozen?
    paused: Signal<bool>,
    /// Ticks since.
    behind: Signal<u64>,
    /// Is a refresh under way?
    refreshing: Signal<bool>,
    /// When the last one was answered.
    refreshed: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let outcome = move || match refreshed.get() {
        _ if refreshing.get() => "refreshing".to_owned(),
        Some(at) => ["refreshed ", &at.clock(), " UTC"].concat(),
        None => String::new(),
    };
    view! {
        <Show when=move || paused.get()>
            <span class="behind number" data-testid="behind">{move || super::format::count(behind.get())} " ticks behind"</span>
        </Show>
        <span class="refreshed unit number" class:is-empty=move || outcome().is_empty() role="status" data-testid="refreshed">{outcome}</span>
    }
}
