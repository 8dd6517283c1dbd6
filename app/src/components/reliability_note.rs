//! How reliable a connection was, in one line of its column: the last outage and the share of the time without one. Leads
//! to the full metrics of that connection.

use super::{
    format,
    history::{range_bar, scale},
};
use crate::model::{
    connection::ConnectionId,
    history::{
        LastOutage, Reliability,
        selection::{Range, Selection},
    },
    time::format_seconds,
};
use leptos::prelude::*;

/// The line. Nothing is said of a connection without history.
#[component]
pub fn ReliabilityNote(
    /// Whose.
    id: ConnectionId,
    /// What is known of all connections.
    reliability: Signal<Vec<Reliability>>,
) -> impl IntoView {
    let known = Memo::new(move |_| reliability.with(|all| all.iter().find(|one| one.connection_id == id).cloned()));
    let there = Selection { range: Range::Last(86_400), connection_id: Some(id), ..Selection::default() };
    let shares = move || {
        known.with(|known| {
            let known = known.as_ref()?;
            let today = known.today_basis_points.map(|share| ["today ", &percent(share)].concat());
            let week = known.week_basis_points.map(|share| ["7 days ", &percent(share)].concat());
            Some([today, week].into_iter().flatten().collect::<Vec<_>>().join(" · "))
        })
    };
    let outage = move || known.with(|known| known.as_ref().map(|known| outage_text(known.last.as_ref())));
    view! {
        <a class="reliability number" href=range_bar::href(&there) rel="external" data-testid=["reliability-", &id.to_string()].concat()>
            <span class="reliability-share"><span class="metrics-label">"Available "</span>{shares}</span>
            <span class="reliability-outage">{outage}</span>
        </a>
    }
}

fn percent(basis_points: u32) -> String {
    format::fixed(f64::from(basis_points) / 100.0, 2) + " %"
}

fn outage_text(last: Option<&LastOutage>) -> String {
    let Some(last) = last else { return "no outage on record".to_owned() };
    let length = match last.ended_at {
        None => "lasting".to_owned(),
        Some(end) => format_seconds(end.millis_since(last.started_at).max(0) as u64 / 1000),
    };
    ["last outage ", &scale::moment(last.started_at), " UTC, ", &length, ", ", &last.cause].concat()
}

/// What the server rendered, asked for again once a minute: it changes by the minute, not by the tick.
#[must_use]
pub fn keep_reliability(first: Vec<Reliability>) -> Signal<Vec<Reliability>> {
    let kept = RwSignal::new(first);
    #[cfg(feature = "hydrate")]
    {
        const EVERY: std::time::Duration = std::time::Duration::from_secs(60);

        let refresh = move || {
            leptos::task::spawn_local(async move {
                // A server that does not answer now will be asked again; the page says so elsewhere.
                if let Ok(answer) = crate::api::history::load_reliability().await {
                    kept.try_set(answer.connections);
                }
            });
        };
        Effect::new(move |_| {
            if let Ok(interval) = set_interval_with_handle(refresh, EVERY) {
                on_cleanup(move || interval.clear());
            }
        });
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::UnixMillis;

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
            outage_text(Some(&LastOutage { ended_at: None, ..outage })),
            "last outage 01-21 12:34:56 UTC, lasting, dropped"
        );
        assert_eq!((percent(10_000), percent(9_987)), ("100.00 %".into(), "99.87 %".into()));
    }
}
