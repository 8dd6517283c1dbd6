//! Our own socket: its state, and how late what it brings is. Opens to the figures behind that.

use super::format;
use crate::{
    model::{servers::standbys, status::StatusHead},
    store::link::LinkState,
};
use leptos::{ev, html, prelude::*};

/// The badge in the bar.
#[component]
pub fn LinkBadge(
    /// The state.
    link: Signal<LinkState>,
    /// How late frames arrive, in milliseconds.
    lag_ms: Signal<Option<i64>>,
    /// What is said of all connections together, where it is known.
    #[prop(optional)]
    head: Option<Signal<StatusHead>>,
) -> impl IntoView {
    // Tens of milliseconds: a number that changes with every frame says nothing.
    let lag = Memo::new(move |_| link.get().is_live().then(|| lag_ms.get()).flatten().map(|lag| lag / 10 * 10));
    let details = NodeRef::<html::Details>::new();
    let summary = NodeRef::<html::Summary>::new();
    let close = move || {
        if let Some(details) = details.get_untracked() {
            details.set_open(false);
        }
    };
    // Closed by Escape, and by whoever goes on elsewhere.
    let on_key = move |event: ev::KeyboardEvent| {
        if event.key() == "Escape" {
            close();
            if let Some(summary) = summary.get_untracked() {
                let _ = summary.focus();
            }
        }
    };
    let on_leave = move |event: ev::FocusEvent| {
        if !stays_within(details, &event) {
            close();
        }
    };
    view! {
        <details class="link popover" data-testid="link" data-state=move || link.get().name() node_ref=details on:keydown=on_key on:focusout=on_leave>
            <summary node_ref=summary>
                <span class="link-dot" aria-hidden="true"></span>
                <span class="visually-hidden">"Link: "</span>
                <span class="link-label">{move || link.get().label()}</span>
                <span class="link-lag unit number">{move || lag_text(lag.get())}</span>
            </summary>
            <div class="popover-panel" tabindex="-1">
                <p>"This page's own connection to the monitor."</p>
                <dl class="facts">
                    <div><dt>"Extra delay"</dt><dd class="number" data-testid="extra-delay">{move || lag.get().map_or_else(|| format::NOTHING.to_owned(), |_| lag_text(lag.get()))}</dd></div>
                </dl>
                <p class="unit">"How much longer the last message took than the fastest one. Latency to the screen is in each connection's metrics."</p>
                {head.map(|head| view! { <Neighbours head/> })}
            </div>
        </details>
    }
}

/// Which server this page is from, and who collects; nothing where one server runs alone.
#[component]
fn Neighbours(head: Signal<StatusHead>) -> impl IntoView {
    let fact = move |term: &'static str, of: fn(&StatusHead) -> String| {
        let text = Memo::new(move |_| head.with(of));
        view! { <div><dt>{term}</dt><dd class="number">{move || text.get()}</dd></div> }
    };
    view! {
        <dl class="facts" data-testid="servers" hidden=move || head.with(|head| head.servers.is_empty())>
            {fact("Server", |head| head.servers.first().map_or_else(String::new, |server| [&server.name, ", ", server.role.label()].concat()))}
            {fact("Collector", collector_text)}
            {fact("Standing by", |head| standbys(&head.servers, head.generated_at))}
        </dl>
    }
}

/// `a:3000 since 14:03:22 UTC, epoch 1764400000123`
fn collector_text(head: &StatusHead) -> String {
    let Some(collector) = &head.collector else { return "none".to_owned() };
    let epoch = collector.epoch.map(|epoch| [", epoch ", &epoch.to_string()].concat()).unwrap_or_default();
    [&collector.server, " since ", &collector.since.clock(), " UTC", &epoch].concat()
}

/// Does the focus stay inside of the element, or leave the page as a whole?
fn stays_within(details: NodeRef<html::Details>, event: &ev::FocusEvent) -> bool {
    #[cfg(feature = "hydrate")]
    {
        use wasm_bindgen::JsCast;

        let to = event.related_target().and_then(|target| target.dyn_into::<leptos::web_sys::Node>().ok());
        let leaves_page = !document().has_focus().unwrap_or(true);
        leaves_page || details.get_untracked().is_some_and(|details| details.contains(to.as_ref()))
    }
    #[cfg(not(feature = "hydrate"))]
    {
        let _ = (details, event);
        false
    }
}

fn lag_text(lag: Option<i64>) -> String {
    match lag {
        None => String::new(),
        Some(lag) if lag < 10 => "lag < 10 ms".to_owned(),
        Some(lag) => ["lag ", &lag.to_string(), " ms"].concat(),
    }
}
