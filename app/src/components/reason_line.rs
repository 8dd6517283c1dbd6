//! What is wrong with a connection, in the provider's words, what happens next, and what can be done about it.

use super::{
    common::Common,
    dynamic::Show,
    format::needs_reason,
    health::{Note, notes},
    history::range_bar,
};
use crate::{
    api::{MayAct, Past},
    model::{
        connection::ConnectionState,
        health::{LayerState, LossKind},
        history::selection::Selection,
        status::ConnectionLive,
        time::{UnixMillis, format_seconds},
    },
    store::table::Act,
};
use leptos::prelude::*;

/// The reason while a connection is not well, and what is missing by name. As high without either as with them, so that
/// nothing moves when one comes.
#[component]
pub fn ReasonLine(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Its colour.
    tone: Signal<&'static str>,
    /// What all connections have in common.
    common: Signal<Common>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
    /// The reader wants to know what a state means.
    on_explain: Callback<ConnectionState>,
    /// What the reader does.
    on_act: Callback<Act>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let state = Memo::new(move |_| live.with(|live| live.state));
    let shown = Memo::new(move |_| live.with(|live| needs_reason(live.state)) || tone.get() != "ok");
    let reason = move || live.with(|live| reason_text(live, common.get()));
    // What helped then is no advice now.
    let is_past = Past::is_here();
    let advised = Memo::new(move |_| if is_past { "" } else { live.with(|live| advice(live, common.get())) });
    let has_gap = Memo::new(move |_| {
        live.with(|live| {
            matches!(live.state, ConnectionState::Reconnecting | ConnectionState::Failed | ConnectionState::Mute)
                || is_on_its_way_back(live)
        })
    });
    let may_act = MayAct::here();
    let retryable = Memo::new(move |_| may_act && common.get().is_ours && live.with(waits));
    let gaps = StoredValue::new(
        range_bar::href(&Selection { connections: Some(id).into(), ..Selection::default() }) + "#ledger-title",
    );
    let next = move || live.with(|live| next_attempt(live, now.get()));
    let answer = RwSignal::new(None::<String>);
    // What was answered is of the state in which it was asked.
    Effect::new(move |_| {
        state.track();
        answer.set(None);
    });
    let retry = move |_| {
        #[cfg(feature = "hydrate")]
        leptos::task::spawn_local(async move {
            let refusal = crate::store::refresh::retry(id).await;
            answer.try_set(Some(refusal.unwrap_or_else(|| "Trying now.".to_owned())));
        });
        #[cfg(not(feature = "hydrate"))]
        let _ = (id, answer);
    };
    let note = move |(text, state): Note| match state {
        // The rows that the note counts are a click away.
        Some(state) => {
            let show = move |_| on_act.run(Act::Filter(state.word().to_owned()));
            view! { <li><button type="button" class="text-button" title="Show only these" on:click=show>{text}</button></li> }.into_any()
        }
        None => view! { <li>{text}</li> }.into_any(),
    };
    let missing = Memo::new(move |_| live.with(notes));
    view! {
        <div class="reason-slot" role="group" tabindex="0" aria-label=format!("Problems of connection {id}")>
            <Show when=move || shown.get()>
                <div class="reason" data-tone=move || tone.get() data-testid=format!("reason-{id}")>
                    <span class="reason-text">{reason}</span>
                    <span class="reason-next number">{next}</span>
                    <span class="reason-acts">
                        {move || retryable.get().then(|| view! {
                            <button type="button" class="button button-small" data-testid=format!("retry-{id}") on:click=retry>"Retry now"</button>
                        })}
                        {move || has_gap.get().then(|| view! { <a href=gaps.get_value() rel="external" data-testid=format!("gaps-{id}")>"Show gaps"</a> })}
                        {(!is_past).then(|| view! {
                            <button type="button" class="button-link" data-testid=format!("explain-{id}") on:click=move |_| on_explain.run(state.get_untracked())>
                                "Explain"
                            </button>
                        })}
                        <span role="status" data-testid=format!("retried-{id}")>{move || answer.get()}</span>
                    </span>
                    <span class="reason-advice">{move || advised.get()}</span>
                </div>
            </Show>
            <ul class="health-notes" data-testid=format!("health-notes-{id}") hidden=move || missing.with(Vec::is_empty)>
                {move || missing.get().into_iter().map(note).collect_view()}
            </ul>
            <p class="reason-none" hidden=move || shown.get() || !missing.with(Vec::is_empty)>"No problems."</p>
        </div>
    }
}

/// Is an attempt under way after a loss?
fn is_on_its_way_back(live: &ConnectionLive) -> bool {
    use ConnectionState as S;
    matches!(live.state, S::Connecting | S::Authenticating | S::Subscribing) && live.reconnect.attempt > 0
}

/// Does it wait for an attempt that could be made now? One without symbols has none, nor one that stands back for others.
fn waits(live: &ConnectionLive) -> bool {
    matches!(live.state, ConnectionState::Reconnecting | ConnectionState::Failed) && live.reconnect.next_at.is_some()
}

/// Why it is not well: as reported, else what can be told from here.
fn reason_text(live: &ConnectionLive, common: Common) -> String {
    match &live.reason {
        Some(reason) => reason.clone(),
        None if live.state == ConnectionState::Connected && common.is_ours => {
            "Connected to the provider, but no ticks are arriving over Redis".to_owned()
        }
        None if live.state == ConnectionState::Connected => "State as last reported; reports have stopped".to_owned(),
        None => default_reason(live.state).to_owned(),
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
fn advice(live: &ConnectionLive, common: Common) -> &'static str {
    use ConnectionState as S;
    match live.state {
        S::Connected if common.is_ours => return "Check Redis; the banner on top says what is wrong with it.",
        S::Connected => return "Check the ingest and Redis.",
        _ => {}
    }
    let no_symbols = live.reason.as_ref().is_some_and(|reason| reason.starts_with("No symbols"));
    let lost = live.last_loss.as_ref().map(|loss| loss.kind);
    match (live.state, lost) {
        _ if is_on_its_way_back(live) => "Being tried now. If it repeats, check network and provider.",
        (S::Connected | S::Disabled | S::Connecting | S::Authenticating | S::Subscribing, _) => "",
        (S::Failed, _) if no_symbols => "Check the universe key or symbol list, then press Refresh config.",
        (S::Failed | S::Reconnecting, Some(LossKind::BusDown)) => "Retried automatically. Check Redis and the network.",
        // Elsewhere: nothing that this page or its settings could do.
        (S::Failed | S::Mute, _) if !common.is_ours => "Check the ingest: its log, its settings and the provider.",
        (S::Reconnecting, _) if !common.is_ours => "If it stays, check the ingest.",
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
        (S::Mute, _) => "If other connections have data, contact the provider.",
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
    } else if is_on_its_way_back(live) {
        text.push_str(" · ");
        text.push_str(default_reason(live.state));
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
        let ours = Common { bus_up: true, is_ours: true, ..Common::default() };
        let of = |state, kind: Option<LossKind>| {
            let last_loss = kind.map(|kind| LastLoss { kind, ..LastLoss::default() });
            advice(&ConnectionLive { state, last_loss, ..ConnectionLive::default() }, ours)
        };
        let kinds = [None, Some(LossKind::KeyRefused), Some(LossKind::TooManyConnections), Some(LossKind::Dropped)];
        for state in [S::Failed, S::Reconnecting, S::Degraded, S::Mute] {
            assert!(kinds.iter().all(|kind| !of(state, *kind).is_empty()), "{state:?}");
        }
        assert!(of(S::Failed, Some(LossKind::KeyRefused)).contains("MASSIVE_API_KEY"));
        assert_eq!(of(S::Connecting, None), "", "nothing to do but wait");
        let reason = Some("No symbols configured".into());
        let empty = ConnectionLive { state: S::Failed, reason, ..ConnectionLive::default() };
        assert!(advice(&empty, ours).contains("symbol list"));
        for state in [S::Failed, S::Reconnecting, S::Mute] {
            let last_loss = Some(LastLoss { kind: LossKind::KeyRefused, ..LastLoss::default() });
            let live = ConnectionLive { state, last_loss, ..ConnectionLive::default() };
            let (here, elsewhere) = (advice(&live, ours), advice(&live, Common::default()));
            assert!(elsewhere.contains("ingest") && !here.contains("ingest"), "{state:?}: {here} {elsewhere}");
        }
    }

    #[test]
    fn the_next_attempt_is_counted_down() {
        let reconnect = Reconnect { attempt: 3, next_at: Some(UnixMillis(45_296_000)) };
        let live = ConnectionLive { reconnect, ..ConnectionLive::default() };
        assert_eq!(next_attempt(&live, None), "attempt 3 · next at 12:34:56 UTC");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_284_500))), "attempt 3 · next in 12 s");
        assert_eq!(next_attempt(&live, Some(UnixMillis(45_296_000))), "attempt 3 · next attempt is due");
        assert_eq!(next_attempt(&ConnectionLive::default(), None), "");
        let reconnect = Reconnect { attempt: 3, next_at: None };
        let state = ConnectionState::Authenticating;
        let live = ConnectionLive { reconnect, state, ..ConnectionLive::default() };
        assert_eq!(next_attempt(&live, None), "attempt 3 · Checking the API key");
    }

    #[test]
    fn what_is_old_or_brings_nothing_says_so_though_it_is_connected() {
        let live = ConnectionLive { state: ConnectionState::Connected, ..ConnectionLive::default() };
        let ours = Common { is_ours: true, ..Common::default() };
        assert!(reason_text(&live, ours).contains("no ticks are arriving over Redis"));
        assert!(reason_text(&live, Common::default()).starts_with("State as last reported"));
        assert!(!advice(&live, ours).is_empty() && !advice(&live, Common::default()).is_empty());
    }

    #[test]
    fn only_what_waits_can_be_tried_now() {
        let reconnect = Reconnect { attempt: 1, next_at: Some(UnixMillis(1)) };
        let live = ConnectionLive { state: ConnectionState::Failed, reconnect, ..ConnectionLive::default() };
        assert!(waits(&live));
        let stands_back = Reconnect { attempt: 1, next_at: None };
        for reconnect in [stands_back, Reconnect::default()] {
            assert!(
                !waits(&ConnectionLive { reconnect, ..live.clone() }),
                "no next attempt: for others, or without symbols"
            );
        }
        assert!(!waits(&ConnectionLive { state: ConnectionState::Authenticating, ..live }));
    }
}
