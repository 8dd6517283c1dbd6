//! What the search for a symbol and its panel share.

use crate::model::symbol_detail::SymbolName;
use leptos::prelude::*;

/// The search field's id.
pub const FIELD: &str = "find";

/// What is searched for, and the symbol whose panel is open.
#[derive(Clone, Copy)]
pub struct SymbolSearch {
    /// What was typed.
    pub query: RwSignal<String>,
    /// The symbol whose panel is open.
    pub open: RwSignal<Option<SymbolName>>,
    /// The list and the panel could not be loaded.
    pub(super) failed: RwSignal<bool>,
}

impl SymbolSearch {
    /// Nothing is searched for; the panel of `open` opens.
    #[must_use]
    pub fn new(open: Option<SymbolName>) -> Self {
        Self { query: RwSignal::default(), open: RwSignal::new(open), failed: RwSignal::new(false) }
    }
}
