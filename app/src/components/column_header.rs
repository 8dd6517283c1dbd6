//! The head of a column: number, name, tier, state, how long.

use super::{format, status_pill::StatusPill};
use crate::model::{
    connection::{ConnectionState, Priority},
    status::ConnectionLive,
    time::format_seconds,
};
use leptos::prelude::*;

/// Names the connection and says how it is.
#[component]
pub fn ColumnHeader(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Its tier.
    priority: Signal<Priority>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let state = Memo::new(move |_| live.with(|live| live.state));
    let since = move || live.with(|live| live.state_since.map(|since| "since ".to_owned() + &since.clock()));
    let uptime = move || {
        live.with(|live| if live.connected { format_seconds(live.uptime_seconds) } else { format::NOTHING.into() })
    };
    view! {
        <header class="column-header">
            <span class="column-number" aria-hidden="true">{id.to_string()}</span>
            <h2 class="column-name" id=format!("column-name-{id}")>
                <span class="visually-hidden">{format!("Connection {id}: ")}</span>
                {move || live.with(|live| live.name.clone())}
            </h2>
            <StatusPill id state=state.into()/>
            <p class="column-facts">
                <span>{move || priority.get().label()}" priority"</span>
                <span class="fact" class:is-hidden=move || state.get() == ConnectionState::Disabled>
                    "up " <b class="number" data-testid=format!("uptime-{id}")>{uptime}</b>
                </span>
                <span class="fact number">{since}</span>
            </p>
        </header>
    }
}
