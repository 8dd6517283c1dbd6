//! What comes and goes: leptos' `Show` and `For`, compiled once instead of anew for every use. Before it is compressed, a copy of `For` is 5 to
//! 7 kB of the WebAssembly that the dashboard downloads, one of `Show` 3 kB.

use leptos::prelude::*;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

/// Shows its children while `when` is true, and the fallback, if there is one, while it is not.
#[component]
pub fn Show(
    /// Asked again whenever a signal that it read changes.
    when: impl Fn() -> bool + Send + Sync + 'static,
    /// What is shown; made anew each time.
    children: ChildrenFn,
    /// What is shown instead.
    #[prop(optional, into)]
    fallback: ViewFn,
) -> impl IntoView {
    show(Arc::new(when), children, fallback)
}

fn show(when: Arc<dyn Fn() -> bool + Send + Sync>, children: ChildrenFn, fallback: ViewFn) -> AnyView {
    let when = ArcMemo::new(move |_| when());
    (move || if when.get() { children() } else { fallback.run() }).into_any()
}

/// A view for each key, made when the key comes and kept, wherever it moves, until the key goes.
#[component]
pub fn Each<V: IntoView + 'static>(
    /// The keys in their order, none twice.
    keys: impl Fn() -> Vec<u64> + Send + Sync + 'static,
    /// Makes the view.
    view: impl Fn(u64) -> V + Send + Sync + 'static,
) -> impl IntoView {
    each(Arc::new(keys), Arc::new(move |key| view(key).into_any()))
}

fn each(keys: Arc<dyn Fn() -> Vec<u64> + Send + Sync>, view: Arc<dyn Fn(u64) -> AnyView + Send + Sync>) -> AnyView {
    view! { <For each=move || keys() key=|key| *key children=move |key| view(key)/> }.into_any()
}

/// The key of what a text identifies.
#[must_use]
pub fn key_of(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
