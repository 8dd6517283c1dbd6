//! The alerts: what fires, what fired, what is not told, by which numbers, and to whom. Plain forms that work without
//! JavaScript; rendered on the server alone.

#[cfg(feature = "ssr")]
pub(crate) use rendered::page;

#[cfg(feature = "ssr")]
mod rendered {
    use crate::{
        address::{self, ALERTS, Query, alert_at},
        api::{Backend, CurrentViewer, IsRecording, MayAct},
        components::admin_pages::{admin_page, problem, second},
        model::{
            alert::{
                Alert, AlertConnection, Rule, Severity, Silence, When,
                page::{AlertStory, AlertsAsked, AlertsPage, DeliveryView, DestinationView, RuleView},
            },
            connection::ConnectionId,
            history::HistoryEvent,
            time::{UnixMillis, format_seconds},
        },
        store::moment::{around, charts_around},
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    /// So many open alerts are listed at first; with a storm of them the gravest come first, and a link shows all.
    const OPEN_SHOWN: usize = 25;
    /// Up to so many alerts are read at a glance, and need no search.
    const SEARCHED_MIN: usize = 5;
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
        let asked = AlertsAsked::read(|name| query.get(name));
        let outcome = outcome(query.get("done"), query.get("error"));
        view! {
            {outcome}
            <Suspense>
                {move || {
                    let (backend, asked) = (Arc::clone(&backend), asked.clone());
                    Suspend::new(async move {
                        match backend.alerts_page(asked.clone()).await {
                            Ok(page) => view! { <Whole page asked/> }.into_any(),
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
    fn Whole(page: AlertsPage, asked: AlertsAsked) -> impl IntoView {
        let AlertsPage {
            asked: story,
            open,
            past,
            next_cursor,
            silences,
            rules,
            destinations,
            has_heartbeat,
            connections,
            now,
        } = page;
        let is_gone = asked.alert.is_some() && story.is_none();
        let gone = is_gone.then(|| problem("There is no such alert, or not any more.", "gone"));
        let story = story.map(|story| view! { <Story story asked=asked.clone() now/> });
        let is_searched = asked.filters() || open.len() + past.len() > SEARCHED_MIN;
        let search = is_searched.then(|| search(&asked, &connections));
        let connections = Arc::new(connections);
        let (of_silences, of_rules) = (Arc::clone(&connections), connections);
        view! {
            {gone}
            {story}
            {search}
            <Open alerts=open asked=asked.clone() now/>
            <Destinations destinations has_heartbeat/>
            <Silences silences connections=of_silences/>
            <Rules rules connections=of_rules/>
            <Past alerts=past next_cursor asked now/>
        }
    }

    /// The address of this page with what is asked for.
    fn there(asked: &AlertsAsked) -> String {
        let mut query = Query::default();
        asked.parameters().into_iter().for_each(|(name, value)| query.push(name.to_owned(), value));
        ALERTS.to_owned() + &query.write()
    }

    /// Which alerts are listed, the open and the resolved ones.
    fn search(asked: &AlertsAsked, connections: &[AlertConnection]) -> impl IntoView + use<> {
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
    #[component]
    fn Story(story: AlertStory, asked: AlertsAsked, now: UnixMillis) -> impl IntoView {
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
        let gaps = (!gaps.is_empty())
            .then(|| view! { <p>"Gaps in the ledger:" {gaps.into_iter().map(gap).collect_view()}</p> });
        let title = alert.title.clone();
        let rows = vec![row(alert, now, "asked-alert", MayAct::here(), &asked)];
        view! {
            // Takes the focus from a link that leads here.
            <section class="admin-card" id="alert" tabindex="-1" aria-labelledby="alert-title" data-testid="story">
                <h2 id="alert-title">{title}</h2>
                {table("This alert", STACKED, &ALERT_HEADS, rows)}
                {gaps}
                <ol class="admin-steps" aria-label="What became of it, UTC">{steps}</ol>
            </section>
        }
    }

    fn severity(severity: Severity) -> impl IntoView {
        view! { <span class="alert-severity" data-severity=severity.name()>{severity.name()}</span> }
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
        let flapping = (alert.flapping && is_open)
            .then_some(" (comes and goes; stays open until it has been well for ten minutes)");
        let silenced = alert.silenced.as_ref().filter(|_| is_open).map(|reason| [" (silenced: ", reason, ")"].concat());
        view! {
            <tr data-testid=test_id data-severity=alert.severity.name()>
                <td>{severity(alert.severity)}</td>
                <td class="admin-wide"><a href=alert_at(&alert.id)><b>{alert.title.clone()}</b></a><div>{alert.text.clone()} {flapping} {silenced}</div></td>
                <td class="number" title=alert.started_at.to_string()>{second(alert.started_at)}</td>
                <td class="number">{lasted(&alert, now)}</td>
                <td>{looks_after}</td>
                <td><a href=charts_around(&alert)>"Charts"</a> {replay(&alert)}</td>
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

    #[component]
    fn Open(mut alerts: Vec<Alert>, asked: AlertsAsked, now: UnixMillis) -> impl IntoView {
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
        let rows: Vec<_> = alerts.into_iter().map(|alert| row(alert, now, "alert", may_act, &asked)).collect();
        let table = (shown > 0).then(|| table("Open alerts", STACKED, &ALERT_HEADS, rows));
        let content = view! {
            <p class="admin-lead number" data-testid="counted">{counted} {matching} {first}</p>
            {table}
            {rest}
        };
        section("open-title", "Open", content).into_any()
    }

    #[component]
    fn Past(alerts: Vec<Alert>, next_cursor: Option<String>, asked: AlertsAsked, now: UnixMillis) -> impl IntoView {
        if alerts.is_empty() && next_cursor.is_none() {
            let none = if asked.filters() { "None matches." } else { "None so far." };
            return section("past-title", "Resolved", view! { <p class="table-empty">{none}</p> }).into_any();
        }
        let rows = alerts.into_iter().map(|alert| row(alert, now, "past-alert", false, &asked)).collect();
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

    fn of_connection(id: Option<ConnectionId>, connections: &[AlertConnection]) -> String {
        match id {
            None => "all connections".to_owned(),
            Some(id) => connections
                .iter()
                .find(|connection| connection.id == id)
                .map_or_else(|| id.to_string(), |connection| [&id.to_string(), " ", &connection.name].concat()),
        }
    }

    fn choice(
        connections: &[AlertConnection],
        none: &'static str,
        chosen: Option<ConnectionId>,
    ) -> impl IntoView + use<> {
        let options: Vec<_> = connections
            .iter()
            .map(|connection| {
                let id = connection.id.to_string();
                let text = [&id, " ", &connection.name].concat();
                view! { <option value=id selected=chosen == Some(connection.id)>{text}</option> }
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
                        <label class="field"><span>"Connection"</span>{choice(&connections, "all, and the server", None)}</label>
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
                        <label class="field"><span>"Connection"</span>{choice(&connections, "choose", None)}</label>
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
