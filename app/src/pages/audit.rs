//! The audit log: filters, a table, pages, and the same as a file. A plain form that works without JavaScript; rendered on the
//! server alone.

#[cfg(feature = "ssr")]
pub(crate) use rendered::page;

#[cfg(feature = "ssr")]
mod rendered {
    use crate::{
        address::{self, AUDIT, Query},
        api::{Backend, CurrentViewer, IsRecording},
        components::admin_pages::{admin_page, browser, problem, second},
        model::{
            audit::{AuditForm, AuditPage, AuditRecord},
            time::UnixMillis,
        },
        store::moment::around,
    };
    use leptos::prelude::*;
    use std::sync::Arc;

    /// The page.
    pub(crate) fn page() -> AnyView {
        admin_page("Audit log", AUDIT, "admin-page admin-page-wide", body)
    }

    fn body(_: CurrentViewer, backend: Arc<dyn Backend>) -> AnyView {
        provide_context(IsRecording(backend.is_recording()));
        let query = address::query();
        let asked = |name| query.get(name).map(str::to_owned);
        let form = AuditForm {
            from: asked("from"),
            to: asked("to"),
            actor: asked("actor"),
            action: asked("action"),
            outcome: asked("outcome"),
            address: asked("address"),
            cursor: asked("cursor"),
        };
        view! {
            <p class="admin-lead">"What administrators did and what was refused, newest first. Records cannot be changed or removed unnoticed: check with " <code>"tickstock-monitor audit verify"</code> "."</p>
            <Suspense>
                {move || {
                    let (asked, form) = (Arc::clone(&backend), form.clone());
                    Suspend::new(async move {
                        let answer = asked.audit_page(form.clone()).await;
                        view! { <Log form answer/> }
                    })
                }}
            </Suspense>
        }
        .into_any()
    }

    #[component]
    fn Log(
        /// What was asked for.
        form: AuditForm,
        /// What there is, or what is wrong with the question.
        answer: Result<AuditPage, String>,
    ) -> impl IntoView {
        let actions = answer.as_ref().map(|page| page.actions.clone()).unwrap_or_default();
        let filters = view! { <Filters form=form.clone() actions/> };
        let page = match answer {
            Ok(page) => page,
            Err(text) => return view! { {filters} {problem(text, "problem")} }.into_any(),
        };
        let table = if page.records.is_empty() {
            view! { <p class="table-empty" data-testid="no-records">"No matching records. Widen the time range or clear the filters."</p> }.into_any()
        } else {
            view! { <Table records=page.records/> }.into_any()
        };
        let newest = form.cursor.is_some().then(|| link(&AuditForm { cursor: None, ..form.clone() }));
        let older = page.next_cursor.map(|cursor| link(&AuditForm { cursor: Some(cursor), ..form }));
        view! {
            {page.alarm.map(|text| problem(text, "audit-alarm"))}
            {filters}
            {table}
            <nav class="admin-pager" aria-label="Pages of the log">
                {newest.map(|address| view! { <a class="button" href=address data-testid="newest">"Newest"</a> })}
                {older.map(|address| view! { <a class="button" href=address rel="next" data-testid="older">"Older"</a> })}
            </nav>
        }
        .into_any()
    }

    #[component]
    fn Filters(
        /// What was asked for.
        form: AuditForm,
        /// Every action there is.
        actions: Vec<&'static str>,
    ) -> impl IntoView {
        let mut as_csv = Query::default();
        as_csv.push("format".to_owned(), "csv".to_owned());
        let file = "/api/admin/audit".to_owned() + &fields(&AuditForm { cursor: None, ..form.clone() }, as_csv).write();
        let spans = [("-1h", "Last hour"), ("-24h", "Last day"), ("-7d", "Last week")].map(|(span, name)| {
            let address = link(&AuditForm { from: Some(span.to_owned()), to: None, cursor: None, ..form.clone() });
            view! { <a class="button" href=address>{name}</a> }
        });
        let AuditForm { from, to, actor, action, outcome, address, .. } = form;
        view! {
            <form class="admin-filters" method="get" action=AUDIT role="search" data-testid="filters">
                <label class="field"><span>"From"</span><input name="from" value=from placeholder="-24h, 2026-01-21T12:00:00Z" spellcheck="false"/></label>
                <label class="field"><span>"To"</span><input name="to" value=to placeholder="now" spellcheck="false"/></label>
                <label class="field"><span>"Actor"</span><input name="actor" value=actor placeholder="name@example.com" spellcheck="false"/></label>
                <label class="field"><span>"Action"</span>{choice("action", &actions, action)}</label>
                <label class="field"><span>"Outcome"</span>{choice("outcome", &["ok", "refused", "failed"], outcome)}</label>
                <label class="field"><span>"Address"</span><input name="address" value=address placeholder="192.0.2.7" spellcheck="false"/></label>
                <div class="admin-actions">
                    <button type="submit" class="button button-primary">"Show"</button>
                    <a class="button" href=AUDIT>"Clear"</a>
                    {spans}
                    <a class="button" href=file download="audit.csv" data-testid="csv">"Save as CSV"</a>
                </div>
            </form>
        }
    }

    fn choice(name: &'static str, values: &[&'static str], chosen: Option<String>) -> impl IntoView + use<> {
        let option = |value: &'static str, text: &'static str| {
            let selected = chosen.as_deref().unwrap_or_default() == value;
            view! { <option value=value selected=selected>{text}</option> }
        };
        let mut options = vec![option("", "any")];
        options.extend(values.iter().map(|value| option(value, value)));
        view! { <select name=name>{options}</select> }
    }

    #[component]
    fn Table(
        /// What there is, newest first.
        records: Vec<AuditRecord>,
    ) -> impl IntoView {
        let rows = records.into_iter().map(|record| {
            let times = (record.occurrences > 1).then(|| [" × ", &record.occurrences.to_string()].concat());
            let outcome = record.outcome.clone();
            let who = record.actor.unwrap_or_else(|| "not signed in".to_owned());
            view! {
                <tr data-testid="record" data-outcome=outcome title=record.hash>
                    <td class="number">{record.seq}</td>
                    <td class="number" title=record.at.to_string()>{second(record.at)} {replay(record.at)}</td>
                    <td>{who} {record.role.map(|role| view! { " " <span class="admin-hint">{role}</span> })}</td>
                    <td class="number">{record.address}</td>
                    <td><code>{record.action}</code></td>
                    <td>{record.target}</td>
                    <td><span class="admin-outcome">{record.outcome}</span> {times}</td>
                    <td class="admin-wide">{record.reason}</td>
                    <td class="admin-cut admin-hint" title=record.user_agent.clone()>{record.user_agent.as_deref().map(browser)}</td>
                </tr>
            }
        });
        view! {
            <div class="admin-scroll" tabindex="0" role="region" aria-label="Records">
                <table class="admin-table">
                    <thead><tr>
                        <th scope="col">"No."</th>
                        <th scope="col">"Time (UTC)"</th>
                        <th scope="col">"Who"</th>
                        <th scope="col">"From"</th>
                        <th scope="col">"Action"</th>
                        <th scope="col">"Target"</th>
                        <th scope="col">"Outcome"</th>
                        <th scope="col">"Reason"</th>
                        <th scope="col">"Browser"</th>
                    </tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
        }
    }

    /// What was seen then, where that is recorded.
    fn replay(at: UnixMillis) -> impl IntoView + use<> {
        IsRecording::here().then(|| view! { " " <a href=around(at) data-testid="replay">"Replay"</a> })
    }

    fn link(form: &AuditForm) -> String {
        AUDIT.to_owned() + &fields(form, Query::default()).write()
    }

    /// What is asked for, behind what `query` holds already.
    fn fields(form: &AuditForm, mut query: Query) -> Query {
        let AuditForm { from, to, actor, action, outcome, address, cursor } = form;
        for (name, value) in [
            ("from", from),
            ("to", to),
            ("actor", actor),
            ("action", action),
            ("outcome", outcome),
            ("address", address),
            ("cursor", cursor),
        ] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                query.push(name.to_owned(), value.clone());
            }
        }
        query
    }
}
