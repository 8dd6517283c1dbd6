//! `tickstock-monitor token …`: API tokens from the command line, while the server runs or not.

use super::{TOKEN_DAYS_MAX, generate_token};
use crate::{
    audit::{Action, Actor},
    database::{Database, NewToken},
    model::{Scope, TokenName},
};
use anyhow::{Context, bail};
use app::model::time::UnixMillis;
use clap::Subcommand;
use secrecy::ExposeSecret;
use std::io::{self, Write};

/// What the `token` command does.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for a program; it is printed this once
    Add {
        /// How it is called, in lists and in the audit log
        name: TokenName,
        /// read sees everything and changes nothing; operate changes and sees nothing
        #[arg(long)]
        scope: Scope,
        /// Days until it ends, 1 to 365
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_DAYS_MAX)))]
        days: u32,
    },
    /// List the tokens
    List,
    /// End a token at once
    Revoke {
        /// Its name
        name: TokenName,
    },
}

/// Does what a command says, and tells on standard output what was done.
///
/// # Errors
/// The message names what is wrong: the name, the database.
pub async fn run(command: TokenCommand, database: &Database) -> anyhow::Result<()> {
    let mut said = Vec::new();
    execute(command, database, &mut said).await?;
    io::stdout().write_all(&said).context("cannot write the answer")
}

async fn execute(command: TokenCommand, database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    let actor = Actor::command_line();
    match command {
        TokenCommand::Add { name, scope, days } => {
            let (token, hash) = generate_token();
            let made_by = actor.name.clone().unwrap_or_default();
            let new = NewToken::lasting(days, UnixMillis::now(), name, scope, made_by, hash);
            let mut change = database.change().await?;
            change.add_token(&new, &actor).await?;
            change.commit().await?;
            writeln!(out, "Token {} ({scope}, until {}). It is shown this once:", new.name, new.ends_at)?;
            writeln!(out, "{}", token.expose_secret())?;
        }
        TokenCommand::List => list(database, out).await?,
        TokenCommand::Revoke { name } => {
            let mut change = database.change().await?;
            if !change.revoke_token(&name).await? {
                bail!("there is no token {name}; `tickstock-monitor token list` lists all tokens");
            }
            change.record(&actor.does(Action::TokenRevoke).to(name.actor())).await?;
            change.commit().await?;
            writeln!(out, "Revoked token {name}.")?;
        }
    }
    Ok(())
}

async fn list(database: &Database, out: &mut impl Write) -> anyhow::Result<()> {
    let tokens = database.tokens().await?;
    let width = tokens.iter().map(|token| token.name.len()).max().unwrap_or_default().max(4);
    writeln!(out, "{:width$}  {:7}  {:24}  {:24}  MADE BY", "NAME", "SCOPE", "ENDS", "LAST USED")?;
    for token in tokens {
        let used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
        let ends = token.ends_at.to_string();
        writeln!(out, "{:width$}  {:7}  {ends:24}  {used:24}  {}", token.name, token.scope, token.made_by)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{read_token, testing};
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(subcommand)]
        command: TokenCommand,
    }

    fn parse(line: &str) -> Result<TokenCommand, clap::Error> {
        Program::try_parse_from(line.split(' ')).map(|program| program.command)
    }

    async fn say(database: &Database, line: &str) -> Result<String, String> {
        let mut out = Vec::new();
        execute(parse(line).unwrap(), database, &mut out).await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[tokio::test]
    async fn a_token_is_made_shown_once_listed_and_revoked() {
        let (_folder, database) = testing::database().await;
        let said = say(&database, "token add Report --scope read --days 30").await.unwrap();
        let token = said.lines().nth(1).unwrap();
        let hash = read_token(token).expect("a token");
        let now = UnixMillis::now();
        let known = database.token_by_hash(&hash, now).await.unwrap().unwrap();
        assert_eq!((known.name.as_str(), known.scope), ("report", Scope::Read));
        let in_days = |days: i64| UnixMillis(now.0 + days * 86_400_000);
        assert!(database.token_by_hash(&hash, in_days(29)).await.unwrap().is_some());
        assert!(database.token_by_hash(&hash, in_days(31)).await.unwrap().is_none(), "it has ended");

        let list = say(&database, "token list").await.unwrap();
        assert!(list.contains("report") && list.contains("never") && !list.contains("tsm_"), "{list}");
        let error = say(&database, "token add REPORT --scope operate --days 1").await.unwrap_err();
        assert_eq!(error, "there is already a token report; revoke it first, or choose another name");

        say(&database, "token revoke report").await.unwrap();
        assert!(database.token_by_hash(&hash, now).await.unwrap().is_none());
        assert!(say(&database, "token revoke report").await.unwrap_err().starts_with("there is no token report"));
        say(&database, "token add report --scope operate --days 365").await.unwrap();
    }

    #[test]
    fn a_token_has_a_scope_and_an_end() {
        for line in [
            "token add a",
            "token add a --scope read",
            "token add a --days 1",
            "token add a --scope admin --days 1",
            "token add a --scope read --days 0",
            "token add a --scope read --days 366",
            "token add a@b --scope read --days 1",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
