//! Every connection in one look, worst first: for when there are more columns than stand side by side on a screen.

use super::{
    column::{down, tone_now},
    common::Common,
    dynamic::{Each, Show},
    format::{self, identity},
    icon::{Icon, state_path},
};
use crate::{
    model::{
        connection::{ConnectionId, ConnectionState},
        history::Reliability,
        status::ConnectionLive,
        time::UnixMillis,
    },
    store::view::Column,
};
use leptos::prelude::*;

/// So many columns are an overview by themselves.
const COLUMNS_IN_SIGHT: usize = 3;

/// A tile for each connection, which leads to its column.
#[component]
pub fn Overview(
    /// The columns, in their order.
    columns: Signal<Vec<Column>>,
    /// What all connections have in common.
    common: Signal<Common>,
    /// Last outage and availability, of all connections.
    reliability: Signal<Vec<Reliability>>,
) -> impl IntoView {
    let is_needed = Memo::new(move |_| columns.with(Vec::len) > COLUMNS_IN_SIGHT);
    // Read from the columns' own signals: a memo made from another could miss a change when it is the first to ask.
    let order = Memo::new(move |_| {
        let columns = columns.get();
        let mut order: Vec<_> =
            columns.iter().map(|column| (rank(column.live.with(|live| live.state)), column.id)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, id)| u64::from(id)).collect::<Vec<_>>()
    });
    let tile = move |key| {
        let column =
            columns.with_untracked(|columns| columns.iter().find(|column| u64::from(column.id) == key).cloned());
        column.map(|column| {
            let live: Signal<ConnectionLive> = RwSignal::from(column.live).into();
            let now: Signal<Option<UnixMillis>> = RwSignal::from(column.now).into();
            view! { <Tile id=column.id live tone=tone_now(live, down(live, reliability), common, now) now/> }
        })
    };
    view! {
        <Show when=move || is_needed.get()>
            <nav class="overview" aria-label="Connections, worst first" data-testid="overview">
                <Each keys=move || order.get() view=tile/>
            </nav>
        </Show>
    }
}

/// Number, name, state, rate and the last tick.
#[component]
fn Tile(
    /// The connection's number.
    id: ConnectionId,
    /// How it is.
    live: Signal<ConnectionLive>,
    /// Its colour.
    tone: Signal<&'static str>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let state = Memo::new(move |_| live.with(|live| live.state));
    let path = Signal::derive(move || state_path(state.get()));
    let rate = move || live.with(|live| format::fixed(live.metrics.ticks_per_second, 1));
    let last_tick = move || format::age(live.with(|live| live.metrics.last_update), now.get());
    let name = move || live.with(|live| live.name.clone());
    view! {
        // The browser's own link: the router would scroll and leave the focus behind.
        <a class="tile" href=format!("#column-{id}") rel="external" data-identity=identity(id) data-tone=move || tone.get() data-testid=format!("tile-{id}")>
            <span class="tile-name" title=name><b class="number">{id.to_string()}</b> " " {name}</span>
            <span class="tile-state"><Icon path/> {move || state.get().label()}</span>
            <span class="number">{rate} <span class="unit">"ticks/s"</span></span>
            <span class="tile-age number">{last_tick}</span>
        </a>
    }
}

/// What needs somebody comes first, what is switched off last.
fn rank(state: ConnectionState) -> u8 {
    use ConnectionState as S;
    match state {
        S::Failed => 0,
        S::Mute => 1,
        S::Reconnecting => 2,
        S::Degraded => 3,
        S::Connecting | S::Authenticating | S::Subscribing => 4,
        S::Connected => 5,
        S::Disabled => 6,
    }
}
