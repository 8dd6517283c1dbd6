//! What opens from the search: the matches, and the panel of a symbol. In the browser both are a file of their own.

mod detail;
mod drawing;

use super::{
    dynamic::Show,
    format::tone,
    icon::{CLOSE, Icon, state_path},
    search_state::{FIELD, SymbolSearch},
};
use crate::{
    model::{
        status::ConnectionLive,
        symbol_detail::{SymbolDetail, SymbolName},
    },
    store::{Store, view::View},
};
use detail::content;
use leptos::{ev, prelude::*};

/// The most matches that are listed.
const MATCHES_MAX: usize = 10;

/// The matches, the best one first.
#[component]
pub fn Matches(
    /// What is searched for.
    search: SymbolSearch,
    /// Where it is found.
    store: Store,
) -> impl IntoView {
    let on_key = |event: ev::KeyboardEvent| {
        let (from, to) = match event.key().as_str() {
            "ArrowDown" => ("li:focus-within + li button", None),
            "ArrowUp" => ("li:has(+ li:focus-within) button", Some(FIELD)),
            "Escape" => ("", Some(FIELD)),
            _ => return,
        };
        event.prevent_default();
        go(from, to);
    };
    let list = move || {
        let query = search.query.get();
        let (found, count) = store.find(&query, MATCHES_MAX);
        let columns = store.view.columns.get_untracked();
        let rows: Vec<_> = found
            .iter()
            .map(|found| {
                let (id, symbol) = (found.connection_id, found.symbol);
                let name = columns.iter().find(|column| column.id == id);
                let name = name.map(|column| column.live.with_untracked(|live| live.name.clone()));
                let row = store.name_of(id, symbol);
                let open = move |_| {
                    search.query.set(String::new());
                    search.open.set(Some(row));
                    focus_soon("symbol-panel");
                };
                view! {
                    <li>
                        // Not by the pointer: the field would lose the focus, and the list go before the click.
                        <button type="button" class="match" on:mousedown=|event| event.prevent_default() on:click=open>
                            <b>{symbol.to_string()}</b>
                            <span>{[&id.to_string(), " ", &name.unwrap_or_default()].concat()}</span>
                        </button>
                    </li>
                }
            })
            .collect();
        let note = match count {
            0 => "No connection has such a symbol.".to_owned(),
            1 => "1 symbol".to_owned(),
            _ if count > MATCHES_MAX => [&MATCHES_MAX.to_string(), " of ", &count.to_string(), " symbols"].concat(),
            _ => count.to_string() + " symbols",
        };
        view! {
            <div class="matches" hidden=query.trim().is_empty() data-testid="matches">
                <ul on:keydown=on_key>{rows}</ul>
                <p class="unit" role="status">{note}</p>
            </div>
        }
    };
    view! { {list} }
}

/// The panel of the symbol that is open, if any.
#[component]
pub fn SymbolPanel(
    /// Which one is open.
    search: SymbolSearch,
    /// What the page knows.
    store: Store,
    /// Goes to the symbol's row.
    on_show: Callback<SymbolName>,
) -> impl IntoView {
    let known = RwSignal::new(None);
    let failed = RwSignal::new(false);
    keep_asking(search, &store, known, failed);
    let title = Memo::new(move |_| search.open.get().map(|name| name.symbol));
    let close = move || {
        search.open.set(None);
        focus_soon("connections");
    };
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            close();
        }
    };
    let show = move |_| {
        if let Some(name) = search.open.get_untracked() {
            on_show.run(name);
        }
    };
    let View { clock, paused, link, .. } = store.view.clone();
    let (paused, link) = (RwSignal::from(paused), RwSignal::from(link));
    let is_silent = move || failed.get() || link.get().is_stale();
    let as_of = move || {
        let at = known.with(|detail: &Option<SymbolDetail>| detail.as_ref().map(|detail| detail.at.clock()));
        let (before, silent, is_paused) = match at {
            Some(at) => (["As of ", &at, " UTC"].concat(), ". The monitor is not responding.", ", paused"),
            None => (String::new(), "The monitor is not responding.", "The page is paused."),
        };
        let why = match (is_silent(), paused.get()) {
            (true, _) => silent,
            (_, true) => is_paused,
            _ => "",
        };
        before + why
    };
    let connection = {
        let (store, clock) = (store, RwSignal::from(clock));
        move || {
            // Once a second: which connection has it may change with the configuration.
            let _ = clock.get();
            let found = search.open.get().and_then(|name| store.named(name));
            let columns = store.view.columns.get();
            let column = found.and_then(|found| columns.iter().find(|column| column.id == found.connection_id));
            match column {
                Some(column) => column.live.with(|live| view! { <Connection live=live.clone()/> }).into_any(),
                None => view! { <p>"No connection has this symbol."</p> }.into_any(),
            }
        }
    };
    view! {
        <Show when=move || title.get().is_some()>
            <section
                class="symbol-panel"
                id="symbol-panel"
                tabindex="-1"
                aria-labelledby="symbol-title"
                data-testid="symbol-panel"
                class:is-stale=move || is_silent() || paused.get()
                on:keydown=on_key
            >
                <header class="help-head">
                    <h2 id="symbol-title">{move || title.get().map(|symbol| symbol.to_string())}</h2>
                    <button type="button" class="button" on:click=show>"Show in table"</button>
                    <button type="button" class="button button-icon" aria-label="Close" title="Close (Esc)" on:click=move |_| close()>
                        <Icon path=CLOSE/>
                    </button>
                </header>
                {connection.clone()}
                {move || known.with(|known| known.as_ref().map(content))}
                <p class="unit number" data-testid="symbol-as-of">{as_of}</p>
            </section>
        </Show>
    }
}

/// The connection that carries it: which one, and how it is.
#[component]
fn Connection(live: ConnectionLive) -> impl IntoView {
    let id = live.id.to_string();
    view! {
        <p class="symbol-connection">
            // The browser's own link: the router would scroll and leave the focus behind.
            <a href=["#column-", &id].concat() rel="external">{["Connection ", &id, " ", &live.name].concat()}</a>
            <span class="pill" data-tone=tone(live.state)><Icon path=state_path(live.state)/>{live.state.label()}</span>
        </p>
    }
}

/// An answer takes milliseconds: after so many seconds without one the panel says so, and later it asks again.
#[cfg(feature = "hydrate")]
const UNANSWERED_SECONDS: (u32, u32) = (3, 15);

/// Asks the server once a second, while a panel is open and somebody sees it.
fn keep_asking(search: SymbolSearch, store: &Store, known: RwSignal<Option<SymbolDetail>>, failed: RwSignal<bool>) {
    #[cfg(feature = "hydrate")]
    {
        use crate::{
            api::symbol::{SymbolAnswer, load_symbol},
            store::link::LinkState,
        };
        use std::time::Duration;

        let store = store.clone();
        // How often it was looked whether the answer is there; 0 while none is due.
        let waited = StoredValue::new(0_u32);
        let ask = move || {
            let view = &store.view;
            let is_over = view.paused.get_untracked() || matches!(view.link.get_untracked(), LinkState::Ended(_));
            let Some(name) = search.open.get_untracked().filter(|_| !is_over && !document().hidden()) else { return };
            let Some(found) = store.named(name) else { return known.set(None) };
            let (unanswered, again) = UNANSWERED_SECONDS;
            let seconds = waited.get_value();
            waited.set_value(seconds % again + 1);
            if seconds == unanswered {
                failed.set(true);
            }
            if !seconds.is_multiple_of(again) {
                return;
            }
            leptos::task::spawn_local(async move {
                let answer = load_symbol(found.connection_id, found.symbol.to_string()).await;
                // By now it may be the panel of another symbol.
                if search.open.get_untracked() == Some(name) {
                    waited.set_value(0);
                    failed.set(answer.is_err());
                    if let Ok(SymbolAnswer { detail }) = answer {
                        known.set(detail);
                    }
                }
            });
        };
        Effect::new(move |_| {
            if search.open.get().is_none() {
                return;
            }
            known.set(None);
            failed.set(false);
            waited.set_value(0);
            ask();
            if let Ok(interval) = set_interval_with_handle(ask.clone(), Duration::from_secs(1)) {
                on_cleanup(move || interval.clear());
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (search, store, known, failed);
}

/// Moves the focus to what a selector finds among the matches, else to an element by its id.
fn go(selector: &str, otherwise: Option<&str>) {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let found = (!selector.is_empty())
            .then(|| document().query_selector(&["#matches ", selector].concat()).ok().flatten())
            .flatten()
            .or_else(|| document().get_element_by_id(otherwise?));
        if let Some(element) = found.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok()) {
            let _ = element.focus();
        }
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (selector, otherwise);
}

/// Moves the focus to an element that is being drawn.
fn focus_soon(id: &'static str) {
    #[cfg(feature = "hydrate")]
    request_animation_frame(move || go("", Some(id)));
    #[cfg(not(feature = "hydrate"))]
    let _ = id;
}
