//! One file a page: reads the address and the server's answer, builds the state, hands signals to components.
//!
//! ```text
//!  server                                        browser
//!  path ──▶ page_at ──▶ <div id=page> … </div>   path ──▶ take_over ──▶ hydrates what is in it
//! ```
//!
//! Every page is loaded afresh, so the browser has no use for a router; only the full metrics bring one of their own, for the
//! ranges and filters in their address. The past is the dashboard's own parts around another clock. Signing in, the account, the audit log and what is not found are the server's alone.

#[cfg(feature = "ssr")]
mod account;
#[cfg(feature = "ssr")]
mod alerts;
#[cfg(feature = "ssr")]
mod audit;
#[cfg(feature = "ssr")]
pub mod login;
pub mod metrics;
pub mod monitor;
#[cfg(feature = "ssr")]
mod not_found;
pub mod replay;

#[cfg(feature = "ssr")]
use crate::ROOT;
use crate::address;
#[cfg(feature = "hydrate")]
use crate::api::packed;
use leptos::prelude::*;
#[cfg(feature = "hydrate")]
use leptos::wasm_split::SplitLoaderError;

/// Is the page at `path` taken over by the browser?
#[cfg(feature = "ssr")]
pub(crate) fn is_live(path: &str) -> bool {
    matches!(path, address::DASHBOARD | address::METRICS | address::REPLAY)
}

/// The page at `path`, as the server writes it: in an element of its own, as extensions put theirs into the body, and what
/// is taken over takes every node for granted.
#[cfg(feature = "ssr")]
pub(crate) fn page_at(path: &str) -> AnyView {
    let page = match path {
        address::DASHBOARD => return monitor::rendered(),
        // A translator would put elements of its own around every text, and what is written there next is not seen.
        address::METRICS => return view! { <div id=ROOT translate="no">{metrics::page()}</div> }.into_any(),
        address::REPLAY => return replay::rendered(),
        address::ALERTS => alerts::page(),
        address::AUDIT => audit::page(),
        address::ACCOUNT => account::page(),
        address::LOGIN => login::page(),
        _ => not_found::page(),
    };
    view! { <div id=ROOT>{page}</div> }.into_any()
}

/// Takes over what the server rendered into `root`. False where there is nothing to start from.
///
/// # Errors
/// When a part of the program that the page needs could not be loaded.
#[cfg(feature = "hydrate")]
pub async fn take_over(root: leptos::web_sys::HtmlElement) -> Result<bool, SplitLoaderError> {
    use leptos::mount::hydrate_from;

    if address::path() == address::METRICS {
        hydrate_from(root, history_page().await?).forget();
        return Ok(true);
    }
    if address::path() == address::REPLAY {
        return Ok(past_page().await?(root));
    }
    let Some(first) = packed::start_of(&root) else { return Ok(false) };
    hydrate_from(root, move || monitor::page(first)).forget();
    Ok(true)
}

/// The full metrics, which releases put into a file of their own, so that the dashboard does not download them; they are
/// compiled with `split_pages`, as plain builds lack the step that takes the file apart (`scripts/env.sh`). Not called after the
/// page: content blockers cut what has "metrics" in its name. Not `#[lazy]`, which panics where the file cannot be had.
#[cfg(all(feature = "hydrate", split_pages))]
#[leptos::wasm_split::wasm_split(history, wasm_split_path = ::leptos::wasm_split, fallible)]
fn history_page() -> Result<fn() -> AnyView, SplitLoaderError> {
    Ok(metrics::page)
}

/// The past, in a file of its own too. Takes over what the server rendered.
#[cfg(feature = "hydrate")]
type TakeOver = fn(leptos::web_sys::HtmlElement) -> bool;

/// The past.
#[cfg(all(feature = "hydrate", split_pages))]
#[leptos::wasm_split::wasm_split(past, wasm_split_path = ::leptos::wasm_split, fallible)]
fn past_page() -> Result<TakeOver, SplitLoaderError> {
    Ok(replay::take_over)
}

/// The past.
#[cfg(all(feature = "hydrate", not(split_pages)))]
async fn past_page() -> Result<TakeOver, SplitLoaderError> {
    Ok(replay::take_over)
}

/// The full metrics.
#[cfg(all(feature = "hydrate", not(split_pages)))]
async fn history_page() -> Result<fn() -> AnyView, SplitLoaderError> {
    Ok(metrics::page)
}
