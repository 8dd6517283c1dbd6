//! The open alerts: the first thing on the dashboard, a line each.

use super::{
    dynamic::{Each, Show, key_of},
    icon::{Icon, WARNING},
};
use crate::{
    address::{ALERTS, alert_at},
    api::MayAct,
    model::{
        alert::{AlertLine, OpenAlerts, Severity},
        time::{UnixMillis, format_seconds},
    },
};
use leptos::prelude::*;

/// Nothing at all while no alert is open.
#[component]
pub fn OpenAlertLines(
    /// What is open.
    alerts: Signal<OpenAlerts>,
    /// The server's present.
    clock: Signal<Option<UnixMillis>>,
) -> impl IntoView {
    let total = Memo::new(move |_| alerts.with(|open| open.total));
    // A line stays while its text changes: its button may have the focus.
    let line = move |key| {
        let newest = move || alerts.with(|open| open.lines.iter().find(|line| key_of(&line.id) == key).cloned());
        let first = untrack(newest)?;
        let line = Memo::new(move |before: Option<&AlertLine>| {
            newest().or_else(|| before.cloned()).unwrap_or_else(|| first.clone())
        });
        Some(view! { <Line line clock/> })
    };
    let keys = move || alerts.with(|open| open.lines.iter().map(|line| key_of(&line.id)).collect());
    view! {
        <Show when=move || 0 < total.get()>
            <section class="open-alerts" aria-label="Open alerts" data-testid="open-alerts">
                <Each keys view=line/>
                <Show when=move || 3 < total.get()>
                    <p><a href=ALERTS rel="external">"All " {move || total.get()} " open alerts"</a></p>
                </Show>
            </section>
        </Show>
    }
}

fn tone(line: &AlertLine) -> &'static str {
    match line.severity {
        _ if line.acknowledged_by.is_some() => "info",
        Severity::Critical => "bad",
        Severity::Warning => "warn",
        Severity::Info => "info",
    }
}

/// The reason, and what became of the alert.
fn detail(line: &AlertLine) -> String {
    let mut text = line.text.clone();
    if line.flapping {
        text += " (comes and goes)";
    }
    if line.silenced {
        text += " (silenced)";
    }
    if let Some(by) = &line.acknowledged_by {
        text += " · acknowledged by ";
        text += by;
    }
    text
}

#[component]
fn Line(line: Memo<AlertLine>, clock: Signal<Option<UnixMillis>>) -> impl IntoView {
    let refusal = RwSignal::new(String::new());
    let (id, title, since) = line.with_untracked(|line| (line.id.clone(), line.title.clone(), line.since));
    let name = ["Acknowledge ", &title].concat();
    let there = alert_at(&id);
    // The server's present is not known before the socket is open.
    let lasts = move || {
        let seconds = |now: UnixMillis| now.millis_since(since).max(0).unsigned_abs() / 1000;
        let lasted = clock.get().map(|now| ", ".to_owned() + &format_seconds(seconds(now))).unwrap_or_default();
        [" since ", &since.clock(), " UTC", &lasted].concat()
    };
    let acknowledge = move |_| {
        #[cfg(feature = "hydrate")]
        {
            let id = id.clone();
            leptos::task::spawn_local(async move {
                // Done: the next metrics say so.
                let _ = refusal.try_set(crate::store::refresh::acknowledge(&id).await.unwrap_or_default());
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = &id;
    };
    let may_act = MayAct::here();
    let is_open = Memo::new(move |_| may_act && line.with(|line| line.acknowledged_by.is_none()));
    view! {
        <div class="banner" data-testid="open-alert" data-tone=move || line.with(tone)>
            <Icon path=WARNING/>
            <span>
                <b>{move || line.with(|line| line.severity.name())}</b> " "
                <a href=there rel="external">{title}</a>
                <span class="number">{lasts}</span> ". "
                <span class="banner-detail">{move || line.with(detail)}</span> " " <span role="status">{refusal}</span>
            </span>
            <Show when=move || is_open.get()>
                <button type="button" class="button" aria-label=name.clone() on:click=acknowledge.clone()>"Acknowledge"</button>
            </Show>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_became_of_its_alert() {
        let line = AlertLine { severity: Severity::Critical, text: "no tick".into(), ..AlertLine::default() };
        assert_eq!((tone(&line), &*detail(&line)), ("bad", "no tick"));
        let seen = AlertLine { acknowledged_by: Some("ann@x".into()), flapping: true, silenced: true, ..line };
        assert_eq!(tone(&seen), "info");
        assert_eq!(detail(&seen), "no tick (comes and goes) (silenced) · acknowledged by ann@x");
    }
}
