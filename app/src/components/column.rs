//! One connection, top to bottom.

use super::{
    column_header::ColumnHeader,
    configuration::Configuration,
    format::{clock, tone},
    health_trio::HealthTrio,
    live_table::{LiveTable, Span},
    metrics_panel::MetricsPanel,
    reason_line::ReasonLine,
};
use crate::{
    model::{
        connection::{ConnectionId, ConnectionState},
        status::{ConnectionConfig, ConnectionLive},
        time::UnixMillis,
    },
    store::view::Column,
};
use leptos::prelude::*;

/// Shows a connection. A disabled one is quiet and says how to enable it.
#[component]
pub fn ConnectionColumn(
    /// Its signals.
    column: Column,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
    /// Since when prices are frozen, when they are.
    frozen_at: Signal<Option<UnixMillis>>,
    /// Called when other rows of the table came into view.
    on_span: Callback<Span>,
) -> impl IntoView {
    let id = column.id;
    let live: Signal<ConnectionLive> = RwSignal::from(column.live).into();
    let config: Signal<ConnectionConfig> = RwSignal::from(column.config).into();
    let rates: Signal<Vec<f32>> = RwSignal::from(column.rates).into();
    let row_count: Signal<usize> = RwSignal::from(column.row_count).into();
    let first: Signal<usize> = RwSignal::from(column.first).into();
    let slots = RwSignal::from(column.slots);

    let state = Memo::new(move |_| live.with(|live| live.state));
    let priority = Memo::new(move |_| config.with(|config| config.priority));
    let disabled = Memo::new(move |_| state.get() == ConnectionState::Disabled);
    // Ticks flow only while a connection is up; otherwise its prices are of the last tick.
    let not_live = move || !disabled.get() && !state.get().is_up();
    let empty = Signal::derive(move || empty_text(live.with(|live| live.connected)));
    view! {
        <section
            class="column"
            data-testid=format!("column-{id}")
            data-identity=identity(id)
            data-tone=move || tone(state.get())
            class:is-stale=not_live
            aria-labelledby=format!("column-name-{id}")
        >
            <ColumnHeader live priority=priority.into()/>
            <ReasonLine live now/>
            <Show
                when=move || !disabled.get()
                fallback=move || view! {
                    <DisabledNote id reason=Signal::derive(move || live.with(|live| live.reason.clone()))/>
                    <Configuration id config/>
                }
            >
                <HealthTrio live now/>
                <Configuration id config/>
                <div class="column-data">
                    <p class="as-of number">
                        "as of " {move || clock(frozen_at.get().or_else(|| live.with(|live| live.metrics.last_update)))} " UTC"
                    </p>
                    <LiveTable id row_count first slots=slots.into() empty on_span/>
                </div>
                <MetricsPanel live rates now/>
            </Show>
        </section>
    }
    .into_any()
}

/// A connection's own colour: a series of eight that starts anew.
fn identity(id: ConnectionId) -> String {
    (id.saturating_sub(1) % 8 + 1).to_string()
}

fn empty_text(connected: bool) -> &'static str {
    if connected {
        "No symbols yet. Set this connection's universe key or symbol list and start the server again."
    } else {
        "Symbols appear here once this connection has a universe key or a symbol list."
    }
}

/// Says why there is nothing to see, and how to change that.
#[component]
fn DisabledNote(
    /// Whose column.
    id: ConnectionId,
    /// Why it is switched off, when somebody said.
    reason: Signal<Option<String>>,
) -> impl IntoView {
    view! {
        <div class="disabled-note">
            <p>{move || reason.get().unwrap_or_else(|| "This connection is switched off by configuration.".to_owned())}</p>
            <p>"To enable it, set"</p>
            <ul>
                {(id > 1).then(|| view! { <li><code>"USE_MULTI_CONNECTION=true"</code></li> })}
                <li><code>{format!("WEBSOCKET_CONNECTION_{id}_ENABLED=true")}</code></li>
                <li>
                    <code>{format!("WEBSOCKET_CONNECTION_{id}_UNIVERSE_KEY")}</code>
                    " or " <code>{format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS")}</code>
                </li>
            </ul>
        </div>
    }
}
