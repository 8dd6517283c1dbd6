//! Our own socket: its state, and how late what it brings is. Opens to the figures behind that.

use super::format;
use crate::store::link::LinkState;
use leptos::prelude::*;

/// The badge in the bar.
#[component]
pub fn LinkBadge(
    /// The state.
    link: Signal<LinkState>,
    /// How late frames arrive, in milliseconds.
    lag_ms: Signal<Option<i64>>,
) -> impl IntoView {
    // Tens of milliseconds: a number that changes with every frame says nothing.
    let lag = Memo::new(move |_| link.get().is_live().then(|| lag_ms.get()).flatten().map(|lag| lag / 10 * 10));
    view! {
        <details class="link popover" data-testid="link" data-state=move || link.get().name()>
            <summary>
                <span class="link-dot" aria-hidden="true"></span>
                <span class="visually-hidden">"Link: "</span>
                <span class="link-label">{move || link.get().label()}</span>
                <span class="link-lag unit number">{move || lag_text(lag.get())}</span>
            </summary>
            <div class="popover-panel">
                <p>"This page's own connection to the monitor."</p>
                <dl class="facts">
                    <div><dt>"Extra delay"</dt><dd class="number" data-testid="extra-delay">{move || lag.get().map_or_else(|| format::NOTHING.to_owned(), |_| lag_text(lag.get()))}</dd></div>
                </dl>
                <p class="unit">"How much longer than the quickest the last message took. What a tick takes to the screen stands in the metrics of its connection."</p>
            </div>
        </details>
    }
}

fn lag_text(lag: Option<i64>) -> String {
    match lag {
        None => String::new(),
        Some(lag) if lag < 10 => "lag < 10 ms".to_owned(),
        Some(lag) => ["lag ", &lag.to_string(), " ms"].concat(),
    }
}
