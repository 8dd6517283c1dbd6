//! Second factors. A code's step is written before the code counts, and a recovery code is deleted, so that none counts twice, whatever
//! else is under way, on whatever server.

use super::{
    Change, Database, QueryError, SessionsToEnd,
    pool::{on, run},
};
use crate::model::{RecoveryHash, SecondFactor, Seed};
use app::model::time::UnixMillis;

impl Database {
    /// The second factor of an account, confirmed or not.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn second_factor(&self, account_id: i64) -> Result<Option<SecondFactor>, QueryError> {
        let query = "SELECT seed, confirmed_at_ms, \
                     (SELECT COUNT(*) FROM recovery_codes WHERE recovery_codes.account_id = second_factors.account_id) \
                     FROM second_factors WHERE account_id = $1";
        let row: Option<(Vec<u8>, Option<i64>, i64)> =
            on!(&self.pool, db => sqlx::query_as(query).bind(account_id).fetch_optional(db))?;
        let factor = |(seed, since, codes_left): (Vec<u8>, Option<i64>, i64)| -> sqlx::Result<SecondFactor> {
            let seed = Seed(seed.try_into().map_err(|_| sqlx::Error::Decode("a seed has 20 bytes".into()))?);
            Ok(SecondFactor { seed, since: since.map(UnixMillis), codes_left })
        };
        Ok(row.map(factor).transpose()?)
    }

    /// Uses up the code of a step, and those of the steps before; answers whether it was still there to be used.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn spend_step(&self, account_id: i64, step: i64) -> Result<bool, QueryError> {
        let query = "UPDATE second_factors SET last_step = $1 \
                     WHERE account_id = $2 AND last_step < $3 AND confirmed_at_ms IS NOT NULL";
        let spent = run!(&self.pool, sqlx::query(query).bind(step).bind(account_id).bind(step))?;
        Ok(spent == 1)
    }

    /// Uses up a recovery code; answers whether there was such a one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn spend_recovery_code(&self, account_id: i64, hash: &RecoveryHash) -> Result<bool, QueryError> {
        let query = "DELETE FROM recovery_codes WHERE account_id = $1 AND code_hash = $2";
        let spent = run!(&self.pool, sqlx::query(query).bind(account_id).bind(&hash.0[..]))?;
        Ok(spent == 1)
    }
}

impl Change {
    /// Notes the seed of a second factor that is to be confirmed by a code; answers `false` when there is a confirmed one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start_second_factor(&mut self, account_id: i64, seed: &Seed) -> Result<bool, QueryError> {
        let query = "INSERT INTO second_factors (account_id, seed, last_step) VALUES ($1, $2, 0) \
                     ON CONFLICT (account_id) DO UPDATE SET seed = excluded.seed, last_step = 0 \
                     WHERE second_factors.confirmed_at_ms IS NULL";
        let started = run!(self.tx.connection(), sqlx::query(query).bind(account_id).bind(&seed.0[..]))?;
        Ok(started == 1)
    }

    /// The second factor is asked for from now on: a code of it was right. Uses that code up, and ends the account's sessions, which were
    /// started without. Answers `false` when there is none to be confirmed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn confirm_second_factor(
        &mut self,
        account_id: i64,
        step: i64,
        codes: &[RecoveryHash],
        now: UnixMillis,
    ) -> Result<bool, QueryError> {
        let query = "UPDATE second_factors SET confirmed_at_ms = $1, last_step = $2 \
                     WHERE account_id = $3 AND confirmed_at_ms IS NULL";
        if run!(self.tx.connection(), sqlx::query(query).bind(now.0).bind(step).bind(account_id))? == 0 {
            return Ok(false);
        }
        self.replace_recovery_codes(account_id, codes).await?;
        let query = "UPDATE accounts SET session_epoch = session_epoch + 1 WHERE id = $1";
        run!(self.tx.connection(), sqlx::query(query).bind(account_id))?;
        self.end_sessions(account_id, SessionsToEnd::All).await?;
        Ok(true)
    }

    /// Other recovery codes instead of those there are.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn replace_recovery_codes(&mut self, account_id: i64, codes: &[RecoveryHash]) -> Result<(), QueryError> {
        let query = "DELETE FROM recovery_codes WHERE account_id = $1";
        run!(self.tx.connection(), sqlx::query(query).bind(account_id))?;
        for code in codes {
            let query = "INSERT INTO recovery_codes (account_id, code_hash) VALUES ($1, $2)";
            run!(self.tx.connection(), sqlx::query(query).bind(account_id).bind(&code.0[..]))?;
        }
        Ok(())
    }

    /// The account has no second factor any more. Answers whether it had one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remove_second_factor(&mut self, account_id: i64) -> Result<bool, QueryError> {
        self.replace_recovery_codes(account_id, &[]).await?;
        let query = "DELETE FROM second_factors WHERE account_id = $1";
        let removed = run!(self.tx.connection(), sqlx::query(query).bind(account_id))? == 1;
        // Where the role asks for one, its sockets have to go.
        self.tell_servers().await?;
        Ok(removed)
    }
}
