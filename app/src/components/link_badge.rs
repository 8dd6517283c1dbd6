//! Our own socket: its state, and how late what it brings is. Opens to the figures behind that.

use super::format;
use crate::store::link::LinkState;
use leptos::{ev, html, prelude::*};

/// The badge in the bar.
#[component]
pub fn LinkBadge(
    /// The state.
    link: Signal<LinkState>,
    /// How late frames arrive, in milliseconds.
    lag_ms: Signal<Option<i64>>,
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
            </div>
        </details>
    }
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
