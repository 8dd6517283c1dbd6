//! What is known of a symbol: figures, the last minutes, how it usually ticks, its last event.

use super::drawing::{gap_bars, gap_shares, gap_text, price_line, scale_of_gaps};
use crate::{
    components::format,
    model::symbol_detail::{SymbolDetail, SymbolIngest, SymbolRhythm, WATCHED_MAX},
};
use leptos::prelude::*;

/// The panel's content as of an answer.
pub(super) fn content(detail: &SymbolDetail) -> impl IntoView + use<> {
    let SymbolDetail { row, at, .. } = detail;
    let now = Some(*at);
    let has_ticked = row.price.is_some();
    let rhythm = detail.ingest.as_ref().and_then(|ingest| ingest.rhythm.as_ref());
    let arrived = detail.last_arrival.or_else(|| rhythm.and_then(|rhythm| rhythm.last_tick));
    let last_tick = if has_ticked {
        [&row.timestamp.clock_millis(), " UTC, ", &format::age(Some(row.timestamp), now)].concat()
    } else {
        "never".to_owned()
    };
    let received =
        arrived.map(|arrived| [&arrived.clock_millis(), " UTC, ", &format::age(Some(arrived), now)].concat());
    let usual = rhythm.map(|rhythm| match rhythm.usual_gap_ms {
        Some(usual_ms) => "up to ".to_owned() + &gap_text(usual_ms),
        None => "not known yet".to_owned(),
    });
    let halted = rhythm.is_some_and(|rhythm| rhythm.halted);
    let size = has_ticked.then(|| format::count(row.volume));
    let fact = |term: &'static str, value: Option<String>| {
        value.map(|value| view! { <div><dt>{term}</dt><dd class="number">{value}</dd></div> })
    };
    view! {
        <p class="symbol-price number" data-testid="symbol-price">{format::price(row.price)}</p>
        {halted.then(|| view! { <p class="symbol-halted">"Trading is halted"</p> })}
        <dl class="facts" data-testid="symbol-facts">
            {fact("Last tick (its own time)", Some(last_tick))}
            {fact("Received", received)}
            {fact("Size", size)}
            {fact("Total ticks", Some(format::count(row.ticks_total)))}
            {fact("Usual gap", usual)}
        </dl>
        {past(detail, rhythm)}
        {rhythm.map(habits)}
        {event(detail.ingest.as_ref(), detail)}
    }
}

/// Price and gaps of the last minutes.
fn past(detail: &SymbolDetail, rhythm: Option<&SymbolRhythm>) -> impl IntoView + use<> {
    let Some(since) = detail.recorded_since else {
        let why =
            ["The last minutes are not recorded: ", &WATCHED_MAX.to_string(), " other symbols are open in panels."]
                .concat();
        return view! { <p class="unit" data-testid="symbol-past">{why}</p> }.into_any();
    };
    let since = since.clock();
    let prices = || detail.seconds.iter().map(|second| second.price);
    let (lowest, highest) = (prices().reduce(f64::min), prices().reduce(f64::max));
    let longest = detail.seconds.iter().map(|second| second.gap_ms).max().unwrap_or_default();
    let range = match (lowest, highest) {
        (Some(low), Some(high)) => [" UTC: ", &format::price(Some(low)), " to ", &format::price(Some(high))].concat(),
        _ => " UTC: no tick yet".to_owned(),
    };
    let silence = detail.last_arrival.map(|last| detail.at.millis_since(last).max(0).unsigned_abs());
    let silent = silence.map(|ms| [", now silent for ", &gap_text(ms)].concat());
    let gaps = ["Gaps between ticks: longest ", &gap_text(longest.into()), &silent.unwrap_or_default()].concat();
    let scale_ms = scale_of_gaps(detail, rhythm.and_then(|rhythm| rhythm.usual_gap_ms));
    let (bars, silence_bar) = gap_bars(detail, scale_ms);
    view! {
        <figure class="symbol-figure" data-testid="symbol-past">
            <figcaption class="number">"Price since " {since} {range}</figcaption>
            <svg viewBox="0 0 3000 600" preserveAspectRatio="none" aria-hidden="true">
                <path class="sparkline-line" d=price_line(detail) vector-effect="non-scaling-stroke"></path>
            </svg>
            <figcaption class="number">{gaps}</figcaption>
            <svg viewBox="0 0 3000 400" preserveAspectRatio="none" aria-hidden="true">
                <path class="symbol-gaps" d=bars></path>
                <path class="symbol-silence" d=silence_bar></path>
            </svg>
            <p class="symbol-axis unit"><span>"5 minutes ago"</span><span>"now"</span></p>
        </figure>
    }
    .into_any()
}

/// How long the gaps between its ticks usually are.
fn habits(rhythm: &SymbolRhythm) -> impl IntoView + use<> {
    let bins = gap_shares(&rhythm.gaps);
    let is_known = !bins.is_empty();
    let bins = bins.into_iter().map(|(end, share)| {
        view! {
            <li>
                <span>{end}</span>
                <svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect class="symbol-gaps" width=share.to_string() height="8"></rect></svg>
                <span>{share.to_string()}" %"</span>
            </li>
        }
    });
    is_known.then(|| {
        view! {
            <h3 class="symbol-part">"Gaps over the last minutes"</h3>
            <ul class="symbol-habits number">{bins.collect_view()}</ul>
        }
    })
}

/// The provider's last event, or why there is none.
fn event(ingest: Option<&SymbolIngest>, detail: &SymbolDetail) -> impl IntoView + use<> {
    let (head, text) = match ingest {
        None => ("Events are not shown here: another server collects the data.".to_owned(), None),
        Some(SymbolIngest { watched_since: None, .. }) => {
            let count = WATCHED_MAX.to_string();
            (
                ["Events are not recorded: ", &count, " other symbols of this connection are open in panels."].concat(),
                None,
            )
        }
        Some(SymbolIngest { event: None, watched_since: Some(since), .. }) => {
            (["No event since ", &since.clock(), " UTC, when recording began."].concat(), None)
        }
        Some(SymbolIngest { event: Some(event), .. }) => {
            let age = format::age(Some(event.received_at), Some(detail.at));
            (["Received ", &event.received_at.clock_millis(), " UTC, ", &age].concat(), Some(event.text.clone()))
        }
    };
    view! {
        <h3 class="symbol-part">"Last event from the provider"</h3>
        <p class="unit number">{head}</p>
        {text.map(|text| view! { <pre class="symbol-event" tabindex="0" aria-label="The event as it was received" data-testid="symbol-event"><code>{text}</code></pre> })}
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;
    use crate::model::{
        protocol::Row,
        symbol::Symbol,
        symbol_detail::{RawEvent, SymbolSecond},
        time::UnixMillis,
    };

    const AT: UnixMillis = UnixMillis(1_768_998_896_789);

    fn detail() -> SymbolDetail {
        let row = Row {
            price: Some(178.23),
            volume: 1_200,
            timestamp: UnixMillis(AT.0 - 2_100),
            ticks_total: 12_345,
            ..Row::empty(2, Symbol::parse("AAPL").expect("a symbol"))
        };
        let second =
            |ago_ms: i64, price, gap_ms| SymbolSecond { at: UnixMillis(AT.0 - ago_ms), price, ticks: 1, gap_ms };
        SymbolDetail {
            at: AT,
            row,
            recorded_since: Some(UnixMillis(AT.0 - 60_000)),
            seconds: vec![second(50_000, 178.0, 0), second(20_000, 179.5, 30_000), second(2_000, 178.23, 18_000)],
            last_arrival: Some(UnixMillis(AT.0 - 2_000)),
            ingest: None,
        }
    }

    fn render(detail: SymbolDetail) -> String {
        let owner = Owner::new();
        owner.with(|| content(&detail).to_html())
    }

    #[test]
    fn it_says_how_old_everything_is_and_what_is_not_known() {
        let html = render(detail());
        for text in [
            "178.23",
            "12:34:54.689 UTC, 2 s ago",
            "12:34:54.789 UTC, 2 s ago",
            "12,345",
            "12:33:56",
            "178.00 to 179.50",
            "longest 30 s, now silent for 2.0 s",
            "another server collects",
        ] {
            assert!(html.contains(text), "{text}: {html}");
        }
        assert!(!html.contains("Usual gap"));
    }

    #[test]
    fn the_event_is_shown_as_it_came_and_the_rhythm_in_shares() {
        let event = RawEvent { received_at: UnixMillis(AT.0 - 5_000), text: r#"{"ev":"T","sym":"<AAPL>"}"#.into() };
        let mut gaps = vec![0; 24];
        (gaps[0], gaps[1], gaps[2], gaps[6]) = (10, 20, 10, 1);
        let rhythm = SymbolRhythm { usual_gap_ms: Some(1_250), gaps, halted: true, ..SymbolRhythm::default() };
        let ingest = SymbolIngest { watched_since: Some(AT), event: Some(event), rhythm: Some(rhythm) };
        let html = render(SymbolDetail { ingest: Some(ingest.clone()), ..detail() });
        for text in
            ["&lt;AAPL&gt;", "12:34:51.789 UTC, 5 s ago", "up to 1.3 s", "Trading is halted", "≤ 0.2 s", "73<!> %"]
        {
            assert!(html.contains(text), "{text}: {html}");
        }
        let silent = SymbolIngest { event: None, ..ingest };
        assert!(render(SymbolDetail { ingest: Some(silent), ..detail() }).contains("No event since 12:34:56 UTC"));
    }

    #[test]
    fn what_is_not_recorded_is_said() {
        let html = render(SymbolDetail {
            recorded_since: None,
            seconds: Vec::new(),
            last_arrival: None,
            ingest: Some(SymbolIngest::default()),
            ..detail()
        });
        for text in ["178.23", "The last minutes are not recorded: 16 other", "Events are not recorded: 16 other"] {
            assert!(html.contains(text), "{text}: {html}");
        }
    }
}
