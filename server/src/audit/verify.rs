//! Is the log whole? Everything that the table's rules should have kept out is looked for, as who has the file can switch
//! them off.

use super::{Break, Chain, Whole};
use crate::{
    database::{AuditReading, Database, QueryError},
    model::misplaced,
};

/// How many records are read at once.
const PAGE: i64 = 1_000;

/// Proves that the log is whole, or answers what is wrong with it. `known` are records that are known from elsewhere, each by
/// its number and its hash in lower-case hexadecimal.
///
/// What nobody can tell from the log alone: that records were cut off at its end, or that all of it was written anew.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(database: &Database, known: &[(i64, String)]) -> Result<Result<Whole, Vec<Break>>, QueryError> {
    let mut reading = database.read_audit().await?;
    let altered = reading.altered_rules().await?;
    let mut found: Vec<_> = altered.into_iter().map(|(what, how)| Break::Rule(what, how)).collect();
    match examine(&mut reading, known, &mut found).await {
        Ok(Some(whole)) if found.is_empty() => Ok(Ok(whole)),
        // In tables that are not what they should be, a question may have no answer.
        Err(error) if found.is_empty() => Err(error),
        _ => Ok(Err(found)),
    }
}

async fn examine(
    reading: &mut AuditReading,
    known: &[(i64, String)],
    found: &mut Vec<Break>,
) -> Result<Option<Whole>, QueryError> {
    let Some(anchor) = reading.anchor().await? else {
        found.push(Break::NoAnchor);
        return Ok(None);
    };
    found.extend(reading.before_start(&anchor).await?.map(Break::BeforeStart));
    let mut chain = Chain::new(anchor.clone());
    let mut unseen: Vec<_> = known.iter().map(|(seq, _)| *seq).collect();
    let (mut last, mut limit) = (anchor.pruned_through, PAGE);
    loop {
        let page = match reading.after(last, limit).await {
            // One of them holds what no record does, such as bytes for a text: they are read one by one up to it.
            Err(error) if error.is_of_a_row() && limit > 1 => {
                limit = 1;
                continue;
            }
            Err(error) if error.is_of_a_row() => {
                found.extend(reading.next_after(last).await?.map(Break::Changed));
                return Ok(None);
            }
            page => page?,
        };
        let Some(end) = page.last().map(|record| record.seq) else { break };
        for record in &page {
            if let Err(broken) = chain.take(record) {
                // What comes after a break cannot be told from what was put in.
                let link = match broken {
                    Break::Changed(seq) => reading.link(seq, &anchor).await?,
                    _ => None,
                };
                let misplaced = link.and_then(|(previous, seq)| misplaced(record, &previous, seq));
                found.push(misplaced.unwrap_or(broken));
                return Ok(None);
            }
            let differs = |(seq, hash): &&(i64, String)| *seq == record.seq && *hash != record.hash;
            found.extend(known.iter().find(differs).map(|(seq, _)| Break::Unknown(*seq)));
            unseen.retain(|seq| *seq != record.seq);
        }
        last = end;
    }
    found.extend(reading.wrong_link(&anchor).await?.map(Break::Changed));
    found.extend(reading.damage().await?.into_iter().map(Break::Damaged));
    found.extend(unseen.into_iter().map(|seq| match seq <= anchor.pruned_through {
        true => Break::Pruned(seq),
        false => Break::Gone(seq),
    }));
    match chain.end() {
        Err(broken) => {
            found.push(broken);
            Ok(None)
        }
        Ok(whole) => {
            let emitted = reading.emitted().await?;
            found.extend(emitted.filter(|seq| *seq > whole.last).map(Break::Gone));
            Ok(Some(whole))
        }
    }
}
