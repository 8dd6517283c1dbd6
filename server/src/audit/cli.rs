//! `tickstock-monitor audit …`: is the log whole?

use super::Whole;
use crate::database::Database;
use anyhow::{Context, bail};
use clap::Subcommand;
use std::io::{self, Write};

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
    match super::verify(database, known).await? {
        Ok(whole) => Ok(good_news(&whole, known.iter().map(|(seq, _)| *seq).max())),
        Err(breaks) => {
            let lines: Vec<_> = breaks.iter().map(ToString::to_string).collect();
            bail!("the audit log is not intact:\n  {}", lines.join("\n  "))
        }
    }
}

/// What was found, and what no look at the log alone can find.
fn good_news(whole: &Whole, known: Option<i64>) -> String {
    let Whole { pruned_through, records, last, last_hash } = whole;
    let mut said = format!("The audit log is intact: {records} records");
    if *records > 0 {
        said += &format!(", {} to {last}, the last with the hash {last_hash}", pruned_through + 1);
    }
    said += ".\n";
    if *pruned_through > 0 {
        said += &format!("Retention has deleted the records through {pruned_through}.\n");
    }
    said += &match known {
        None => "Records cut off at the end, or a log rewritten from its start, cannot be detected from here: compare with a \
                 record of the server's output, --known SEQ:HASH.\n"
            .to_owned(),
        Some(known) => format!(
            "The known records are present. Records after {known} that were cut off at the end cannot be detected from here.\n"
        ),
    };
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        audit::{Action, Actor, Audit},
        auth::testing,
    };

    #[tokio::test]
    async fn a_whole_log_is_said_to_be_whole_with_what_that_does_not_mean() {
        let (_folder, database) = testing::database().await;
        let said = verify(&database, &[]).await.unwrap();
        assert!(said.starts_with("The audit log is intact: 0 records.\n"), "{said}");
        let audit = Audit::new(database.clone());
        for page in 0..5 {
            audit.record(Actor::server().does(Action::PageView).to(page.to_string())).await.unwrap();
        }
        let said = verify(&database, &[]).await.unwrap();
        assert!(said.starts_with("The audit log is intact: 5 records, 1 to 5, the last with the hash "), "{said}");
        assert!(said.contains("cut off at the end") && said.contains("--known SEQ:HASH"), "{said}");

        let records = database.audit_after(0, 10).await.unwrap();
        let said = verify(&database, &[(3, records[2].hash.clone())]).await.unwrap();
        assert!(
            said.ends_with("Records after 3 that were cut off at the end cannot be detected from here.\n"),
            "{said}"
        );
        let error = verify(&database, &[(3, records[3].hash.clone())]).await.unwrap_err().to_string();
        assert_eq!(error, "the audit log is not intact:\n  record 3 differs from the known one");
        let error = verify(&database, &[(9, records[3].hash.clone())]).await.unwrap_err().to_string();
        assert_eq!(error, "the audit log is not intact:\n  record 9 existed and is missing at the end");
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
