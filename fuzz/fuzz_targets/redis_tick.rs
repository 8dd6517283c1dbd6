//! A message on the channel of ticks, whatever it holds: no panic, and what is a tick survives being written and read.

#![no_main]

use app::model::time::UnixMillis;
use libfuzzer_sys::fuzz_target;
use server::bus::{read_tick, write_tick};

const NOW: UnixMillis = UnixMillis(1_769_007_600_000);

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tick) = read_tick(bytes, NOW) {
        let is_usable = tick.price.is_finite() && tick.price > 0.0 && tick.volume <= 1 << 53;
        assert!(is_usable && tick.connection_id != Some(0), "{tick:?}");
        let mut json = String::new();
        write_tick(&tick, "fuzz", None, &mut json);
        assert_eq!(read_tick(json.as_bytes(), NOW), Ok(tick), "{json}");
    }
});
