//! Accounts: who may sign in.

use super::{
    Change, Database, QueryError, SessionsToEnd,
    pool::{Columns, on, run},
};
use crate::model::{Account, Email, PasswordHash, Role};
use app::model::time::UnixMillis;

/// A query for whole accounts; `$rest` says which.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, role, password_hash, disabled, session_epoch, created_at_ms, \
             EXISTS (SELECT 1 FROM second_factors WHERE account_id = accounts.id AND confirmed_at_ms IS NOT NULL) \
             AS has_second_factor, \
             EXISTS (SELECT 1 FROM oidc_identities WHERE account_id = accounts.id) AS is_from_provider FROM accounts ",
            $rest
        )
    };
}

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its email, by which it signs in.
    pub email: Email,
    /// What it may do.
    pub role: Role,
    /// The hash of its password.
    pub password_hash: PasswordHash,
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is one with that email, however its case is written.
    #[error("there is already an account {0}")]
    Exists(Email),
    /// The database did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
}

impl Database {
    /// The account with an email.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_by_email(&self, email: &Email) -> Result<Option<Account>, QueryError> {
        let query = select!("WHERE email = $1");
        Ok(on!(&self.pool, db => sqlx::query_as(query).bind(email.as_str()).fetch_optional(db))?)
    }

    /// The account with an id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_by_id(&self, id: i64) -> Result<Option<Account>, QueryError> {
        let query = select!("WHERE id = $1");
        Ok(on!(&self.pool, db => sqlx::query_as(query).bind(id).fetch_optional(db))?)
    }

    /// Every account, by email.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accounts(&self) -> Result<Vec<Account>, QueryError> {
        let query = select!("ORDER BY email");
        Ok(on!(&self.pool, db => sqlx::query_as(query).fetch_all(db))?)
    }

    /// How many accounts there are, disabled ones too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_count(&self) -> Result<i64, QueryError> {
        Ok(on!(&self.pool, db => sqlx::query_scalar("SELECT COUNT(*) FROM accounts").fetch_one(db))?)
    }

    /// Makes an account and answers its id.
    ///
    /// # Errors
    /// [`AccountError::Exists`] when the email is taken.
    pub async fn add_account(&self, account: &NewAccount) -> Result<i64, AccountError> {
        let mut change = self.change().await?;
        let id = change.add_account(account).await?;
        change.commit().await?;
        Ok(id)
    }

    /// Replaces the hash of a password by one of the same password with today's parameters, unless another password was
    /// set meanwhile. The account's sessions go on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rehash(&self, id: i64, old: &PasswordHash, new: &PasswordHash) -> Result<(), QueryError> {
        let query = "UPDATE accounts SET password_hash = $1 WHERE id = $2 AND password_hash = $3";
        run!(&self.pool, sqlx::query(query).bind(new.expose()).bind(id).bind(old.expose()))?;
        Ok(())
    }

    /// A number that changes whenever the role, the password or the standing of any account did; on PostgreSQL also when a
    /// session was ended, perhaps by another server.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn auth_revision(&self) -> Result<i64, QueryError> {
        let query = "SELECT CAST(SUM(revision) AS BIGINT) FROM auth_revision";
        Ok(on!(&self.pool, db => sqlx::query_scalar(query).fetch_one(db))?)
    }
}

impl Change {
    /// Makes an account and answers its id.
    ///
    /// # Errors
    /// [`AccountError::Exists`] when the email is taken.
    pub async fn add_account(&mut self, account: &NewAccount) -> Result<i64, AccountError> {
        let query = "INSERT INTO accounts (email, role, password_hash, created_at_ms) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (email) DO NOTHING RETURNING id";
        let id: Option<i64> = on!(self.tx.connection(), db => sqlx::query_scalar(query)
            .bind(account.email.as_str())
            .bind(account.role.as_str())
            .bind(account.password_hash.expose())
            .bind(UnixMillis::now().0)
            .fetch_optional(db))
        .map_err(QueryError)?;
        id.ok_or_else(|| AccountError::Exists(account.email.clone()))
    }

    /// Gives an account another password; its sessions end with that. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_password_hash(&mut self, email: &Email, hash: &PasswordHash) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET password_hash = $1, session_epoch = session_epoch + 1 WHERE email = $2";
        let changed = run!(self.tx.connection(), sqlx::query(query).bind(hash.expose()).bind(email.as_str()))?;
        self.forget_networks(email).await?;
        Ok(changed == 1)
    }

    /// Ends the sessions of an account. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_out(&mut self, email: &Email) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET session_epoch = session_epoch + 1 WHERE email = $1";
        let changed = run!(self.tx.connection(), sqlx::query(query).bind(email.as_str()))?;
        self.end_sessions_of(email).await?;
        Ok(changed == 1)
    }

    /// Disables an account, which ends its sessions for good, or enables it again. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_disabled(&mut self, email: &Email, disabled: bool) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET disabled = $1, session_epoch = session_epoch + $2 WHERE email = $3";
        let changed = run!(
            self.tx.connection(),
            sqlx::query(query).bind(disabled).bind(i64::from(disabled)).bind(email.as_str())
        )?;
        if disabled {
            self.end_sessions_of(email).await?;
            self.forget_networks(email).await?;
        }
        Ok(changed == 1)
    }

    async fn end_sessions_of(&mut self, email: &Email) -> Result<(), QueryError> {
        let query = "SELECT id FROM accounts WHERE email = $1";
        let connection = self.tx.connection();
        let id: Option<i64> = on!(connection, db => sqlx::query_scalar(query).bind(email.as_str()).fetch_optional(db))?;
        if let Some(id) = id {
            self.end_sessions(id, SessionsToEnd::All).await?;
        }
        Ok(())
    }

    /// Gives an account another role. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_role(&mut self, email: &Email, role: Role) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET role = $1 WHERE email = $2";
        let changed = run!(self.tx.connection(), sqlx::query(query).bind(role.as_str()).bind(email.as_str()))?;
        Ok(changed == 1)
    }
}

impl<R: Columns> sqlx::FromRow<'_, R> for Account {
    fn from_row(row: &R) -> sqlx::Result<Self> {
        let bad = |column: &str| {
            let index = column.to_owned();
            move |source: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::ColumnDecode { index, source }
        };
        Ok(Self {
            id: row.read("id")?,
            email: row.read::<&str>("email")?.parse::<Email>().map_err(|e| bad("email")(e.into()))?,
            role: row.read::<&str>("role")?.parse::<Role>().map_err(|e| bad("role")(e.into()))?,
            disabled: row.read("disabled")?,
            has_second_factor: row.read("has_second_factor")?,
            is_from_provider: row.read("is_from_provider")?,
            created_at: UnixMillis(row.read("created_at_ms")?),
            session_epoch: row.read::<i64>("session_epoch")?.to_be_bytes(),
            password_hash: PasswordHash::from_stored(row.read("password_hash")?),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::auth::{Email, PasswordHash, Role, testing};
    use crate::database::{AccountError, NewAccount};

    fn account(email: &str, role: Role) -> NewAccount {
        NewAccount { email: email.parse().unwrap(), role, password_hash: PasswordHash::from_stored("hash".into()) }
    }

    #[tokio::test]
    async fn an_account_is_found_however_its_email_is_written() {
        for (_home, database) in testing::databases().await {
            let id = database.add_account(&account("Ann@Example.com", Role::Admin)).await.unwrap();
            let email: Email = " aNN@eXAMPLE.COM ".parse().unwrap();
            let found = database.account_by_email(&email).await.unwrap().unwrap();
            assert_eq!((found.id, found.role, found.disabled), (id, Role::Admin, false));
            assert!(found.created_at.0 > 1_700_000_000_000);
            assert_eq!(database.account_by_id(id).await.unwrap().unwrap().email, email);
            assert!(database.account_by_id(id + 1).await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn an_email_is_taken_whatever_its_case() {
        for (_home, database) in testing::databases().await {
            database.add_account(&account("ann@example.com", Role::User)).await.unwrap();
            let error = database.add_account(&account("ANN@example.com", Role::Super)).await.unwrap_err();
            assert!(matches!(&error, AccountError::Exists(_)), "{error}");
            assert_eq!(error.to_string(), "there is already an account ann@example.com");
            assert_eq!(database.account_count().await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn changes_tell_whether_there_was_such_an_account() {
        for (_home, database) in testing::databases().await {
            database.add_account(&account("b@x", Role::User)).await.unwrap();
            database.add_account(&account("a@x", Role::Super)).await.unwrap();
            let (known, unknown): (Email, Email) = ("b@x".parse().unwrap(), "c@x".parse().unwrap());
            let hash = PasswordHash::from_stored("other".into());
            assert!(testing::set_disabled(&database, &known, true).await);
            assert!(testing::set_role(&database, &known, Role::Moderator).await);
            assert!(testing::set_password_hash(&database, &known, &hash).await);
            assert!(!testing::set_disabled(&database, &unknown, true).await);
            assert!(!testing::set_role(&database, &unknown, Role::Admin).await);
            assert!(!testing::set_password_hash(&database, &unknown, &hash).await);

            let all = database.accounts().await.unwrap();
            let listed: Vec<_> = all.iter().map(|a| (a.email.as_str(), a.role, a.disabled)).collect();
            assert_eq!(listed, [("a@x", Role::Super, false), ("b@x", Role::Moderator, true)]);
        }
    }
}
