use super::*;
use app::model::protocol::Row;
use proptest::prelude::*;

const STREAM: Stream = Stream { epoch: 1_764_400_000_123, run: 1_764_400_000_456 };
const NOW: UnixMillis = UnixMillis(1_768_998_896_789);

fn symbol(text: &str) -> Symbol {
    Symbol::parse(text).expect("a symbol")
}

fn tick(connection_id: ConnectionId, name: &str, price: f64) -> Tick {
    let timestamp = UnixMillis(NOW.0 - 12);
    Tick { connection_id: Some(connection_id), symbol: symbol(name), price, volume: 1_000, timestamp }
}

fn ticks_of(bytes: &[u8]) -> (Header, TickFrame) {
    match read_frame(bytes).expect("a frame") {
        Message { header, body: Body::Ticks(frame) } => (header, frame),
        Message { body: Body::Part(part), .. } => panic!("ticks, not {part:?}"),
    }
}

#[test]
fn a_frame_is_written_as_documented() {
    let mut writer = FrameWriter::new(Stream { epoch: 7, run: 1 });
    writer.note_received(Some(UnixMillis(NOW.0 - 3)));
    writer.record(1, 250, &tick(1, "AAPL", 178.23), 1, NOW);
    writer.record(1, 250, &Tick { price: 178.25, volume: 5, ..tick(1, "AAPL", 1.0) }, 1, NOW);
    let frames: Vec<_> = writer.drain(NOW).collect();
    let expected: &[u8] = &[
        1, 0, // version, kind
        7, 1, 0, 0, // epoch, run, sequence, ticks before
        1, // connection
        0xaa, 0x92, 0xe8, 0x88, 0xfc, 0x66, // at
        24, 24, 3, 2, // ages of the first and the last tick, waited, ticks
        1, 4, b'A', b'A', b'P', b'L', // symbols
        2,    // rows
        0, 0, 0xb8, 0xc8, 0xd9, 0x01, 0xe8, 0x07, // 178.23 = 1782300 steps, 1000 shares
        0, 0, 0x90, 0x03, 5, // 200 steps more, 5 shares
        0, 0, // exact prices, counts
    ];
    assert_eq!(frames, [Encoded { bytes: expected.to_vec(), ticks: 2 }]);
}

#[test]
fn a_busy_market_is_a_few_bytes_a_tick() {
    let mut writer = FrameWriter::new(STREAM);
    let mut bytes = 0;
    for round in 0..10_i64 {
        for n in 0..333_i64 {
            let row = (n * 7 + round) % 100;
            let price = (10_000 + row * 50 + n % 5) as f64 / 100.0;
            let name = format!("SY{row:02}");
            let tick = Tick { volume: 100 + n as u64, timestamp: UnixMillis(NOW.0 + n / 30), ..tick(1, &name, price) };
            writer.record(1, row as u32, &tick, 1, NOW);
        }
        bytes += writer.drain(NOW).map(|frame| frame.bytes.len()).sum::<usize>();
    }
    let per_tick = bytes as f64 / 3_330.0;
    assert!(per_tick < 9.0, "{per_tick} bytes a tick");
}

#[test]
fn what_is_no_frame_is_dropped_with_its_reason() {
    let mut writer = FrameWriter::new(STREAM);
    writer.record(1, 0, &tick(1, "AAPL", 178.23), 3, NOW);
    let good: Vec<_> = writer.drain(NOW).map(|frame| frame.bytes).collect();
    let good = &good[0];
    assert!(read_frame(good).is_ok());
    for length in 0..good.len() {
        assert!(read_frame(&good[..length]).is_err(), "{length} of {}", good.len());
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert_eq!(read_frame(&longer), Err(FrameError::Unreadable("bytes after its end")));
    assert_eq!(read_frame(&[&[2], &good[1..]].concat()), Err(FrameError::Version(2)));
    assert_eq!(read_frame(&[&[1, 9], &good[2..]].concat()), Err(FrameError::Unreadable("of an unknown kind")));
    assert_eq!(read_frame(&vec![1; MESSAGE_BYTES_MAX + 1]), Err(FrameError::TooLarge(MESSAGE_BYTES_MAX + 1)));

    let wrong = |change: fn(&mut Rows)| {
        let mut rows = Rows {
            connection: 1,
            at: NOW.0,
            ticks: 1,
            symbols: vec![symbol("AAPL")],
            rows: vec![WireRow { steps: 10_000, ..WireRow::default() }],
            ..Rows::default()
        };
        change(&mut rows);
        read_frame(&encode(KIND_TICKS, &Header::default(), &rows, 0)).map(|_| ())
    };
    assert_eq!(wrong(|_| {}), Ok(()));
    let changes: [fn(&mut Rows); 11] = [
        |rows| *rows = Rows { ticks: 2, counts: vec![(0, 2)], ..Rows::default() },
        |rows| rows.connection = 0,
        |rows| rows.connection = 17,
        |rows| rows.symbols.clear(),
        |rows| rows.rows[0].steps = 0,
        |rows| rows.rows[0].steps = -1,
        |rows| rows.rows[0].time = i64::MIN,
        |rows| rows.exact_prices = vec![(0, f64::NAN)],
        |rows| rows.exact_prices = vec![(1, 1.0)],
        |rows| rows.counts = vec![(0, 0)],
        |rows| rows.ticks = 2,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(matches!(wrong(change), Err(FrameError::Unreadable(_))), "{number}: {:?}", wrong(change));
    }
}

#[test]
fn a_frame_without_ticks_is_a_sign_of_life_and_ticks_of_nobody_are_a_count() {
    let mut writer = FrameWriter::new(STREAM);
    writer.record_unassigned(5);
    assert!(writer.has_news());
    let frames: Vec<_> = writer.drain(NOW).chain(std::iter::empty()).collect();
    let (header, frame) = ticks_of(&frames[0].bytes);
    assert_eq!((header.sequence, frame.unassigned(), frame.ticks.len()), (0, 5, 0));
    assert!(!writer.has_news() && writer.drain(NOW).next().is_none());
    let frames: Vec<_> = writer.sign_of_life(NOW).collect();
    let (header, frame) = ticks_of(&frames[0].bytes);
    assert_eq!((header.sequence, header.ticks_before, frame.unassigned(), frames.len()), (1, 5, 0, 1));
}

#[test]
fn a_board_of_thirty_thousand_rows_survives_the_way_in_parts() {
    let rows = (0..30_000_u32).map(|n| Row {
        price: Some(f64::from(n) + 0.01),
        volume: 100,
        timestamp: NOW,
        ticks_total: u64::from(n) * 1_000,
        ..Row::empty(1 + (n % 3) as u8, symbol(&format!("S{n}")))
    });
    let end = TapeTick { symbol: symbol("S1"), price: 1.5, volume: 1, timestamp: NOW, ticks: 2 };
    let board = BoardCopy {
        rows: rows.collect(),
        removed: vec![Row::empty(2, symbol("OLD"))],
        rates: vec![(1, vec![1.5; 300]), (2, Vec::new())],
        tapes: vec![TapeEnd { connection_id: 1, ticks_total: 77, ticks: vec![end; TAPE_END_MAX] }],
        unassigned_ticks_total: 9,
    };
    let next = Header { stream: STREAM, sequence: 17, ticks_before: 99 };
    let messages = encode_board(&next, &board);
    assert!(messages.len() > 3, "{} parts", messages.len());
    let mut bytes = Vec::new();
    for (place, message) in messages.iter().enumerate() {
        let Message { header, body: Body::Part(part) } = read_frame(&message.bytes).expect("a part") else {
            panic!("a part")
        };
        assert_eq!((header, part.number as usize, part.count as usize), (next, place, messages.len()));
        bytes.extend_from_slice(part.bytes);
    }
    assert!(bytes.len() < 1_200_000, "{} bytes", bytes.len());
    assert_eq!(read_board(&bytes).as_ref(), Ok(&board));
    assert!(read_board(&bytes[..bytes.len() - 1]).is_err());

    for wrong in [
        BoardCopy { rows: vec![Row { price: Some(f64::NAN), ..board.rows[0] }], ..BoardCopy::default() },
        BoardCopy { removed: vec![Row::empty(0, symbol("A"))], ..BoardCopy::default() },
        BoardCopy { rates: vec![(1, vec![0.0; 301])], ..BoardCopy::default() },
        BoardCopy {
            tapes: vec![TapeEnd { connection_id: 1, ticks_total: 1, ticks: vec![TapeTick { ticks: 0, ..end }] }],
            ..BoardCopy::default()
        },
    ] {
        let bytes = postcard::to_stdvec(&wrong).expect("serialises");
        assert!(matches!(read_board(&bytes), Err(FrameError::Board(_))), "{wrong:?}");
    }
}

/// A tick of one of few rows, with a price of any kind.
fn any_tick() -> impl Strategy<Value = (ConnectionId, u32, f64, u64, i64, u32)> {
    let price = prop_oneof![
        (1_u32..10_000_000).prop_map(|cents| f64::from(cents) / 100.0),
        (1_u64..1 << 40).prop_map(|steps| steps as f64 / 10_000.0),
        any::<f64>().prop_map(f64::abs).prop_filter("a price", |price| is_price(*price)),
    ];
    let count = prop_oneof![9 => Just(1), 1 => 2_u32..u32::MAX];
    (1..=CONNECTIONS_MAX, 0_u32..8, price, any::<u64>(), 0_i64..4_000_000_000_000, count)
}

proptest! {
    /// Whatever was folded comes out: of each connection every tick, in order and to the last bit.
    #[test]
    fn ticks_survive_the_way(
        ticks in proptest::collection::vec((any_tick(), 0_u8..20), 0..300),
    ) {
        let mut writer = FrameWriter::new(STREAM);
        let mut sent: Vec<Vec<(Tick, u32)>> = vec![Vec::new(); 17];
        let mut came = sent.clone();
        let (mut sequence, mut total) = (0, 0);
        let mut read = |messages: Vec<Encoded>| {
            for message in messages {
                let (header, frame) = ticks_of(&message.bytes);
                assert_eq!(header, Header { stream: STREAM, sequence, ticks_before: total });
                sequence += 1;
                total += frame.ticks_total;
                let mut counts = frame.counts.iter().peekable();
                for (place, tick) in (0_u32..).zip(frame.ticks) {
                    let count = counts.next_if(|(of, _)| *of == place).map_or(1, |(_, count)| *count);
                    came[usize::from(tick.connection_id.expect("a connection"))].push((tick, count));
                }
            }
        };
        for ((id, row, price, volume, time, count), act) in ticks {
            // Rows of different connections are different rows.
            let place = u32::from(id) * 8 + row;
            let timestamp = UnixMillis(time);
            let tick = Tick { connection_id: Some(id), symbol: symbol(&format!("S{place}")), price, volume, timestamp };
            writer.record(id, place, &tick, count, NOW);
            sent[usize::from(id)].push((tick, count));
            match act {
                0 => read(writer.drain(NOW).collect()),
                1 => writer.renumber(),
                _ => {}
            }
        }
        read(writer.drain(NOW).collect());
        prop_assert_eq!(came, sent);
    }

    #[test]
    fn no_bytes_break_the_reading(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_frame(&bytes);
        let _ = read_frame(&[&[VERSION, KIND_TICKS, 1, 1, 1, 1], bytes.as_slice()].concat());
        let _ = read_frame(&[&[VERSION, KIND_BOARD], bytes.as_slice()].concat());
        let _ = read_board(&bytes);
    }
}
