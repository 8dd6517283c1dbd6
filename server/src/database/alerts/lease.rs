//! The lease of the server that sends alerts, where several share the database.

use crate::database::{
    Database, QueryError,
    pool::{on, run},
};

/// Who holds the lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertLease {
    /// The server's name.
    pub server: String,
    /// Tells this run of it from every other; empty while nobody holds the lease.
    pub run: String,
    /// How good its claim is: a higher one takes the lease from it.
    pub claim: u64,
    /// Counts up as long as somebody holds it.
    pub beats: i64,
}

impl Database {
    /// The lease as it is now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_lease(&self) -> Result<AlertLease, QueryError> {
        let query = "SELECT server, run, claim, beats FROM alert_lease";
        let (server, run, claim, beats): (String, String, i64, i64) =
            on!(&self.pool, db => sqlx::query_as(query).fetch_one(db))?;
        Ok(AlertLease { server, run, claim: claim.unsigned_abs(), beats })
    }

    /// Takes the lease, or prolongs it: `lease` is whose it is from now on, with the beats that were read before. False when
    /// somebody did so since.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn hold_alert_lease(&self, lease: &AlertLease) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        let query = "UPDATE alert_lease SET server = $1, run = $2, claim = $3, beats = beats + 1 WHERE beats = $4";
        let done = run!(
            change.tx.connection(),
            sqlx::query(query)
                .bind(lease.server.clone())
                .bind(lease.run.clone())
                .bind(i64::try_from(lease.claim).unwrap_or(i64::MAX))
                .bind(lease.beats)
        )?;
        change.commit().await?;
        Ok(done > 0)
    }

    /// Gives the lease up, if this run holds it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn give_up_alert_lease(&self, run: &str) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        let query = "UPDATE alert_lease SET run = '', claim = 0, beats = beats + 1 WHERE run = $1";
        run!(change.tx.connection(), sqlx::query(query).bind(run.to_owned()))?;
        change.commit().await
    }
}
