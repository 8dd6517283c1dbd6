//! A part of a column that folds away. The browser keeps the choice, per part and connection.

use crate::{model::connection::ConnectionId, store::storage};
use leptos::prelude::*;

/// A head that stays in sight and a body that folds.
#[component]
pub fn Section(
    /// Whose part.
    id: ConnectionId,
    /// Which part, in ids and in the browser's storage.
    name: &'static str,
    /// What it is called.
    title: &'static str,
    /// Is the title seen, or only read out, because the head speaks for itself?
    #[prop(default = false)]
    shows_title: bool,
    /// Is it open until somebody closes it?
    #[prop(default = true)]
    opens: bool,
    /// What stays in sight.
    head: AnyView,
    /// What folds.
    children: Children,
) -> impl IntoView {
    let open = RwSignal::new(opens);
    let key = StoredValue::new(format!("tickstock-{name}-{id}"));
    // Both sides first render the usual state; what the browser kept is known only there.
    Effect::new(move |_| {
        if let Some(kept) = key.with_value(|key| storage::kept(key)) {
            open.set(kept == "open");
        }
    });
    let toggle = move |_| {
        open.update(|open| *open = !*open);
        let now = open.get_untracked();
        let kept = (now != opens).then_some(if now { "open" } else { "closed" });
        key.with_value(|key| storage::keep(key, kept));
    };
    let body = format!("{name}-{id}");
    view! {
        <div class=format!("section section-{name}") class:is-folded=move || !open.get()>
            <div class="section-head">
                <button
                    type="button"
                    class="fold"
                    id=format!("fold-{name}-{id}")
                    data-testid=format!("fold-{name}-{id}")
                    aria-expanded=move || open.get().to_string()
                    aria-controls=body.clone()
                    on:click=toggle
                >
                    <span class:visually-hidden=!shows_title>{title}</span>
                </button>
                {head}
            </div>
            <div class="section-body" id=body hidden=move || !open.get()>{children()}</div>
        </div>
    }
}
