//! `tickstock-monitor user …`: accounts from the command line, while the server runs or not.

use super::{Email, Names, Role, check_password, hash_password};
use crate::{
    audit::{Action, Actor},
    database::{Database, NewAccount},
};
use anyhow::{Context, bail};
use clap::Subcommand;
use secrecy::{ExposeSecret, SecretString};
use std::io::{self, IsTerminal, Write};

/// What the `user` command does.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make an account; its password is asked for, or read from standard input
    Add {
        /// What the account signs in with
        email: Email,
        /// user, moderator, admin or super; the last two operate the dashboard
        #[arg(long)]
        role: Role,
    },
    /// List the accounts
    List,
    /// Give an account another password; its sessions end
    SetPassword {
        /// The account
        email: Email,
    },
    /// Give an account another role, at once
    SetRole {
        /// The account
        email: Email,
        /// user, moderator, admin or super; the last two operate the dashboard
        #[arg(long)]
        role: Role,
    },
    /// End the sessions of an account
    SignOut {
        /// The account
        email: Email,
    },
    /// Take the second factor of an account away, after its phone and recovery codes were lost
    ResetSecondFactor {
        /// The account
        email: Email,
    },
    /// Refuse an account; its sessions end
    Disable {
        /// The account
        email: Email,
    },
    /// Let a disabled account in again
    Enable {
        /// The account
        email: Email,
    },
}

/// Does what a command says, and tells on standard output what was done. Passwords are not to be made of `names`.
///
/// # Errors
/// The message names what is wrong: the account, the password, the database.
pub async fn run(command: UserCommand, database: &Database, names: &Names) -> anyhow::Result<()> {
    let mut said = Vec::new();
    execute(command, database, names, read_password, &mut said).await?;
    io::stdout().write_all(&said).context("cannot write the answer")
}

async fn execute(
    command: UserCommand,
    database: &Database,
    names: &Names,
    read_password: impl FnOnce() -> anyhow::Result<SecretString>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let actor = Actor::command_line();
    match command {
        UserCommand::Add { email, role } => {
            // Asked before the password is typed, and answered by the table once more when it is written.
            if database.account_by_email(&email).await?.is_some() {
                bail!("there is already an account {email}");
            }
            let password_hash = hash(read_password()?, &email, names).await?;
            let mut change = database.change().await?;
            change.add_account(&NewAccount { email: email.clone(), role, password_hash }).await?;
            change.record(&actor.does(Action::AccountAdd).to(email.as_str()).because(format!("role {role}"))).await?;
            change.commit().await?;
            writeln!(out, "Created account {email} with role {role}.")?;
        }
        UserCommand::List => list(database, out).await?,
        UserCommand::SetPassword { email } => {
            let Some(account) = database.account_by_email(&email).await? else { bail!(unknown(&email)) };
            if account.is_from_provider {
                bail!("{email} signs in at the identity provider, and has no password here");
            }
            let password_hash = hash(read_password()?, &email, names).await?;
            let mut change = database.change().await?;
            ensure_known(change.set_password_hash(&email, &password_hash).await?, &email)?;
            change.record(&actor.does(Action::AccountPassword).to(email.as_str())).await?;
            change.commit().await?;
            writeln!(out, "Changed the password of {email}; its sessions have ended.")?;
            if account.disabled {
                writeln!(out, "The account is still disabled.")?;
            }
        }
        UserCommand::SetRole { email, role } => {
            if database.account_by_email(&email).await?.is_some_and(|account| account.is_from_provider) {
                bail!("{email} has the role of its groups at the identity provider: change those, or OIDC_ROLE_MAP");
            }
            let mut change = database.change().await?;
            ensure_known(change.set_role(&email, role).await?, &email)?;
            change.record(&actor.does(Action::AccountRole).to(email.as_str()).because(format!("role {role}"))).await?;
            change.commit().await?;
            writeln!(out, "{email} now has role {role}.")?;
            warn_if_nobody_is_left(database, out).await?;
        }
        UserCommand::SignOut { email } => {
            let mut change = database.change().await?;
            ensure_known(change.sign_out(&email).await?, &email)?;
            change.record(&actor.does(Action::SessionEnd).to(email.as_str()).because("all sessions")).await?;
            change.commit().await?;
            writeln!(out, "Ended the sessions of {email}.")?;
        }
        UserCommand::ResetSecondFactor { email } => {
            let Some(account) = database.account_by_email(&email).await? else { bail!(unknown(&email)) };
            let mut change = database.change().await?;
            if !change.remove_second_factor(account.id).await? {
                bail!("{email} has no second factor");
            }
            change.record(&actor.does(Action::SecondFactorOff).to(email.as_str())).await?;
            change.commit().await?;
            writeln!(out, "{email} signs in with the password alone until it turns a second factor on.")?;
        }
        UserCommand::Disable { email } => {
            let mut change = database.change().await?;
            ensure_known(change.set_disabled(&email, true).await?, &email)?;
            change.record(&actor.does(Action::AccountDisable).to(email.as_str())).await?;
            change.commit().await?;
            writeln!(out, "Disabled {email}; its sessions have ended.")?;
            warn_if_nobody_is_left(database, out).await?;
        }
        UserCommand::Enable { email } => {
            let mut change = database.change().await?;
            ensure_known(change.set_disabled(&email, false).await?, &email)?;
            change.record(&actor.does(Action::AccountEnable).to(email.as_str())).await?;
            change.commit().await?;
            writeln!(out, "Enabled {email}.")?;
        }
    }
    Ok(())
}

async fn warn_if_nobody_is_left(database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    let accounts = database.accounts().await?;
    if !accounts.iter().any(|account| account.role.is_admin() && !account.disabled) {
        writeln!(out, "No enabled administrator is left: nobody can open the dashboard.")?;
    }
    Ok(())
}

async fn list(database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    let accounts = database.accounts().await?;
    let width = accounts.iter().map(|account| account.email.as_str().chars().count()).max().unwrap_or(0).max(5);
    writeln!(out, "{:width$}  {:9}  {:8}  {:8}  MADE", "EMAIL", "ROLE", "STATE", "BY")?;
    for account in accounts {
        let state = if account.disabled { "disabled" } else { "enabled" };
        let by = if account.is_from_provider { "provider" } else { "password" };
        writeln!(out, "{:width$}  {:9}  {state:8}  {by:8}  {}", account.email, account.role, account.created_at)?;
    }
    Ok(())
}

async fn hash(password: SecretString, email: &Email, names: &Names) -> anyhow::Result<super::PasswordHash> {
    check_password(&password, email, names)?;
    Ok(hash_password(password).await?)
}

fn ensure_known(known: bool, email: &Email) -> anyhow::Result<()> {
    if known { Ok(()) } else { bail!(unknown(email)) }
}

fn unknown(email: &Email) -> String {
    format!("there is no account {email}; `tickstock-monitor user list` lists all accounts")
}

/// From a person, twice and unseen; from a program, one line of standard input.
fn read_password() -> anyhow::Result<SecretString> {
    if io::stdin().is_terminal() {
        let ask =
            |prompt| rpassword::prompt_password(prompt).map(SecretString::from).context("cannot read the password");
        let password = ask("Password: ")?;
        if password.expose_secret() != ask("Repeat: ")?.expose_secret() {
            bail!("the two passwords differ");
        }
        return Ok(password);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Accounts, Credentials, testing};
    use axum_login::AuthnBackend;
    use clap::{Parser, error::ErrorKind};

    #[derive(Debug, Parser)]
    struct Program {
        #[command(subcommand)]
        command: UserCommand,
    }

    fn parse(line: &str) -> Result<UserCommand, clap::Error> {
        Program::try_parse_from(line.split(' ')).map(|program| program.command)
    }

    async fn say(database: &Database, line: &str, password: &str) -> Result<String, String> {
        let mut out = Vec::new();
        let read = || Ok(SecretString::from(password));
        execute(parse(line).unwrap(), database, &Names::default(), read, &mut out)
            .await
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    async fn signs_in(database: &Database, email: &str, password: &str) -> bool {
        let credentials = Credentials { email: email.into(), password: password.into(), from_known_network: false };
        Accounts::new(database.clone()).authenticate(credentials).await.unwrap().is_some()
    }

    #[tokio::test]
    async fn an_account_is_made_listed_changed_disabled_and_enabled() {
        let (_folder, database) = testing::database().await;
        let said = say(&database, "user add Ann@X.org --role admin", "the first password").await.unwrap();
        assert_eq!(said, "Created account ann@x.org with role admin.\n");
        assert!(signs_in(&database, "ann@x.org", "the first password").await);

        say(&database, "user set-password ANN@x.org", "the other password").await.unwrap();
        assert!(!signs_in(&database, "ann@x.org", "the first password").await);
        assert!(signs_in(&database, "ann@x.org", "the other password").await);

        let said = say(&database, "user disable ann@x.org", "").await.unwrap();
        assert!(said.contains("No enabled administrator is left"), "{said}");
        assert!(!signs_in(&database, "ann@x.org", "the other password").await);
        let said = say(&database, "user list", "").await.unwrap();
        assert!(said.contains("ann@x.org  admin      disabled") && !said.contains("argon2"), "{said}");

        say(&database, "user enable ann@x.org", "").await.unwrap();
        assert!(signs_in(&database, "ann@x.org", "the other password").await);
    }

    #[tokio::test]
    async fn an_account_of_the_identity_provider_is_given_neither_a_password_nor_a_role() {
        let (_folder, database) = testing::database().await;
        let mut change = database.change().await.unwrap();
        let new = NewAccount {
            email: "ann@x.org".parse().unwrap(),
            role: Role::Moderator,
            password_hash: crate::auth::PasswordHash::none(),
        };
        let id = change.add_account(&new).await.unwrap();
        let identity = crate::auth::Identity { issuer: "https://id".into(), subject: "ann".into() };
        change.add_identity(id, &identity).await.unwrap();
        change.commit().await.unwrap();
        let error = say(&database, "user set-password ann@x.org", "the first password").await.unwrap_err();
        assert!(error.contains("has no password here"), "{error}");
        let error = say(&database, "user set-role ann@x.org --role super", "").await.unwrap_err();
        assert!(error.contains("OIDC_ROLE_MAP"), "{error}");
        assert!(say(&database, "user list", "").await.unwrap().contains("moderator  enabled   provider"));
        // Whatever hash was written all the same.
        let hash = hash_password("the first password".into()).await.unwrap();
        testing::set_password_hash(&database, &new.email, &hash).await;
        assert!(!signs_in(&database, "ann@x.org", "the first password").await);
        say(&database, "user disable ann@x.org", "").await.unwrap();
    }

    #[tokio::test]
    async fn errors_name_what_is_wrong() {
        let (_folder, database) = testing::database().await;
        say(&database, "user add ann@x --role user", "a long password").await.unwrap();
        let error = say(&database, "user add ANN@x --role user", "a long password").await.unwrap_err();
        assert_eq!(error, "there is already an account ann@x");
        let error = say(&database, "user add bob@x --role user", "short").await.unwrap_err();
        assert!(error.contains("at least 12"), "{error}");
        for line in ["user sign-out bob@x", "user set-password bob@x", "user disable bob@x", "user enable bob@x"] {
            let error = say(&database, line, "a long password").await.unwrap_err();
            assert!(error.starts_with("there is no account bob@x"), "{line}: {error}");
        }
    }

    #[test]
    fn an_unknown_role_and_a_bad_email_are_refused_by_name() {
        let error = parse("user add a@x --role root").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(error.to_string().contains("one of user, moderator, admin, super"), "{error}");
        let error = parse("user disable ann").unwrap_err().to_string();
        assert!(error.contains("`ann` is not an email"), "{error}");
    }
}
