//! Bytes from the network and of `.env`, changed at random: no panic, and nothing comes out that is no tick. The seeds are those of
//! `fuzz/corpus`, which a fuzzer takes further; `PARSER_SECONDS` makes this longer.

use app::model::time::UnixMillis;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use server::{
    bus::{
        frames::{Body, read_board, read_frame as read_bus_frame},
        read_tick, write_tick,
    },
    config::read_env_file,
    upstream::massive::{Reading, read_frame},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// When the frames of the corpus came in.
const NOW: UnixMillis = UnixMillis(1_610_144_870_000);
/// When the messages on Redis did, as in the fuzz target.
const NOW_ON_REDIS: UnixMillis = UnixMillis(1_769_007_600_000);

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty());
    seeds
}

/// What breaks parsers: numbers at their ends, names that mean something, halves of things.
const BITS: [&str; 23] = [
    "-1",
    "1610144868",
    "1610144868784000000",
    "subscribed to: ",
    "\"bp\":0,",
    "null",
    "-0",
    "1e999",
    "1e-400",
    "9223372036854775808",
    "0.1",
    "\"\"",
    "[]",
    "{}",
    "[[",
    "}]",
    ",",
    "\"ev\":\"T\",",
    "\"status\"",
    "\\u0000",
    "\\ud800",
    "\u{feff}",
    "😀",
];

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut SmallRng) {
    for _ in 0..random.random_range(1..8) {
        let at = random.random_range(0..=bytes.len());
        let end = random.random_range(at..=bytes.len().min(at + 40));
        match random.random_range(0..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.random_range(0..8),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            3 => {
                let bit = BITS.choose(random).expect("some");
                bytes.splice(at..end, bit.bytes());
            }
            4 => {
                let other = seeds.choose(random).expect("some");
                let from = random.random_range(0..=other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            _ => bytes.insert(at, random.random()),
        }
        bytes.truncate(100_000);
    }
}

/// Hands out changed seeds for a while.
fn throw(target: &str, mut catch: impl FnMut(&[u8])) {
    let seconds = std::env::var("PARSER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let seeds = seeds(target);
    let mut random = SmallRng::from_os_rng();
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut thrown = 0_u64;
    seeds.iter().for_each(|seed| catch(seed));
    while Instant::now() < until {
        let mut bytes = seeds.choose(&mut random).expect("some").clone();
        change(&mut bytes, &seeds, &mut random);
        let whole = bytes.clone();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| catch(&bytes))).is_err() {
            panic!("{target} does not stand {:?}", String::from_utf8_lossy(&whole));
        }
        thrown += 1;
    }
    println!("{target}: {thrown} messages");
}

#[test]
fn no_bytes_from_the_provider_break_the_reading_of_frames() {
    let mut reading = Reading::default();
    throw("provider_frame", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        read_frame(&text, 1, NOW, &mut reading);
        reading.check(text.len(), NOW);
    });
}

#[test]
fn a_message_that_is_a_tick_survives_being_written_and_read() {
    throw("redis_tick", |bytes| {
        if let Ok(tick) = read_tick(bytes, NOW_ON_REDIS) {
            let is_usable = tick.price.is_finite() && tick.price > 0.0 && tick.volume <= 1 << 53;
            assert!(is_usable && tick.connection_id != Some(0), "{tick:?}");
            let mut json = String::new();
            write_tick(&tick, "test", None, &mut json);
            assert_eq!(read_tick(json.as_bytes(), NOW_ON_REDIS), Ok(tick), "{json}");
        }
    });
}

#[test]
fn no_bytes_break_the_reading_of_frames_and_boards_and_what_comes_out_can_be() {
    throw("redis_frame", |bytes| {
        if let Ok(message) = read_bus_frame(bytes) {
            match message.body {
                Body::Ticks(frame) => {
                    assert!(frame.ticks.iter().all(|tick| tick.price.is_finite() && tick.price > 0.0));
                    assert!(
                        frame.counts.iter().all(|(place, count)| (*place as usize) < frame.ticks.len() && *count > 0)
                    );
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
}

#[test]
fn no_bytes_break_the_reading_of_variables_and_what_is_wrong_is_said_with_its_line() {
    throw("env_file", |bytes| match read_env_file(bytes, &Default::default()) {
        Ok(values) => assert!(values.keys().all(|name| !name.is_empty() && !name.contains(['=', ' ', '\n']))),
        Err(problems) => assert!(problems.iter().all(|problem| problem.to_string().contains("line "))),
    });
}
