//! What the keys do and what the signs mean. A native dialog: it keeps the focus, and Escape closes it.

use super::{
    format::tone,
    icon::{CLOSE, Icon, state_path},
};
use crate::model::connection::ConnectionState;
use leptos::{html, prelude::*};

/// Keys and what they do.
const KEYS: [(&str, &str); 11] = [
    ("Space", "Pause or resume the view"),
    ("1 – 16", "Go to that connection"),
    ("/", "Filter the symbols of the connection you are at"),
    ("t", "Its table or its tape"),
    ("?", "This help"),
    ("↑ ↓", "In a table: from row to row"),
    ("Page ↑ ↓", "In a table: a page up or down"),
    ("Home End", "In a table: the first or the last row"),
    ("p", "In a table: pin or unpin the row"),
    ("Esc", "Empty the filter, leave the row, close this"),
    ("Tab", "To the next control"),
];

const SIGNS: [(ConnectionState, &str); 6] = [
    (ConnectionState::Connected, "All that was asked for was acknowledged, and ticks flow as usual"),
    (ConnectionState::Reconnecting, "Connection lost, retrying; connecting and subscribing look the same"),
    (ConnectionState::Degraded, "Up, but only in part or late"),
    (ConnectionState::Mute, "Up and silent where ticks would be usual"),
    (ConnectionState::Failed, "Refused by the provider, retried slowly"),
    (ConnectionState::Disabled, "Switched off by configuration"),
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
            <li>
                <span class="pill" data-tone=tone(state)><Icon path=state_path(state)/>{state.label()}</span>
                <span>{meaning}</span>
            </li>
        }
    });
    view! {
        <dialog class="help" node_ref=dialog aria-labelledby="help-title" data-testid="help-dialog">
            <header class="help-head">
                <h2 id="help-title">"Keys and signs"</h2>
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
            <ul class="signs">{signs.collect_view()}</ul>
        </dialog>
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
