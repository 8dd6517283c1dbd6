//! What a refresh of the configuration did, until somebody has read it.

use super::{
    dynamic::Show,
    icon::{CLOSE, Icon},
};
use crate::{
    model::{connection::ConnectionId, refresh::RefreshOutcome},
    store::refresh::Refresh,
};
use leptos::prelude::*;

/// Nothing before the first refresh and after it was read.
#[component]
pub fn RefreshPanel(
    /// How far the refresh is.
    refresh: Signal<Refresh>,
    /// It was read.
    on_close: Callback<()>,
) -> impl IntoView {
    let tone = Memo::new(move |_| refresh.with(Refresh::tone));
    let shown = Memo::new(move |_| refresh.with(|refresh| *refresh != Refresh::None));
    let lines = move || match refresh.get() {
        Refresh::None => Vec::new(),
        Refresh::Asked => vec!["Reloading the configuration …".to_owned()],
        Refresh::Done(outcome) => outcome_lines(&outcome),
        Refresh::Failed(reason) => vec![reason],
    };
    view! {
        // There before it says anything, or screen readers would miss it.
        <div class="refresh-panel" role="status" data-testid="refresh-result" data-tone=move || tone.get() class:is-empty=move || !shown.get()>
            <Show when=move || shown.get()>
                <b>"Configuration"</b>
                <ul>{move || lines().into_iter().map(|line| view! { <li>{line}</li> }).collect_view()}</ul>
                <button type="button" class="button button-icon" aria-label="Close" data-testid="refresh-close" on:click=move |_| on_close.run(())>
                    <Icon path=CLOSE/>
                </button>
            </Show>
        </div>
    }
}

/// The outcome, a line each: what needs somebody's hand first, then what changed.
fn outcome_lines(outcome: &RefreshOutcome) -> Vec<String> {
    let mut lines = Vec::new();
    for refusal in &outcome.refused {
        let value = refusal.value.as_ref().map(|value| ["=", value].concat()).unwrap_or_default();
        lines.push(["Rejected: ", &refusal.variable, &value, " — expected ", &refusal.accepted].concat());
    }
    if !outcome.needs_restart.is_empty() {
        lines.push(["Takes effect after a restart: ", &outcome.needs_restart.join(", ")].concat());
    }
    for change in &outcome.changed {
        lines.push(["Connection ", &change.connection.to_string(), ": ", &change.what.join(", ")].concat());
    }
    if lines.is_empty() {
        lines.push("Nothing changed.".to_owned());
    } else if !outcome.unchanged.is_empty() {
        lines.push(["Unchanged: ", &numbers(&outcome.unchanged)].concat());
    }
    lines
}

fn numbers(ids: &[ConnectionId]) -> String {
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    [if ids.len() == 1 { "connection " } else { "connections " }, &ids.join(", ")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refresh::{ConnectionChange, Refusal};

    #[test]
    fn the_outcome_says_what_changed_and_what_was_refused() {
        let outcome = RefreshOutcome {
            changed: vec![ConnectionChange { connection: 2, what: vec!["symbols: 1 → 2".into(), "priority".into()] }],
            unchanged: vec![1, 3],
            refused: vec![Refusal {
                variable: "WEBSOCKET_CONNECTION_3_PRIORITY".into(),
                value: Some("urgent".into()),
                accepted: "high, normal or low".into(),
            }],
            needs_restart: vec!["REDIS_URL".into()],
        };
        assert_eq!(
            outcome_lines(&outcome),
            [
                "Rejected: WEBSOCKET_CONNECTION_3_PRIORITY=urgent — expected high, normal or low",
                "Takes effect after a restart: REDIS_URL",
                "Connection 2: symbols: 1 → 2, priority",
                "Unchanged: connections 1, 3",
            ]
        );
        assert_eq!(outcome_lines(&RefreshOutcome::default()), ["Nothing changed."]);
        let same = RefreshOutcome { unchanged: vec![1, 2, 3], ..RefreshOutcome::default() };
        assert_eq!(outcome_lines(&same), ["Nothing changed."]);
    }
}
