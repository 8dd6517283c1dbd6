//! The whole in one line, readable from across the room.

use super::{format, market_clock::MarketClock};
use crate::{
    model::{
        connection::ConnectionId,
        status::{StatusHead, StatusSource, Summary},
        time::UnixMillis,
    },
    store::view::Totals,
};
use leptos::prelude::*;

/// How many are healthy, ticks a second, errors, open gaps, what is unassigned or stale; at the other end the time and the market's hours.
#[component]
pub fn SummaryStrip(
    /// What is said of all connections together.
    head: Signal<StatusHead>,
    /// Sums that the report does not hold.
    totals: Signal<Totals>,
    /// Gaps that last; `None` when nothing is known of the past.
    open_gaps: Signal<Option<u64>>,
    /// Connections that need somebody, and what they are.
    down: Signal<Vec<(ConnectionId, &'static str)>>,
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
    /// Show the stale tickers, and no others.
    on_stale: Callback<()>,
) -> impl IntoView {
    let summary = Memo::new(move |_| head.with(|head| head.summary.clone()));
    let market = Memo::new(move |_| head.with(|head| head.market));
    let count = move |of: fn(&Summary) -> u64| Signal::derive(move || summary.with(of));
    let total = move |of: fn(Totals) -> u64| Signal::derive(move || of(totals.get()));
    let healthy = Signal::derive(move || totals.get().healthy.to_string());
    let of_enabled = Signal::derive(move || summary.with(|s| " of ".to_owned() + &s.enabled.to_string()));
    // As grave as the gravest: a connection that is down or mute is red, one that is degraded or on its way amber.
    let nothing_comes =
        Memo::new(move |_| head.with(|head| !head.bus.connected || head.status_source == StatusSource::Stale));
    let any_trouble = Signal::derive(move || nothing_comes.get() || summary.with(|s| totals.get().healthy < s.enabled));
    let worst = Signal::derive(move || {
        let grave = totals.get().mute > 0 || summary.with(|s| s.connected < s.enabled);
        if grave { "bad" } else { "warn" }
    });
    let rate = Signal::derive(move || format::fixed(totals.get().ticks_per_second, 0));
    let errors = Signal::derive(move || summary.with(|summary| format::count(summary.errors_total)));
    let fresh_errors = Signal::derive(move || totals.get().fresh_errors);
    let gaps = Signal::derive(move || format::count(open_gaps.get().unwrap_or(0)));
    let any_gap = Signal::derive(move || open_gaps.get().is_some_and(|gaps| gaps > 0));
    let no_history = Signal::derive(move || open_gaps.get().is_none());
    let bus = Memo::new(move |_| {
        head.with(|head| (head.bus.lag_ms, head.bus.reason.is_some(), head.bus.unpublished_ticks_total))
    });
    let bus_lag = Signal::derive(move || format::count(bus.get().0.unwrap_or(0).into()));
    let (no_bus_lag, bus_late) = (Signal::derive(move || bus.get().0.is_none()), Signal::derive(move || bus.get().1));
    let unpublished = Signal::derive(move || bus.get().2);
    // A collector, which knows its lag, has those that it missed all the same.
    let missed = Signal::derive(move || {
        head.with(|head| if head.bus.lag_ms.is_none() { head.bus.missed_ticks_total } else { 0 })
    });
    let never = Signal::stored(false);
    view! {
        <div class="summary">
            <dl class="summary-list" data-testid="summary">
                <Item label="healthy" value=healthy unit=of_enabled tone=worst toned=any_trouble/>
                <Troubles down/>
                <Item label="ticks/s" value=rate tone="" toned=never/>
                <Item label="errors" value=errors tone="warn" toned=fresh_errors/>
                <Item label="open gaps" value=gaps tone="bad" toned=any_gap hidden=no_history/>
                <Count label="unassigned ticks" count=count(|summary| summary.unassigned_ticks_total) tone="warn" only_some=true/>
                <Count label="stale tickers" count=total(|totals| totals.stale.into()) tone="warn" on_click=on_stale/>
                <Item label="Redis lag" value=bus_lag unit=Signal::stored(" ms".to_owned()) tone="warn" toned=bus_late hidden=no_bus_lag/>
                <Count label="ticks not published" count=unpublished tone="warn" only_some=true/>
                <Count label="ticks missed" count=missed tone="warn" only_some=true/>
            </dl>
            <MarketClock clock market=market.into()/>
        </div>
    }
}

/// Which connections need somebody: on a small screen their columns are far below.
#[component]
fn Troubles(
    /// Their numbers, and what they are.
    down: Signal<Vec<(ConnectionId, &'static str)>>,
) -> impl IntoView {
    let link = |(id, state): (ConnectionId, &'static str)| {
        let id = id.to_string();
        // The browser's own: the router would scroll and leave the focus behind.
        view! { <a class="trouble" href=["#column-", &id].concat() rel="external">{["connection ", &id, " ", state].concat()}</a> }
    };
    view! {
        <div class="summary-item troubles" class:is-empty=move || down.with(Vec::is_empty)>
            <dt class="visually-hidden">"in trouble"</dt>
            <dd>{move || down.get().into_iter().map(link).collect_view()}</dd>
        </div>
    }
}

/// A count of what is better not there.
#[component]
fn Count(
    /// What is counted.
    label: &'static str,
    /// How many.
    count: Signal<u64>,
    /// Its colour when there are any.
    tone: &'static str,
    /// Is it shown only then?
    #[prop(default = false)]
    only_some: bool,
    /// What a click on it does, while there are any.
    #[prop(optional)]
    on_click: Option<Callback<()>>,
) -> impl IntoView {
    let any = Signal::derive(move || count.get() > 0);
    let hidden = Signal::derive(move || only_some && !any.get());
    let value = Signal::derive(move || format::count(count.get()));
    view! { <Item label value tone toned=any hidden on_click/> }
}

/// A number and what it is.
#[component]
fn Item(
    /// What it is.
    label: &'static str,
    /// The number.
    value: Signal<String>,
    /// What stands small behind it.
    #[prop(optional)]
    unit: Option<Signal<String>>,
    /// Its colour.
    #[prop(into)]
    tone: Signal<&'static str>,
    /// Has it its colour now?
    toned: Signal<bool>,
    /// Is it not there now?
    #[prop(default = Signal::stored(false))]
    hidden: Signal<bool>,
    /// What a click on it does, while it has its colour.
    #[prop(default = None)]
    on_click: Option<Callback<()>>,
) -> impl IntoView {
    let name = match on_click {
        Some(on_click) => {
            let click = move |_| on_click.run(());
            view! { <button type="button" class="text-button" title="Show only these" disabled=move || !toned.get() on:click=click>{label}</button> }
                .into_any()
        }
        None => label.into_any(),
    };
    view! {
        <div class="summary-item" data-tone=move || if toned.get() { tone.get() } else { "ok" } hidden=move || hidden.get()>
            <dt>{name}</dt>
            <dd class="number">{move || value.get()} <span class="unit">{move || unit.map(|unit| unit.get())}</span></dd>
        </div>
    }
}
