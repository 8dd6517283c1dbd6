//! The whole in one line, readable from across the room.

use super::{format, market_clock::MarketClock};
use crate::{
    model::{status::StatusHead, time::UnixMillis},
    store::view::Totals,
};
use leptos::prelude::*;

/// Connected, ticks a second, errors, what is unassigned or stale; at the other end the time and the market's hours.
#[component]
pub fn SummaryStrip(
    /// What is said of all connections together.
    head: Signal<StatusHead>,
    /// Sums that the report does not hold.
    totals: Signal<Totals>,
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let summary = Memo::new(move |_| head.with(|head| head.summary.clone()));
    let connected_tone = move || summary.with(|s| if s.connected < s.enabled { "bad" } else { "ok" });
    let market = Memo::new(move |_| head.with(|head| head.market));
    let unassigned = Memo::new(move |_| summary.with(|s| s.unassigned_ticks_total));
    let stale_tone = move || if totals.get().stale > 0 { "warn" } else { "ok" };
    let errors_tone = move || summary.with(|s| if s.errors_total > 0 { "warn" } else { "ok" });
    view! {
        <div class="summary">
        <dl class="summary-list" data-testid="summary">
            <div class="summary-item" data-tone=connected_tone>
                <dt>"connected"</dt>
                <dd class="number">
                    {move || summary.with(|s| s.connected.to_string())}
                    <span class="unit">{move || summary.with(|s| " of ".to_owned() + &s.enabled.to_string())}</span>
                </dd>
            </div>
            <div class="summary-item">
                <dt>"ticks/s"</dt>
                <dd class="number">{move || format::fixed(totals.get().ticks_per_second, 0)}</dd>
            </div>
            <div class="summary-item" data-tone=errors_tone>
                <dt>"errors"</dt>
                <dd class="number">{move || summary.with(|s| format::count(s.errors_total))}</dd>
            </div>
            <Show when=move || { unassigned.get() > 0 }>
                <div class="summary-item" data-tone="warn">
                    <dt>"unassigned ticks"</dt>
                    <dd class="number">{move || format::count(unassigned.get())}</dd>
                </div>
            </Show>
            <div class="summary-item" data-tone=stale_tone>
                <dt>"stale tickers"</dt>
                <dd class="number">{move || format::count(totals.get().stale.into())}</dd>
            </div>
        </dl>
        <MarketClock clock market=market.into()/>
        </div>
    }
}
