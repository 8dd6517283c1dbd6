//! Which bars came already: a bar that is sent again is known by its own window, whatever came in between.

/// Blocks of 64 windows that are remembered: half an hour of seconds. The provider sends a bar again for a quarter of an hour.
const BLOCKS: usize = 32;

/// The last windows of one symbol on one channel, each `LENGTH_MS` long, a bit each. Bars come in order, so the newest block is at hand and the others
/// are elsewhere.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows<const LENGTH_MS: i64> {
    /// The number of the newest window, counted from 1970.
    newest: i64,
    /// The block that holds the newest.
    block: u64,
    /// The blocks, in a ring; the newest one is not up to date. None before the first bar.
    older: Option<Box<[u64; BLOCKS]>>,
}

impl<const LENGTH_MS: i64> Windows<LENGTH_MS> {
    /// Notes the window that starts at `start_ms`; answers whether it came before. One that is older than what is remembered
    /// counts as new: the provider sends none of that age again.
    pub(super) fn came_before(&mut self, start_ms: i64) -> bool {
        let window = start_ms.div_euclid(LENGTH_MS);
        let (block, newest_block) = (window >> 6, self.newest >> 6);
        let bit = 1_u64 << (window & 63);
        if self.older.is_none() {
            self.older = Some(Box::new([0; BLOCKS]));
            (self.newest, self.block) = (window, bit);
            return false;
        }
        if block > newest_block {
            self.turn(newest_block, block);
            self.newest = window;
        } else if block < newest_block {
            if newest_block - block >= BLOCKS as i64 {
                return false;
            }
            return note(self.older.as_mut().and_then(|older| older.get_mut(place(block))), bit);
        }
        self.newest = self.newest.max(window);
        note(Some(&mut self.block), bit)
    }

    /// Puts the newest block where the older ones are, and begins another; the places between held what is forgotten now.
    fn turn(&mut self, from: i64, to: i64) {
        let Some(older) = &mut self.older else { return };
        if let Some(word) = older.get_mut(place(from)) {
            *word = self.block;
        }
        for block in (from + 1).max(to - BLOCKS as i64 + 1)..=to {
            if let Some(word) = older.get_mut(place(block)) {
                *word = 0;
            }
        }
        self.block = 0;
    }
}

fn note(word: Option<&mut u64>, bit: u64) -> bool {
    word.is_some_and(|word| {
        let came = *word & bit != 0;
        *word |= bit;
        came
    })
}

fn place(block: i64) -> usize {
    block.rem_euclid(BLOCKS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// What is remembered at least: the newest block may hold one window alone.
    const WINDOWS: i64 = (BLOCKS as i64 - 1) * 64;

    #[test]
    fn a_window_from_the_future_makes_none_of_the_present_a_repetition() {
        let mut windows = Windows::<1_000>::default();
        assert!(!windows.came_before(1_769_007_650_000));
        for second in 0..50 {
            assert!(!windows.came_before(1_769_007_600_000 + second * 1_000), "{second}");
        }
        assert!(windows.came_before(1_769_007_650_000) && windows.came_before(1_769_007_600_000));
    }

    proptest! {
        /// In whatever order windows come, however far they leap: within half an hour each is known exactly.
        #[test]
        fn each_window_is_known_by_itself(starts in prop::collection::vec(0i64..4_000, 1..300)) {
            let mut windows = Windows::<1_000>::default();
            let (mut came, mut newest) = (BTreeSet::new(), 0);
            for window in starts {
                newest = newest.max(window);
                let before = windows.came_before(window * 1_000);
                if newest - window < WINDOWS {
                    prop_assert_eq!(before, !came.insert(window));
                } else if newest - window >= BLOCKS as i64 * 64 {
                    prop_assert!(!before);
                }
            }
        }
    }
}
