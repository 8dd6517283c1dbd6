//! Accounts and sessions of people who sign in at an identity provider.

use super::{
    Change, Database, QueryError,
    pool::{on, run},
    sessions::id_hash,
};
use crate::model::{Account, Identity};
use app::model::time::UnixMillis;
use tower_sessions::session::Id;

/// How many sessions are looked at in one go.
const DUE_MAX: i64 = 50;

/// What is kept of a session that was started at the provider. `Debug` would show sealed tokens alone.
#[derive(Clone, Debug)]
pub struct OidcSession {
    /// What the provider calls its own session.
    pub sid: Option<String>,
    /// Of the ID token, by the provider's clock, in seconds.
    pub issued_at_s: i64,
    /// When somebody last showed the provider who they are, by its clock, if it said so.
    pub authenticated_at_s: Option<i64>,
    /// The provider's tokens, sealed.
    pub tokens: Vec<u8>,
}

/// A session whose role is to be taken anew.
#[derive(Clone, Debug)]
pub struct DueSession {
    /// As in `sessions`.
    pub number: i64,
    /// Whose it is.
    pub account_id: i64,
    /// Who that is at the provider.
    pub identity: Identity,
    /// The provider's tokens, sealed.
    pub tokens: Vec<u8>,
    /// When that was done last.
    pub checked_at: UnixMillis,
}

/// Whose sessions a provider ends.
#[derive(Clone, Debug)]
pub struct EndedElsewhere {
    /// Which provider.
    pub issuer: String,
    /// Of whom; of nobody in particular, `sid` says which session.
    pub subject: Option<String>,
    /// Which of them, by the provider's name for it.
    pub sid: Option<String>,
    /// Those alone whose ID token is not newer: a message that is sent once more ends nothing that began after it.
    pub issued_at_s: i64,
}

type SessionRow = (Option<String>, i64, Option<i64>, Vec<u8>);

impl Database {
    /// The account of somebody at a provider.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_by_identity(&self, identity: &Identity) -> Result<Option<Account>, QueryError> {
        let query = "SELECT account_id FROM oidc_identities WHERE issuer = $1 AND subject = $2";
        let id: Option<i64> = on!(&self.pool, db => sqlx::query_scalar(query)
            .bind(&identity.issuer)
            .bind(&identity.subject)
            .fetch_optional(db))?;
        match id {
            Some(id) => self.account_by_id(id).await,
            None => Ok(None),
        }
    }

    /// Notes that a session was started at the provider; answers whether the session was still there.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn note_oidc_session(&self, id: &Id, session: &OidcSession, now: UnixMillis) -> Result<bool, QueryError> {
        let query = "INSERT INTO oidc_sessions (session_number, sid, issued_at_s, authenticated_at_s, tokens, checked_at_ms) \
                     SELECT number, $1, $2, $3, $4, $5 FROM sessions WHERE id_hash = $6";
        let noted = run!(
            &self.pool,
            sqlx::query(query)
                .bind(&session.sid)
                .bind(session.issued_at_s)
                .bind(session.authenticated_at_s)
                .bind(&session.tokens)
                .bind(now.0)
                .bind(id_hash(id))
        )?;
        Ok(noted == 1)
    }

    /// What is kept of a session, if it was started at the provider.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn oidc_session(&self, id: &Id) -> Result<Option<OidcSession>, QueryError> {
        let query = "SELECT sid, issued_at_s, authenticated_at_s, tokens FROM oidc_sessions \
                     WHERE session_number = (SELECT number FROM sessions WHERE id_hash = $1)";
        let row: Option<SessionRow> =
            on!(&self.pool, db => sqlx::query_as(query).bind(id_hash(id)).fetch_optional(db))?;
        Ok(row.map(|(sid, issued_at_s, authenticated_at_s, tokens)| OidcSession {
            sid,
            issued_at_s,
            authenticated_at_s,
            tokens,
        }))
    }

    /// Live sessions of a provider's whose role was taken before `before`, and is no longer anybody else's to take: whoever
    /// gets one here has it for as long as others look for those that are as old.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_due_oidc_sessions(
        &self,
        issuer: &str,
        before: UnixMillis,
        now: UnixMillis,
    ) -> Result<Vec<DueSession>, QueryError> {
        let query = "SELECT session_number, oidc_identities.account_id, issuer, subject, tokens, checked_at_ms \
                     FROM oidc_sessions JOIN sessions ON number = session_number \
                     JOIN oidc_identities ON oidc_identities.account_id = sessions.account_id \
                     WHERE issuer = $1 AND checked_at_ms < $2 AND expires_at_ms > $3 ORDER BY checked_at_ms LIMIT $4";
        let rows: Vec<(i64, i64, String, String, Vec<u8>, i64)> = on!(&self.pool, db => sqlx::query_as(query)
            .bind(issuer)
            .bind(before.0)
            .bind(now.0)
            .bind(DUE_MAX)
            .fetch_all(db))?;
        let mut taken = Vec::new();
        for (number, account_id, issuer, subject, tokens, checked_at) in rows {
            let session = DueSession {
                number,
                account_id,
                identity: Identity { issuer, subject },
                tokens,
                checked_at: UnixMillis(checked_at),
            };
            if self.move_oidc_check(&session, session.checked_at, now).await? {
                taken.push(session);
            }
        }
        Ok(taken)
    }

    /// Says when a session's role was taken, if it was `from` so far; answers whether it was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn move_oidc_check(
        &self,
        session: &DueSession,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<bool, QueryError> {
        let query = "UPDATE oidc_sessions SET checked_at_ms = $1 WHERE session_number = $2 AND checked_at_ms = $3";
        Ok(run!(&self.pool, sqlx::query(query).bind(to.0).bind(session.number).bind(from.0))? == 1)
    }

    /// Keeps the tokens that a provider gave for those that it had given before.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_oidc_tokens(&self, session: &DueSession, tokens: &[u8]) -> Result<(), QueryError> {
        let query = "UPDATE oidc_sessions SET tokens = $1 WHERE session_number = $2";
        run!(&self.pool, sqlx::query(query).bind(tokens).bind(session.number))?;
        Ok(())
    }
}

impl Change {
    /// Notes who an account is at a provider.
    ///
    /// # Errors
    /// When the database does not answer, or somebody else is it.
    pub async fn add_identity(&mut self, account_id: i64, identity: &Identity) -> Result<(), QueryError> {
        let query = "INSERT INTO oidc_identities (account_id, issuer, subject) VALUES ($1, $2, $3)";
        run!(self.tx.connection(), sqlx::query(query).bind(account_id).bind(&identity.issuer).bind(&identity.subject))?;
        Ok(())
    }

    /// Is a session still there?
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_session(&mut self, session: &DueSession) -> Result<bool, QueryError> {
        let query = "SELECT COUNT(*) FROM sessions WHERE number = $1";
        let count: i64 = on!(self.tx.connection(), db => sqlx::query_scalar(query).bind(session.number).fetch_one(db))?;
        Ok(count == 1)
    }

    /// Ends the sessions that a provider has ended; answers how many there were.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn end_sessions_elsewhere(&mut self, ended: &EndedElsewhere) -> Result<u64, QueryError> {
        // Who tells neither the subject nor a session ends nothing. A session that the provider never named is meant by the subject.
        let query = "DELETE FROM sessions WHERE number IN (SELECT session_number FROM oidc_sessions \
                     JOIN sessions AS live ON live.number = session_number \
                     JOIN oidc_identities ON oidc_identities.account_id = live.account_id \
                     WHERE issuer = $1 AND issued_at_s <= $2 AND (subject = $3 OR ($3 IS NULL AND sid = $4)) \
                     AND ($4 IS NULL OR sid IS NULL OR sid = $4))";
        Ok(run!(
            self.tx.connection(),
            sqlx::query(query).bind(&ended.issuer).bind(ended.issued_at_s).bind(&ended.subject).bind(&ended.sid)
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::{Role, testing},
        model::{Actor, PasswordHash},
    };
    use std::collections::HashMap;
    use time::OffsetDateTime;
    use tower_sessions::{SessionStore as _, session::Record};

    async fn account(database: &Database, email: &str, subject: &str) -> i64 {
        let mut change = database.change().await.unwrap();
        let new = crate::database::NewAccount {
            email: email.parse().unwrap(),
            role: Role::Admin,
            password_hash: PasswordHash::none(),
        };
        let id = change.add_account(&new).await.unwrap();
        let identity = Identity { issuer: "https://id".into(), subject: subject.into() };
        change.add_identity(id, &identity).await.unwrap();
        change.commit().await.unwrap();
        assert!(database.account_by_identity(&identity).await.unwrap().unwrap().is_from_provider);
        id
    }

    async fn session(database: &Database, account_id: i64, sid: Option<&str>, issued_at_s: i64) -> Id {
        let expiry_date = OffsetDateTime::now_utc() + time::Duration::hours(1);
        let mut record = Record { id: Id::default(), data: HashMap::new(), expiry_date };
        database.session_store().create(&mut record).await.unwrap();
        let now = UnixMillis::now();
        database.session_started(&record.id, account_id, &Actor::default(), now).await.unwrap();
        let kept =
            OidcSession { sid: sid.map(str::to_owned), issued_at_s, authenticated_at_s: Some(7), tokens: vec![1] };
        assert!(database.note_oidc_session(&record.id, &kept, now).await.unwrap());
        record.id
    }

    #[tokio::test]
    async fn a_provider_ends_what_it_names_and_nothing_that_began_later() {
        for (_home, database) in testing::databases().await {
            let (ann, bob) = (account(&database, "ann@x", "1").await, account(&database, "bob@x", "2").await);
            let all = [
                session(&database, ann, Some("a"), 100).await,
                session(&database, ann, Some("b"), 100).await,
                session(&database, ann, None, 100).await,
                session(&database, ann, Some("a"), 200).await,
                session(&database, bob, Some("c"), 100).await,
            ];
            let live = async || {
                let mut live = Vec::new();
                for (at, id) in all.iter().enumerate() {
                    if database.session_end(id, UnixMillis::now()).await.unwrap().is_some() {
                        assert!(database.oidc_session(id).await.unwrap().is_some());
                        live.push(at);
                    }
                }
                live
            };
            let end = async |issuer: &str, subject: Option<&str>, sid: Option<&str>, issued_at_s: i64| {
                let mut change = database.change().await.unwrap();
                let ended = EndedElsewhere {
                    issuer: issuer.into(),
                    subject: subject.map(str::to_owned),
                    sid: sid.map(str::to_owned),
                    issued_at_s,
                };
                let count = change.end_sessions_elsewhere(&ended).await.unwrap();
                change.commit().await.unwrap();
                count
            };
            assert_eq!(end("https://other", Some("1"), None, 900).await, 0);
            assert_eq!(end("https://id", None, None, 900).await, 0);
            assert_eq!(end("https://id", Some("2"), Some("a"), 900).await, 0, "somebody else's");
            assert_eq!(end("https://id", Some("1"), None, 99).await, 0, "older than all of them");
            assert_eq!(end("https://id", None, Some("a"), 150).await, 1);
            assert_eq!(live().await, [1, 2, 3, 4]);
            assert_eq!(end("https://id", Some("1"), Some("b"), 150).await, 2, "and the one without a name");
            assert_eq!(live().await, [3, 4]);
            assert_eq!(end("https://id", Some("1"), None, 200).await, 1);
            assert_eq!(live().await, [4]);
        }
    }

    #[tokio::test]
    async fn a_due_session_is_taken_once() {
        for (_home, database) in testing::databases().await {
            let ann = account(&database, "ann@x", "1").await;
            session(&database, ann, None, 100).await;
            let now = UnixMillis(UnixMillis::now().0 + 1_000);
            let take = async |before: UnixMillis, now| {
                database.take_due_oidc_sessions("https://id", before, now).await.unwrap()
            };
            assert!(take(UnixMillis(now.0 - 60_000), now).await.is_empty(), "not yet");
            let (first, second) = tokio::join!(take(now, now), take(now, now));
            let taken = [first, second].concat();
            assert_eq!((taken.len(), taken[0].account_id, &*taken[0].identity.subject), (1, ann, "1"));
            database.set_oidc_tokens(&taken[0], b"other").await.unwrap();
            assert!(database.move_oidc_check(&taken[0], now, UnixMillis(0)).await.unwrap());
            assert_eq!(take(now, now).await[0].tokens, b"other");
            let mut change = database.change().await.unwrap();
            assert!(change.has_session(&taken[0]).await.unwrap());
            assert!(change.sign_out(&"ann@x".parse().unwrap()).await.unwrap());
            assert!(!change.has_session(&taken[0]).await.unwrap(), "it ended meanwhile");
        }
    }
}
