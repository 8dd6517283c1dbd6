//! The time, and whether the market is open: what makes silence normal or not.

use crate::model::{
    market::{MarketSession, SessionKind, new_york_clock},
    time::{UnixMillis, format_seconds},
};
use leptos::prelude::*;

/// UTC, New York, and the session.
#[component]
pub fn MarketClock(
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
    /// The market's hours.
    market: Signal<MarketSession>,
) -> impl IntoView {
    let utc = move || clock.get().map_or_else(|| "--:--:--".to_owned(), UnixMillis::clock);
    let new_york = move || clock.get().map_or_else(|| "--:--:--".to_owned(), new_york_clock);
    // While the page's clock runs the hours follow it, even where nobody reports them any more.
    let market = Memo::new(move |_| {
        let reported = market.get();
        match clock.get() {
            Some(now) if reported.until.is_some_and(|until| now >= until) => MarketSession::at(now),
            _ => reported,
        }
    });
    let kind = Memo::new(move |_| market.get().kind);
    view! {
        <p class="market-clock number">
            <span class="market" data-session=move || session_name(kind.get()) data-testid="market">
                <b>{move || word(market.get())}</b>
                <span class="unit">{move || what_next(market.get(), clock.get())}</span>
            </span>
            <span>{new_york}<span class="unit">" New York"</span></span>
            // By its id the page sees whether the document still takes what is written to it.
            <span><span id="utc-clock">{utc}</span><span class="unit">" UTC"</span></span>
        </p>
    }
}

fn session_name(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Pre | SessionKind::Post => "extended",
        SessionKind::Regular => "open",
        SessionKind::Closed => "closed",
        SessionKind::AlwaysOpen => "always",
    }
}

fn word(market: MarketSession) -> String {
    match market.kind {
        SessionKind::Pre | SessionKind::Post => market.kind.label().to_owned(),
        kind => "market ".to_owned() + kind.label(),
    }
}

/// ` · Thanksgiving · opens in 3 h 07 m`; nothing before the page's clock runs.
fn what_next(market: MarketSession, now: Option<UnixMillis>) -> String {
    let mut text = String::new();
    if let Some(holiday) = market.holiday {
        text.push_str(" · ");
        text.push_str(holiday.label());
    }
    if let Some((until, now)) = market.until.zip(now) {
        let verb = match market.kind {
            SessionKind::Closed => " · pre-market in ",
            SessionKind::Pre => " · opens in ",
            SessionKind::Regular if market.early_close => " · closes early in ",
            SessionKind::Regular => " · closes in ",
            SessionKind::Post | SessionKind::AlwaysOpen => " · ends in ",
        };
        text.push_str(verb);
        text.push_str(&format_seconds((until.millis_since(now).max(0) as u64).div_ceil(1000)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_market_says_why_and_until_when() {
        let thanksgiving = UnixMillis(1_795_705_200_000);
        let market = MarketSession::at(thanksgiving);
        assert_eq!(word(market), "market closed");
        assert_eq!(what_next(market, None), " · Thanksgiving");
        assert_eq!(what_next(market, Some(thanksgiving)), " · Thanksgiving · pre-market in 18 h 00 m");
        assert_eq!(what_next(MarketSession::default(), Some(thanksgiving)), "");
    }
}
