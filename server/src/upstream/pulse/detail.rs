//! What is known of one symbol, for whoever looks at it.

use super::Pulse;
use app::model::{symbol::Symbol, symbol_detail::SymbolRhythm, time::UnixMillis};

impl Pulse {
    /// How a symbol ticks; `None` when it is not configured and never came.
    pub(in super::super) fn rhythm_of(&self, symbol: Symbol) -> Option<SymbolRhythm> {
        let beat = self.symbols.get(&symbol)?;
        let rhythm = &beat.rhythm;
        let last_tick = Some(rhythm.last_beat(UnixMillis(0))).filter(|last| last.0 > 0);
        let usual_gap_ms = rhythm.is_known().then(|| rhythm.pause_ms() as u64);
        Some(SymbolRhythm { last_tick, usual_gap_ms, gaps: rhythm.pauses().to_vec(), halted: beat.halted })
    }
}
