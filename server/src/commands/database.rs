//! `tickstock-monitor database …`: from one database to another.

use anyhow::{Context, bail};
use clap::Subcommand;
use server::{
    audit,
    database::{Claim, Database},
};

/// What the `database` command does.
#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Copy everything into an empty database, of SQLite's or PostgreSQL's; stop the servers first
    Copy {
        /// The database to read, as DATABASE_URL names it
        #[arg(long, value_name = "URL")]
        from: String,
        /// The database to write, as DATABASE_URL names it
        #[arg(long, value_name = "URL")]
        to: String,
    },
}

pub(crate) async fn run(command: DatabaseCommand) -> anyhow::Result<()> {
    let DatabaseCommand::Copy { from, to } = command;
    // What a server writes meanwhile would be missing in the copy.
    let _claims = (claim(&from, "--from")?, claim(&to, "--to")?);
    let source = Database::open(&from).await.context("--from")?;
    let target = Database::open(&to).await.context("--to")?;
    prove(&source).await.context("nothing was copied: --from")?;
    let tables = source.copy_to(&target).await?;
    let records = prove(&target).await.context("the copy cannot be used")?;
    for (table, rows) in &tables {
        println!("{rows:>12}  {table}");
    }
    println!("All of it was copied, and the audit log is intact: {records} records.");
    target.close().await;
    source.close().await;
    Ok(())
}

fn claim(url: &str, which: &'static str) -> anyhow::Result<Claim> {
    Claim::take(url, "no address: it copies a database").context(which)
}

async fn prove(database: &Database) -> anyhow::Result<u64> {
    match audit::verify(database, &[]).await? {
        Ok(whole) => Ok(whole.records),
        Err(breaks) => {
            let lines: Vec<_> = breaks.iter().map(ToString::to_string).collect();
            bail!("the audit log is not intact:\n  {}", lines.join("\n  "))
        }
    }
}
