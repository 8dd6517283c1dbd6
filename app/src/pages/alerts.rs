//! The alerts: what fires, what fired, what is not told, by which numbers, and to whom. Plain forms that work without
//! JavaScript; rendered on the server alone.

#[cfg(feature = "ssr")]
pub(crate) use rendered::page;

#[cfg(feature = "ssr")]
mod rendered {
    use crate::{
        address::{self, ALERTS, Query},
        api::{Backend, CurrentViewer, IsRecording, MayAct},
        components::admin_pages::{admin_page, problem, second},
        model::{
            alert::{
                Alert, AlertConnection, Rule, Severity, Silence, When,
                page::{AlertsPage, DeliveryView, DestinationView, RuleView},
            },
            time::{UnixMillis, format_seconds},
        },
        store::moment::around,
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    const AROUND_MS: i64 = 300_000;
    const TABLE: &str = "admin-table";
    /// On a phone a row is a block, so that all of it is seen.
    const STACKED: &str = "admin-table admin-stacked";

    /// The page.
    pub(crate) fn page() -> AnyView {
        admin_page("Alerts", ALERTS, "admin-page admin-page-wide", body)
    }

    fn body(viewer: CurrentViewer, backend: Arc<dyn Backend>) -> AnyView {
        provide_context(MayAct(viewer.may_act));
        provide_context(IsRecording(backend.is_recording()));
        let query = address::query();
        let cursor = query.get("cursor").map(str::to_owned);
        let outcome = outcome(query.get("done"), query.get("error"));
        view! {
            {outcome}
            <Suspense>
                {move || {
                    let (asked, cursor) = (Arc::clone(&backend), cursor.clone());
                    Suspend::new(async move {
                        match asked.alerts_page(cursor).await {
                            Ok(page) => view! { <Whole page/> }.into_any(),
                            Err(text) => problem(text, "problem").into_any(),
                        }
                    })
                }}
            </Suspense>
        }
        .into_any()
    }

    /// What became of the form that was sent.
    fn outcome(done: Option<&str>, error: Option<&str>) -> AnyView {
        let done = done.and_then(|word| {
            Some(match word {
                "acknowledged" => "Acknowledged. It is not sent again until it is resolved.",
                "silenced" => "Silenced.",
                "ended" => "The silence has ended.",
                "rule" => "The rule is changed.",
                "test" => "The test was taken.",
                _ => return None,
            })
        });
        let error = error.map(|word| match word {
            "late" => "This alert is resolved, or somebody has acknowledged it already.",
            "gone" => "There is no such alert, silence or destination any more.",
            "test" => "The test was not taken: see the destination's last deliveries for its answer.",
            "unavailable" => "The database is unavailable right now. Nothing was changed; try again in a moment.",
            _ => "Nothing was changed: a value is missing or out of its range.",
        });
        let done = done.map(|text| {
            view! { <p class="banner" data-tone="good" role="status" data-testid="done">{text}</p> }
        });
        view! { {done} {error.map(|text| problem(text, "problem"))} }.into_any()
    }

    #[component]
    fn Whole(page: AlertsPage) -> impl IntoView {
        let AlertsPage { open, past, next_cursor, silences, rules, destinations, has_heartbeat, connections, now } =
            page;
        let connections = Arc::new(connections);
        let (of_silences, of_rules) = (Arc::clone(&connections), connections);
        view! {
            <Open alerts=open now/>
            <Destinations destinations has_heartbeat/>
            <Silences silences connections=of_silences/>
            <Rules rules connections=of_rules/>
            <Past alerts=past next_cursor now/>
        }
    }

    fn severity(severity: Severity) -> impl IntoView {
        view! { <span class="alert-severity" data-severity=severity.name()>{severity.name()}</span> }
    }

    /// The charts around it, from five minutes before to five minutes after.
    fn charts(alert: &Alert) -> String {
        let mut query = Query::default();
        let to = alert.ended_at.unwrap_or(alert.fired_at);
        query.push("from".to_owned(), UnixMillis(alert.started_at.0 - AROUND_MS).to_string());
        query.push("to".to_owned(), UnixMillis(to.0 + AROUND_MS).to_string());
        let ids: Vec<_> = alert.connections.iter().map(|connection| connection.id.to_string()).collect();
        if !ids.is_empty() {
            query.push("connection".to_owned(), ids.join(","));
        }
        address::METRICS.to_owned() + &query.write()
    }

    /// What it looked like when it began, where that is recorded.
    fn replay(alert: &Alert) -> impl IntoView + use<> {
        IsRecording::here().then(|| view! { <a href=around(alert.started_at) data-testid="replay">"Replay"</a> })
    }

    fn lasted(alert: &Alert, now: UnixMillis) -> String {
        format_seconds(alert.ended_at.unwrap_or(now).millis_since(alert.started_at).max(0).unsigned_abs() / 1000)
    }

    /// A table that scrolls by itself where it is wider than the page.
    fn table(name: &str, class: &'static str, heads: &[&'static str], rows: Vec<impl IntoView + 'static>) -> AnyView {
        let heads = heads.iter().map(|head| view! { <th scope="col">{*head}</th> }).collect_view();
        view! {
            <div class="admin-scroll" tabindex="0" role="region" aria-label=name.to_owned()>
                <table class=class>
                    <thead><tr>{heads}</tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        }
        .into_any()
    }

    /// A part of the page.
    fn section(id: &'static str, title: &'static str, content: impl IntoView) -> impl IntoView {
        view! {
            <section class="admin-section" aria-labelledby=id>
                <h2 id=id>{title}</h2>
                {content}
            </section>
        }
    }

    fn row(alert: Alert, now: UnixMillis, test_id: &'static str, may_act: bool) -> impl IntoView {
        let looks_after = match &alert.acknowledged {
            Some(said) if said.note.is_empty() => said.by.clone().into_any(),
            Some(said) => [&said.by, ": ", &said.note].concat().into_any(),
            None if !may_act || alert.ended_at.is_some() => ().into_any(),
            None => view! {
                <form class="admin-actions" method="post" action="/admin/alerts/acknowledge">
                    <input type="hidden" name="id" value=alert.id.clone()/>
                    <input name="note" maxlength="1000" placeholder="note" aria-label=["Note on ", &alert.title].concat()/>
                    <button type="submit" class="button" data-testid="acknowledge" aria-label=["Acknowledge ", &alert.title].concat()>"Acknowledge"</button>
                </form>
            }
            .into_any(),
        };
        let is_open = alert.ended_at.is_none();
        let flapping = (alert.flapping && is_open)
            .then_some(" (comes and goes; stays open until it has been well for ten minutes)");
        let silenced = alert.silenced.as_ref().filter(|_| is_open).map(|reason| [" (silenced: ", reason, ")"].concat());
        view! {
            <tr id=alert.id.clone() data-testid=test_id data-severity=alert.severity.name()>
                <td>{severity(alert.severity)}</td>
                <td class="admin-wide"><b>{alert.title.clone()}</b><div>{alert.text.clone()} {flapping} {silenced}</div></td>
                <td class="number" title=alert.started_at.to_string()>{second(alert.started_at)}</td>
                <td class="number">{lasted(&alert, now)}</td>
                <td>{looks_after}</td>
                <td><a href=charts(&alert)>"Charts"</a> {replay(&alert)}</td>
            </tr>
        }
    }

    const ALERT_HEADS: [&str; 6] = ["Severity", "Alert", "Since (UTC)", "For", "Acknowledged by", "See"];

    #[component]
    fn Open(mut alerts: Vec<Alert>, now: UnixMillis) -> impl IntoView {
        if alerts.is_empty() {
            let none = view! { <p class="table-empty" data-testid="no-alerts">"No alert is open."</p> };
            return section("open-title", "Open", none).into_any();
        }
        let may_act = MayAct::here();
        alerts.sort_by_key(|alert| (alert.acknowledged.is_some(), std::cmp::Reverse(alert.severity), alert.started_at));
        let rows = alerts.into_iter().map(|alert| row(alert, now, "alert", may_act)).collect();
        section("open-title", "Open", table("Open alerts", STACKED, &ALERT_HEADS, rows)).into_any()
    }

    #[component]
    fn Past(alerts: Vec<Alert>, next_cursor: Option<String>, now: UnixMillis) -> impl IntoView {
        if alerts.is_empty() && next_cursor.is_none() {
            return section("past-title", "Resolved", view! { <p class="table-empty">"None so far."</p> }).into_any();
        }
        let rows = alerts.into_iter().map(|alert| row(alert, now, "past-alert", false)).collect();
        let older = next_cursor.map(|cursor| {
            let mut query = Query::default();
            query.push("cursor".to_owned(), cursor);
            view! {
                <nav class="admin-pager" aria-label="Pages of resolved alerts">
                    <a class="button" href=ALERTS.to_owned() + &query.write() rel="next" data-testid="older">"Older"</a>
                </nav>
            }
        });
        section("past-title", "Resolved", view! { {table("Resolved alerts", STACKED, &ALERT_HEADS, rows)} {older} })
            .into_any()
    }

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

    #[component]
    fn Destinations(destinations: Vec<DestinationView>, has_heartbeat: bool) -> impl IntoView {
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
        section("destinations-title", "Destinations", view! { {none} {each.collect_view()} {heartbeat} })
    }

    fn of_connection(id: Option<u8>, connections: &[AlertConnection]) -> String {
        match id {
            None => "all connections".to_owned(),
            Some(id) => connections
                .iter()
                .find(|connection| connection.id == id)
                .map_or_else(|| id.to_string(), |connection| [&id.to_string(), " ", &connection.name].concat()),
        }
    }

    fn choice(connections: &[AlertConnection], none: &'static str) -> impl IntoView + use<> {
        let options: Vec<_> = connections
            .iter()
            .map(|connection| {
                let id = connection.id.to_string();
                let text = [&id, " ", &connection.name].concat();
                view! { <option value=id>{text}</option> }
            })
            .collect();
        view! { <select name="connection"><option value="">{none}</option>{options}</select> }
    }

    #[component]
    fn Silences(silences: Vec<Silence>, connections: Arc<Vec<AlertConnection>>) -> impl IntoView {
        let may_act = MayAct::here();
        let rows = silences.into_iter().map(|silence| {
            let rule = silence.rule.map_or("every rule", Rule::name);
            let what = [rule, ", ", &of_connection(silence.connection, &connections)].concat();
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
                        <label class="field"><span>"Connection"</span>{choice(&connections, "all, and the server")}</label>
                        <label class="field"><span>"For"</span><select name="hours">{lengths}</select></label>
                        <label class="field"><span>"Reason"</span><input name="reason" required maxlength="200" placeholder="maintenance of the line"/></label>
                        <div class="admin-actions"><button type="submit" class="button button-primary">"Silence"</button></div>
                    </form>
                })}
        };
        section("silences-title", "Silences", content)
    }

    #[component]
    fn Rules(rules: Vec<RuleView>, connections: Arc<Vec<AlertConnection>>) -> impl IntoView {
        let may_act = MayAct::here();
        let rows = rules.into_iter().map(|view| {
            let RuleView { rule, connection, numbers, is_changed, fired, would_have_fired } = view;
            let id = [rule.name(), "-", &connection.map(|id| id.to_string()).unwrap_or_default()].concat();
            let name = [rule.name(), ", ", &of_connection(connection, &connections)].concat();
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
                    <td>{rule.is_of_connections().then(|| of_connection(connection, &connections))}</td>
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
        let heads = [
            "Rule",
            "Of",
            "Severity",
            "Applies",
            "On",
            "After",
            "Well for",
            "Threshold",
            "Fired / would have",
            "Change",
        ];
        let rows = table("Table of rules", "admin-table admin-rules", &heads, rows.collect());
        let of_connections = Rule::ALL.into_iter().filter(|rule| rule.is_of_connections());
        let own = of_connections.map(|rule| view! { <option value=rule.name()>{rule.name()}</option> }).collect_view();
        let content = view! {
                <p class="admin-lead">"Fired: in the last 7 days. Would have: in the same time with the current numbers, reckoned from history, for the rules that it covers."</p>
                {rows}
                {may_act.then(|| view! {
                    <form class="admin-filters" method="post" action="/admin/alerts/rule" data-testid="own-rule">
                        <label class="field"><span>"A connection's own numbers"</span><select name="rule">{own}</select></label>
                        <label class="field"><span>"Connection"</span>{choice(&connections, "choose")}</label>
                        <label class="field"><span>"After (seconds)"</span><input name="for_seconds" inputmode="numeric" value="60" required/></label>
                        <label class="field"><span>"Well for (seconds)"</span><input name="resolve_seconds" inputmode="numeric" value="60" required/></label>
                        <label class="field"><span>"Threshold"</span><input name="threshold" inputmode="decimal" placeholder="where the rule has one"/></label>
                        <label class="field"><span>"On"</span><input type="checkbox" name="enabled" value="on" checked/></label>
                        <div class="admin-actions"><button type="submit" class="button" name="do" value="save">"Set"</button></div>
                    </form>
                })}
        };
        section("rules-title", "Rules", content)
    }
}
