//! Sessions: who is signed in. The rows belong to the session layer's store; what is here beside it never writes a row that
//! is gone, so that a session that was ended stays ended whatever request was still under way.

use super::{Database, QueryError};
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

    /// Moves the end of a session; answers whether the session was still there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prolong_session(&self, id: &Id, end: OffsetDateTime) -> Result<bool, QueryError> {
        let done = sqlx::query("UPDATE tower_sessions SET expiry_date = ? WHERE id = ?")
            .bind(end)
            .bind(id.to_string())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Deletes expired sessions now and then until stopped. They are refused without it too; this keeps the file small.
    pub async fn sweep_sessions(self, every: Duration, stop: CancellationToken) {
        let store = self.session_store();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = store.delete_expired().await {
                tracing::warn!(%error, "Expired sessions could not be deleted; trying again later");
            }
        }
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
