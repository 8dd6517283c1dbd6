//! Screens on walls. A row carries the SHA-256 of what is in the screen's cookie.

use super::{
    Change, Database, QueryError,
    pool::{on, run},
};
use crate::model::{Actor, TokenHash};
use app::model::time::UnixMillis;
use std::net::IpAddr;

/// How long a code can be used.
const CODE_LASTS_MS: i64 = 600_000;
/// Screens that wait to be paired at once; the door is open to strangers.
const WAITING_MAX: i64 = 200;
const USE_NOTED_EVERY_MS: i64 = 60_000;

/// A screen, paired or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Never given twice.
    pub id: i64,
    /// While it waits to be paired.
    pub code: Option<String>,
    /// Once it is paired.
    pub name: Option<String>,
    /// By whom.
    pub paired_by: Option<String>,
    /// When the code, or the right to look, ends.
    pub ends_at: UnixMillis,
    /// From where it asked, or came last.
    pub address: Option<String>,
    /// What its browser called itself.
    pub user_agent: Option<String>,
    /// To the minute.
    pub last_used_at: UnixMillis,
}

type Row = (i64, Option<String>, Option<String>, Option<String>, i64, Option<String>, Option<String>, i64);

fn screen((id, code, name, paired_by, ends_at, address, user_agent, last_used_at): Row) -> Screen {
    let (ends_at, last_used_at) = (UnixMillis(ends_at), UnixMillis(last_used_at));
    Screen { id, code, name, paired_by, ends_at, address, user_agent, last_used_at }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, code, name, paired_by, ends_at_ms, address, user_agent, last_used_at_ms FROM screens ",
            $rest
        )
    };
}

impl Database {
    /// The screen with a hash, if it or its code has not ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn screen_by_hash(&self, hash: &TokenHash, now: UnixMillis) -> Result<Option<Screen>, QueryError> {
        let query = select!("WHERE secret_hash = $1 AND ends_at_ms > $2");
        let row: Option<Row> =
            on!(&self.pool, db => sqlx::query_as(query).bind(&hash.0[..]).bind(now.0).fetch_optional(db))?;
        Ok(row.map(screen))
    }

    /// The screen that shows a code.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn screen_by_code(&self, code: &str, now: UnixMillis) -> Result<Option<Screen>, QueryError> {
        let query = select!("WHERE code = $1 AND ends_at_ms > $2");
        let row: Option<Row> = on!(&self.pool, db => sqlx::query_as(query).bind(code).bind(now.0).fetch_optional(db))?;
        Ok(row.map(screen))
    }

    /// Is the screen still paired, and has not ended?
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_live_screen(&self, id: i64, now: UnixMillis) -> Result<bool, QueryError> {
        let query = "SELECT id FROM screens WHERE id = $1 AND ends_at_ms > $2 AND name IS NOT NULL";
        let found: Option<i64> =
            on!(&self.pool, db => sqlx::query_scalar(query).bind(id).bind(now.0).fetch_optional(db))?;
        Ok(found.is_some())
    }

    /// The paired screens, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn screens(&self, now: UnixMillis) -> Result<Vec<Screen>, QueryError> {
        let query = select!("WHERE name IS NOT NULL AND ends_at_ms > $1 ORDER BY name, id");
        let rows: Vec<Row> = on!(&self.pool, db => sqlx::query_as(query).bind(now.0).fetch_all(db))?;
        Ok(rows.into_iter().map(screen).collect())
    }

    /// Notes a screen that waits to be paired; answers whether there was room for it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn add_screen(
        &self,
        hash: &TokenHash,
        code: &str,
        actor: &Actor,
        now: UnixMillis,
    ) -> Result<bool, QueryError> {
        run!(&self.pool, sqlx::query("DELETE FROM screens WHERE ends_at_ms <= $1").bind(now.0))?;
        let query = "SELECT COUNT(*) FROM screens WHERE name IS NULL";
        let waiting: i64 = on!(&self.pool, db => sqlx::query_scalar(query).fetch_one(db))?;
        if waiting >= WAITING_MAX {
            return Ok(false);
        }
        let query = "INSERT INTO screens (secret_hash, code, ends_at_ms, address, user_agent, last_used_at_ms) \
                     VALUES ($1, $2, $3, $4, $5, $6)";
        run!(
            &self.pool,
            sqlx::query(query)
                .bind(&hash.0[..])
                .bind(code)
                .bind(now.0 + CODE_LASTS_MS)
                .bind(actor.address.map(|address| address.to_string()))
                .bind(&actor.user_agent)
                .bind(now.0)
        )?;
        Ok(true)
    }

    /// Another secret for a screen, whose old one is void: who saw it while the screen waited has nothing of it. Answers whether the old
    /// one was still good.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn change_screen_secret(&self, old: &TokenHash, new: &TokenHash) -> Result<bool, QueryError> {
        let query = "UPDATE screens SET secret_hash = $1 WHERE secret_hash = $2";
        let changed = run!(&self.pool, sqlx::query(query).bind(&new.0[..]).bind(&old.0[..]))?;
        Ok(changed == 1)
    }

    /// Notes that a screen is there, and from where: at most once a minute.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_screen_use(&self, id: i64, from: IpAddr, now: UnixMillis) -> Result<(), QueryError> {
        let query = "UPDATE screens SET last_used_at_ms = $1, address = $2 WHERE id = $3 AND last_used_at_ms < $4";
        let before = now.0 - USE_NOTED_EVERY_MS;
        run!(&self.pool, sqlx::query(query).bind(now.0).bind(from.to_string()).bind(id).bind(before))?;
        Ok(())
    }
}

impl Change {
    /// The screen that shows a code may look from now on. Answers whether there is such a one; a code is used up with that.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pair_screen(
        &mut self,
        code: &str,
        name: &str,
        by: &str,
        ends_at: UnixMillis,
        now: UnixMillis,
    ) -> Result<bool, QueryError> {
        let query = "UPDATE screens SET code = NULL, name = $1, paired_by = $2, paired_at_ms = $3, ends_at_ms = $4 \
                     WHERE code = $5 AND ends_at_ms > $6";
        let paired = run!(
            self.tx.connection(),
            sqlx::query(query).bind(name).bind(by).bind(now.0).bind(ends_at.0).bind(code).bind(now.0)
        )?;
        Ok(paired == 1)
    }

    /// Ends a screen; answers its name, if there was such a one.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_screen(&mut self, id: i64) -> Result<Option<String>, QueryError> {
        let query = "DELETE FROM screens WHERE id = $1 AND name IS NOT NULL RETURNING name";
        let connection = self.tx.connection();
        let name: Option<String> = on!(connection, db => sqlx::query_scalar(query).bind(id).fetch_optional(db))?;
        self.tell_servers().await?;
        Ok(name)
    }
}
