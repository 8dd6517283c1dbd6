//! What is wrong with a connection, in the provider's words, and what happens next.

use super::{
    format::{needs_reason, tone},
    history::range_bar,
};
use crate::model::{
    connection::ConnectionState,
    health::{LayerState, LossKind},
    history::selection::Selection,
    status::ConnectionLive,
    time::{UnixMillis, format_seconds},
};
use leptos::prelude::*;

/// There only while a connection that should be up is not well.
#[component]
pub fn ReasonLine(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let shown = Memo::new(move |_| live.with(|live| needs_reason(live.state)));
    let state = Memo::new(move |_| live.with(|live| live.state));
    let reason = move || live.with(|live| live.reason.clone().unwrap_or_else(|| default_reason(live.state).to_owned()));
    let advised = Memo::new(move |_| live.with(advice));
    let has_gap = Memo::new(move |_| {
        matches!(state.get(), ConnectionState::Reconnecting | ConnectionState::Failed | ConnectionState::Mute)
    });
    let gaps = StoredValue::new(
        range_bar::href(&Selection { connections: Some(id).into(), ..Selection::default() }) + "#ledger-title",
    );
    let next = move || live.with(|live| next_attempt(live, now.get()));
    view! {
        <Show when=move || shown.get()>
            <p class="reason" data-tone=move || tone(state.get()) data-testid=format!("reason-{id}")>
                <span class="reason-text">{reason}</span>
                <span class="reason-next number">{next}</span>
                <span class="reason-advice">
                    {move || advised.get()}
                    {move || has_gap.get().then(|| view! { " " <a href=gaps.get_value() rel="external" data-testid=format!("gaps-{id}")>"Show gaps"</a> })}
                </span>
            </p>
        </Show>
    }
}

/// What is said when nobody gave a reason.
fn default_reason(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connecting => "Opening the socket",
        ConnectionState::Authenticating => "Checking the API key",
        ConnectionState::Subscribing => "Waiting for subscriptions to be acknowledged",
        ConnectionState::Degraded => "Some subscriptions were not acknowledged",
        ConnectionState::Mute => "Connected, but no ticks are arriving",
        ConnectionState::Reconnecting => "Connection lost",
        ConnectionState::Failed => "Connection refused",
        ConnectionState::Connected | ConnectionState::Disabled => "",
    }
}

/// What to do now, in a few words; nothing while there is nothing to do but wait. The guide for administrators says more.
fn advice(live: &ConnectionLive) -> &'static str {
    use ConnectionState as S;
    let no_symbols = live.reason.as_ref().is_some_and(|reason| reason.starts_with("No symbols"));
    let lost = live.last_loss.as_ref().map(|loss| loss.kind);
    match (live.state, lost) {
        (S::Connected | S::Disabled | S::Connecting | S::Authenticating | S::Subscribing, _) => "",
        (S::Failed, _) if no_symbols => "Check the universe key or symbol list, then press Refresh config.",
        (S::Failed, Some(LossKind::KeyRefused)) => "Check MASSIVE_API_KEY and your plan, then press Refresh config.",
        (S::Failed, Some(LossKind::TooManyConnections)) => {
            "Stop other programs that use this key or disable a connection, then press Refresh config."
        }
        (S::Failed, Some(LossKind::NothingSubscribed)) => {
            "Check the channels against your plan, then press Refresh config."
        }
        (S::Failed, _) => "Check the settings and the provider; it is retried at longer intervals.",
        (S::Reconnecting, Some(LossKind::SlowConsumer)) => "Put fewer symbols or channels on this connection.",
        (S::Reconnecting, Some(LossKind::Unreachable)) => {
            "Retried automatically. If it stays, check network and address."
        }
        (S::Reconnecting, _) => "Retried automatically. If it repeats, check network and provider.",
        (S::Degraded, _) if live.health.subscription.state == LayerState::Warn => {
            "Check symbols and channels against your plan."
        }
        (S::Degraded, _) => "Put fewer symbols or channels on this connection.",
        (S::Mute, _) => "If other connections have data, contact the provider; on feed Redis, check the ingest.",
    }
}

/// `attempt 3 · next in 12 s`; the time itself before the page's clock runs.
fn next_attempt(live: &ConnectionLive, now: Option<UnixMillis>) -> String {
    let attempt = live.reconnect.attempt;
    let mut text = if attempt == 0 { String::new() } else { format!("attempt {attempt}") };
    if let Some(next_at) = live.reconnect.next_at {
        if !text.is_empty() {
            text.push_str(" · ");
        }
        match now.map(|now| next_at.millis_since(now)) {
            Some(..=0) => text.push_str("next attempt is due"),
            // Rounded up: "in 0 s" would be a lie for most of a second.
            Some(millis) => text.push_str(&("next in ".to_owned() + &format_seconds((millis as u64).div_ceil(1000)))),
            None => text.push_str(&format!("next at {} UTC", next_at.clock())),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{health::LastLoss, status::Reconnect};

    #[test]
    fn every_reason_that_is_red_or_amber_says_what_to_do() {
        use ConnectionState as S;
        let of = |state, kind: Option<LossKind>| {
            let last_loss = kind.map(|kind| LastLoss { kind, ..LastLoss::default() });
            advice(&ConnectionLive { state, last_loss, ..ConnectionLive::default() })
        };
        let kinds = [None, Some(LossKind::KeyRefused), Some(LossKind::TooManyConnections), Some(LossKind::Dropped)];
        for state in [S::Failed, S::Reconnecting, S::Degraded, S::Mute] {
            assert!(kinds.iter().all(|kind| !of(state, *kind).is_empty()), "{state:?}");
        }
        assert!(of(S::Failed, Some(LossKind::KeyRefused)).contains("MASSIVE_API_KEY"));
        assert_eq!(of(S::Connecting, None), "", "nothing to do but wait");
        let reason = Some("No symbols configured".into());
        let empty = ConnectionLive { state: S::Failed, reason, ..ConnectionLive::default() };
        assert!(advice(&empty).contains("symbol list"));
    }

    #[test]
    fn the_next_attempt_is_counted_down() {
        let reconnect = Reconnect { attempt: 3, next_at: Some(UnixMillis(45_296_000)) };
        let live = ConnectionLive { reconnect, ..ConnectionLive::default() };
        assert_eq!(next_attempt(&live, None), "attempt 3 · next at 12:34:56 UTC");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_284_500))), "attempt 3 · next in 12 s");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_296_000))), "attempt 3 · next attempt is due");
        assert_eq!(next_attempt(&ConnectionLive::default(), None), "");
    }
}
