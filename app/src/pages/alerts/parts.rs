//! What the parts of the page are made of.

use crate::model::{
    alert::{AlertConnection, Severity},
    connection::ConnectionId,
};
use leptos::prelude::*;

pub(super) fn severity(severity: Severity) -> impl IntoView {
    view! { <span class="alert-severity" data-severity=severity.name()>{severity.name()}</span> }
}

/// A table that scrolls by itself where it is wider than the page.
pub(super) fn table(
    name: &str,
    class: &'static str,
    heads: &[&'static str],
    rows: Vec<impl IntoView + 'static>,
) -> AnyView {
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
pub(super) fn section(id: &'static str, title: &'static str, content: impl IntoView) -> impl IntoView {
    view! {
        <section class="admin-section" aria-labelledby=id>
            <h2 id=id>{title}</h2>
            {content}
        </section>
    }
}

/// The connections, to choose one of.
pub(super) fn choice(
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
