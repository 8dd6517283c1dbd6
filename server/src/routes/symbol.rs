//! `GET /api/admin/symbol?symbol=AAPL&connection=1`: what is known of one symbol, from memory. Asking makes the server record
//! it second by second, and keep the provider's events of it, for as long as it is asked for.

use super::{
    AppState, api_error,
    query::{self, BadQuery},
};
use app::model::{connection::ConnectionId, symbol::Symbol, symbol_detail::SymbolDetail, time::UnixMillis};
use axum::{
    Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};

pub(super) async fn symbol(
    State(state): State<AppState>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Result<Response, BadQuery> {
    let (mut symbol, mut connection) = (None, None);
    for (name, value) in &parameters {
        match name.as_str() {
            "symbol" => {
                let read = Symbol::parse(value);
                symbol = Some(read.map_err(|_| BadQuery::new("symbol", value, "a symbol such as AAPL"))?);
            }
            "connection" => connection = query::connection(Some(value))?,
            _ => return Err(BadQuery::new("parameter", name, "one of symbol, connection")),
        }
    }
    let symbol = symbol.ok_or_else(|| BadQuery::new("symbol", "", "a symbol such as AAPL"))?;
    let ids: Vec<_> = match connection {
        Some(id) => vec![id],
        // The first that has it.
        None => state.hub.report().connections.iter().map(|connection| connection.live.id).collect(),
    };
    for id in ids {
        if let Some(detail) = detail(&state, id, symbol).await {
            return Ok(Json(detail).into_response());
        }
    }
    Ok(api_error(StatusCode::NOT_FOUND, "not_found", "no connection has this symbol"))
}

/// What the monitor and the connection know.
pub(super) async fn detail(state: &AppState, id: ConnectionId, symbol: Symbol) -> Option<SymbolDetail> {
    let known = state.hub.symbol(id, symbol).await?;
    let ingest = state.manager().and_then(|manager| manager.symbol(id, symbol, UnixMillis::now()));
    Some(SymbolDetail { ingest, ..known })
}
