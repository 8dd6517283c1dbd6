//! Sessions: who is signed in. A row carries the SHA-256 of the session's id and never the id itself: 128 random bits cannot
//! be guessed back from it, so it needs neither salt nor a slow hash. Nothing here writes a row that is gone, so that a session
//! that was ended stays ended whatever request was still under way.

use super::{
    Change, Database, QueryError,
    pool::{Columns, Pool, on, run},
};
use crate::{model::Actor, network::network};
use app::model::{account::AccountSession, time::UnixMillis};
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tower_sessions::{
    session::{Id, Record},
    session_store,
};

/// Where the session layer keeps its sessions.
#[derive(Clone, Debug)]
pub struct SessionStore {
    pool: Pool,
}

/// What stands for a session's id in the database.
pub(super) fn id_hash(id: &Id) -> Vec<u8> {
    Sha256::digest(id.0.to_be_bytes()).to_vec()
}

fn unix_millis(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

fn time_of(unix_millis: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_millis) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn encode(record: &Record) -> session_store::Result<String> {
    serde_json::to_string(&record.data).map_err(|error| session_store::Error::Encode(error.to_string()))
}

fn backend(error: sqlx::Error) -> session_store::Error {
    session_store::Error::Backend(error.to_string())
}

#[async_trait]
impl tower_sessions::SessionStore for SessionStore {
    async fn create(&self, record: &mut Record) -> session_store::Result<()> {
        // Two equal ids do not happen; should they, the table refuses the second one.
        let (data, expires) = (encode(record)?, unix_millis(record.expiry_date));
        let query = "INSERT INTO sessions (id_hash, data, expires_at_ms) VALUES ($1, $2, $3)";
        run!(&self.pool, sqlx::query(query).bind(id_hash(&record.id)).bind(data).bind(expires)).map_err(backend)?;
        Ok(())
    }

    /// Writes nothing when the session was ended meanwhile.
    async fn save(&self, record: &Record) -> session_store::Result<()> {
        let (data, expires) = (encode(record)?, unix_millis(record.expiry_date));
        let query = "UPDATE sessions SET data = $1, expires_at_ms = $2 WHERE id_hash = $3";
        run!(&self.pool, sqlx::query(query).bind(data).bind(expires).bind(id_hash(&record.id))).map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> session_store::Result<Option<Record>> {
        let query = "SELECT data, expires_at_ms FROM sessions WHERE id_hash = $1 AND expires_at_ms > $2";
        let now = UnixMillis::now().0;
        let found: Option<(String, i64)> =
            on!(&self.pool, db => sqlx::query_as(query).bind(id_hash(id)).bind(now).fetch_optional(db))
                .map_err(backend)?;
        let record = |(data, expires): (String, i64)| {
            let data = serde_json::from_str(&data).map_err(|error| session_store::Error::Decode(error.to_string()))?;
            Ok(Record { id: *id, data, expiry_date: time_of(expires) })
        };
        found.map(record).transpose()
    }

    async fn delete(&self, id: &Id) -> session_store::Result<()> {
        let query = "DELETE FROM sessions WHERE id_hash = $1";
        run!(&self.pool, sqlx::query(query).bind(id_hash(id))).map_err(backend)?;
        Ok(())
    }
}

impl Database {
    /// The store for the session layer.
    #[must_use]
    pub fn session_store(&self) -> SessionStore {
        SessionStore { pool: self.pool.clone() }
    }

    /// When a session ends unless it is used; `None` when it has ended.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_end(&self, id: &Id, now: UnixMillis) -> Result<Option<OffsetDateTime>, QueryError> {
        let query = "SELECT expires_at_ms FROM sessions WHERE id_hash = $1 AND expires_at_ms > $2";
        let end: Option<i64> =
            on!(&self.pool, db => sqlx::query_scalar(query).bind(id_hash(id)).bind(now.0).fetch_optional(db))?;
        Ok(end.map(time_of))
    }

    /// Notes who a new session belongs to, and from where it was started: that network is known from now on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_started(
        &self,
        id: &Id,
        account_id: i64,
        actor: &Actor,
        now: UnixMillis,
    ) -> Result<(), QueryError> {
        let query = "UPDATE sessions SET account_id = $1, signed_in_at_ms = $2, last_used_at_ms = $2, address = $3, \
                     user_agent = $4 WHERE id_hash = $5";
        run!(
            &self.pool,
            sqlx::query(query)
                .bind(account_id)
                .bind(now.0)
                .bind(actor.address.map(|address| address.to_string()))
                .bind(&actor.user_agent)
                .bind(id_hash(id))
        )?;
        match actor.address {
            Some(address) => self.note_network(account_id, network(address), now).await,
            None => Ok(()),
        }
    }

    /// When somebody signed in with a session; `None` when that is not known.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn signed_in_at(&self, id: &Id) -> Result<Option<UnixMillis>, QueryError> {
        let query = "SELECT signed_in_at_ms FROM sessions WHERE id_hash = $1";
        let at: Option<Option<i64>> =
            on!(&self.pool, db => sqlx::query_scalar(query).bind(id_hash(id)).fetch_optional(db))?;
        Ok(at.flatten().map(UnixMillis))
    }

    /// Moves the end of a session that is used now; answers whether it was still there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prolong_session(&self, id: &Id, end: OffsetDateTime, now: UnixMillis) -> Result<bool, QueryError> {
        let query = "UPDATE sessions SET expires_at_ms = $1, last_used_at_ms = $2 WHERE id_hash = $3";
        let query = run!(&self.pool, sqlx::query(query).bind(unix_millis(end)).bind(now.0).bind(id_hash(id)));
        Ok(query? == 1)
    }

    /// The live sessions of an account, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_sessions(
        &self,
        account_id: i64,
        own: &Id,
        now: UnixMillis,
    ) -> Result<Vec<AccountSession>, QueryError> {
        let query = "SELECT number, signed_in_at_ms, last_used_at_ms, address, user_agent, id_hash = $1 AS is_own \
                     FROM sessions WHERE account_id = $2 AND expires_at_ms > $3 ORDER BY number DESC";
        let rows: Vec<SessionRow> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(id_hash(own))
            .bind(account_id)
            .bind(now.0)
            .fetch_all(db))?;
        Ok(rows.into_iter().map(|SessionRow(session)| session).collect())
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
            if let Err(error) = self.delete_expired_sessions(UnixMillis::now()).await {
                tracing::warn!(%error, "Expired sessions could not be deleted; trying again later");
            }
        }
    }

    async fn delete_expired_sessions(&self, now: UnixMillis) -> Result<(), QueryError> {
        run!(&self.pool, sqlx::query("DELETE FROM sessions WHERE expires_at_ms <= $1").bind(now.0))?;
        Ok(())
    }
}

struct SessionRow(AccountSession);

impl<R: Columns> sqlx::FromRow<'_, R> for SessionRow {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        Ok(Self(AccountSession {
            id: row.read("number")?,
            signed_in_at: UnixMillis(row.read("signed_in_at_ms")?),
            last_used_at: UnixMillis(row.read("last_used_at_ms")?),
            address: row.read("address")?,
            user_agent: row.read("user_agent")?,
            is_own: row.read("is_own")?,
        }))
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
            SessionsToEnd::Others(id) => (Some(id_hash(id)), None),
            SessionsToEnd::One(id) => (None, Some(id)),
        };
        let query = "DELETE FROM sessions WHERE account_id = $1 AND id_hash IS DISTINCT FROM $2 \
                     AND ($3 IS NULL OR number = $3)";
        Ok(run!(self.tx.connection(), sqlx::query(query).bind(account_id).bind(but).bind(only))?)
    }
}

#[cfg(test)]
mod tests {
    use super::unix_millis;
    use crate::auth::testing;
    use app::model::time::UnixMillis;
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
        for (_home, database) in testing::databases().await {
            let mut session = record(time::Duration::hours(1));
            let store = database.session_store();
            store.create(&mut session).await.unwrap();

            let (now, end) = (UnixMillis::now(), OffsetDateTime::now_utc() + time::Duration::hours(5));
            assert!(database.prolong_session(&session.id, end, now).await.unwrap());
            let moved = database.session_end(&session.id, now).await.unwrap().unwrap();
            assert!((end - moved).abs() < time::Duration::milliseconds(2), "{moved}");

            store.delete(&session.id).await.unwrap();
            assert!(!database.prolong_session(&session.id, end, now).await.unwrap());
            assert_eq!(database.session_end(&session.id, now).await.unwrap(), None);
            assert!(store.load(&session.id).await.unwrap().is_none());

            // A request that was under way when the session ended, and saves it.
            store.save(&session).await.unwrap();
            assert!(store.load(&session.id).await.unwrap().is_none(), "ended is ended");
        }
    }

    #[tokio::test]
    async fn what_the_layer_keeps_in_a_session_comes_back() {
        for (_home, database) in testing::databases().await {
            let store = database.session_store();
            let mut session = record(time::Duration::hours(1));
            session.data.insert("axum-login.data".into(), serde_json::json!({"user_id": 7, "auth_hash": [0, 1, 255]}));
            store.create(&mut session).await.unwrap();
            session.data.insert("more".into(), serde_json::json!("é"));
            store.save(&session).await.unwrap();
            let loaded = store.load(&session.id).await.unwrap().unwrap();
            assert_eq!(loaded.data, session.data);
            assert!(store.load(&Id::default()).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn a_session_has_ended_at_its_end_and_is_swept_from_then_on() {
        for (_home, database) in testing::databases().await {
            let (mut short, mut long) = (record(time::Duration::hours(1)), record(time::Duration::hours(2)));
            for session in [&mut short, &mut long] {
                database.session_store().create(session).await.unwrap();
            }
            let count = || database.number("SELECT COUNT(*) FROM sessions");
            let end = UnixMillis(unix_millis(short.expiry_date));
            let before = UnixMillis(end.0 - 1);
            assert!(database.session_end(&short.id, before).await.unwrap().is_some());
            database.delete_expired_sessions(before).await.unwrap();
            assert_eq!(count().await, 2);

            assert_eq!(database.session_end(&short.id, end).await.unwrap(), None, "swept or not");
            database.delete_expired_sessions(end).await.unwrap();
            assert_eq!(count().await, 1);
            assert!(database.session_end(&long.id, end).await.unwrap().is_some());

            let stop = CancellationToken::new();
            stop.cancel();
            database.clone().sweep_sessions(Duration::from_secs(3600), stop).await;
            assert_eq!(count().await, 1, "told to stop, it does");
        }
    }

    /// A database of the version before sessions were hashed: its sessions end, and who signed in from where is taken over.
    #[tokio::test]
    async fn older_sessions_end_and_where_people_signed_in_from_is_known() {
        use crate::model::{Action, Actor, Entry};
        use sqlx::Row;

        let folder = tempfile::tempdir().unwrap();
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("old.db")).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        for migration in [
            include_str!("../../migrations/sqlite/0001_accounts.sql"),
            include_str!("../../migrations/sqlite/0002_security.sql"),
            "CREATE TABLE tower_sessions (id TEXT PRIMARY KEY NOT NULL, data BLOB NOT NULL, expiry_date INTEGER NOT NULL); \
             INSERT INTO tower_sessions VALUES ('an old id', x'00', '2099-01-01'); \
             INSERT INTO accounts (email, role, password_hash, created_at_ms) VALUES ('ann@x', 'admin', 'hash', 0)",
        ] {
            sqlx::raw_sql(migration).execute(&pool).await.unwrap();
        }
        for (address, outcome) in
            [("192.0.2.1", true), ("192.0.2.1", true), ("192.0.2.2", false), ("2001:db8::1", true)]
        {
            let ann = Actor { name: Some("ann@x".into()), address: address.parse().ok(), ..Actor::default() };
            let act = if outcome { ann.does(Action::SignIn) } else { ann.is_refused(Action::SignIn, "no") };
            let mut connection = pool.acquire().await.unwrap();
            let connection = crate::database::pool::Either::Sqlite(&mut *connection);
            crate::database::audit::append(connection, &Entry { act, at: UnixMillis(7), occurrences: 1 })
                .await
                .unwrap();
        }
        sqlx::raw_sql(include_str!("../../migrations/sqlite/0006_sign_in.sql")).execute(&pool).await.unwrap();

        let known = sqlx::query("SELECT account_id, network FROM known_networks").fetch_all(&pool).await.unwrap();
        let known: Vec<(i64, String)> = known.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(known, [(1, "192.0.2.1".to_owned())]);
        assert!(sqlx::query("SELECT * FROM tower_sessions").fetch_all(&pool).await.is_err());
        let sessions: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sessions").fetch_one(&pool).await.unwrap();
        assert_eq!(sessions, 0);
    }
}
