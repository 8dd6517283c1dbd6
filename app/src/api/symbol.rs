//! The server function behind a symbol's panel.

use super::{ApiError, packed};
use crate::model::symbol_detail::SymbolDetail;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

/// What a panel asks for every now and then while it is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SymbolAnswer {
    /// What is known; `None` when the connection has no such symbol.
    #[serde(with = "packed")]
    pub detail: Option<SymbolDetail>,
}

/// What is known of a symbol of a connection. Asking makes the server record it for some minutes.
///
/// # Errors
/// [`ApiError::NotAllowed`] without an admin, [`ApiError::Unavailable`] without a backend.
#[server(prefix = "/api/admin/fn", endpoint = "symbol")]
pub async fn load_symbol(
    /// The connection's number.
    connection: u8,
    /// The symbol.
    symbol: String,
) -> Result<SymbolAnswer, ApiError> {
    use super::{Backend, CurrentViewer};
    use crate::model::symbol::Symbol;
    use std::sync::Arc;

    use_context::<CurrentViewer>().ok_or(ApiError::NotAllowed)?;
    let backend = use_context::<Arc<dyn Backend>>().ok_or(ApiError::Unavailable)?;
    let Ok(symbol) = Symbol::parse(&symbol) else { return Ok(SymbolAnswer { detail: None }) };
    Ok(SymbolAnswer { detail: backend.symbol(connection, symbol).await })
}
