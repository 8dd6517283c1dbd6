//! One connection, top to bottom.

use super::{
    column_header::ColumnHeader,
    common::Common,
    configuration::Configuration,
    dynamic::Show,
    format::identity,
    health::HealthSection,
    icon::{Icon, WARNING},
    live_data::LiveData,
    metrics_panel::MetricsPanel,
    reason_line::ReasonLine,
    reliability_note::ReliabilityNote,
    section::Section,
};
use crate::{
    model::{
        connection::{ConnectionId, ConnectionState},
        health::LayerState,
        history::{LastOutage, Reliability},
        status::{ConnectionConfig, ConnectionLive, StatusSource},
        time::UnixMillis,
    },
    store::{screen_delay::ScreenDelay, table::Act, view::Column},
};
use leptos::prelude::*;

/// Since when a connection is down: the gap in the ledger knows best; what was seen `before` counts on until it is up.
fn down_since(live: &ConnectionLive, outage: Option<&LastOutage>, before: Option<UnixMillis>) -> Option<UnixMillis> {
    use ConnectionState as S;
    let is_lost = matches!(live.state, S::Reconnecting | S::Failed) || live.reconnect.attempt > 0;
    if live.state.is_up() || !is_lost {
        return None;
    }
    let gap = outage.filter(|outage| outage.ended_at.is_none()).map(|outage| outage.started_at);
    let lost = live.last_loss.as_ref().map(|loss| loss.at).or(live.state_since);
    [before, gap, lost].into_iter().flatten().min()
}

/// The same as a signal.
#[must_use]
pub fn down(live: Signal<ConnectionLive>, reliability: Signal<Vec<Reliability>>) -> Memo<Option<UnixMillis>> {
    Memo::new(move |before: Option<&Option<UnixMillis>>| {
        let before = before.copied().flatten();
        live.with(|live| {
            reliability.with(|all| {
                let known = all.iter().find(|one| one.connection_id == live.id);
                down_since(live, known.and_then(|known| known.last.as_ref()), before)
            })
        })
    })
}

/// The colour of a connection now.
#[must_use]
pub fn tone_now(
    live: Signal<ConnectionLive>,
    down: Memo<Option<UnixMillis>>,
    common: Signal<Common>,
    now: Signal<Option<UnixMillis>>,
) -> Signal<&'static str> {
    Signal::derive(move || {
        let down_ms = down.get().zip(now.get()).map(|(since, now)| now.millis_since(since));
        common.get().tone(live.with(|live| live.state), down_ms)
    })
}

/// Shows a connection. A disabled one is quiet and says how to enable it.
#[component]
pub fn ConnectionColumn(
    /// Its signals.
    column: Column,
    /// Since when no ticks reach the monitor, when that is so.
    bus_lost_at: Signal<Option<UnixMillis>>,
    /// What all connections have in common.
    common: Signal<Common>,
    /// Last outage and availability, of all connections.
    reliability: Signal<Vec<Reliability>>,
    /// What the reader does to it.
    on_act: Callback<Act>,
    /// The reader wants to know what a state means.
    on_explain: Callback<ConnectionState>,
) -> impl IntoView {
    let id = column.id;
    let live: Signal<ConnectionLive> = RwSignal::from(column.live.clone()).into();
    let now: Signal<Option<UnixMillis>> = RwSignal::from(column.now.clone()).into();
    let frozen_at = RwSignal::from(column.frozen_at.clone());
    let config: Signal<ConnectionConfig> = RwSignal::from(column.config.clone()).into();
    let rates: Signal<Vec<f32>> = RwSignal::from(column.rates.clone()).into();
    let screen_delay: Signal<Option<ScreenDelay>> = RwSignal::from(column.screen_delay.clone()).into();

    let state = Memo::new(move |_| live.with(|live| live.state));
    let priority = Memo::new(move |_| config.with(|config| config.priority));
    let disabled = Memo::new(move |_| state.get() == ConnectionState::Disabled);
    // Where no ticks come, prices are of the last one. Of the state alone and not of `disabled`: an effect that reads a memo and
    // another one made from it can miss a change, when it is the first to ask.
    let not_live = Memo::new(move |_| {
        let (state, bus_up) = (state.get(), common.get().bus_up);
        // Ticks of a connection that is reported down may come all the same.
        let flows = || live.with(|live| live.health.data.state == LayerState::Good);
        let ticks_come = bus_up && state != ConnectionState::Mute && (state.is_up() || flows());
        state != ConnectionState::Disabled && !ticks_come
    });
    let down = down(live, reliability);
    let tone = tone_now(live, down, common, now);
    view! {
        <section
            class="column"
            id=format!("column-{id}")
            tabindex="-1"
            data-column=id.to_string()
            data-testid=format!("column-{id}")
            data-identity=identity(id)
            data-tone=move || tone.get()
            class:is-stale=move || not_live.get()
            class:is-frozen=move || frozen_at.get().is_some()
            aria-labelledby=format!("column-name-{id}")
        >
            <ColumnHeader live tone inferred=Signal::derive(move || common.get().source == StatusSource::Inferred)/>
            <Show when=move || !disabled.get() fallback=move || view! { <Disabled id live config/> }>
                <ReasonLine live tone common now on_explain on_act/>
                <HealthSection live priority=priority.into() down now/>
                <Configuration id config/>
                <LiveData column=column.clone() live bus_lost_at on_act/>
                <MetricsPanel live rates screen_delay now/>
                <ReliabilityNote id reliability now/>
            </Show>
        </section>
    }
    .into_any()
}

/// One line of a connection that is switched off: why, and behind the fold how to change that.
#[component]
fn Disabled(
    /// Whose column.
    id: ConnectionId,
    /// Why it is switched off, when somebody said.
    live: Signal<ConnectionLive>,
    /// What is wrong with its settings.
    config: Signal<ConnectionConfig>,
) -> impl IntoView {
    let warned = Memo::new(move |_| config.with(|config| config.warnings.first().cloned()));
    let why = move || {
        warned
            .get()
            .or_else(|| live.with(|live| live.reason.clone()))
            .unwrap_or_else(|| "Switched off by configuration.".into())
    };
    let head = view! {
        <p class="disabled-why" class:is-warned=move || warned.with(Option::is_some)>
            <span hidden=move || warned.with(Option::is_none)><Icon path=WARNING/></span>
            {why}
        </p>
    }
    .into_any();
    view! {
        <Section id name="disabled" title="How to enable connection" opens=false head>
            <DisabledNote id/>
            <Configuration id config/>
        </Section>
    }
}

/// Says how to switch a connection on.
#[component]
fn DisabledNote(
    /// Whose column.
    id: ConnectionId,
) -> impl IntoView {
    view! {
        <div class="disabled-note">
            <p>"To enable it, correct what a warning names, and set"</p>
            <ul>
                {(id > 1).then(|| view! { <li><code>"USE_MULTI_CONNECTION=true"</code></li> })}
                <li><code>{format!("WEBSOCKET_CONNECTION_{id}_ENABLED=true")}</code></li>
                <li>
                    <code>{format!("WEBSOCKET_CONNECTION_{id}_UNIVERSE_KEY")}</code>
                    " or " <code>{format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS")}</code>
                </li>
            </ul>
            <p>"then press Refresh config."</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{health::LastLoss, status::Reconnect};
    use ConnectionState as S;

    fn lost(state: S, at: i64) -> ConnectionLive {
        let last_loss = Some(LastLoss { at: UnixMillis(at), ..LastLoss::default() });
        let reconnect = Reconnect { attempt: 2, next_at: None };
        ConnectionLive { id: 1, state, last_loss, reconnect, ..ConnectionLive::default() }
    }

    #[test]
    fn a_connection_is_down_from_its_first_loss_until_it_is_up() {
        let first = down_since(&lost(S::Reconnecting, 5_000), None, None);
        assert_eq!(first, Some(UnixMillis(5_000)));
        let again = down_since(&lost(S::Authenticating, 25_000), None, first);
        assert_eq!(again, first, "another loss on the way back");
        let gap = LastOutage { number: 1, started_at: UnixMillis(4_000), ended_at: None, cause: String::new() };
        assert_eq!(down_since(&lost(S::Connecting, 25_000), Some(&gap), again), Some(UnixMillis(4_000)));
        let over = LastOutage { ended_at: Some(UnixMillis(4_500)), ..gap };
        assert_eq!(down_since(&lost(S::Connecting, 25_000), Some(&over), again), first, "an outage of before");
        assert_eq!(down_since(&lost(S::Connected, 25_000), None, first), None);
        let new = ConnectionLive { state: S::Connecting, ..ConnectionLive::default() };
        assert_eq!(down_since(&new, None, None), None, "it was never up, and nothing went wrong yet");
    }
}
