//! Which rows a table has, and in which order.

use crate::{
    model::{
        connection::ConnectionId,
        health::Coverage,
        protocol::{Row, RowId, RowSpan},
    },
    store::{
        arrangement::{Arrangement, Sort, SortKey},
        filter::RowState,
        side::Rows,
    },
};

/// Each connection's rows, by symbol.
#[must_use]
pub fn members(rows: &[Row], ids: impl Iterator<Item = ConnectionId>) -> Vec<Vec<RowId>> {
    let ids: Vec<_> = ids.collect();
    let mut members = vec![Vec::new(); ids.len()];
    for (id, row) in rows.iter().enumerate() {
        if let Some(place) = ids.iter().position(|connection| *connection == row.connection_id) {
            members[place].push(id as RowId);
        }
    }
    for of_connection in &mut members {
        // Rows come sorted but for late ones, which the sort takes in its stride.
        of_connection.sort_by_key(|id| rows[*id as usize].symbol);
    }
    members
}

/// The rows that pass the filter, pinned ones first, then by the key; what has no value comes last, whichever end is
/// first, and equals stay in alphabetical order.
pub(super) fn arrange(rows: Rows<'_>, members: &[RowId], arrangement: &Arrangement, coverage: &Coverage) -> Vec<RowId> {
    let Sort { key, descending } = arrangement.sort;
    let row = |id: RowId| rows.rows.get(id as usize);
    let admits = |(id, row): (RowId, &Row)| {
        let filter = &arrangement.filter;
        filter.admits(&row.symbol) && filter.admits_state(|state| has_state(id, row, rows, coverage, state))
    };
    let admitted = members.iter().copied().filter(|id| row(*id).is_some_and(|row| admits((*id, row))));
    let mut shown: Vec<RowId> = admitted.collect();
    if key.is_live() {
        let keyed = shown.iter().map(|id| (value_of(rows, *id as usize, key), *id));
        let mut keyed: Vec<(Option<f64>, RowId)> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| match (a, b) {
            (Some(a), Some(b)) if descending => b.total_cmp(a),
            (Some(a), Some(b)) => a.total_cmp(b),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        shown = keyed.into_iter().map(|(_, id)| id).collect();
    } else if descending {
        shown.reverse();
    }
    let pin = |id: &RowId| row(*id).and_then(|row| arrangement.pinned.iter().position(|pinned| *pinned == row.symbol));
    if !arrangement.pinned.is_empty() {
        let (mut pinned, rest): (Vec<_>, Vec<_>) = shown.into_iter().partition(|id| pin(id).is_some());
        pinned.sort_by_key(pin);
        pinned.extend(rest);
        return pinned;
    }
    shown
}

/// Is a row in such a state? Of those that are named the report lists the first by the alphabet.
fn has_state(id: RowId, row: &Row, rows: Rows<'_>, coverage: &Coverage, state: RowState) -> bool {
    match state {
        RowState::Stale => RowSpan::hold(rows.stale, id),
        RowState::Never => row.price.is_none() || coverage.never_ticked_symbols.contains(&row.symbol),
        RowState::Silent => coverage.silent_symbols.contains(&row.symbol),
        RowState::Halted => coverage.halted_symbols.contains(&row.symbol),
    }
}

fn value_of(rows: Rows<'_>, id: usize, key: SortKey) -> Option<f64> {
    let (row, side) = (rows.rows.get(id)?, rows.sides.get(id)?);
    match key {
        SortKey::Symbol => None,
        SortKey::Price => row.price,
        SortKey::Change => side.change(row),
        SortKey::Rate => row.price.and(side.rate).map(f64::from),
        SortKey::Updated => row.price.map(|_| row.timestamp.0 as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{symbol::Symbol, time::UnixMillis},
        store::{filter::Filter, side::Side},
    };

    fn book() -> (Vec<Row>, Vec<Side>) {
        let row = |symbol: &str, price: Option<f64>, at: i64| Row {
            price,
            timestamp: UnixMillis(at),
            ..Row::empty(1, Symbol::parse(symbol).expect("a symbol"))
        };
        let rows = vec![row("A", Some(5.0), 3), row("B", None, 0), row("C", Some(9.0), 1), row("D", Some(5.0), 2)];
        let side = |opening: f64, rate: f32| {
            let mut side = Side::default();
            (side.opening, side.rate) = (Some(opening), Some(rate));
            side
        };
        (rows, vec![side(10.0, 1.0), side(1.0, 0.0), side(9.0, 3.0), side(4.0, 2.0)])
    }

    fn order(edit: impl FnOnce(&mut Arrangement)) -> String {
        let (rows, sides) = book();
        let mut arrangement = Arrangement::default();
        edit(&mut arrangement);
        let halted_symbols = vec![Symbol::parse("C").expect("a symbol")];
        let coverage = Coverage { halted: 1, halted_symbols, ..Coverage::default() };
        let stale = [RowSpan { first: 2, count: 2 }];
        let rows_now = Rows { rows: &rows, sides: &sides, stale: &stale, now: None, flash_steps: 0 };
        let shown = arrange(rows_now, &[0, 1, 2, 3], &arrangement, &coverage);
        shown.into_iter().map(|id| rows[id as usize].symbol.to_string()).collect()
    }

    #[test]
    fn rows_stand_by_the_key_and_what_has_no_value_stands_last() {
        let by = |key, descending| order(|arrangement| arrangement.sort = Sort { key, descending });
        assert_eq!((by(SortKey::Symbol, false), by(SortKey::Symbol, true)), ("ABCD".into(), "DCBA".into()));
        assert_eq!((by(SortKey::Price, false), by(SortKey::Price, true)), ("ADCB".into(), "CADB".into()));
        assert_eq!((by(SortKey::Change, true), by(SortKey::Rate, true)), ("DCAB".into(), "CDAB".into()));
        assert_eq!(by(SortKey::Updated, true), "ADCB");
    }

    #[test]
    fn pinned_rows_stand_on_top_of_what_the_filter_admits() {
        let pin = |arrangement: &mut Arrangement, symbols: &[&str]| {
            symbols.iter().for_each(|text| arrangement.toggle_pin(Symbol::parse(text).expect("a symbol")));
        };
        assert_eq!(order(|arrangement| pin(arrangement, &["D", "B"])), "DBAC");
        let filtered = order(|arrangement| {
            pin(arrangement, &["D", "B"]);
            arrangement.filter = Filter::new("b,c");
        });
        assert_eq!(filtered, "BC");
    }

    #[test]
    fn a_state_in_the_filter_shows_the_rows_that_are_counted() {
        let filtered = |text: &str| order(|arrangement| arrangement.filter = Filter::new(text));
        assert_eq!(
            (filtered("is:stale"), filtered("is:never"), filtered("is:halted")),
            ("CD".into(), "B".into(), "C".into())
        );
        assert_eq!(
            (filtered("is:never is:halted"), filtered("is:stale d"), filtered("is:silent")),
            ("BC".into(), "D".into(), String::new())
        );
    }
}
