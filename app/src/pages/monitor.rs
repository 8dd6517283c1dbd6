//! The dashboard: loads the first view, keeps the state, opens the socket.

use crate::{
    api::{ApiError, FirstView, load_first_view},
    components::{
        banners::{Banners, StillPage},
        column::ConnectionColumn,
        icon::{Icon, PAUSE},
        live_table::Span,
        summary_strip::SummaryStrip,
        top_bar::TopBar,
    },
    model::{status::StatusHead, time::UnixMillis},
    store::{Store, link::LinkState, socket, view::Column},
};
use leptos::prelude::*;
use leptos_meta::Title;

/// The page at `/admin/websockets`.
#[component]
pub fn MonitorPage() -> impl IntoView {
    let first_view = Resource::new_blocking(|| (), |()| load_first_view());
    view! {
        <Title text="Connections"/>
        <Suspense fallback=Skeleton>
            {move || Suspend::new(async move {
                match first_view.await {
                    Ok(first) => view! { <Monitor first/> }.into_any(),
                    Err(error) => view! { <Unavailable error/> }.into_any(),
                }
            })}
        </Suspense>
    }
    .into_any()
}

/// The dashboard, once there is something to start from.
#[component]
pub fn Monitor(
    /// What both sides start from.
    first: FirstView,
) -> impl IntoView {
    let rendered_at = first.snapshot.report.live.head.generated_at;
    let store = Store::new(first.snapshot);
    let signals = store.view.clone();
    let kept_link = socket::keep(&store);

    let link: Signal<LinkState> = RwSignal::from(signals.link.clone()).into();
    let head: Signal<StatusHead> = RwSignal::from(signals.head.clone()).into();
    let now: Signal<Option<UnixMillis>> = RwSignal::from(signals.now.clone()).into();
    let clock: Signal<Option<UnixMillis>> = RwSignal::from(signals.clock.clone()).into();
    let paused: Signal<bool> = RwSignal::from(signals.paused.clone()).into();
    let frozen_at: Signal<Option<UnixMillis>> = RwSignal::from(signals.frozen_at.clone()).into();
    let columns = RwSignal::from(signals.columns.clone());
    let totals = RwSignal::from(signals.totals.clone());
    let announcement = RwSignal::from(signals.announcement.clone());

    let on_pause = Callback::new({
        let store = store.clone();
        move |()| store.toggle_pause()
    });
    let on_refresh = Callback::new(move |()| kept_link.refresh());
    pause_by_key(on_pause);
    let show_column = move |column: Column| {
        let (id, store) = (column.id, store.clone());
        let on_span = Callback::new(move |span: Span| store.show_rows(id, span.first, span.count));
        view! { <ConnectionColumn column now frozen_at on_span/> }
    };
    view! {
        <div class="monitor" class:is-stale=move || link.get().is_stale() class:is-paused=move || paused.get()>
            <a class="skip-link" href="#connections">"Skip to the connections"</a>
            <TopBar view=signals email=first.email on_pause on_refresh/>
            <main id="connections" class="page" tabindex="-1">
                <StillPage at=rendered_at/>
                <Banners head link now clock/>
                <SummaryStrip head totals=totals.into()/>
                <Show when=move || paused.get()>
                    <p class="banner paused-note" data-tone="info"><Icon path=PAUSE/>
                        <span><b>"Paused."</b>" Prices are as of "<span class="number">{move || frozen_at.get().map(UnixMillis::clock)}</span>" UTC; states go on and ticks are counted. Press space to resume."</span>
                    </p>
                </Show>
                <div class="columns">
                    <For each=move || columns.get() key=|column| column.id children=show_column/>
                </div>
                <Show when=move || columns.with(Vec::is_empty)>
                    <p class="table-empty">"No connection is configured. Set WEBSOCKET_CONNECTIONS_MAX to at least 1."</p>
                </Show>
            </main>
            <p class="visually-hidden" role="status" aria-live="polite" data-testid="announcer">{move || announcement.get()}</p>
        </div>
    }
    .into_any()
}

/// Space freezes the view, except where space already means something.
fn pause_by_key(on_pause: Callback<()>) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let listener = window_event_listener(leptos::ev::keydown, move |event| {
            let plain = !event.ctrl_key() && !event.alt_key() && !event.meta_key() && !event.repeat();
            let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
            let takes_space = "a,button,input,select,summary,textarea,[contenteditable],[role=rowgroup]";
            let free = target.is_none_or(|target| target.closest(takes_space).is_ok_and(|found| found.is_none()));
            if event.key() == " " && plain && free {
                event.prevent_default();
                on_pause.run(());
            }
        });
        on_cleanup(move || listener.remove());
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = on_pause;
}

/// The shape of the page while the first view is on its way; seen only when navigating inside the browser.
#[component]
fn Skeleton() -> impl IntoView {
    view! {
        <div class="skeleton" aria-busy="true">
            <div class="skeleton-bar"></div>
            <div class="columns"><div class="skeleton-column"></div><div class="skeleton-column"></div><div class="skeleton-column"></div></div>
        </div>
    }
}

/// Why there is no dashboard.
#[component]
fn Unavailable(
    /// What the server function said.
    error: ApiError,
) -> impl IntoView {
    let text = match error {
        ApiError::NotAllowed => "Only administrators see this page.",
        ApiError::Unavailable | ApiError::Transport(_) => "The monitor does not answer now. Reload in a moment.",
    };
    view! {
        <main class="notice" role="alert">
            <h1>"The dashboard cannot be shown"</h1>
            <p>{text}</p>
            <p><a class="button button-primary" href="/login" rel="external">"Sign in"</a></p>
        </main>
    }
}

#[cfg(all(test, feature = "ssr"))]
#[path = "monitor_tests.rs"]
mod tests;
