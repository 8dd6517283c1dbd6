//! A message on the channel of frames, or the bytes of a board: no panic, and what comes out can be.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::bus::frames::{Body, read_board, read_frame};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = read_frame(bytes) {
        match message.body {
            Body::Ticks(frame) => {
                assert!(frame.ticks.iter().all(|tick| tick.price.is_finite() && tick.price > 0.0));
                assert!(frame.counts.iter().all(|(place, count)| (*place as usize) < frame.ticks.len() && *count > 0));
            }
            Body::Part(part) => assert!(part.number < part.count),
        }
    }
    if let Ok(board) = read_board(bytes) {
        let rows = board.rows.iter().chain(&board.removed);
        assert!(rows.clone().all(|row| row.price.is_none_or(|price| price.is_finite() && price > 0.0)));
        assert!(rows.map(|row| row.connection_id).all(|id| (1..=16).contains(&id)));
    }
});
