//! What the server and the browser share: the model, the wire protocol, and the pages that both render.
//!
//! `app` never depends on `server`: the pages reach it through [`api::Backend`], which the server implements.

// Views nest types inside types; the limit only guards against endless ones.
#![recursion_limit = "256"]

pub mod address;
pub mod api;
pub mod components;
pub mod model;
pub mod pages;
#[cfg(feature = "ssr")]
mod shell;
pub mod store;

/// The id of the element that holds the page: what the server renders into, and the browser hydrates.
pub const ROOT: &str = "page";

#[cfg(feature = "hydrate")]
pub use pages::take_over;
#[cfg(feature = "ssr")]
pub use shell::shell;
