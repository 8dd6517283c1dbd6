//! How reliable a connection was, in one line of its column: the last outage and the share of the time without one. Leads
//! to the full metrics of that connection.

use super::{
    format,
    history::{range_bar, scale},
};
use crate::{
    model::{
        connection::ConnectionId,
        history::{
            LastOutage, Reliability,
            selection::{Range, Selection},
        },
        time::{UnixMillis, format_seconds},
    },
    store::link::LinkState,
};
use leptos::prelude::*;

/// The line. Nothing is said of a connection without history.
#[component]
pub fn ReliabilityNote(
    /// The connection.
    id: ConnectionId,
    /// What is known of all connections.
    reliability: Signal<Vec<Reliability>>,
    /// The moment the numbers are of.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let known = Memo::new(move |_| reliability.with(|all| all.iter().find(|one| one.connection_id == id).cloned()));
    let there = Selection { range: Range::Last(86_400), connections: Some(id).into(), ..Selection::default() };
    let shares = move || known.with(|known| Some(shares_text(known.as_ref()?, now.get()?)));
    let outage = move || known.with(|known| known.as_ref().map(|known| outage_text(known.last.as_ref())));
    view! {
        <a class="reliability number" href=range_bar::href(&there) rel="external" data-testid=["reliability-", &id.to_string()].concat()>
            <span class="reliability-share"><span class="metrics-label">"Available "</span>{shares}</span>
            <span class="reliability-outage">{outage}</span>
        </a>
    }
}

/// `today (New York) 99.98 % · 7 days 99.71 %`; where history is younger than a week, since when it is.
fn shares_text(known: &Reliability, now: UnixMillis) -> String {
    const WEEK_MS: i64 = 7 * 86_400_000;
    let today = known.today_basis_points.map(|share| ["today (New York) ", &percent(share)].concat());
    let week = known.week_basis_points.map(|share| {
        let span = if now.millis_since(known.since) < WEEK_MS {
            ["since ", &format::day_and_clock(known.since, Some(now)), " "].concat()
        } else {
            "7 days ".to_owned()
        };
        span + &percent(share)
    });
    let shares: Vec<_> = [today, week].into_iter().flatten().collect();
    // Nothing that it was to carry, or no open hour yet.
    if shares.is_empty() { "unknown".to_owned() } else { shares.join(" · ") }
}

fn percent(basis_points: u32) -> String {
    format::fixed(f64::from(basis_points) / 100.0, 2) + " %"
}

fn outage_text(last: Option<&LastOutage>) -> String {
    let Some(last) = last else { return "no outage recorded".to_owned() };
    let length = match last.ended_at {
        None => "ongoing".to_owned(),
        Some(end) => format_seconds(end.millis_since(last.started_at).max(0) as u64 / 1000),
    };
    ["last outage ", &scale::moment(last.started_at), " UTC, ", &length, ", ", &last.cause].concat()
}

/// What the server rendered, asked for again once a minute, as shares change by the minute, and as soon as the server says
/// that the ledger changed. No more once the session is over.
#[must_use]
pub fn keep_reliability(
    first: Vec<Reliability>,
    ledger_changed_at: Signal<UnixMillis>,
    link: Signal<LinkState>,
) -> Signal<Vec<Reliability>> {
    let kept = RwSignal::new(first);
    #[cfg(feature = "hydrate")]
    {
        use std::time::Duration;

        const EVERY: Duration = Duration::from_secs(60);

        let refresh = move || {
            if matches!(link.get_untracked(), LinkState::Ended(_)) {
                return;
            }
            leptos::task::spawn_local(async move {
                // A server that does not answer now will be asked again; the page says so elsewhere.
                if let Ok(answer) = crate::api::history::load_reliability().await {
                    kept.try_set(answer);
                }
            });
        };
        Effect::new(move |_| {
            if let Ok(interval) = set_interval_with_handle(refresh, EVERY) {
                on_cleanup(move || interval.clear());
            }
        });
        Effect::new(move |first: Option<bool>| {
            ledger_changed_at.track();
            if first.is_some() {
                refresh();
            }
            false
        });
    }
    #[cfg(not(feature = "hydrate"))]
    let _ = (ledger_changed_at, link);
    kept.into()
}

/// How many gaps last; `None` when nothing is known of the past.
#[must_use]
pub fn open_gaps(all: &[Reliability]) -> Option<u64> {
    let lasts = |known: &&Reliability| known.last.as_ref().is_some_and(|last| last.ended_at.is_none());
    (!all.is_empty()).then(|| all.iter().filter(lasts).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_outage_is_told_with_its_length_and_cause() {
        let outage = LastOutage {
            number: 7,
            started_at: UnixMillis(1_768_998_896_789),
            ended_at: Some(UnixMillis(1_768_998_909_000)),
            cause: "dropped".into(),
        };
        assert_eq!(outage_text(Some(&outage)), "last outage 01-21 12:34:56 UTC, 12 s, dropped");
        assert_eq!(
            outage_text(Some(&LastOutage { ended_at: None, ..outage.clone() })),
            "last outage 01-21 12:34:56 UTC, ongoing, dropped"
        );
        let now = UnixMillis(1_768_998_909_000);
        let young = Reliability {
            since: UnixMillis(1_768_998_000_000),
            week_basis_points: Some(9_990),
            ..Reliability::default()
        };
        assert_eq!(shares_text(&young, now), "since 12:20:00 99.90 %");
        let today_basis_points = Some(9_990);
        let yesterday = Reliability { since: UnixMillis(1_768_900_000_000), today_basis_points, ..young.clone() };
        assert_eq!(shares_text(&yesterday, now), "today (New York) 99.90 % · since 01-20 09:06:40 99.90 %");
        let old =
            Reliability { since: UnixMillis(0), today_basis_points, week_basis_points: Some(9_000), ..young.clone() };
        assert_eq!(shares_text(&old, now), "today (New York) 99.90 % · 7 days 90.00 %");
        assert_eq!(shares_text(&Reliability { week_basis_points: None, ..young }, now), "unknown");
        let of = |last| Reliability { last, ..Reliability::default() };
        let lasting = LastOutage { ended_at: None, ..outage.clone() };
        assert_eq!(open_gaps(&[of(None), of(Some(outage)), of(Some(lasting))]), Some(1));
        assert_eq!((open_gaps(&[of(None)]), open_gaps(&[])), (Some(0), None));
        assert_eq!((percent(10_000), percent(9_987)), ("100.00 %".into(), "99.87 %".into()));
    }
}
