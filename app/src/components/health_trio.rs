//! Three layers of health side by side, because each can fail alone: transport, subscription, data.

use super::format;
use crate::model::{status::ConnectionLive, time::UnixMillis};
use leptos::prelude::*;

/// Is the socket up, was everything acknowledged, do ticks arrive?
#[component]
pub fn HealthTrio(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let heartbeat = move || live.with(|live| live.last_heartbeat);
    let last_tick = move || live.with(|live| live.metrics.last_update);
    let subscription = move || {
        live.with(|live| {
            let subscription = &live.subscription;
            format::count(subscription.acknowledged.into()) + " / " + &format::count(subscription.requested.into())
        })
    };
    let subscription_tone = move || {
        live.with(|live| match &live.subscription {
            all if !live.connected || all.requested == 0 => "off",
            all if all.acknowledged < all.requested => "warn",
            _ => "good",
        })
    };
    view! {
        <dl class="trio">
            <div class="trio-layer" data-age=move || if live.with(|live| live.connected) { "good" } else { "bad" }>
                <dt>"Transport"</dt>
                <dd class="trio-value">{move || if live.with(|live| live.connected) { "up" } else { "down" }}</dd>
                <dd class="trio-detail number">"heard " {move || format::age(heartbeat(), now.get())}</dd>
            </div>
            <div class="trio-layer" data-age=subscription_tone>
                <dt>"Subscription"</dt>
                <dd class="trio-value number">{subscription}</dd>
                <dd class="trio-detail">"acknowledged"</dd>
            </div>
            <div class="trio-layer" data-age=move || format::age_tone(format::age_seconds(last_tick(), now.get()))>
                <dt>"Data"</dt>
                <dd class="trio-value number" data-testid=format!("last-{id}")>
                    {move || format::age(last_tick(), now.get())}
                </dd>
                <dd class="trio-detail">"last tick"</dd>
            </div>
        </dl>
    }
}
