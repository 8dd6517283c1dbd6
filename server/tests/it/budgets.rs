//! What the way of a tick may cost, in numbers that do not depend on the machine: allocations and bytes. Time is measured
//! by `make bench`.

use crate::util::PATIENCE;
use allocation_counter::{AllocationInfo, measure};
use app::model::{
    connection::ConnectionId, protocol::Frame, status::Feed, symbol::Symbol, tick::Tick, time::UnixMillis,
};
use server::{
    bus::{Delivery, mailbox::mailbox, read_tick, write_tick},
    config::{Config, Variables},
    monitor::Monitor,
    recording::{Recording, RecordingConfig},
    universe::{Universes, plan},
    upstream::massive::{Reading, read_frame},
};
use std::{
    fmt::Write,
    hint::black_box,
    time::{Duration, Instant},
};

const NOW: UnixMillis = UnixMillis(1_768_998_896_789);
const SYMBOLS: usize = 300;
const HOUR: Duration = Duration::from_secs(3_600);
/// Entries of a price frame and of a tape, at most: kind of row, price, volume, age and count.
const BYTES_PER_TICK_MAX: usize = 16;

fn symbol(n: usize) -> Symbol {
    Symbol::parse(&format!("S{n}")).unwrap()
}

fn ticks(count: usize) -> Vec<Tick> {
    let tick = |n: usize| Tick {
        connection_id: Some((n % 3) as ConnectionId + 1),
        symbol: symbol(n % SYMBOLS),
        price: 178.23 + n as f64 / 100.0,
        volume: 1_000,
        timestamp: UnixMillis(NOW.0 - 12),
    };
    (0..count).map(tick).collect()
}

fn monitor() -> Monitor {
    let variables: Variables = (1..=3)
        .flat_map(|id| {
            let symbols: Vec<_> = (0..SYMBOLS).filter(|n| n % 3 + 1 == id).map(|n| symbol(n).to_string()).collect();
            [
                (format!("WEBSOCKET_CONNECTION_{id}_ENABLED"), "true".to_owned()),
                (format!("WEBSOCKET_CONNECTION_{id}_SYMBOLS"), symbols.join(",")),
            ]
        })
        .chain([("USE_MULTI_CONNECTION".to_owned(), "true".to_owned())])
        .collect();
    let config = Config::read(&variables).expect("a good configuration");
    Monitor::new(Feed::Simulator, plan(&config.connections, &Universes::load(None).unwrap()), NOW)
}

/// What the third round takes: the first two make the room that the steady state lives in.
fn steady(mut round: impl FnMut()) -> AllocationInfo {
    round();
    round();
    measure(round)
}

#[test]
fn reading_the_providers_frames_allocates_nothing() {
    let mut text = String::from("[");
    for (n, tick) in ticks(500).iter().enumerate() {
        let comma = if n == 0 { "" } else { "," };
        let (symbol, price, now) = (tick.symbol, tick.price, NOW.0);
        // Trades, bars and quotes by turns.
        let _ = match n % 3 {
            0 => write!(
                text,
                r#"{comma}{{"ev":"T","sym":"{symbol}","x":4,"i":"{n}","z":3,"p":{price},"s":100,"c":[0,12],"t":{now},"q":{n}}}"#
            ),
            1 => write!(
                text,
                r#"{comma}{{"ev":"A","sym":"{symbol}","v":200,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":{price},"h":25.39,"l":25.39,"a":25.3714,"z":12.5,"s":1768998895000,"e":1768998896000}}"#
            ),
            _ => write!(
                text,
                r#"{comma}{{"ev":"Q","sym":"{symbol}","bx":4,"bp":{price},"bs":1,"ax":7,"ap":{price},"as":1,"c":0,"i":[604],"t":{now},"q":{n},"z":3}}"#
            ),
        };
    }
    text.push(']');
    let mut reading = Reading::default();
    let cost = steady(|| read_frame(black_box(&text), 1, NOW, &mut reading));
    assert_eq!((reading.ticks.len(), cost.count_total), (500, 0), "{cost:?}");
}

#[test]
fn reading_ticks_from_redis_allocates_nothing() {
    let mut json = String::new();
    write_tick(&ticks(1)[0], "massive", None, &mut json);
    let cost = steady(|| assert!(read_tick(black_box(json.as_bytes()), NOW).is_ok()));
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[test]
fn writing_a_tick_for_redis_allocates_nothing() {
    let tick = ticks(1)[0];
    let mut json = String::new();
    let cost = steady(|| {
        json.clear();
        write_tick(black_box(&tick), "massive", None, &mut json);
    });
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[test]
fn a_tick_goes_through_the_mailbox_into_the_monitor_without_allocating() {
    let (outbox, mut inbox) = mailbox();
    let (mut monitor, mut delivery) = (monitor(), Delivery::default());
    let ticks = ticks(1_000);
    // The mailbox has two halves that change places, so it is warm after twice as many rounds.
    let mut round = || {
        outbox.put_ticks(black_box(&ticks));
        assert!(inbox.take_now(&mut delivery));
        monitor.take(&delivery, NOW);
    };
    round();
    round();
    let cost = steady(round);
    assert_eq!(cost.count_total, 0, "{cost:?}");
}

#[test]
fn a_frame_costs_as_many_allocations_however_many_symbols_ticked() {
    let mut monitor = monitor();
    let mut cost = |count: usize| {
        let delivery = Delivery { ticks: ticks(count), ..Delivery::default() };
        let mut bytes = 0;
        let cost = steady(|| {
            monitor.take(&delivery, NOW);
            bytes = monitor.flush(NOW).iter().map(|frame| frame.encode().len()).sum();
        });
        (cost.count_total, bytes)
    };
    let ((few, _), (many, bytes)) = (cost(3), cost(SYMBOLS));
    assert_eq!(few, many);
    assert!(many <= 4, "{many} allocations: the list of frames, the entries, the bytes");
    assert!(bytes <= SYMBOLS * BYTES_PER_TICK_MAX, "{bytes} bytes for {SYMBOLS} prices");
}

#[test]
fn recording_costs_no_allocation_a_tick() {
    let folder = tempfile::tempdir().unwrap();
    let config = RecordingConfig { enabled: true, folder: folder.path().into(), kept: HOUR, bytes_max: 1 << 30 };
    let (recording, tee, _recorder) = Recording::start(config).unwrap();
    let mut monitor = monitor();
    monitor.record_to(tee);
    let mut at = NOW;
    let mut cost = |count: usize| {
        let delivery = Delivery { ticks: ticks(count), ..Delivery::default() };
        steady(|| {
            monitor.take(&delivery, at);
            let frames = monitor.flush(at);
            monitor.told(frames, at);
            at.0 += 1;
        })
        .count_total
    };
    let (few, many) = (cost(3), cost(1_000));
    assert!(many <= few + 2, "{few} for 3 ticks, {many} for 1,000: the list of frames may grow");
    drop(monitor);
    // What ticked before the first frame is in the board that the recording begins with.
    let since = Instant::now();
    while recording.counted().ticks < 3 * 1_003 - 3 {
        assert!(since.elapsed() < PATIENCE, "{:?}", recording.counted());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_open_tape_costs_no_allocation_a_tick_either() {
    let mut monitor = monitor();
    monitor.open_tapes((1..=3).collect());
    let mut cost = |count: usize| {
        let delivery = Delivery { ticks: ticks(count), ..Delivery::default() };
        let mut tapes = 0;
        let cost = steady(|| {
            monitor.take(&delivery, NOW);
            let frames = monitor.flush(NOW);
            tapes = frames.iter().filter(|frame| matches!(frame, Frame::Tape(_))).map(|f| f.encode().len()).sum();
        });
        (cost.count_total, tapes)
    };
    let ((few, _), (many, bytes)) = (cost(30), cost(3_000));
    assert!(many <= few + 2, "{few} for 30 ticks, {many} for 3,000: the list of frames may grow");
    assert!(bytes <= 3_000 * BYTES_PER_TICK_MAX, "{bytes} bytes for 3,000 ticks");
}
