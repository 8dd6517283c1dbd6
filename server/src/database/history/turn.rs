//! Whose turn it is to write history, among servers that share the database and have no lease by which that is decided.

use super::{bind, count};
use crate::database::{
    Database, QueryError,
    pool::{on, run},
};

/// Who writes, as the database has it. As long as somebody does, each look finds another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    epoch: u64,
    /// The newest run: when it last wrote, whether it stopped in good order, and which server it was.
    last: Option<(i64, bool, String)>,
}

impl Turn {
    /// Is it free for this server: nobody has written yet, the last one stopped, or it was this very server?
    #[must_use]
    pub fn is_free_for(&self, server: &str) -> bool {
        match &self.last {
            // One that has taken its turn may be about to write.
            None => self.epoch == 0,
            Some((_, has_stopped, last)) => *has_stopped || last == server,
        }
    }
}

impl Database {
    /// Who writes history at the moment.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn history_turn(&self) -> Result<Turn, QueryError> {
        let epoch: i64 = on!(&self.pool, db => sqlx::query_scalar("SELECT epoch FROM collector").fetch_one(db))?;
        let query =
            "SELECT last_seen_at_ms, stopped_at_ms, server FROM history_runs ORDER BY last_seen_at_ms DESC LIMIT 1";
        let row: Option<(i64, Option<i64>, String)> = on!(&self.pool, db => sqlx::query_as(query).fetch_optional(db))?;
        let last = row.map(|(seen, stopped, server)| (seen, stopped.is_some(), server));
        Ok(Turn { epoch: count(epoch), last })
    }

    /// Takes the turn, under the epoch that is answered; `None` when somebody else was faster.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_history_turn(&self, found: &Turn) -> Result<Option<u64>, QueryError> {
        let query = "UPDATE collector SET epoch = epoch + 1 WHERE epoch = $1";
        let mut change = self.change().await?;
        let taken = run!(change.tx.connection(), sqlx::query(query).bind(bind(found.epoch)))?;
        change.commit().await?;
        Ok((taken == 1).then_some(found.epoch + 1))
    }
}
