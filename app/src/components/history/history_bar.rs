//! The bar of the full metrics: what the other pages' bar has, and the market's hours, the link and the theme.

use crate::{
    address::METRICS,
    components::{admin_pages::AdminBar, link_badge::LinkBadge, market_clock::MarketClock, theme_toggle::ThemeToggle},
    model::{history::view::HistoryView, time::UnixMillis},
    store::link::LinkState,
};
use leptos::prelude::*;

/// The bar on top.
#[component]
pub fn HistoryBar(
    /// Who is signed in.
    email: String,
    /// What is shown.
    view: Signal<HistoryView>,
    /// Does the monitor answer this page?
    link: Signal<LinkState>,
) -> impl IntoView {
    let market = Memo::new(move |_| view.with(|view| view.market));
    let clock = keep_clock(view);
    view! {
        <AdminBar email here=METRICS>
            <MarketClock clock market=market.into()/>
            <LinkBadge link lag_ms=Signal::stored(None)/>
            <ThemeToggle/>
        </AdminBar>
    }
}

/// The server's present: what the newest answer said, and what has gone by since.
fn keep_clock(view: Signal<HistoryView>) -> Signal<Option<UnixMillis>> {
    let clock = RwSignal::new(None);
    #[cfg(feature = "hydrate")]
    {
        use std::time::Duration;

        let local = || js_sys::Date::now() as i64;
        let answered = StoredValue::new((UnixMillis(0), 0));
        let beat = move || {
            let (at, then) = answered.get_value();
            clock.set(Some(UnixMillis(at.0 + local() - then)));
        };
        Effect::new(move |_| {
            answered.set_value((view.with(|view| view.at), local()));
            beat();
        });
        Effect::new(move |_| {
            if let Ok(interval) = set_interval_with_handle(beat, Duration::from_secs(1)) {
                on_cleanup(move || interval.clear());
            }
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = view;
    clock.into()
}
