//! Three layers of health side by side, because each can fail alone: transport, subscription, data; and what is missing, by
//! name.

use super::{
    format,
    icon::{Icon, layer_path},
    section::Section,
};
use crate::{
    model::{
        connection::{ConnectionState, Priority},
        health::{Layer, LayerState},
        status::ConnectionLive,
        symbol::Symbol,
        time::{UnixMillis, format_seconds},
    },
    store::filter::RowState,
};
use leptos::prelude::*;

/// Is the socket up, was everything acknowledged, do ticks arrive?
#[component]
pub fn HealthSection(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Its tier.
    priority: Signal<Priority>,
    /// Since when it is down.
    down: Memo<Option<UnixMillis>>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let up = Signal::derive(move || if live.with(|live| live.connected) { "up".to_owned() } else { "down".to_owned() });
    let heard = Signal::derive(move || {
        "last frame: ".to_owned() + &format::age(live.with(|live| live.last_heartbeat), now.get())
    });
    let last_tick = Signal::derive(move || format::age(live.with(|live| live.metrics.last_update), now.get()));
    let layers = Memo::new(move |_| live.with(|live| layers(live, now.get())));
    let [transport, subscription, data] = [0, 1, 2].map(|place| Signal::derive(move || layers.get()[place]));
    let acknowledged = Signal::derive(move || {
        live.with(|live| {
            let subscription = &live.subscription;
            format::count(subscription.acknowledged.into()) + " / " + &format::count(subscription.requested.into())
        })
    });
    let head = view! { <Facts live priority down now/> }.into_any();
    view! {
        <Section id name="health" title="Health" head>
            <dl class="trio">
                <TrioLayer name="Transport" state=transport value=up detail=heard/>
                <TrioLayer name="Subscription" state=subscription value=acknowledged detail=Signal::stored("acknowledged".to_owned())/>
                <TrioLayer name="Data" state=data value=last_tick detail=Signal::stored("last tick".to_owned()) test_id=format!("last-{id}")/>
            </dl>
        </Section>
    }
}

/// Tier, time up, since when: what the fold's head says.
#[component]
fn Facts(
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// Its tier.
    priority: Signal<Priority>,
    /// Since when it is down.
    down: Memo<Option<UnixMillis>>,
    /// The moment the numbers are of, once the page's clock runs.
    now: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let id = live.with_untracked(|live| live.id);
    let since = move || live.with(|live| since_text(live, now.get()));
    let span = move || match format::age_seconds(down.get(), now.get()) {
        Some(seconds) => format_seconds(seconds),
        None => {
            live.with(|live| if live.connected { format_seconds(live.uptime_seconds) } else { format::NOTHING.into() })
        }
    };
    let which = move || if down.get().is_some() { "down " } else { "up " };
    view! {
        <p class="column-facts">
            <span class="fact">{move || priority.get().label()}" priority"</span>
            <span class="fact" class:is-down=move || down.get().is_some()>{which} <b class="number" data-testid=format!("uptime-{id}")>{span}</b></span>
            <span class="fact number">{since}</span>
        </p>
    }
}

/// Since when it is in its state. A connection that is well says so by its time up alone once it was in trouble meanwhile: the two
/// would contradict each other.
fn since_text(live: &ConnectionLive, now: Option<UnixMillis>) -> Option<String> {
    /// What is told once a second is a second old.
    const SAME_MS: i64 = 2_500;
    let since = live.state_since?;
    let state = if live.state == ConnectionState::Connected { "" } else { live.state.label() };
    let is_younger = now.is_some_and(|now| (live.uptime_seconds * 1000) as i64 - now.millis_since(since) > SAME_MS);
    (!(state.is_empty() && is_younger)).then(|| [state, " since ", &format::day_and_clock(since, now), " UTC"].concat())
}

/// One layer: name, icon, value, and what the value is.
#[component]
fn TrioLayer(
    /// What it is called.
    name: &'static str,
    /// How it is.
    state: Signal<LayerState>,
    /// The value.
    value: Signal<String>,
    /// What the value is.
    detail: Signal<String>,
    /// For tests that look for the value.
    #[prop(optional)]
    test_id: Option<String>,
) -> impl IntoView {
    view! {
        <div class="trio-layer" data-layer=move || layer_tone(state.get())>
            <dt>
                {name} <Icon path=Signal::derive(move || layer_path(state.get()))/>
                <span class="visually-hidden">{move || layer_word(state.get())}</span>
            </dt>
            <dd class="trio-value number" data-testid=test_id>{move || value.get()}</dd>
            <dd class="trio-detail number"><span class="trio-last">{move || detail.with(|text| short(text).0)}</span>{move || detail.with(|text| short(text).1.to_owned())}</dd>
        </div>
    }
}

/// What a narrow column leaves out of a layer's detail, and the rest: the time behind it is what counts.
fn short(detail: &str) -> (&'static str, &str) {
    const LAST: &str = "last ";
    match detail.strip_prefix(LAST) {
        Some(rest) if rest.starts_with("frame") => (LAST, rest),
        _ => ("", detail),
    }
}

/// The three layers as reported. Where nobody reports them (an older ingest, an inferred state) they are read off what
/// else is known.
fn layers(live: &ConnectionLive, now: Option<UnixMillis>) -> [LayerState; 3] {
    let or = |layer: &Layer, otherwise: LayerState| {
        if layer.state == LayerState::Unknown { otherwise } else { layer.state }
    };
    let transport = match live.state {
        _ if live.connected => LayerState::Good,
        ConnectionState::Connecting | ConnectionState::Authenticating => LayerState::Unknown,
        _ => LayerState::Bad,
    };
    let subscription = &live.subscription;
    let subscribed = match subscription.requested {
        _ if !live.connected => LayerState::Off,
        0 => LayerState::Unknown,
        requested if subscription.acknowledged < requested => LayerState::Warn,
        _ => LayerState::Good,
    };
    let data = match format::age_tone(format::age_seconds(live.metrics.last_update, now)) {
        _ if live.metrics.last_update.is_none() => LayerState::Unknown,
        "bad" => LayerState::Bad,
        "warn" => LayerState::Warn,
        _ => LayerState::Good,
    };
    [or(&live.health.transport, transport), or(&live.health.subscription, subscribed), or(&live.health.data, data)]
}

/// A layer's colour, as the value of `data-layer`.
fn layer_tone(state: LayerState) -> &'static str {
    match state {
        LayerState::Good => "good",
        LayerState::Warn => "warn",
        LayerState::Bad => "bad",
        LayerState::Quiet => "quiet",
        LayerState::Off | LayerState::Unknown => "off",
    }
}

/// The same for those who see neither colour nor icon.
fn layer_word(state: LayerState) -> &'static str {
    match state {
        LayerState::Good => "good",
        LayerState::Warn => "partial",
        LayerState::Bad => "bad",
        LayerState::Quiet => "quiet, as expected",
        LayerState::Off => "not applicable",
        LayerState::Unknown => "unknown",
    }
}

/// A line, and the state of the rows that it counts.
pub type Note = (String, Option<RowState>);

/// What the three numbers do not tell, a line each; nothing that the reason says already.
pub fn notes(live: &ConnectionLive) -> Vec<Note> {
    let is_news = |text: &str| !live.reason.as_ref().is_some_and(|reason| reason.contains(text));
    let layers = [&live.health.transport, &live.health.subscription, &live.health.data];
    let reasons = layers.into_iter().filter_map(|layer| layer.reason.clone());
    let mut notes: Vec<Note> = Vec::new();
    for reason in reasons.filter(|reason| is_news(reason)) {
        if !notes.iter().any(|(note, _)| *note == reason) {
            notes.push((reason, None));
        }
    }
    let subscription = &live.subscription;
    if subscription.refused > 0 {
        let words = subscription.refusal.as_deref().unwrap_or("no reason given");
        notes.push(([&format::count(subscription.refused.into()), " refused: ", words].concat(), None));
    }
    if !subscription.missing.is_empty() {
        let missing = subscription.requested.saturating_sub(subscription.acknowledged);
        notes.push((named(missing, "not acknowledged", subscription.missing.iter().map(String::as_str)), None));
    }
    let coverage = &live.coverage;
    for (count, what, symbols, state) in [
        (coverage.never_ticked, "never ticked", &coverage.never_ticked_symbols, RowState::Never),
        (coverage.silent, "silent longer than usual", &coverage.silent_symbols, RowState::Silent),
        (coverage.halted, "halted", &coverage.halted_symbols, RowState::Halted),
    ] {
        if count > 0 {
            notes.push((named(count, what, symbols.iter().map(|symbol: &Symbol| &**symbol)), Some(state)));
        }
        if count > 0 && state == RowState::Never {
            notes.push(("Check these symbols, then press Refresh config.".to_owned(), None));
        }
    }
    if let Some(loss) = live.last_loss.as_ref().filter(|loss| loss.reason.is_empty() || is_news(&loss.reason)) {
        // The reason says how by itself; the kind alone only where there is none.
        let how = if loss.reason.is_empty() { loss.kind.label() } else { &loss.reason };
        notes.push((["Last lost at ", &loss.at.clock(), " UTC: ", how].concat(), None));
    }
    notes
}

/// `5 never ticked: A, B, C, …`
fn named<'a>(count: u32, what: &str, names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let more = if names.len() < count as usize { ", …" } else { "" };
    [&format::count(count.into()), " ", what, ": ", &names.join(", "), more].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        health::{Coverage, LastLoss, LossKind},
        status::Subscription,
    };

    #[test]
    fn the_time_up_and_the_time_in_a_state_do_not_contradict_each_other() {
        let at = |seconds: i64| Some(UnixMillis(1_768_998_896_789 + seconds * 1000));
        let mut live = ConnectionLive {
            state: ConnectionState::Connected,
            connected: true,
            state_since: at(0),
            uptime_seconds: 63,
            ..ConnectionLive::default()
        };
        assert_eq!(since_text(&live, at(5)), None, "up for a minute, and since five seconds");
        assert_eq!(since_text(&live, at(63)).as_deref(), Some(" since 12:34:56 UTC"));
        live.state = ConnectionState::Degraded;
        assert_eq!(since_text(&live, at(5)).as_deref(), Some("degraded since 12:34:56 UTC"));
    }

    #[test]
    fn what_is_missing_is_named_and_what_the_reason_says_is_not_said_twice() {
        let mut live = ConnectionLive { reason: Some("2 of 9 missing".into()), ..ConnectionLive::default() };
        live.health.subscription = Layer::because(LayerState::Warn, "2 of 9 missing");
        live.health.data = Layer::because(LayerState::Quiet, "The market is closed");
        live.subscription = Subscription {
            requested: 9,
            acknowledged: 7,
            refused: 1,
            refusal: Some("not authorized".into()),
            missing: vec!["A.X".into()],
            ..Subscription::default()
        };
        let silent_symbols = vec![Symbol::parse("BRK.B").expect("a symbol")];
        live.coverage = Coverage { silent: 1, silent_symbols, ..Coverage::default() };
        let reason = "Slow consumer: the provider closed the connection".to_owned();
        live.last_loss = Some(LastLoss { kind: LossKind::SlowConsumer, reason, ..LastLoss::default() });
        let texts = |live: &ConnectionLive| notes(live).into_iter().map(|(text, _)| text).collect::<Vec<_>>();
        assert_eq!(
            texts(&live),
            [
                "The market is closed",
                "1 refused: not authorized",
                "2 not acknowledged: A.X, …",
                "1 silent longer than usual: BRK.B",
                "Last lost at 00:00:00 UTC: Slow consumer: the provider closed the connection",
            ]
        );
        live.last_loss = Some(LastLoss { kind: LossKind::SlowConsumer, ..LastLoss::default() });
        assert_eq!(notes(&live)[3].1, Some(RowState::Silent), "and shown by a click");
        assert_eq!(texts(&live).last().map(String::as_str), Some("Last lost at 00:00:00 UTC: slow consumer"));
        live.health.transport = Layer::because(LayerState::Quiet, "The market is closed");
        assert_eq!(texts(&live).iter().filter(|note| *note == "The market is closed").count(), 1, "said once");
    }

    #[test]
    fn layers_that_nobody_reports_are_read_off_what_is_known() {
        let mut live =
            ConnectionLive { connected: true, state: ConnectionState::Connected, ..ConnectionLive::default() };
        assert_eq!(layers(&live, None), [LayerState::Good, LayerState::Unknown, LayerState::Unknown]);
        live.metrics.last_update = Some(UnixMillis(0));
        assert_eq!(layers(&live, Some(UnixMillis(20_000)))[2], LayerState::Warn);
        live.health.data.state = LayerState::Quiet;
        assert_eq!(layers(&live, Some(UnixMillis(90_000)))[2], LayerState::Quiet, "a report knows better");
    }
}
