//! One connection, top to bottom.

use super::{
    column_header::ColumnHeader, configuration::Configuration, format::tone, health::HealthSection,
    live_data::LiveData, metrics_panel::MetricsPanel, reason_line::ReasonLine, reliability_note::ReliabilityNote,
};
use crate::{
    model::{
        connection::{ConnectionId, ConnectionState},
        health::LayerState,
        history::Reliability,
        status::{ConnectionConfig, ConnectionLive},
        time::UnixMillis,
    },
    store::{screen_delay::ScreenDelay, table::Act, view::Column},
};
use leptos::prelude::*;

/// Shows a connection. A disabled one is quiet and says how to enable it.
#[component]
pub fn ConnectionColumn(
    /// Its signals.
    column: Column,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
    /// Since when prices stand still, when they do.
    still_since: Signal<Option<UnixMillis>>,
    /// Does the bus bring ticks?
    bus_up: Signal<bool>,
    /// Are states estimated from tick flow, because nobody reports them?
    inferred: Signal<bool>,
    /// Last outage and availability, of all connections.
    reliability: Signal<Vec<Reliability>>,
    /// What the reader does to it.
    on_act: Callback<Act>,
) -> impl IntoView {
    let id = column.id;
    let live: Signal<ConnectionLive> = RwSignal::from(column.live.clone()).into();
    let config: Signal<ConnectionConfig> = RwSignal::from(column.config.clone()).into();
    let rates: Signal<Vec<f32>> = RwSignal::from(column.rates.clone()).into();
    let screen_delay: Signal<Option<ScreenDelay>> = RwSignal::from(column.screen_delay.clone()).into();

    let state = Memo::new(move |_| live.with(|live| live.state));
    let priority = Memo::new(move |_| config.with(|config| config.priority));
    let disabled = Memo::new(move |_| state.get() == ConnectionState::Disabled);
    // Where no ticks come, prices are of the last one. Of the state alone and not of `disabled`: an effect that reads a memo and
    // another one made from it can miss a change, when it is the first to ask.
    let not_live = Memo::new(move |_| {
        let (state, bus_up) = (state.get(), bus_up.get());
        let ticks_come = state.is_up() && state != ConnectionState::Mute && bus_up;
        state != ConnectionState::Disabled && !ticks_come
    });
    // Silence that is as it should be colours no age.
    let quiet = Memo::new(move |_| live.with(|live| live.health.data.state == LayerState::Quiet));
    view! {
        <section
            class="column"
            id=format!("column-{id}")
            tabindex="-1"
            data-column=id.to_string()
            data-testid=format!("column-{id}")
            data-identity=identity(id)
            data-tone=move || tone(state.get())
            class:is-stale=move || not_live.get()
            class:is-quiet=move || quiet.get()
            aria-labelledby=format!("column-name-{id}")
        >
            <ColumnHeader live inferred/>
            <ReasonLine live now/>
            <Show
                when=move || !disabled.get()
                fallback=move || view! {
                    <DisabledNote
                        id
                        reason=Signal::derive(move || live.with(|live| live.reason.clone()))
                        warned=Signal::derive(move || config.with(|config| !config.warnings.is_empty()))
                    />
                    <Configuration id config/>
                }
            >
                <HealthSection live priority=priority.into() now on_act/>
                <Configuration id config/>
                <LiveData column=column.clone() live still_since on_act/>
                <MetricsPanel live rates screen_delay now/>
                <ReliabilityNote id reliability now/>
            </Show>
        </section>
    }
    .into_any()
}

/// A connection's own colour: a series of eight that starts anew.
#[must_use]
pub fn identity(id: ConnectionId) -> String {
    (id.saturating_sub(1) % 8 + 1).to_string()
}

/// Says why there is nothing to see, and how to change that.
#[component]
fn DisabledNote(
    /// Whose column.
    id: ConnectionId,
    /// Why it is switched off, when somebody said.
    reason: Signal<Option<String>>,
    /// Is there a warning?
    warned: Signal<bool>,
) -> impl IntoView {
    view! {
        <div class="disabled-note">
            <p>{move || reason.get().unwrap_or_else(|| "This connection is switched off by configuration.".to_owned())}</p>
            <Show when=move || warned.get()>
                <p>"Fix the setting that the warning below names."</p>
            </Show>
            <p>"To enable it, set"</p>
            <ul>
                {(id > 1).then(|| view! { <li><code>"USE_MULTI_CONNECTION=true"</code></li> })}
                <li><code>{format!("WEBSOCKET_CONNECTION_{id}_ENABLED=true")}</code></li>
                <li>
                    <code>{format!("WEBSOCKET_CONNECTION_{id}_UNIVERSE_KEY")}</code>
                    " or " <code>{format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS")}</code>
                </li>
            </ul>
            <p>"then press Refresh config."</p>
        </div>
    }
}
