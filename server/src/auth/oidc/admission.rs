//! From somebody at the provider to an account here.

use super::{SignedIn, provider::name_of};
use crate::{
    database::{AccountError, Database, NewAccount},
    model::{Account, Action, Actor, Email, PasswordHash},
};

/// The account of somebody whom the provider knows, with the role of now; made when they come for the first time. Nobody gets an account by
/// its email: where another account has that already, the new one is named by the subject. `None` for a disabled account.
///
/// # Errors
/// When the database does not answer, or somebody else took the email in this moment.
pub async fn admit_identity(database: &Database, signed_in: &SignedIn) -> Result<Option<Account>, AccountError> {
    let SignedIn { identity, role, .. } = signed_in;
    let actor = Actor::identity_provider();
    if let Some(account) = database.account_by_identity(identity).await? {
        if account.disabled {
            return Ok(None);
        }
        if account.role != *role {
            let mut change = database.change().await?;
            change.set_role(&account.email, *role).await?;
            let act = actor.does(Action::AccountRole).to(account.email.as_str());
            change.record(&act.because(format!("role {role}, by its groups"))).await?;
            change.commit().await?;
        }
        return Ok(Some(Account { role: *role, ..account }));
    }
    let email = free_name(database, signed_in).await?;
    let mut change = database.change().await?;
    let new = NewAccount { email: email.clone(), role: *role, password_hash: PasswordHash::none() };
    let id = change.add_account(&new).await?;
    change.add_identity(id, identity).await?;
    let why = format!("role {role}, subject {} of {}", identity.subject, identity.issuer);
    change.record(&actor.does(Action::AccountAdd).to(email.as_str()).because(why)).await?;
    change.commit().await?;
    Ok(database.account_by_id(id).await?)
}

async fn free_name(database: &Database, signed_in: &SignedIn) -> Result<Email, AccountError> {
    if let Some(email) = &signed_in.email
        && database.account_by_email(email).await?.is_none()
    {
        return Ok(email.clone());
    }
    Ok(name_of(&signed_in.identity).parse().unwrap_or_else(|_| Email::first()))
}
