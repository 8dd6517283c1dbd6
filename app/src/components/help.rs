//! What the keys do and what the signs mean. A native dialog: it keeps the focus, and Escape closes it.

use super::{
    format::tone,
    icon::{CLOSE, Icon, state_path},
};
use crate::model::connection::ConnectionState;
use leptos::{html, prelude::*};

/// Keys and what they do.
const KEYS: [(&str, &str); 13] = [
    ("Space", "Pause or resume the view"),
    ("1 – 16", "Go to that connection"),
    ("/", "Find a symbol on any connection"),
    ("f", "Filter the symbols of the current connection"),
    ("t", "Switch it between table and tape"),
    ("?", "Open this help"),
    ("↑ ↓", "In a table: move between rows"),
    ("Page ↑ ↓", "In a table: move a page up or down"),
    ("Home End", "In a table: go to the first or last row"),
    ("p", "In a table: pin or unpin the row"),
    ("Enter", "In a table: open the symbol's panel"),
    ("Esc", "Clear a field, leave the row, close a panel or this help"),
    ("Tab", "Go to the next control"),
];

const SIGNS: [(ConnectionState, &str); 6] = [
    (
        ConnectionState::Connected,
        "All subscriptions acknowledged, ticks flowing as usual. Grey or amber: the status is old, or Redis brings no ticks.",
    ),
    (
        ConnectionState::Reconnecting,
        "Connection lost; retried automatically, red after 30 s. If it stays, check network and address. Connecting, authenticating and subscribing have the same icon.",
    ),
    (
        ConnectionState::Degraded,
        "Up, but some subscriptions are not acknowledged or data is delayed. Check symbols and the plan's channels, or put fewer of them on this connection.",
    ),
    (
        ConnectionState::Mute,
        "Up, but no ticks where ticks are expected. If other connections have data, contact the provider; with feed Redis, check the ingest.",
    ),
    (
        ConnectionState::Failed,
        "Refused: the key, the subscriptions, the account's connection limit; or no symbols are configured. Read the reason and act on it, then press Refresh config or Retry now.",
    ),
    (ConnectionState::Disabled, "Switched off by configuration; the column says how to enable it."),
];

/// Words on the page that do not say by themselves what they mean.
const TERMS: [(&str, &str); 6] = [
    ("Chg %", "Change in percent since this page was opened"),
    ("Rate", "Ticks per second, averaged over ten seconds"),
    ("1 of 38 drawn", "38 ticks arrived per price drawn: faster than the screen; counts are exact"),
    ("last frame", "Time since anything arrived on the connection, replies to pings included"),
    ("is:stale", "In a filter: only stale rows; also is:never, is:silent and is:halted"),
    ("stale tickers", "Symbols silent far longer than is usual for them"),
];

/// The dialog; closed at first. `keys_on` are the keys of one character, which those may switch off whom they disturb.
#[component]
pub fn Help(
    /// The dialog, for whoever opens it.
    dialog: NodeRef<html::Dialog>,
    /// Do keys of one character work?
    keys_on: Signal<bool>,
    /// They should, or should not.
    on_keys: Callback<bool>,
) -> impl IntoView {
    let close = move |_| close(dialog);
    let signs = SIGNS.into_iter().map(|(state, meaning)| {
        view! {
            <li id=sign_id(state) tabindex="-1">
                <span class="pill" data-tone=tone(state)><Icon path=state_path(state)/>{state.label()}</span>
                <span>{meaning}</span>
            </li>
        }
    });
    view! {
        <dialog class="help" node_ref=dialog aria-labelledby="help-title" data-testid="help-dialog">
            <header class="help-head">
                <h2 id="help-title">"Keyboard shortcuts and legend"</h2>
                <button type="button" class="button button-icon" aria-label="Close" data-testid="help-close" on:click=close>
                    <Icon path=CLOSE/>
                </button>
            </header>
            <dl class="keys">
                {KEYS.into_iter().map(|(key, does)| view! { <div><dt><kbd>{key}</kbd></dt><dd>{does}</dd></div> }).collect_view()}
            </dl>
            <label class="check">
                <input
                    type="checkbox"
                    data-testid="keys-on"
                    prop:checked=move || keys_on.get()
                    on:change=move |event| on_keys.run(event_target_checked(&event))
                />
                <span>"Single-key shortcuts"</span>
            </label>
            // Heard by `notify.js`.
            <label class="check">
                <input type="checkbox" id="notify" autocomplete="off"/>
                <span>"Sound and notification for new alerts"</span>
            </label>
            <p id="notify-note" role="status"></p>
            <ul class="signs">{signs.collect_view()}</ul>
            <dl class="keys terms">
                {TERMS.into_iter().map(|(term, meaning)| view! { <div><dt>{term}</dt><dd>{meaning}</dd></div> }).collect_view()}
            </dl>
        </dialog>
    }
}

/// The element that explains a state.
#[must_use]
pub fn sign_id(state: ConnectionState) -> &'static str {
    use ConnectionState as S;
    match state {
        S::Connected => "help-connected",
        S::Connecting | S::Authenticating | S::Subscribing | S::Reconnecting => "help-reconnecting",
        S::Degraded => "help-degraded",
        S::Mute => "help-mute",
        S::Failed => "help-failed",
        S::Disabled => "help-disabled",
    }
}

/// Opens the dialog over the page.
pub fn open(dialog: NodeRef<html::Dialog>) {
    #[cfg(feature = "hydrate")]
    if let Some(dialog) = dialog.get_untracked().filter(|dialog| !dialog.open()) {
        let _ = dialog.show_modal();
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = dialog;
}

fn close(dialog: NodeRef<html::Dialog>) {
    #[cfg(feature = "hydrate")]
    if let Some(dialog) = dialog.get_untracked() {
        dialog.close();
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = dialog;
}
