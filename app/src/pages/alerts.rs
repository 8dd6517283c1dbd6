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
                page::{AlertsPage, DestinationView, RuleView},
            },
            time::{UnixMillis, format_seconds},
        },
        store::moment::around,
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    const AROUND_MS: i64 = 300_000;

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
                "acknowledged" => "Acknowledged. It is not told again.",
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
            <Past alerts=past next_cursor/>
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

    #[component]
    fn Open(alerts: Vec<Alert>, now: UnixMillis) -> impl IntoView {
        if alerts.is_empty() {
            return view! {
                <section class="admin-section" aria-labelledby="open-title">
                    <h2 id="open-title">"Open"</h2>
                    <p class="table-empty" data-testid="no-alerts">"No alert is open."</p>
                </section>
            }
            .into_any();
        }
        let may_act = MayAct::here();
        let mut alerts = alerts;
        alerts.sort_by_key(|alert| (alert.acknowledged.is_some(), std::cmp::Reverse(alert.severity), alert.started_at));
        let rows = alerts.into_iter().map(|alert| {
            let looks_after = match &alert.acknowledged {
                Some(said) => view! { <span>{[&said.by, ": ", &said.note].concat()}</span> }.into_any(),
                None if !may_act => ().into_any(),
                None => view! {
                    <form class="admin-actions" method="post" action="/admin/alerts/acknowledge">
                        <input type="hidden" name="id" value=alert.id.clone()/>
                        <input name="note" maxlength="1000" placeholder="note" aria-label=["Note on ", &alert.title].concat()/>
                        <button type="submit" class="button" data-testid="acknowledge">"Acknowledge"</button>
                    </form>
                }
                .into_any(),
            };
            let flapping = alert.flapping.then_some(" Comes and goes; it stays open until it has been well for ten minutes.");
            let silenced = alert.silenced.as_ref().map(|reason| [" Silenced: ", reason].concat());
            view! {
                <tr id=alert.id.clone() data-testid="alert" data-severity=alert.severity.name()>
                    <td>{severity(alert.severity)}</td>
                    <td><b>{alert.title.clone()}</b></td>
                    <td class="admin-wide">{alert.text.clone()} {flapping} {silenced}</td>
                    <td class="number" title=alert.started_at.to_string()>{second(alert.started_at)}</td>
                    <td class="number">{lasted(&alert, now)}</td>
                    <td>{looks_after}</td>
                    <td><a href=charts(&alert)>"Charts"</a> {replay(&alert)}</td>
                </tr>
            }
        });
        view! {
            <section class="admin-section" aria-labelledby="open-title">
                <h2 id="open-title">"Open"</h2>
                <div class="admin-scroll" tabindex="0" role="region" aria-labelledby="open-title">
                    <table class="admin-table">
                        <thead><tr>
                            <th scope="col">"Severity"</th>
                            <th scope="col">"Alert"</th>
                            <th scope="col">"Reason"</th>
                            <th scope="col">"Since (UTC)"</th>
                            <th scope="col">"For"</th>
                            <th scope="col">"Looked after by"</th>
                            <th scope="col">"See"</th>
                        </tr></thead>
                        <tbody>{rows.collect_view()}</tbody>
                    </table>
                </div>
            </section>
        }
        .into_any()
    }

    #[component]
    fn Past(alerts: Vec<Alert>, next_cursor: Option<String>) -> impl IntoView {
        let none =
            (alerts.is_empty() && next_cursor.is_none()).then(|| view! { <p class="table-empty">"None so far."</p> });
        let rows = alerts.into_iter().map(|alert| {
            let said = alert.acknowledged.as_ref().map(|said| [&said.by, ": ", &said.note].concat());
            view! {
                <tr id=alert.id.clone() data-testid="past-alert">
                    <td>{severity(alert.severity)}</td>
                    <td>{alert.title.clone()}</td>
                    <td class="admin-wide">{alert.text.clone()}</td>
                    <td class="number" title=alert.started_at.to_string()>{second(alert.started_at)}</td>
                    <td class="number">{lasted(&alert, alert.fired_at)}</td>
                    <td>{said}</td>
                    <td><a href=charts(&alert)>"Charts"</a> {replay(&alert)}</td>
                </tr>
            }
        });
        let older = next_cursor.map(|cursor| {
            let mut query = Query::default();
            query.push("cursor".to_owned(), cursor);
            view! { <a class="button" href=ALERTS.to_owned() + &query.write() rel="next" data-testid="older">"Older"</a> }
        });
        view! {
            <section class="admin-section" aria-labelledby="past-title">
                <h2 id="past-title">"Resolved"</h2>
                {none}
                <div class="admin-scroll" tabindex="0" role="region" aria-labelledby="past-title">
                    <table class="admin-table">
                        <thead><tr>
                            <th scope="col">"Severity"</th>
                            <th scope="col">"Alert"</th>
                            <th scope="col">"Reason"</th>
                            <th scope="col">"Began (UTC)"</th>
                            <th scope="col">"For"</th>
                            <th scope="col">"Looked after by"</th>
                            <th scope="col">"See"</th>
                        </tr></thead>
                        <tbody>{rows.collect_view()}</tbody>
                    </table>
                </div>
                <nav class="admin-pager" aria-label="Pages of resolved alerts">{older}</nav>
            </section>
        }
    }

    #[component]
    fn Destinations(destinations: Vec<DestinationView>, has_heartbeat: bool) -> impl IntoView {
        let none = destinations.is_empty().then(|| {
            view! {
                <p class="admin-lead" data-testid="no-destinations">"Nobody is told: no destination is configured. Alerts are shown here and on the dashboard. See docs/alerts.md for " <code>"ALERT_WEBHOOK_URL"</code> " and others."</p>
            }
        });
        let may_act = MayAct::here();
        let each = destinations.into_iter().map(|destination| {
            let gone = destination.gone_since.map(|at| {
                problem(["Switched off: it answered at ", &second(at), " UTC that it is gone. A test that it takes switches it on."].concat(), "gone")
            });
            let rows = destination.deliveries.into_iter().map(|delivery| {
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
            });
            let title = destination.name.clone();
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
                    <div class="admin-scroll" tabindex="0" role="region" aria-label=["Last deliveries to ", &title].concat()>
                        <table class="admin-table">
                            <thead><tr>
                                <th scope="col">"Time (UTC)"</th>
                                <th scope="col">"What"</th>
                                <th scope="col">"Alert"</th>
                                <th scope="col">"Outcome"</th>
                                <th scope="col">"Attempts"</th>
                                <th scope="col">"Answer"</th>
                            </tr></thead>
                            <tbody>{rows.collect_view()}</tbody>
                        </table>
                    </div>
                </details>
            }
        });
        let heartbeat = has_heartbeat
            .then(|| view! { <p class="admin-hint">"A heartbeat goes out every minute while all is well."</p> });
        view! {
            <section class="admin-section" aria-labelledby="destinations-title">
                <h2 id="destinations-title">"Destinations"</h2>
                {none}
                {each.collect_view()}
                {heartbeat}
            </section>
        }
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
        view! {
            <section class="admin-section" aria-labelledby="silences-title">
                <h2 id="silences-title">"Silences"</h2>
                <p class="admin-lead">"Silenced alerts are shown and not told. One that still fires at the end of its silence is told then."</p>
                <ul class="admin-lines">{rows.collect_view()}</ul>
                {may_act.then(|| view! {
                    <form class="admin-filters" method="post" action="/admin/alerts/silence" data-testid="new-silence">
                        <label class="field"><span>"Rule"</span><select name="rule"><option value="">"every rule"</option>{rules}</select></label>
                        <label class="field"><span>"Connection"</span>{choice(&connections, "all, and the whole")}</label>
                        <label class="field"><span>"For"</span><select name="hours">{lengths}</select></label>
                        <label class="field"><span>"Reason"</span><input name="reason" required maxlength="200" placeholder="maintenance of the line"/></label>
                        <div class="admin-actions"><button type="submit" class="button button-primary">"Silence"</button></div>
                    </form>
                })}
            </section>
        }
    }

    #[component]
    fn Rules(rules: Vec<RuleView>, connections: Arc<Vec<AlertConnection>>) -> impl IntoView {
        let may_act = MayAct::here();
        let rows = rules.into_iter().map(|view| {
            let RuleView { rule, connection, numbers, is_changed, fired } = view;
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
            let fired = connection.is_none().then_some(fired);
            let when = match rule.when() {
                When::Always => "always",
                when => when.label(),
            };
            view! {
                <tr data-testid="rule" data-changed=is_changed.to_string()>
                    <td><b>{rule.name()}</b> " " <span class="admin-hint">{rule.label()}</span></td>
                    <td>{rule.is_of_connections().then(|| of_connection(connection, &connections))}</td>
                    <td>{severity(rule.severity())}</td>
                    <td>{when}</td>
                    <td><input type="checkbox" name="enabled" value="on" form=id.clone() checked=numbers.enabled aria-label=["Look at ", &name].concat()/></td>
                    <td><input name="for_seconds" form=id.clone() inputmode="numeric" size="5" value=numbers.for_seconds.to_string() aria-label=["Seconds of ", &name].concat()/> " s"</td>
                    <td><input name="resolve_seconds" form=id.clone() inputmode="numeric" size="5" value=numbers.resolve_seconds.to_string() aria-label=["Seconds well of ", &name].concat()/> " s"</td>
                    <td>{threshold}</td>
                    <td class="number">{fired}</td>
                    <td>
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
        let rows = rows.collect_view();
        let of_connections = Rule::ALL.into_iter().filter(|rule| rule.is_of_connections());
        let own = of_connections.map(|rule| view! { <option value=rule.name()>{rule.name()}</option> }).collect_view();
        view! {
            <section class="admin-section" aria-labelledby="rules-title">
                <h2 id="rules-title">"Rules"</h2>
                <div class="admin-scroll" tabindex="0" role="region" aria-labelledby="rules-title">
                    <table class="admin-table">
                        <thead><tr>
                            <th scope="col">"Rule"</th>
                            <th scope="col">"Of"</th>
                            <th scope="col">"Severity"</th>
                            <th scope="col">"Applies"</th>
                            <th scope="col">"On"</th>
                            <th scope="col">"After"</th>
                            <th scope="col">"Well for"</th>
                            <th scope="col">"Threshold"</th>
                            <th scope="col">"Fired in 7 days"</th>
                            <th scope="col">"Change"</th>
                        </tr></thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
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
            </section>
        }
    }
}
