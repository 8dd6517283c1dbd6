//! The alerts themselves: the one that is asked for, the open and the resolved ones.

use super::parts::{choice, section, severity, table};
use crate::{
    address::{ALERTS, Query, alert_at},
    api::{IsRecording, MayAct},
    components::admin_pages::second,
    model::{
        alert::{
            Alert, AlertConnection, Severity,
            page::{AlertStory, AlertsAsked},
        },
        history::HistoryEvent,
        time::{UnixMillis, format_seconds},
    },
    store::moment::{around, charts_around},
};
use leptos::prelude::*;

/// So many open alerts are listed at first; with a storm of them the gravest come first, and a link shows all.
const OPEN_SHOWN: usize = 25;
/// On a phone a row is a block, so that all of it is seen.
const STACKED: &str = "admin-table admin-stacked";

/// The address of this page with what is asked for.
fn there(asked: &AlertsAsked) -> String {
    let mut query = Query::default();
    asked.parameters().into_iter().for_each(|(name, value)| query.push(name.to_owned(), value));
    ALERTS.to_owned() + &query.write()
}

/// Which alerts are listed, the open and the resolved ones.
pub(super) fn search(asked: &AlertsAsked, connections: &[AlertConnection]) -> impl IntoView + use<> {
    let severities = Severity::ALL.into_iter().rev().map(|severity| {
        let chosen = asked.severity == Some(severity);
        view! { <option value=severity.name() selected=chosen>{severity.name()}</option> }
    });
    let all = asked.filters().then(|| view! { <a class="button" href=ALERTS data-testid="all-alerts">"Clear"</a> });
    view! {
        <form class="admin-filters" method="get" action=ALERTS role="search" aria-label="Alerts" data-testid="search">
            <label class="field"><span>"Severity"</span><select name="severity"><option value="">"any"</option>{severities.collect_view()}</select></label>
            <label class="field"><span>"Connection"</span>{choice(connections, "any", asked.connection)}</label>
            <label class="field"><span>"Text"</span><input type="search" name="text" maxlength="100" value=asked.text.clone()/></label>
            <div class="admin-actions"><button type="submit" class="button">"Filter"</button>{all}</div>
        </form>
    }
}

/// The alert that was asked for: what became of it, and its gaps.
pub(super) fn story(story: AlertStory, asked: &AlertsAsked, now: UnixMillis) -> AnyView {
    let AlertStory { alert, steps, gaps } = story;
    let charts = charts_around(&alert);
    let step = |step: HistoryEvent| {
        let there = [&charts, "#", &step.anchor()].concat();
        view! { <li><a class="number" href=there title="In the timeline">{second(step.at)}</a> " " {step.text}</li> }
    };
    let steps = steps.into_iter().map(step).collect_view();
    let gap = |(name, anchor): (String, String)| {
        view! { " " <a class="number" href=[&charts, "#", &anchor].concat() data-testid="gap">{name}</a> }
    };
    let gaps =
        (!gaps.is_empty()).then(|| view! { <p>"Gaps in the ledger:" {gaps.into_iter().map(gap).collect_view()}</p> });
    let title = alert.title.clone();
    let rows = vec![row(alert, now, "asked-alert", MayAct::here(), asked)];
    view! {
        // Takes the focus from a link that leads here.
        <section class="admin-card" id="alert" tabindex="-1" aria-labelledby="alert-title" data-testid="story">
            <h2 id="alert-title">{title}</h2>
            {table("This alert", STACKED, &ALERT_HEADS, rows)}
            {gaps}
            <ol class="admin-steps" aria-label="What became of it, UTC">{steps}</ol>
        </section>
    }
    .into_any()
}

/// What it looked like when it began, where that is recorded.
fn replay(alert: &Alert) -> impl IntoView + use<> {
    IsRecording::here().then(|| view! { <a href=around(alert.started_at) data-testid="replay">"Replay"</a> })
}

fn lasted(alert: &Alert, now: UnixMillis) -> String {
    format_seconds(alert.ended_at.unwrap_or(now).millis_since(alert.started_at).max(0).unsigned_abs() / 1000)
}

fn row(
    alert: Alert,
    now: UnixMillis,
    test_id: &'static str,
    may_act: bool,
    asked: &AlertsAsked,
) -> impl IntoView + use<> {
    let looks_after = match &alert.acknowledged {
        Some(said) if said.note.is_empty() => said.by.clone().into_any(),
        Some(said) => [&said.by, ": ", &said.note].concat().into_any(),
        None if !may_act || alert.ended_at.is_some() => ().into_any(),
        None => view! {
            <form class="admin-actions" method="post" action="/admin/alerts/acknowledge">
                <input type="hidden" name="id" value=alert.id.clone()/>
                <input type="hidden" name="asked" value=there(asked).trim_start_matches(ALERTS).to_owned()/>
                <input name="note" maxlength="1000" placeholder="note" aria-label=["Note on ", &alert.title].concat()/>
                <button type="submit" class="button" data-testid="acknowledge" aria-label=["Acknowledge ", &alert.title].concat()>"Acknowledge"</button>
            </form>
        }
        .into_any(),
    };
    let is_open = alert.ended_at.is_none();
    let flapping =
        (alert.flapping && is_open).then_some(" (comes and goes; stays open until it has been well for ten minutes)");
    let silenced = alert.silenced.as_ref().filter(|_| is_open).map(|reason| [" (silenced: ", reason, ")"].concat());
    view! {
        <tr data-testid=test_id data-severity=alert.severity.name()>
            <td>{severity(alert.severity)}</td>
            <td class="admin-wide"><a href=alert_at(&alert.id)><b>{alert.title.clone()}</b></a><div>{alert.text.clone()} {flapping} {silenced}</div></td>
            <td class="number" data-label="Since (UTC)" title=alert.started_at.to_string()>{second(alert.started_at)}</td>
            <td class="number" data-label="For">{lasted(&alert, now)}</td>
            <td>{looks_after}</td>
            <td><a href=charts_around(&alert)>"Charts"</a> " " {replay(&alert)}</td>
        </tr>
    }
}

const ALERT_HEADS: [&str; 6] = ["Severity", "Alert", "Since (UTC)", "For", "Acknowledged by", "See"];

/// How many there are of each kind, in words.
fn counted(alerts: &[Alert]) -> String {
    let of = |severity| alerts.iter().filter(|alert| alert.severity == severity).count();
    let mut parts: Vec<_> = Severity::ALL
        .into_iter()
        .rev()
        .filter(|severity| of(*severity) > 0)
        .map(|severity| [&of(severity).to_string(), " ", severity.name()].concat())
        .collect();
    let seen = alerts.iter().filter(|alert| alert.acknowledged.is_some()).count();
    if seen > 0 {
        parts.push(seen.to_string() + " acknowledged");
    }
    [&alerts.len().to_string(), " open: ", &parts.join(", "), "."].concat()
}

pub(super) fn open(mut alerts: Vec<Alert>, asked: &AlertsAsked, now: UnixMillis) -> AnyView {
    if alerts.is_empty() {
        let none = view! { <p class="table-empty" data-testid="no-alerts">"No alert is open."</p> };
        return section("open-title", "Open", none).into_any();
    }
    let may_act = MayAct::here();
    let counted = counted(&alerts);
    alerts.retain(|alert| asked.wants(alert));
    alerts.sort_by_key(|alert| (alert.acknowledged.is_some(), std::cmp::Reverse(alert.severity), alert.started_at));
    let found = alerts.len();
    if !asked.all {
        alerts.truncate(OPEN_SHOWN);
    }
    let shown = alerts.len();
    let matching = asked.filters().then(|| match found {
        1 => " 1 matches.".to_owned(),
        found => [" ", &found.to_string(), " match."].concat(),
    });
    let first =
        (shown < found).then(|| [" The first ", &shown.to_string(), " are listed, the gravest first."].concat());
    let rest = (shown < found).then(|| {
        let all = there(&AlertsAsked { all: true, ..asked.clone() }) + "#open-title";
        let text = ["Show all ", &found.to_string()].concat();
        view! { <nav class="admin-pager" aria-label="Open alerts"><a class="button" href=all data-testid="show-all">{text}</a></nav> }
    });
    let rows: Vec<_> = alerts.into_iter().map(|alert| row(alert, now, "alert", may_act, asked)).collect();
    let table = (shown > 0).then(|| table("Open alerts", STACKED, &ALERT_HEADS, rows));
    let content = view! {
        <p class="admin-lead number" data-testid="counted">{counted} {matching} {first}</p>
        {table}
        {rest}
    };
    section("open-title", "Open", content).into_any()
}

pub(super) fn past(alerts: Vec<Alert>, next_cursor: Option<String>, asked: &AlertsAsked, now: UnixMillis) -> AnyView {
    if alerts.is_empty() && next_cursor.is_none() {
        let none = if asked.filters() { "None matches." } else { "None so far." };
        return section("past-title", "Resolved", view! { <p class="table-empty">{none}</p> }).into_any();
    }
    let rows = alerts.into_iter().map(|alert| row(alert, now, "past-alert", false, asked)).collect();
    let older = next_cursor.map(|cursor| {
        let older = there(&AlertsAsked { alert: None, cursor: Some(cursor), ..asked.clone() }) + "#past-title";
        view! {
            <nav class="admin-pager" aria-label="Pages of resolved alerts">
                <a class="button" href=older rel="next" data-testid="older">"Older"</a>
            </nav>
        }
    });
    section("past-title", "Resolved", view! { {table("Resolved alerts", STACKED, &ALERT_HEADS, rows)} {older} })
        .into_any()
}
