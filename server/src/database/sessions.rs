//! Sessions: who is signed in. The rows belong to the session layer's store; what is here beside it never writes a row that
//! is gone, so that a session that was ended stays ended whatever request was still under way.

use super::{Change, Database, QueryError};
use crate::audit::Actor;
use app::model::{account::AccountSession, time::UnixMillis};
use sqlx::{Row, sqlite::SqliteRow};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tower_sessions::{ExpiredDeletion, session::Id};

/// The store that the session layer keeps its sessions in.
pub use tower_sessions_sqlx_store::SqliteStore as SessionStore;

impl Database {
    /// The store for the session layer.
    #[must_use]
    pub fn session_store(&self) -> SessionStore {
        SessionStore::new(self.pool.clone())
    }

    /// When a session ends unless it is used; `None` when it has ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_end(&self, id: &Id) -> Result<Option<OffsetDateTime>, QueryError> {
        let query = "SELECT expiry_date FROM tower_sessions WHERE id = ? AND expiry_date > ?";
        Ok(sqlx::query_scalar(query)
            .bind(id.to_string())
            .bind(OffsetDateTime::now_utc())
            .fetch_optional(&self.pool)
            .await?)
    }

    /// Notes who a new session belongs to, and from where it was started.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_started(&self, id: &Id, account_id: i64, actor: &Actor) -> Result<(), QueryError> {
        let now = UnixMillis::now().0;
        sqlx::query(
            "INSERT INTO account_sessions (session_id, account_id, signed_in_at_ms, last_used_at_ms, address, \
             user_agent) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(id.to_string())
        .bind(account_id)
        .bind(now)
        .bind(now)
        .bind(actor.address.map(|address| address.to_string()))
        .bind(&actor.user_agent)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// When somebody signed in with a session; `None` when that is not known.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signed_in_at(&self, id: &Id) -> Result<Option<UnixMillis>, QueryError> {
        let query = "SELECT signed_in_at_ms FROM account_sessions WHERE session_id = ?";
        let at: Option<i64> = sqlx::query_scalar(query).bind(id.to_string()).fetch_optional(&self.pool).await?;
        Ok(at.map(UnixMillis))
    }

    /// Moves the end of a session that is used now; answers whether it was still there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prolong_session(&self, id: &Id, end: OffsetDateTime) -> Result<bool, QueryError> {
        let done = sqlx::query("UPDATE tower_sessions SET expiry_date = ? WHERE id = ?")
            .bind(end)
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        sqlx::query("UPDATE account_sessions SET last_used_at_ms = ? WHERE session_id = ?")
            .bind(UnixMillis::now().0)
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The live sessions of an account, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_sessions(&self, account_id: i64, own: &Id) -> Result<Vec<AccountSession>, QueryError> {
        let rows = sqlx::query(
            "SELECT s.id, s.signed_in_at_ms, s.last_used_at_ms, s.address, s.user_agent, s.session_id = ? AS is_own \
             FROM account_sessions s JOIN tower_sessions t ON t.id = s.session_id \
             WHERE s.account_id = ? AND t.expiry_date > ? ORDER BY s.id DESC",
        )
        .bind(own.to_string())
        .bind(account_id)
        .bind(OffsetDateTime::now_utc())
        .fetch_all(&self.pool)
        .await?;
        let session = |row: &SqliteRow| {
            Ok(AccountSession {
                id: row.try_get("id")?,
                signed_in_at: UnixMillis(row.try_get("signed_in_at_ms")?),
                last_used_at: UnixMillis(row.try_get("last_used_at_ms")?),
                address: row.try_get("address")?,
                user_agent: row.try_get("user_agent")?,
                is_own: row.try_get("is_own")?,
            })
        };
        Ok(rows.iter().map(session).collect::<sqlx::Result<_>>()?)
    }

    /// Has this account ever been signed in with from this address, as far as the audit log goes back?
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_signed_in(&self, email: &str, address: &str) -> Result<bool, QueryError> {
        let query = "SELECT EXISTS (SELECT 1 FROM audit WHERE actor = ? AND address = ? AND action = 'sign_in' \
                     AND outcome = 'ok')";
        Ok(sqlx::query_scalar(query).bind(email).bind(address).fetch_one(&self.pool).await?)
    }

    /// Deletes expired sessions now and then until stopped. They are refused without it too; this keeps the file small.
    pub async fn sweep_sessions(self, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.delete_expired_sessions().await {
                tracing::warn!(%error, "Expired sessions could not be deleted; trying again later");
            }
        }
    }

    async fn delete_expired_sessions(&self) -> anyhow::Result<()> {
        self.session_store().delete_expired().await?;
        // Those that were ended otherwise, too.
        let query = "DELETE FROM account_sessions WHERE session_id NOT IN (SELECT id FROM tower_sessions)";
        sqlx::query(query).execute(&self.pool).await?;
        Ok(())
    }
}

/// Which sessions of an account are to end.
#[derive(Clone, Copy, Debug)]
pub enum SessionsToEnd<'a> {
    /// All.
    All,
    /// All but the one that says so.
    Others(&'a Id),
    /// One, by the number that [`AccountSession`] shows.
    One(i64),
}

impl Change {
    /// Ends sessions of an account; answers how many there were.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_sessions(&mut self, account_id: i64, which: SessionsToEnd<'_>) -> Result<u64, QueryError> {
        let (but, only) = match which {
            SessionsToEnd::All => (None, None),
            SessionsToEnd::Others(id) => (Some(id.to_string()), None),
            SessionsToEnd::One(id) => (None, Some(id)),
        };
        let done = sqlx::query(
            "DELETE FROM tower_sessions WHERE id IN (SELECT session_id FROM account_sessions \
             WHERE account_id = ? AND session_id IS NOT ? AND (? IS NULL OR id = ?))",
        )
        .bind(account_id)
        .bind(but)
        .bind(only)
        .bind(only)
        .execute(&mut *self.transaction)
        .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::testing;
    use std::{collections::HashMap, time::Duration};
    use time::OffsetDateTime;
    use tokio_util::sync::CancellationToken;
    use tower_sessions::{
        SessionStore as _,
        session::{Id, Record},
    };

    fn record(ends_in: time::Duration) -> Record {
        Record { id: Id::default(), data: HashMap::new(), expiry_date: OffsetDateTime::now_utc() + ends_in }
    }

    #[tokio::test]
    async fn an_ended_session_is_never_prolonged() {
        let (_folder, database) = testing::database().await;
        let mut session = record(time::Duration::hours(1));
        let store = database.session_store();
        store.create(&mut session).await.unwrap();

        let end = OffsetDateTime::now_utc() + time::Duration::hours(5);
        assert!(database.prolong_session(&session.id, end).await.unwrap());
        assert_eq!(database.session_end(&session.id).await.unwrap(), Some(end));

        store.delete(&session.id).await.unwrap();
        assert!(!database.prolong_session(&session.id, end).await.unwrap());
        assert_eq!(database.session_end(&session.id).await.unwrap(), None);
        assert!(store.load(&session.id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_sweep_deletes_expired_sessions_only_and_stops_when_told() {
        let (_folder, database) = testing::database().await;
        let (mut old, mut live) = (record(-time::Duration::hours(1)), record(time::Duration::hours(1)));
        for session in [&mut old, &mut live] {
            database.session_store().create(session).await.unwrap();
        }
        assert_eq!(database.session_end(&old.id).await.unwrap(), None, "expired is ended, swept or not");

        let stop = CancellationToken::new();
        let sweep = tokio::spawn(database.clone().sweep_sessions(Duration::from_secs(3600), stop.clone()));
        let count = || async {
            sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM tower_sessions").fetch_one(&database.pool).await.unwrap()
        };
        for _ in 0..200 {
            if count().await == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(count().await, 1);
        assert!(database.session_end(&live.id).await.unwrap().is_some());
        stop.cancel();
        sweep.await.unwrap();
    }
}
