//! The head of a column: number, name, state.

use super::status_pill::StatusPill;
use crate::model::status::ConnectionLive;
use leptos::prelude::*;

/// Names the connection and says how it is.
#[component]
pub fn ColumnHeader(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Its colour.
    tone: Signal<&'static str>,
    /// Is the state estimated from tick flow?
    inferred: Signal<bool>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let state = Memo::new(move |_| live.with(|live| live.state));
    view! {
        <header class="column-header">
            <span class="column-number" aria-hidden="true">{id.to_string()}</span>
            // Cut after two lines in a narrow column; the whole name shows at the pointer.
            <h2 class="column-name" id=format!("column-name-{id}") title=move || live.with(|live| live.name.clone())>
                <span class="visually-hidden">{format!("Connection {id}: ")}</span>
                {move || live.with(|live| live.name.clone())}
            </h2>
            <span class="inferred" hidden=move || !inferred.get() title="Estimated from tick flow: no connection manager is reporting">"inferred"</span>
            <StatusPill id state=state.into() tone/>
        </header>
    }
}
