//! Is the log whole? Reads it from the start and holds each record against the one before.

use super::{Action, Hash, Hex, hash};
use app::model::audit::AuditRecord;

/// Where the chain starts: behind what retention cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The last record that was cut off, 0 when none was.
    pub pruned_through: i64,
    /// Its hash.
    pub pruned_hash: Hash,
}

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// Numbers are missing.
    #[error("record {expected} is missing: the next one is {found}")]
    Missing {
        /// The number that should have come.
        expected: i64,
        /// The one that came.
        found: i64,
    },
    /// Two records continue the same one.
    #[error("the log was forked: record {seq} continues record {after}, as another record does")]
    Forked {
        /// The number of the second one.
        seq: i64,
        /// The one before both.
        after: i64,
    },
    /// A record is as it was written, at another place.
    #[error("record {seq} is out of order: it was written as record {written_as}")]
    OutOfOrder {
        /// Where it is.
        seq: i64,
        /// Where it belongs.
        written_as: i64,
    },
    /// A record is not what was written.
    #[error("record {0} or one before it was changed")]
    Changed(i64),
    /// Records were cut off, and no record says so.
    #[error("the records up to {0} were deleted, and nothing says that retention did it")]
    Cut(i64),
    /// A record that is known from elsewhere is another one in the log.
    #[error("record {0} differs from the known one")]
    Unknown(i64),
    /// A record that there was is not in the log.
    #[error("record {0} existed and is missing at the end")]
    Gone(i64),
    /// A record that is known from elsewhere is older than the log.
    #[error("record {0} cannot be compared: retention has deleted it")]
    Pruned(i64),
    /// Records were put in front of the first one.
    #[error("record {0} was inserted: the chain begins after it")]
    BeforeStart(i64),
    /// Where the chain starts is not said.
    #[error("the table audit_anchor, which says where the chain begins, was changed")]
    NoAnchor,
    /// Tables or triggers are not those that this program makes.
    #[error("the {0} {1}")]
    Rule(String, &'static str),
    /// SQLite finds rows that the table forbids, or indexes that leave rows out.
    #[error("the table was written to from outside: {0}")]
    Damaged(String),
}

/// The state of a check under way.
#[derive(Debug)]
pub struct Chain {
    anchor: Anchor,
    last: i64,
    last_hash: Hash,
    /// The newest record of retention says that it cut what the anchor says.
    cut_is_recorded: bool,
    records: u64,
}

impl Chain {
    /// A check that starts at the anchor.
    #[must_use]
    pub fn new(anchor: Anchor) -> Self {
        let cut_is_recorded = anchor.pruned_through == 0 && anchor.pruned_hash == [0; 32];
        Self { last: anchor.pruned_through, last_hash: anchor.pruned_hash, anchor, cut_is_recorded, records: 0 }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// When it does not continue the chain.
    pub fn take(&mut self, record: &AuditRecord) -> Result<(), Break> {
        if record.seq == self.last {
            return Err(Break::Forked { seq: record.seq, after: record.seq - 1 });
        }
        if record.seq != self.last + 1 {
            return Err(Break::Missing { expected: self.last + 1, found: record.seq });
        }
        let expected = hash(record, &self.last_hash);
        if Hex(&expected).to_string() != record.hash {
            return Err(Break::Changed(record.seq));
        }
        if record.action == Action::AuditPrune.as_str() {
            self.cut_is_recorded = record.target.as_deref() == Some(&pruned_target(self.anchor.pruned_through))
                && record.reason.as_deref() == Some(&Hex(&self.anchor.pruned_hash).to_string());
        }
        (self.last, self.last_hash) = (record.seq, expected);
        self.records += 1;
        Ok(())
    }

    /// The log is at its end: how many records it has, the number of the last one and its hash.
    ///
    /// # Errors
    /// When its beginning is gone without a record of that.
    pub fn end(self) -> Result<Whole, Break> {
        if !self.cut_is_recorded {
            return Err(Break::Cut(self.anchor.pruned_through));
        }
        let last_hash = Hex(&self.last_hash).to_string();
        Ok(Whole { pruned_through: self.anchor.pruned_through, records: self.records, last: self.last, last_hash })
    }
}

/// Why a record does not continue the chain where it is, as far as it tells by itself: by the hash that it names as the one
/// before it, and the number of the record that has that hash, if any has.
pub(crate) fn misplaced(record: &AuditRecord, previous: &Hash, previous_seq: Option<i64>) -> Option<Break> {
    /// How far from its place a record is looked for.
    const NEAR: i64 = 1_000;
    let seq = record.seq;
    let is_written_as =
        |seq: &i64| Hex(&hash(&AuditRecord { seq: *seq, ..record.clone() }, previous)).to_string() == record.hash;
    if is_written_as(&seq) {
        return previous_seq.filter(|after| *after != seq - 1).map(|after| Break::Forked { seq, after });
    }
    let written_as = (seq - NEAR..=seq + NEAR).find(is_written_as)?;
    Some(Break::OutOfOrder { seq, written_as })
}

/// A log that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The last record that retention deleted, 0 when none was.
    pub pruned_through: i64,
    /// How many records it has.
    pub records: u64,
    /// The number of the last one.
    pub last: i64,
    /// Its hash, in hexadecimal.
    pub last_hash: String,
}

/// What a record of retention has for a target.
pub(crate) fn pruned_target(through: i64) -> String {
    format!("through {through}")
}

#[cfg(test)]
mod tests {
    use super::super::Actor;
    use super::*;
    use app::model::time::UnixMillis;

    const START: Anchor = Anchor { pruned_through: 0, pruned_hash: [0; 32] };

    fn log(length: i64) -> (Vec<AuditRecord>, Vec<Hash>) {
        let (mut records, mut hashes) = (Vec::new(), vec![[0; 32]]);
        for seq in 0..length {
            let act = Actor::server().does(Action::PageView).to(seq.to_string());
            let previous = hashes[seq as usize];
            records.push(act.record(seq, &previous, UnixMillis(seq), 1));
            hashes.push(hash(&records[seq as usize], &previous));
        }
        (records, hashes)
    }

    fn check(anchor: Anchor, records: &[AuditRecord]) -> Result<Whole, Break> {
        let mut chain = Chain::new(anchor);
        records.iter().try_for_each(|record| chain.take(record))?;
        chain.end()
    }

    #[test]
    fn a_log_is_whole_as_long_as_nobody_touched_it() {
        let (records, hashes) = log(5);
        let whole = check(START, &records).unwrap();
        assert_eq!((whole.records, whole.last, whole.last_hash), (5, 5, Hex(&hashes[5]).to_string()));
        assert_eq!(check(START, &[]).unwrap().records, 0);
    }

    #[test]
    fn a_record_that_was_changed_left_out_put_in_or_moved_is_found() {
        let (records, _) = log(5);
        let mut changed = records.clone();
        changed[2].target = Some("nothing to see".into());
        assert_eq!(check(START, &changed), Err(Break::Changed(3)));

        // Whoever changes a record and its hash breaks the next one.
        changed[2].hash = Hex(&hash(&changed[2], &[1; 32])).to_string();
        assert_eq!(check(START, &changed), Err(Break::Changed(3)));

        let mut missing = records.clone();
        missing.remove(3);
        assert_eq!(check(START, &missing), Err(Break::Missing { expected: 4, found: 5 }));

        let mut swapped = records.clone();
        swapped.swap(1, 2);
        assert_eq!(check(START, &swapped), Err(Break::Missing { expected: 2, found: 3 }));
        assert_eq!(check(START, &records[1..]), Err(Break::Missing { expected: 1, found: 2 }));

        let mut twice = records.clone();
        twice.insert(3, records[2].clone());
        assert_eq!(check(START, &twice), Err(Break::Forked { seq: 3, after: 2 }));
    }

    #[test]
    fn a_beginning_may_be_gone_only_when_a_record_says_so() {
        let (mut records, hashes) = log(5);
        let anchor = Anchor { pruned_through: 3, pruned_hash: hashes[3] };
        assert_eq!(check(anchor.clone(), &records[3..]), Err(Break::Cut(3)));

        let act = Actor::server().does(Action::AuditPrune).to(pruned_target(3)).because(Hex(&hashes[3]).to_string());
        records.push(act.record(5, &hashes[5], UnixMillis(9), 1));
        assert_eq!(check(anchor, &records[3..]).unwrap().records, 3);
        let further = Anchor { pruned_through: 4, pruned_hash: hashes[4] };
        assert_eq!(check(further, &records[4..]), Err(Break::Cut(4)), "a cut that goes beyond the recorded one");
    }
}
