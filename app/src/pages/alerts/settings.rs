//! Who is told, what is not told, and by which numbers.

use super::parts::{choice, section, severity, table};
use crate::{
    api::MayAct,
    components::admin_pages::{problem, second},
    model::{
        alert::{
            AlertConnection, Rule, Silence, When,
            page::{DeliveryView, DestinationView, RuleView},
        },
        connection::ConnectionId,
    },
};
use leptos::prelude::*;

const TABLE: &str = "admin-table";

fn delivery(delivery: DeliveryView) -> impl IntoView {
    let outcome = delivery.outcome.replace('_', " ");
    view! {
        <tr data-testid="delivery" data-outcome=delivery.outcome>
            <td class="number">{second(delivery.at)}</td>
            <td>{delivery.kind}</td>
            <td>{delivery.title}</td>
            <td><span class="admin-outcome">{outcome}</span></td>
            <td class="number">{delivery.attempts}</td>
            <td class="admin-wide">{delivery.answer}</td>
        </tr>
    }
}

pub(super) fn destinations(destinations: Vec<DestinationView>, has_heartbeat: bool) -> AnyView {
    let none = destinations.is_empty().then(|| {
        view! {
            <p class="admin-lead" data-testid="no-destinations">"Nobody is notified: no destination is configured. Alerts are shown here and on the dashboard. See docs/alerts.md for " <code>"ALERT_WEBHOOK_URL"</code> " and others."</p>
        }
    });
    let may_act = MayAct::here();
    let each = destinations.into_iter().map(|destination| {
        let gone = destination.gone_since.map(|at| {
            problem(["Switched off: it answered at ", &second(at), " UTC that it is gone. A test that it takes switches it on."].concat(), "gone")
        });
        let heads = ["Time (UTC)", "What", "Alert", "Outcome", "Attempts", "Answer"];
        let deliveries = if destination.deliveries.is_empty() {
            view! { <p class="table-empty">"Nothing was sent so far."</p> }.into_any()
        } else {
            let rows = destination.deliveries.into_iter().map(delivery).collect();
            table(&["Last deliveries to ", &destination.name].concat(), TABLE, &heads, rows)
        };
        view! {
            <details class="admin-details" data-testid="destination" open=destination.gone_since.is_some()>
                <summary><b>{destination.name.clone()}</b> " " {destination.host} ", from " {destination.min_severity.name()} " on"</summary>
                {gone}
                {may_act.then(|| view! {
                    <form method="post" action="/admin/alerts/test">
                        <input type="hidden" name="name" value=destination.name/>
                        <button type="submit" class="button" data-testid="test">"Send a test"</button>
                    </form>
                })}
                {deliveries}
            </details>
        }
    });
    let heartbeat = has_heartbeat
        .then(|| view! { <p class="admin-hint">"A heartbeat is sent every minute while all is well."</p> });
    section("destinations-title", "Destinations", view! { {none} {each.collect_view()} {heartbeat} }).into_any()
}

fn of_connection(id: Option<ConnectionId>, connections: &[AlertConnection]) -> String {
    match id {
        None => "all connections".to_owned(),
        Some(id) => connections
            .iter()
            .find(|connection| connection.id == id)
            .map_or_else(|| id.to_string(), |connection| [&id.to_string(), " ", &connection.name].concat()),
    }
}

pub(super) fn silences(silences: Vec<Silence>, connections: &[AlertConnection]) -> AnyView {
    let may_act = MayAct::here();
    let rows = silences.into_iter().map(|silence| {
        let rule = silence.rule.map_or("every rule", Rule::name);
        let what = [rule, ", ", &of_connection(silence.connection, connections)].concat();
        view! {
            <li class="admin-line" data-testid="silence">
                <span><b>{what}</b> " until " <span class="number">{second(silence.until)}</span> " UTC: " {silence.reason} " (" {silence.by} ")"</span>
                {may_act.then(|| view! {
                    <form method="post" action="/admin/alerts/silence/end">
                        <input type="hidden" name="id" value=silence.id/>
                        <button type="submit" class="button">"End"</button>
                    </form>
                })}
            </li>
        }
    });
    let rules = Rule::ALL.map(|rule| view! { <option value=rule.name()>{rule.name()}</option> });
    let lengths = [
        ("1", "1 hour"),
        ("2", "2 hours"),
        ("4", "4 hours"),
        ("12", "12 hours"),
        ("24", "1 day"),
        ("72", "3 days"),
        ("168", "7 days"),
    ]
    .map(|(hours, name)| view! { <option value=hours>{name}</option> });
    let content = view! {
            <p class="admin-lead">"Silenced alerts are shown but not sent. One that still fires when its silence ends is sent then."</p>
            <ul class="admin-lines">{rows.collect_view()}</ul>
            {may_act.then(|| view! {
                <form class="admin-filters" method="post" action="/admin/alerts/silence" data-testid="new-silence">
                    <label class="field"><span>"Rule"</span><select name="rule"><option value="">"every rule"</option>{rules}</select></label>
                    <label class="field"><span>"Connection"</span>{choice(connections, "all, and the server", None)}</label>
                    <label class="field"><span>"For"</span><select name="hours">{lengths}</select></label>
                    <label class="field"><span>"Reason"</span><input name="reason" required maxlength="200" placeholder="maintenance of the line"/></label>
                    <div class="admin-actions"><button type="submit" class="button button-primary">"Silence"</button></div>
                </form>
            })}
    };
    section("silences-title", "Silences", content).into_any()
}

pub(super) fn rules(rules: Vec<RuleView>, connections: &[AlertConnection]) -> AnyView {
    let may_act = MayAct::here();
    let rows = rules.into_iter().map(|view| {
        let RuleView { rule, connection, numbers, is_changed, fired, would_have_fired } = view;
        let id = [rule.name(), "-", &connection.map(|id| id.to_string()).unwrap_or_default()].concat();
        let name = [rule.name(), ", ", &of_connection(connection, connections)].concat();
        let threshold = rule.unit().map(|unit| {
            view! {
                <input name="threshold" form=id.clone() inputmode="decimal" size="6" value=numbers.threshold.unwrap_or_default().to_string() aria-label=["Threshold of ", &name].concat()/>
                " " {unit.label()}
            }
        });
        let reset = is_changed.then(|| {
            view! { <button type="submit" class="button" form=id.clone() name="do" value="reset">"Reset"</button> }
        });
        let would = would_have_fired.map(|count| [" / ", &count.to_string()].concat()).unwrap_or_default();
        let fired = connection.is_none().then(|| fired.to_string() + &would);
        let when = match rule.when() {
            When::Always => "always",
            when => when.label(),
        };
        view! {
            <tr data-testid="rule" data-changed=is_changed.to_string()>
                <td><b>{rule.name()}</b><div class="admin-hint">{rule.label()}</div></td>
                <td>{rule.is_of_connections().then(|| of_connection(connection, connections))}</td>
                <td>{severity(rule.severity())}</td>
                <td>{when}</td>
                <td data-label="On"><input type="checkbox" name="enabled" value="on" form=id.clone() checked=numbers.enabled aria-label=["Enable ", &name].concat()/></td>
                <td data-label="After"><input name="for_seconds" form=id.clone() inputmode="numeric" size="5" value=numbers.for_seconds.to_string() aria-label=["Seconds of ", &name].concat()/> " s"</td>
                <td data-label="Well for"><input name="resolve_seconds" form=id.clone() inputmode="numeric" size="5" value=numbers.resolve_seconds.to_string() aria-label=["Seconds well of ", &name].concat()/> " s"</td>
                <td data-label="Threshold">{threshold}</td>
                <td class="number" data-label="Fired">{fired}</td>
                <td class="admin-acts">
                    {may_act.then(|| view! {
                        <form id=id.clone() class="admin-actions" method="post" action="/admin/alerts/rule">
                            <input type="hidden" name="rule" value=rule.name()/>
                            <input type="hidden" name="connection" value=connection.map(|id| id.to_string()).unwrap_or_default()/>
                            <button type="submit" class="button" name="do" value="save">"Save"</button>
                        </form>
                        {reset}
                    })}
                </td>
            </tr>
        }
    });
    let heads =
        ["Rule", "Of", "Severity", "Applies", "On", "After", "Well for", "Threshold", "Fired / would have", "Change"];
    let rows = table("Table of rules", "admin-table admin-rules", &heads, rows.collect());
    let of_connections = Rule::ALL.into_iter().filter(|rule| rule.is_of_connections());
    let own = of_connections.map(|rule| view! { <option value=rule.name()>{rule.name()}</option> }).collect_view();
    let content = view! {
            <p class="admin-lead">"Fired: in the last 7 days. Would have: in the same time with the current numbers, reckoned from history, for the rules that it covers."</p>
            {rows}
            {may_act.then(|| view! {
                <form class="admin-filters" method="post" action="/admin/alerts/rule" data-testid="own-rule">
                    <label class="field"><span>"A connection's own numbers"</span><select name="rule">{own}</select></label>
                    <label class="field"><span>"Connection"</span>{choice(connections, "choose", None)}</label>
                    <label class="field"><span>"After (seconds)"</span><input name="for_seconds" inputmode="numeric" value="60" required/></label>
                    <label class="field"><span>"Well for (seconds)"</span><input name="resolve_seconds" inputmode="numeric" value="60" required/></label>
                    <label class="field"><span>"Threshold"</span><input name="threshold" inputmode="decimal" placeholder="where the rule has one"/></label>
                    <label class="field"><span>"On"</span><input type="checkbox" name="enabled" value="on" checked/></label>
                    <div class="admin-actions"><button type="submit" class="button" name="do" value="save">"Set"</button></div>
                </form>
            })}
    };
    section("rules-title", "Rules", content).into_any()
}
