//! Waiting for the turn to write history, where servers share a database and no lease decides: those that watch what TickStock
//! collects, and those without Redis.

use crate::database::{Database, QueryError, history::Turn};
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Whoever writes does so once a second. One that has not for so long is followed by another one.
const SILENT: Duration = Duration::from_secs(5);

/// What was seen of whoever writes.
#[derive(Default)]
pub(super) struct Patience(Option<(Turn, Instant)>);

impl Patience {
    /// One look; the epoch under which this server writes, once it is its turn.
    pub(super) async fn look(&mut self, database: &Database, server: &str) -> Result<Option<u64>, QueryError> {
        let turn = database.history_turn().await?;
        if !turn.is_free_for(server) {
            // By this server's own clock alone, whatever the others' say.
            match &self.0 {
                Some((known, since)) if *known == turn && since.elapsed() >= SILENT => {}
                Some((known, _)) if *known == turn => return Ok(None),
                before => {
                    if before.is_none() {
                        info!("Another server writes history into this database; this one follows when that ends");
                    }
                    self.0 = Some((turn, Instant::now()));
                    return Ok(None);
                }
            }
        }
        database.take_history_turn(&turn).await
    }
}
