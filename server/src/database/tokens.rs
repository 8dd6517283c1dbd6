//! API tokens. A row carries the SHA-256 of the token and never the token itself; a token that is revoked has no row.

use super::{
    Change, Database, QueryError,
    pool::{Columns, on, run},
};
use crate::model::{Action, Actor, Scope, TokenHash, TokenName};
use app::model::{account::ApiToken, time::UnixMillis};
use std::net::IpAddr;

const DAY_MS: i64 = 86_400_000;
/// How often the use of a token is noted: a request is not a write.
const USE_NOTED_EVERY_MS: i64 = 60_000;

/// A token to be made.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// How it is called.
    pub name: TokenName,
    /// What it is for.
    pub scope: Scope,
    /// Who makes it.
    pub made_by: String,
    /// When it is made.
    pub made_at: UnixMillis,
    /// When it ends.
    pub ends_at: UnixMillis,
    /// What is kept of it.
    pub hash: TokenHash,
}

impl NewToken {
    /// A token that lasts so many days from now on.
    #[must_use]
    pub fn lasting(
        days: u32,
        now: UnixMillis,
        name: TokenName,
        scope: Scope,
        made_by: String,
        hash: TokenHash,
    ) -> Self {
        let ends_at = UnixMillis(now.0 + i64::from(days) * DAY_MS);
        Self { name, scope, made_by, made_at: now, ends_at, hash }
    }
}

/// A token that has not ended.
#[derive(Clone, Debug)]
pub struct KnownToken {
    /// Never given twice.
    pub id: i64,
    /// How it is called.
    pub name: TokenName,
    /// What it is for.
    pub scope: Scope,
}

/// Why a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There is one with that name.
    #[error("there is already a token {0}; revoke it first, or choose another name")]
    Exists(TokenName),
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Database {
    /// The token with a hash, if it has not ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn token_by_hash(&self, hash: &TokenHash, now: UnixMillis) -> Result<Option<KnownToken>, QueryError> {
        let query = "SELECT id, name, scope FROM api_tokens WHERE token_hash = $1 AND ends_at_ms > $2";
        let row: Option<(i64, String, String)> =
            on!(&self.pool, db => sqlx::query_as(query).bind(&hash.0[..]).bind(now.0).fetch_optional(db))?;
        let known = |(id, name, scope): (i64, String, String)| -> sqlx::Result<KnownToken> {
            let bad = |error: String| sqlx::Error::Decode(error.into());
            Ok(KnownToken {
                id,
                name: name.parse().map_err(|_| bad(format!("the name {name:?} of a token")))?,
                scope: scope.parse().map_err(|_| bad(format!("the scope {scope:?} of a token")))?,
            })
        };
        Ok(row.map(known).transpose()?)
    }

    /// Is the token still there, and has not ended?
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_live_token(&self, id: i64, now: UnixMillis) -> Result<bool, QueryError> {
        let query = "SELECT id FROM api_tokens WHERE id = $1 AND ends_at_ms > $2";
        let found: Option<i64> =
            on!(&self.pool, db => sqlx::query_scalar(query).bind(id).bind(now.0).fetch_optional(db))?;
        Ok(found.is_some())
    }

    /// Every token, ended ones too, by name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, QueryError> {
        let query = "SELECT name, scope, made_by, made_at_ms, ends_at_ms, last_used_at_ms, last_used_from FROM api_tokens \
                     ORDER BY name";
        let rows: Vec<TokenRow> = on!(&self.pool, db => sqlx::query_as(query).fetch_all(db))?;
        Ok(rows.into_iter().map(|row| row.0).collect())
    }

    /// Notes that a token is used, and from where: at most once a minute.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_token_use(&self, id: i64, from: IpAddr, now: UnixMillis) -> Result<(), QueryError> {
        let query = "UPDATE api_tokens SET last_used_at_ms = $1, last_used_from = $2 \
                     WHERE id = $3 AND (last_used_at_ms IS NULL OR last_used_at_ms < $4)";
        let before = now.0 - USE_NOTED_EVERY_MS;
        run!(&self.pool, sqlx::query(query).bind(now.0).bind(from.to_string()).bind(id).bind(before))?;
        Ok(())
    }
}

/// A row of the list.
struct TokenRow(ApiToken);

impl<R: Columns> sqlx::FromRow<'_, R> for TokenRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        Ok(Self(ApiToken {
            name: row.read("name")?,
            scope: row.read("scope")?,
            made_by: row.read("made_by")?,
            made_at: UnixMillis(row.read("made_at_ms")?),
            ends_at: UnixMillis(row.read("ends_at_ms")?),
            last_used_at: row.read::<Option<i64>>("last_used_at_ms")?.map(UnixMillis),
            last_used_from: row.read("last_used_from")?,
        }))
    }
}

impl Change {
    /// Makes a token, on record.
    ///
    /// # Errors
    /// [`TokenError::Exists`] when the name is taken, by a token that has ended too.
    pub async fn add_token(&mut self, token: &NewToken, actor: &Actor) -> Result<(), TokenError> {
        let query = "INSERT INTO api_tokens (name, token_hash, scope, made_by, made_at_ms, ends_at_ms) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING";
        let made = run!(
            self.tx.connection(),
            sqlx::query(query)
                .bind(token.name.as_str())
                .bind(&token.hash.0[..])
                .bind(token.scope.as_str())
                .bind(&token.made_by)
                .bind(token.made_at.0)
                .bind(token.ends_at.0)
        )
        .map_err(QueryError)?;
        if made == 0 {
            return Err(TokenError::Exists(token.name.clone()));
        }
        let what = format!("{}, until {}", token.scope, token.ends_at);
        self.record(&actor.does(Action::TokenAdd).to(token.name.actor()).because(what)).await?;
        Ok(())
    }

    /// Ends a token; servers hear of it as of a change of an account. Answers whether there was such a token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_token(&mut self, name: &TokenName) -> Result<bool, QueryError> {
        let query = "DELETE FROM api_tokens WHERE name = $1";
        let revoked = run!(self.tx.connection(), sqlx::query(query).bind(name.as_str()))?;
        self.tell_servers().await?;
        Ok(revoked == 1)
    }

    /// Servers look whether whoever has a socket may stay.
    pub(super) async fn tell_servers(&mut self) -> Result<(), QueryError> {
        let query = "UPDATE auth_revision SET revision = revision + 1 WHERE id = 1";
        run!(self.tx.connection(), sqlx::query(query))?;
        Ok(())
    }
}
