//! The numbers of one connection.

use super::{format, latency_table::LatencyTable, section::Section, sparkline::Sparkline};
use crate::{
    model::{
        status::{ConnectionLive, ConnectionMetrics},
        time::UnixMillis,
    },
    store::screen_delay::ScreenDelay,
};
use leptos::prelude::*;

/// Rate with its recent past, latency, totals, errors.
#[component]
pub fn MetricsPanel(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Ticks a second, oldest first.
    rates: Signal<Vec<f32>>,
    /// How long ticks take from the server to the screen.
    screen_delay: Signal<Option<ScreenDelay>>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let number = move |of: fn(&ConnectionMetrics) -> String| move || live.with(|live| of(&live.metrics));
    let errors = move || live.with(|live| live.metrics.error_count);
    let last_error = Memo::new(move |_| live.with(|live| live.metrics.last_error.clone()));
    let error_age = move || last_error.get().map(|error| format::age(Some(error.at), now.get()));
    let head = view! {
        <div class="metrics-rate">
            <p>
                <b class="rate-value number" data-testid=format!("rate-{id}")>
                    {number(|m| format::fixed(m.ticks_per_second, 1))}
                </b>
                <span class="unit">"ticks/s"</span>
            </p>
            <Sparkline rates/>
        </div>
    }
    .into_any();
    view! {
        <Section id name="metrics" title="Metrics" head>
            <dl class="metrics-grid">
                <Metric label="Total ticks" live of=|m| format::count(m.ticks_total)/>
                <Metric label="Messages" live of=|m| format::fixed(m.messages_per_second, 1) unit="/s"/>
                <Metric label="Last update" live of=|m| format::clock(m.last_update) unit=" UTC"/>
                <Metric label="Total messages" live of=|m| format::count(m.messages_total)/>
                <Metric label="Received" live of=|m| format::bytes(m.bytes_total)/>
                <Metric label="Reconnects" live of=|m| format::count(m.reconnects_total)/>
            </dl>
            <LatencyTable id live screen_delay/>
            <p class="metrics-line metrics-errors" class:has-errors=move || errors() != 0>
                <span class="metrics-label">"Errors "</span>
                <b class="number" data-testid=format!("errors-{id}")>{move || format::count(errors())}</b>
                <span class="metrics-error-text">
                    {move || last_error.get().map(|error| error.message)}
                    " " <span class="unit number">{error_age}</span>
                </span>
            </p>
        </Section>
    }
}

/// One number and what it is.
#[component]
fn Metric(
    /// What it is.
    label: &'static str,
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// The number.
    of: fn(&ConnectionMetrics) -> String,
    /// Of what it is a number.
    #[prop(default = "")]
    unit: &'static str,
) -> impl IntoView {
    view! {
        <div class="metric">
            <dt class="metrics-label">{label}</dt>
            <dd class="number">{move || live.with(|live| of(&live.metrics))}<span class="unit">{unit}</span></dd>
        </div>
    }
}
