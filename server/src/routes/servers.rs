//! `GET /api/admin/servers`: the servers that run beside each other.

use super::AppState;
use app::model::servers::ServerEntry;
use axum::{Json, extract::State};
use schemars::JsonSchema;
use serde::Serialize;

#[derive(Serialize, JsonSchema)]
pub(super) struct ServersAnswer {
    /// The name of the server that answers.
    this: String,
    /// All of them, by name.
    servers: Vec<ServerEntry>,
}

pub(super) async fn servers(State(state): State<AppState>) -> Json<ServersAnswer> {
    Json(ServersAnswer { this: state.servers.this().to_owned(), servers: state.servers.list() })
}
