//! What is wrong with a connection, in the provider's words, and what happens next.

use super::format::{needs_reason, tone};
use crate::model::{
    connection::ConnectionState,
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
    let next = move || live.with(|live| next_attempt(live, now.get()));
    view! {
        <Show when=move || shown.get()>
            <p class="reason" data-tone=move || tone(state.get()) data-testid=format!("reason-{id}")>
                <span class="reason-text">{reason}</span>
                <span class="reason-next number">{next}</span>
            </p>
        </Show>
    }
}

/// What is said when nobody gave a reason.
fn default_reason(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Connecting => "Opening the socket",
        ConnectionState::Authenticating => "The key is being checked",
        ConnectionState::Subscribing => "Waiting for subscriptions to be acknowledged",
        ConnectionState::Degraded => "Not every subscription was acknowledged",
        ConnectionState::Mute => "Connected, but no ticks arrive",
        ConnectionState::Reconnecting => "The connection was lost",
        ConnectionState::Failed => "The connection was refused",
        ConnectionState::Connected | ConnectionState::Disabled => "",
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
            Some(..=0) => text.push_str("next one is due"),
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
    use crate::model::status::Reconnect;

    #[test]
    fn the_next_attempt_is_counted_down() {
        let reconnect = Reconnect { attempt: 3, next_at: Some(UnixMillis(45_296_000)) };
        let live = ConnectionLive { reconnect, ..ConnectionLive::default() };
        assert_eq!(next_attempt(&live, None), "attempt 3 · next at 12:34:56 UTC");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_284_500))), "attempt 3 · next in 12 s");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_296_000))), "attempt 3 · next one is due");
        assert_eq!(next_attempt(&ConnectionLive::default(), None), "");
    }
}
