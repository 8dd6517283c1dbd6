//! Product, feed, our own link, what an administrator can do to the page, and the way to the other pages.

use super::{
    admin_pages::{PAGES, Pages},
    icon::{HELP, Icon, PAUSE, REFRESH, RESUME},
    link_badge::LinkBadge,
    search_state::SymbolSearch,
    symbol_search::SearchField,
    theme_toggle::ThemeToggle,
};
use crate::{
    api::MayAct,
    model::status::StatusHead,
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
    /// What is searched for.
    search: SymbolSearch,
    /// Is a refresh of the configuration under way?
    refreshing: Signal<bool>,
    /// Freeze the view or let it go.
    on_pause: Callback<()>,
    /// Read the configuration again.
    on_refresh: Callback<()>,
    /// Show what the keys do.
    on_help: Callback<()>,
) -> impl IntoView {
    let head: Signal<StatusHead> = RwSignal::from(view.head).into();
    // Cut off when it is long; the whole address is in the title.
    let title = email.clone();
    let paused: Signal<bool> = RwSignal::from(view.paused).into();
    let link: Signal<LinkState> = RwSignal::from(view.link).into();
    let behind = RwSignal::from(view.behind);
    let frozen_at = RwSignal::from(view.frozen_at);
    let feed = Memo::new(move |_| head.with(|head| head.feed.label()));
    view! {
        <header class="top-bar">
            <h1 class="product"><span class="product-mark" aria-hidden="true"></span>"TickStock" <span class="product-part">"Monitor"</span></h1>
            <Pages here=PAGES[0].0/>
            <p class="feed"><span class="visually-hidden">"Feed: "</span>{move || feed.get()}</p>
            <LinkBadge
                link
                lag_ms=RwSignal::from(view.lag_ms).into()
                head
            />
            <SearchField search/>
            <div class="actions">
                // What comes and goes stands left of the buttons, which then never move.
                <span class="paused-at number" hidden=move || !paused.get()>
                    "Paused at " {move || super::format::clock(frozen_at.get())}
                </span>
                // Over a lost link nobody knows.
                <span class="behind number" data-testid="behind" hidden=move || !paused.get() || link.get().is_stale()>
                    {move || super::format::count(behind.get())} " ticks behind"
                </span>
                <PauseButton paused on_pause/>
                {MayAct::here().then(|| view! { <button
                    type="button"
                    class="button"
                    id="refresh"
                    data-testid="refresh"
                    title="Reload the configuration"
                    aria-label="Refresh configuration"
                    // Before hydration a click would be lost; "connecting" is that state and the next.
                    disabled=move || !link.get().is_live() || refreshing.get()
                    on:click=move |_| on_refresh.run(())
                >
                    <Icon path=REFRESH/>
                    <span class="button-text">"Refresh config"</span>
                </button> })}
                <ThemeToggle/>
                <button type="button" class="button button-icon" data-testid="help" title="Keyboard shortcuts and legend (?)" aria-label="Keyboard shortcuts and legend" on:click=move |_| on_help.run(())>
                    <Icon path=HELP/>
                </button>
                <form class="account" method="post" action="/logout">
                    <span class="account-email" title=title.clone()>{email}</span>
                    <button type="submit" class="button" data-testid="sign-out" title=title>"Sign out"</button>
                </form>
            </div>
        </header>
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
            data-paused=move || paused.get().to_string()
            title="Pause or resume the view (space)"
            on:click=move |_| on_pause.run(())
        >
            <Icon path/>
            <span>{move || if paused.get() { "Resume" } else { "Pause" }}</span>
        </button>
    }
}
