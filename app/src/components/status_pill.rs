//! A connection's state: icon, word and colour together.

use super::icon::{Icon, state_path};
use crate::model::connection::{ConnectionId, ConnectionState};
use leptos::prelude::*;

/// The pill of connection `id`.
#[component]
pub fn StatusPill(
    /// Whose state.
    id: ConnectionId,
    /// The state.
    state: Signal<ConnectionState>,
    /// Its colour.
    tone: Signal<&'static str>,
) -> impl IntoView {
    let path = Signal::derive(move || state_path(state.get()));
    view! {
        <span class="pill" data-tone=move || tone.get()>
            <Icon path/>
            <span data-testid=format!("state-{id}")>{move || state.get().label()}</span>
        </span>
    }
}
