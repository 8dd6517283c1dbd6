//! `tickstock-monitor audit …`: is the log whole?

use super::{Break, Chain};
use crate::database::Database;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::io::{self, Write};

/// How many records are read at once.
const PAGE: i64 = 1_000;

/// What the `audit` command does.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Prove that no record was changed, left out or put in
    Verify {
        /// A record that is known from elsewhere, such as a line of a log that was collected: its number and its hash
        #[arg(long, value_name = "SEQ:HASH", value_parser = parse_known)]
        known: Vec<(i64, String)>,
    },
}

fn parse_known(text: &str) -> Result<(i64, String), &'static str> {
    const ACCEPTED: &str = "a record's number and its hash, as in 1234:0a1b…";
    let (seq, hash) = text.split_once(':').ok_or(ACCEPTED)?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    let seq = seq.parse().map_err(|_| ACCEPTED)?;
    if is_hash { Ok((seq, hash.to_ascii_lowercase())) } else { Err(ACCEPTED) }
}

/// Does what a command says, and tells on standard output what was found.
///
/// # Errors
/// When the log is not whole, or could not be read.
pub async fn run(command: AuditCommand, database: &Database) -> anyhow::Result<()> {
    let AuditCommand::Verify { known } = command;
    let said = verify(database, &known).await?;
    io::stdout().write_all(said.as_bytes()).context("cannot write the answer")
}

async fn verify(database: &Database, known: &[(i64, String)]) -> anyhow::Result<String> {
    let (anchor, mut page) = database.audit_start(PAGE).await?;
    let mut chain = Chain::new(anchor.clone());
    let mut unseen: Vec<_> = known.iter().collect();
    while let Some(last) = page.last().map(|record| record.seq) {
        for record in &page {
            chain.take(record)?;
            if known.iter().any(|(seq, hash)| *seq == record.seq && *hash != record.hash) {
                bail!(Break::Unknown(record.seq));
            }
            unseen.retain(|(seq, _)| *seq != record.seq);
        }
        page = database.audit_after(last, PAGE).await?;
    }
    let whole = chain.end()?;
    if let Some((seq, _)) = unseen.first() {
        let why = if *seq <= anchor.pruned_through { "retention has deleted it" } else { "it is missing" };
        bail!("record {seq} cannot be compared: {why}");
    }
    let mut said = format!("The audit log is whole: {} records", whole.records);
    if whole.records > 0 {
        said +=
            &format!(", {} to {}, the last with the hash {}", anchor.pruned_through + 1, whole.last, whole.last_hash);
    }
    said += ".\n";
    if anchor.pruned_through > 0 {
        said += &format!("Retention has deleted the records through {}.\n", anchor.pruned_through);
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Action, Actor, Audit},
        auth::testing,
    };

    #[tokio::test]
    async fn a_whole_log_is_said_to_be_whole_and_a_tampered_one_not() {
        let (_folder, database) = testing::database().await;
        assert_eq!(verify(&database, &[]).await.unwrap(), "The audit log is whole: 0 records.\n");
        let audit = Audit::new(database.clone());
        for page in 0..5 {
            audit.record(Actor::server().does(Action::PageView).to(page.to_string())).await.unwrap();
        }
        let said = verify(&database, &[]).await.unwrap();
        assert!(said.starts_with("The audit log is whole: 5 records, 1 to 5, the last with the hash "), "{said}");

        let (_, records) = database.audit_start(10).await.unwrap();
        verify(&database, &[(3, records[2].hash.clone())]).await.unwrap();
        let error = verify(&database, &[(3, records[3].hash.clone())]).await.unwrap_err().to_string();
        assert_eq!(error, "record 3 is not the one that is known");
        let error = verify(&database, &[(9, records[3].hash.clone())]).await.unwrap_err().to_string();
        assert!(error.ends_with("it is missing"), "{error}");

        database.tamper("DROP TRIGGER audit_is_not_changed").await.unwrap();
        database.tamper("UPDATE audit SET actor = 'nobody' WHERE seq = 2").await.unwrap();
        let error = verify(&database, &[]).await.unwrap_err().to_string();
        assert!(error.starts_with("record 2 was changed"), "{error}");
    }

    #[test]
    fn what_is_known_is_a_number_and_a_hash() {
        let hash = "0A".repeat(32);
        assert_eq!(parse_known(&format!("12:{hash}")), Ok((12, "0a".repeat(32))));
        for text in ["12", "x:00", "12:00", ""] {
            assert!(parse_known(text).is_err(), "{text}");
        }
    }
}
