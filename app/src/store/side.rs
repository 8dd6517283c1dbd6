//! What the browser alone knows of a row: what it was when the view was opened, and how often it ticks.
//!
//! Both are reckoned from the counts and prices that every client gets; the server keeps nothing for them.

use crate::model::{
    protocol::{Row, RowSpan, Snapshot},
    time::UnixMillis,
};
use std::collections::HashMap;

/// The time over which rates are averaged, in milliseconds: shorter, and slow symbols would blink between 0 and 1.
const RATE_MS: i64 = 10_000;
/// Counts that are remembered for it, one a second.
const MARKS: usize = 10;

/// Beside a [`Row`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Side {
    /// The first price that this page saw.
    pub opening: Option<f64>,
    /// Ticks a second over the last ten seconds; `None` before they were measured.
    pub rate: Option<f32>,
    /// The price of the last tick on a tape.
    pub tape_price: Option<f64>,
    /// [`Row::ticks_total`] at the last measurements, a ring. Only differences count.
    counted: [u32; MARKS],
    /// The number of the paint that last drew the row.
    painted: u32,
}

impl Side {
    fn new(row: &Row) -> Self {
        Self { opening: row.price, counted: [row.ticks_total as u32; MARKS], ..Self::default() }
    }

    /// The latest price against the one at the opening, as a part of it.
    #[must_use]
    pub fn change(&self, row: &Row) -> Option<f64> {
        let opening = self.opening.filter(|opening| *opening > 0.0)?;
        Some((row.price? - opening) / opening)
    }

    /// A paint draws the row: is it the first time that this one does?
    pub fn paint(&mut self, paint: u32) -> bool {
        std::mem::replace(&mut self.painted, paint) != paint
    }
}

/// Rows with what stands beside them: the live ones, or those of the moment of a pause.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// As the board has them.
    pub rows: &'a [Row],
    /// In the same order.
    pub sides: &'a [Side],
    /// Those that are stale.
    pub stale: &'a [RowSpan],
    /// The moment that they are of.
    pub now: Option<UnixMillis>,
    /// Steps that flashes went on since the paint before.
    pub flash_steps: u8,
}

/// The sides of all rows.
#[derive(Clone, Default)]
pub struct Sides {
    /// In the order of the board's rows.
    pub all: Vec<Side>,
    /// When the last measurements were, a ring as in each side.
    measured_at: [UnixMillis; MARKS],
    measurements: usize,
}

impl Sides {
    /// The sides that fit a snapshot, made before the board takes it: what was known of a symbol stays known.
    #[must_use]
    pub fn carried_over(&self, before: &[Row], snapshot: &Snapshot) -> Self {
        let same =
            before.len() == snapshot.rows.len() && before.iter().zip(&snapshot.rows).all(|(a, b)| name(a) == name(b));
        let known: HashMap<_, _> = if same { HashMap::new() } else { before.iter().map(name).zip(&self.all).collect() };
        let all = snapshot.rows.iter().enumerate().map(|(place, row)| {
            let old = if same { self.all.get(place) } else { known.get(&name(row)).copied() };
            let Some(old) = old else { return Side::new(row) };
            // A server that was started again counts from zero.
            let counted = old.counted.map(|counted| counted.min(row.ticks_total as u32));
            Side { opening: old.opening.or(row.price), counted, ..*old }
        });
        Self { all: all.collect(), ..*self }
    }

    /// Rows were added to the board, or got their first price.
    pub fn extend(&mut self, rows: &[Row]) {
        self.all.extend(rows.iter().skip(self.all.len()).map(Side::new));
    }

    /// Measures the rates; once a second. `counted_until` is the moment, by the server's clock, up to which frames came: after
    /// a standstill of this browser what had waited comes at once, and is divided by the time in which it came about.
    pub fn measure(&mut self, rows: &[Row], counted_until: UnixMillis) {
        let age_ms = |mark: usize| counted_until.millis_since(self.measured_at[mark % MARKS]);
        let next = self.measurements;
        if next > 0 && age_ms(next - 1) <= 0 {
            return;
        }
        // The newest one that is ten seconds old, or the oldest: at first rates are those of the time so far.
        let oldest = next.saturating_sub(MARKS);
        let since = (oldest..next).rev().find(|mark| age_ms(*mark) >= RATE_MS).unwrap_or(oldest);
        let seconds = (next > 0).then(|| age_ms(since) as f32 / 1000.0);
        for (side, row) in self.all.iter_mut().zip(rows) {
            let counted = row.ticks_total as u32;
            let gained = counted.wrapping_sub(side.counted[since % MARKS]);
            side.rate = seconds.map(|seconds| gained as f32 / seconds).or(side.rate);
            side.counted[next % MARKS] = counted;
        }
        self.measured_at[next % MARKS] = counted_until;
        self.measurements += 1;
    }

    /// Time went by without measurements: what was counted meanwhile is no rate of now.
    pub fn forget_time(&mut self) {
        self.measurements = 0;
    }
}

fn name(row: &Row) -> (u8, crate::model::symbol::Symbol) {
    (row.connection_id, row.symbol)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::symbol::Symbol;

    fn row(symbol: &str, price: Option<f64>, ticks_total: u64) -> Row {
        Row { price, ticks_total, ..Row::empty(1, Symbol::parse(symbol).expect("a symbol")) }
    }

    fn sides(rows: &[Row]) -> Sides {
        let mut sides = Sides::default();
        sides.extend(rows);
        sides
    }

    #[test]
    fn rates_are_an_average_that_forgets() {
        let mut rows = [row("A", Some(1.0), 500)];
        let mut sides = sides(&rows);
        for second in 0..=3 {
            sides.measure(&rows, UnixMillis(second * 1000));
            rows[0].ticks_total += 20;
        }
        assert_eq!(sides.all[0].rate, Some(20.0), "at once, and without what came before the page");
        // A flood of ten seconds, and after it the pace of before.
        for second in 4..40 {
            rows[0].ticks_total += if second < 14 { 1_980 } else { 0 };
            sides.measure(&rows, UnixMillis(second * 1000));
            match second {
                13 => assert_eq!(sides.all[0].rate, Some(1_982.0), "twenty of them were counted late"),
                18 => assert_eq!(sides.all[0].rate, Some(990.0), "half of it"),
                23.. => assert_eq!(sides.all[0].rate, Some(0.0), "{second}: the mean of ten seconds"),
                _ => {}
            }
        }
    }

    #[test]
    fn what_waited_while_the_browser_stood_still_is_no_burst() {
        let mut rows = [row("A", Some(1.0), 0)];
        let mut sides = sides(&rows);
        for second in 0..=20 {
            rows[0].ticks_total = second as u64 * 20;
            sides.measure(&rows, UnixMillis(second * 1000));
        }
        // 30 s in which nothing was read, and nothing was measured: no frame said that time went by.
        sides.measure(&rows, UnixMillis(20_000));
        assert_eq!(sides.all[0].rate, Some(20.0));
        rows[0].ticks_total = 51 * 20;
        sides.measure(&rows, UnixMillis(51_000));
        assert_eq!(sides.all[0].rate, Some(20.0));
    }

    #[test]
    fn what_is_known_of_a_symbol_survives_a_snapshot_that_moves_it() {
        let before = [row("A", Some(10.0), 5), row("B", None, 0)];
        let sides = sides(&before);
        let after = [row("B", Some(4.0), 1), row("A", Some(11.0), 9), row("C", Some(2.0), 3)];
        let carried = sides.carried_over(&before, &Snapshot { rows: after.to_vec(), ..Snapshot::default() });
        let changes: Vec<_> = carried.all.iter().zip(&after).map(|(side, row)| side.change(row)).collect();
        assert_eq!(changes, [Some(0.0), Some(0.1), Some(0.0)]);

        let restarted = [row("A", Some(12.0), 1), row("B", None, 0)];
        let mut carried = sides.carried_over(&before, &Snapshot { rows: restarted.to_vec(), ..Snapshot::default() });
        assert_eq!(carried.all[0].opening, Some(10.0), "a server that was restarted opens no new view");
        carried.measure(&restarted, UnixMillis(0));
        carried.measure(&restarted, UnixMillis(1000));
        assert_eq!(carried.all[0].rate, Some(0.0));
    }
}
