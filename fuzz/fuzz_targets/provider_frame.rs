//! A text frame of the provider, whatever it holds: no panic, and nothing comes out that is no tick.

#![no_main]

use libfuzzer_sys::fuzz_target;
use app::model::time::UnixMillis;
use server::upstream::massive::{Reading, read_frame};

/// When the frames of the corpus came in.
const NOW: UnixMillis = UnixMillis(1_610_144_870_000);

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut reading = Reading::default();
    read_frame(text, 1, NOW, &mut reading);
    reading.check(text.len(), NOW);
});
