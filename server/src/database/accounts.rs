//! Accounts: who may sign in.

use super::{Change, Database, QueryError, SessionsToEnd};
use crate::model::{Account, Email, PasswordHash, Role};
use app::model::time::UnixMillis;
use sqlx::{Row, sqlite::SqliteRow};

/// A query for whole accounts; `$rest` says which.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, email, role, password_hash, disabled, session_epoch, created_at_ms, \
             EXISTS (SELECT 1 FROM second_factors WHERE account_id = accounts.id AND confirmed_at_ms IS NOT NULL) \
             AS has_second_factor FROM accounts ",
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
        let query = select!("WHERE email = ?");
        Ok(sqlx::query_as(query).bind(email.as_str()).fetch_optional(&self.pool).await?)
    }

    /// The account with an id.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_by_id(&self, id: i64) -> Result<Option<Account>, QueryError> {
        let query = select!("WHERE id = ?");
        Ok(sqlx::query_as(query).bind(id).fetch_optional(&self.pool).await?)
    }

    /// Every account, by email.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn accounts(&self) -> Result<Vec<Account>, QueryError> {
        let query = select!("ORDER BY email");
        Ok(sqlx::query_as(query).fetch_all(&self.pool).await?)
    }

    /// How many accounts there are, disabled ones too.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn account_count(&self) -> Result<i64, QueryError> {
        Ok(sqlx::query_scalar("SELECT COUNT(*) FROM accounts").fetch_one(&self.pool).await?)
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
        sqlx::query("UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ?")
            .bind(new.expose())
            .bind(id)
            .bind(old.expose())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// A number that changes whenever the role, the password or the standing of any account did.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn auth_revision(&self) -> Result<i64, QueryError> {
        Ok(sqlx::query_scalar("SELECT revision FROM auth_revision").fetch_one(&self.pool).await?)
    }
}

impl Change {
    /// Makes an account and answers its id.
    ///
    /// # Errors
    /// [`AccountError::Exists`] when the email is taken.
    pub async fn add_account(&mut self, account: &NewAccount) -> Result<i64, AccountError> {
        let inserted = sqlx::query_scalar(
            "INSERT INTO accounts (email, role, password_hash, created_at_ms) VALUES (?, ?, ?, ?) RETURNING id",
        )
        .bind(account.email.as_str())
        .bind(account.role.as_str())
        .bind(account.password_hash.expose())
        .bind(UnixMillis::now().0)
        .fetch_one(&mut *self.transaction)
        .await;
        match inserted {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(AccountError::Exists(account.email.clone()))
            }
            other => Ok(other.map_err(QueryError)?),
        }
    }

    /// Gives an account another password; its sessions end with that. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_password_hash(&mut self, email: &Email, hash: &PasswordHash) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET password_hash = ?, session_epoch = session_epoch + 1 WHERE email = ?";
        let done = sqlx::query(query).bind(hash.expose()).bind(email.as_str()).execute(&mut *self.transaction).await?;
        self.forget_networks(email).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ends the sessions of an account. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sign_out(&mut self, email: &Email) -> Result<bool, QueryError> {
        let query = "UPDATE accounts SET session_epoch = session_epoch + 1 WHERE email = ?";
        let done = sqlx::query(query).bind(email.as_str()).execute(&mut *self.transaction).await?;
        self.end_sessions_of(email).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Disables an account, which ends its sessions for good, or enables it again. Answers whether there is such an account.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_disabled(&mut self, email: &Email, disabled: bool) -> Result<bool, QueryError> {
        let done = sqlx::query("UPDATE accounts SET disabled = ?, session_epoch = session_epoch + ? WHERE email = ?")
            .bind(disabled)
            .bind(i64::from(disabled))
            .bind(email.as_str())
            .execute(&mut *self.transaction)
            .await?;
        if disabled {
            self.end_sessions_of(email).await?;
            self.forget_networks(email).await?;
        }
        Ok(done.rows_affected() == 1)
    }

    async fn end_sessions_of(&mut self, email: &Email) -> Result<(), QueryError> {
        let query = "SELECT id FROM accounts WHERE email = ?";
        let id = sqlx::query_scalar(query).bind(email.as_str()).fetch_optional(&mut *self.transaction).await?;
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
        let done = sqlx::query("UPDATE accounts SET role = ? WHERE email = ?")
            .bind(role.as_str())
            .bind(email.as_str())
            .execute(&mut *self.transaction)
            .await?;
        Ok(done.rows_affected() == 1)
    }
}

impl sqlx::FromRow<'_, SqliteRow> for Account {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let bad = |column: &str| {
            let index = column.to_owned();
            move |source: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::ColumnDecode { index, source }
        };
        Ok(Self {
            id: row.try_get("id")?,
            email: row.try_get::<&str, _>("email")?.parse::<Email>().map_err(|e| bad("email")(e.into()))?,
            role: row.try_get::<&str, _>("role")?.parse::<Role>().map_err(|e| bad("role")(e.into()))?,
            disabled: row.try_get("disabled")?,
            has_second_factor: row.try_get("has_second_factor")?,
            created_at: UnixMillis(row.try_get("created_at_ms")?),
            session_epoch: row.try_get::<i64, _>("session_epoch")?.to_be_bytes(),
            password_hash: PasswordHash::from_stored(row.try_get("password_hash")?),
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
        let (_folder, database) = testing::database().await;
        let id = database.add_account(&account("Ann@Example.com", Role::Admin)).await.unwrap();
        let email: Email = " aNN@eXAMPLE.COM ".parse().unwrap();
        let found = database.account_by_email(&email).await.unwrap().unwrap();
        assert_eq!((found.id, found.role, found.disabled), (id, Role::Admin, false));
        assert!(found.created_at.0 > 1_700_000_000_000);
        assert_eq!(database.account_by_id(id).await.unwrap().unwrap().email, email);
        assert!(database.account_by_id(id + 1).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn an_email_is_taken_whatever_its_case() {
        let (_folder, database) = testing::database().await;
        database.add_account(&account("ann@example.com", Role::User)).await.unwrap();
        let error = database.add_account(&account("ANN@example.com", Role::Super)).await.unwrap_err();
        assert!(matches!(&error, AccountError::Exists(_)), "{error}");
        assert_eq!(error.to_string(), "there is already an account ann@example.com");
        assert_eq!(database.account_count().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn changes_tell_whether_there_was_such_an_account() {
        let (_folder, database) = testing::database().await;
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
