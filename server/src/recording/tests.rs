use super::{
    Format, NotKept, NotShown, Past, Recording, RecordingConfig, Session, Wanted,
    folder::{Folder, segments},
    status::Doing,
    tee::Tee,
    writer::Writer,
};
use app::model::{
    connection::ConnectionId,
    protocol::{Frame, Metrics, Row, Snapshot, TickEntry, Ticks},
    status::{ConnectionStatus, LiveReport, StatusReport},
    symbol::Symbol,
    tape::TapeSet,
    tick::Tick,
    time::UnixMillis,
};
use proptest::prelude::*;
use std::{fs, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;

const NOW: UnixMillis = UnixMillis(1_768_998_896_789);

fn config(folder: &Path) -> RecordingConfig {
    RecordingConfig {
        enabled: true,
        folder: folder.to_owned(),
        kept: Duration::from_secs(24 * 3600),
        bytes_max: 1 << 30,
    }
}

/// What happens at a hub.
#[derive(Clone, Debug)]
enum Happens {
    /// Ticks: of which row, at which price in ten-thousandths, of which size, how old, how many.
    Ticks(Vec<(usize, u32, u32, i64, u32)>),
    /// New rows.
    Rows(Vec<u32>),
    /// Everything that came is told.
    Flush,
    Live(u64),
    Beat(u64),
    /// Other rows, in another order.
    Reconfigured(Vec<u32>),
    /// The chunk goes to the recorder.
    Close,
    /// Another one collects for a while.
    StandsBy,
}

fn happens() -> impl Strategy<Value = Happens> {
    let tick =
        (0_usize..40, 1_u32..3_000_000, 0_u32..5_000, -50_i64..5_000, prop_oneof![9 => Just(1_u32), 1 => 2..9_u32]);
    prop_oneof![
        8 => prop::collection::vec(tick, 1..20).prop_map(Happens::Ticks),
        1 => prop::collection::vec(0_u32..60, 1..4).prop_map(Happens::Rows),
        8 => Just(Happens::Flush),
        1 => any::<u64>().prop_map(Happens::Live),
        2 => any::<u64>().prop_map(Happens::Beat),
        1 => prop::collection::vec(0_u32..60, 0..20).prop_map(Happens::Reconfigured),
        3 => Just(Happens::Close),
        1 => Just(Happens::StandsBy),
    ]
}

/// How many recordings are made up: RECORDING_CASES=1000 for more.
fn cases() -> u32 {
    std::env::var("RECORDING_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(24)
}

/// A hub and a socket of it, of which everything is remembered.
struct Live {
    tee: Tee,
    writer: Writer,
    now: UnixMillis,
    rows: Vec<Row>,
    told_rows: usize,
    untold: Vec<(usize, Tick, u32)>,
    /// What the socket shows.
    shown: Past,
    /// What it was sent, and what it showed then.
    sent: Vec<(UnixMillis, Vec<Frame>, Past)>,
}

impl Live {
    fn new(folder: &Path) -> Self {
        let recording = Recording::to_read(config(folder));
        let (mut tee, ends) = Tee::new(Arc::clone(&recording.shared));
        tee.chunk_ms = i64::MAX;
        let writer = Writer::new(config(folder), recording.shared, ends).expect("an encoder");
        let report = StatusReport { connections: vec![ConnectionStatus::default(); 3], ..StatusReport::default() };
        let mut live = Self {
            tee,
            writer,
            now: NOW,
            rows: Vec::new(),
            told_rows: 0,
            untold: Vec::new(),
            shown: Past::default(),
            sent: Vec::new(),
        };
        live.shown.board.report = report;
        live.shown.board.sample_rates();
        live.lay_out(&[1, 2, 3]);
        live
    }

    fn pass(&mut self, ms: i64) {
        self.now.0 += ms;
    }

    fn row(n: u32) -> Row {
        Row::empty((n % 3) as ConnectionId + 1, Symbol::parse(&format!("S{n}")).expect("a symbol"))
    }

    fn live(&self, total: u64) -> LiveReport {
        let mut report = self.shown.board.report.live();
        report.head.generated_at = self.now;
        report.head.summary.errors_total = total;
        report.connections[1].metrics.ticks_per_second = total as f64 / 7.0;
        report.connections[2].reason = Some(format!("reason {total}"));
        report
    }

    fn tick(&mut self, row: usize, price: u32, volume: u32, age_ms: i64, count: u32) {
        let row = row % self.rows.len();
        let Row { connection_id, symbol, .. } = self.rows[row];
        let (price, volume) = (f64::from(price) / 10_000.0, volume.into());
        let timestamp = UnixMillis(self.now.0 - age_ms);
        let tick = Tick { connection_id: Some(connection_id), symbol, price, volume, timestamp };
        self.tee.record(connection_id, row as u32, &tick, count);
        self.untold.push((row, tick, count));
    }

    fn tell(&mut self, frames: Vec<Frame>) {
        for frame in &frames {
            self.shown.apply(frame);
        }
        self.shown.at = self.now;
        let shown = self.shown.clone();
        self.tee.step(self.now, frames.clone(), self.untold.is_empty(), || shown.snapshot());
        self.writer.catch_up();
        // What is told before it begins is not there.
        if self.tee.is_recording() {
            self.sent.push((self.now, frames, self.shown.clone()));
        }
        self.pass(7);
    }

    fn flush(&mut self) {
        let mut frames = Vec::new();
        if self.told_rows < self.rows.len() {
            frames.push(Frame::Rows(self.rows[self.told_rows..].to_vec()));
            self.told_rows = self.rows.len();
        }
        let mut entries: Vec<TickEntry> = Vec::new();
        for (row, tick, ticks) in self.untold.drain(..) {
            let row = row as u32;
            let age_ms = self.now.millis_since(tick.timestamp);
            let entry = TickEntry { row, price: tick.price, volume: tick.volume, age_ms, ticks };
            match entries.iter_mut().find(|known| known.row == row) {
                Some(known) => *known = TickEntry { ticks: known.ticks + ticks, ..entry },
                None => entries.push(entry),
            }
        }
        if !entries.is_empty() {
            frames.push(Frame::Ticks(Ticks { at: self.now, entries, waited_ms: 3 }));
        }
        self.tell(frames);
    }

    fn lay_out(&mut self, names: &[u32]) {
        self.tee.renumber(&self.rows);
        self.rows.clear();
        names.iter().for_each(|n| self.add(*n));
        self.told_rows = self.rows.len();
        self.untold.clear();
        let snapshot =
            Snapshot { rows_total: self.rows.len() as u32, rows: self.rows.clone(), ..self.shown.snapshot() };
        self.tell(vec![Frame::Snapshot(Box::new(snapshot))]);
    }

    fn add(&mut self, n: u32) {
        let row = Self::row(n);
        if !self.rows.iter().any(|known| known.symbol == row.symbol) {
            self.rows.push(row);
        }
    }

    fn do_it(&mut self, happens: &Happens) {
        match happens {
            Happens::Ticks(ticks) if !self.rows.is_empty() => {
                ticks
                    .iter()
                    .for_each(|(row, price, volume, age, count)| self.tick(*row, *price, *volume, *age, *count));
            }
            Happens::Ticks(_) => {}
            Happens::Rows(names) => names.iter().for_each(|n| self.add(*n)),
            Happens::Flush => self.flush(),
            Happens::Live(total) => {
                self.flush();
                let live = self.live(*total);
                self.tell(vec![Frame::Live(live)]);
            }
            Happens::Beat(total) => {
                let (live, stale) = (self.live(*total), Vec::new());
                self.tell(vec![Frame::Metrics(Metrics { live, stale, ..Metrics::default() })]);
            }
            Happens::Reconfigured(names) => self.lay_out(names),
            Happens::Close => {
                self.tee.chunk_ms = 0;
                self.flush();
                self.tee.chunk_ms = i64::MAX;
                self.writer.catch_up();
            }
            Happens::StandsBy => {
                self.flush();
                self.tee.stand_by();
                self.writer.catch_up();
                self.pass(60_000);
            }
        }
    }

    /// Everything is written.
    fn end(mut self) -> Vec<(UnixMillis, Vec<Frame>, Past)> {
        self.flush();
        drop(self.tee);
        self.writer.catch_up();
        self.sent
    }
}

/// The same ticks, whatever their order among connections.
fn sorted(mut frames: Vec<Frame>) -> Vec<Frame> {
    for frame in &mut frames {
        if let Frame::Ticks(ticks) = frame {
            ticks.entries.sort_by_key(|entry| entry.row);
        }
    }
    frames.retain(|frame| !matches!(frame, Frame::Tape(_)));
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn the_board_of_any_moment_is_the_one_that_was_shown_then(all in prop::collection::vec(happens(), 1..80)) {
        let folder = tempfile::tempdir().expect("a folder");
        let mut live = Live::new(folder.path());
        all.iter().for_each(|happens| live.do_it(happens));
        let sent = live.end();
        let recording = Recording::to_read(config(folder.path()));
        for (at, _, shown) in &sent {
            let past = recording.past(*at).expect("recorded");
            prop_assert_eq!(&past.board.rows, &shown.board.rows);
            prop_assert_eq!(&past, shown);
        }
        // Played from anywhere, a reader is sent what the socket was sent, but for snapshots where the recording began anew.
        let first = sent.len() / 3;
        let mut session = Session::new(recording);
        session.seek(sent[first].0, TapeSet::default()).expect("recorded");
        for (at, frames, shown) in &sent[first + 1..] {
            let played = session.step(TapeSet::default()).expect("recorded");
            prop_assert_eq!(&session.board().expect("a board").rows, &shown.board.rows);
            prop_assert_eq!((session.at(), session.board()), (Some(*at), Some(&shown.board)));
            if !matches!(played.frames.first(), Some(Frame::Snapshot(_))) {
                prop_assert_eq!(sorted(played.frames), sorted(frames.clone()));
            }
        }
        prop_assert!(session.step(TapeSet::default()).expect("recorded").is_end);
        for (at, _, shown) in sent.iter().rev().take(5).skip(1) {
            session.step_back(TapeSet::default()).expect("recorded");
            prop_assert_eq!((session.at(), session.board()), (Some(*at), Some(&shown.board)));
        }
    }

    #[test]
    fn a_file_that_a_kill_tore_is_whole_up_to_its_last_block(cut in any::<prop::sample::Index>()) {
        let (folder, sent) = recorded(12);
        let (_, path) = segments(folder.path()).expect("a folder").pop().expect("a file");
        let bytes = fs::read(&path).expect("a file");
        let length = cut.index(bytes.len());
        fs::write(&path, &bytes[..length]).expect("written");
        drop(Folder::open(folder.path()).expect("opens"));
        let recording = Recording::to_read(config(folder.path()));
        let Some((_, to)) = recording.contents().expect("a folder").spans.pop() else {
            // Not one whole board.
            return Ok(());
        };
        let mut compared = 0;
        for (at, _, shown) in sent.iter().filter(|(at, ..)| *at <= to) {
            prop_assert_eq!(&recording.past(*at).expect("recorded"), shown);
            compared += 1;
        }
        // A block is two steps here: what is not there did not fit.
        prop_assert!(compared as f64 + 4.0 >= length as f64 / bytes.len() as f64 * sent.len() as f64 * 0.5);
    }
}

/// A recording of some seconds, and what was shown.
fn recorded(seconds: u64) -> (TempDir, Vec<(UnixMillis, Vec<Frame>, Past)>) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut live = Live::new(folder.path());
    for second in 0..seconds {
        for n in 0..50 {
            live.tick(n, 1_000_000 + n as u32 * 100 + second as u32 % 7 * 100, 100, 3, 1);
        }
        live.flush();
        live.pass(900);
        live.do_it(&Happens::Beat(second));
        live.do_it(&Happens::Close);
    }
    (folder, live.end())
}

#[test]
fn a_moment_at_which_nothing_was_recorded_says_what_there_is() {
    let (folder, sent) = recorded(3);
    let recording = Recording::to_read(config(folder.path()));
    let error = recording.past(UnixMillis(NOW.0 - 1)).expect_err("before it");
    assert!(matches!(&error, NotShown::NotRecorded { spans, .. } if spans.len() == 1));
    assert!(
        error.to_string().starts_with("nothing is recorded at 2026-01-21T12:34:56.788Z; there is something from 2026")
    );
    assert!(recording.past(UnixMillis(sent.last().expect("sent").0.0 + 60_000)).is_err());
}

#[test]
fn a_tape_has_the_last_ticks_of_its_connection() {
    let (folder, sent) = recorded(8);
    let mut session = Session::new(Recording::to_read(config(folder.path())));
    let frames = session.seek(sent.last().expect("sent").0, [1, 2].into_iter().collect()).expect("recorded");
    let tapes: Vec<_> =
        frames.iter().filter_map(|frame| if let Frame::Tape(tape) = frame { Some(tape) } else { None }).collect();
    assert_eq!(tapes.iter().map(|tape| tape.connection_id).collect::<Vec<_>>(), [1, 2]);
    assert!(tapes.iter().all(|tape| (50..=200).contains(&tape.entries.len())));
}

#[test]
fn merged_steps_lead_to_the_same_prices() {
    let (folder, sent) = recorded(8);
    let recording = Recording::to_read(config(folder.path()));
    let mut session = Session::new(recording);
    let mut shown = Past::default();
    session.seek(sent[1].0, TapeSet::default()).expect("recorded").iter().for_each(|frame| shown.apply(frame));
    let last = sent.last().expect("sent");
    let advanced = session.advance(last.0, TapeSet::default(), true).expect("recorded");
    assert!(advanced.frames.len() < 15, "a step a second, and a tick frame for all of them");
    advanced.frames.iter().for_each(|frame| shown.apply(frame));
    let prices =
        |past: &Past| past.board.rows.iter().map(|row| (row.price, row.ticks_total, row.timestamp)).collect::<Vec<_>>();
    assert_eq!((prices(&shown), &shown.board.rates), (prices(&last.2), &last.2.board.rates));
}

#[test]
fn a_hole_is_passed_over_and_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut live = Live::new(folder.path());
    live.do_it(&Happens::Beat(1));
    live.do_it(&Happens::StandsBy);
    live.do_it(&Happens::Beat(2));
    let sent = live.end();
    let recording = Recording::to_read(config(folder.path()));
    assert_eq!(recording.contents().expect("a folder").spans.len(), 2);
    let mut session = Session::new(recording);
    session.seek(NOW, TapeSet::default()).expect("recorded");
    let advanced = session.advance(UnixMillis(NOW.0 + 1_000), TapeSet::default(), false).expect("recorded");
    let before = sent.iter().rev().find(|(at, ..)| at.0 < NOW.0 + 50_000).expect("sent").0;
    assert_eq!((advanced.skipped_from, advanced.is_end), (Some(before), false));
    assert!(matches!(advanced.frames.last(), Some(Frame::Snapshot(_))), "it goes on with a whole board");
}

#[test]
fn whatever_the_folder_does_costs_the_recording_alone_and_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recording");
    let mut live = Live::new(&path);
    let doing = live.tee.shared().doing.subscribe();
    let recording_since = |doing: &Doing| matches!(doing, Doing::Recording(_));
    live.do_it(&Happens::Close);
    assert!(recording_since(&doing.borrow()));
    let trouble = || match &*doing.borrow() {
        Doing::Trouble(trouble) => trouble.reason.clone(),
        other => format!("{other:?}"),
    };

    // Removed: it begins again in a new one.
    fs::remove_dir_all(&path).expect("removed");
    live.do_it(&Happens::Close);
    assert_eq!(trouble(), "its folder is gone");
    live.writer.try_again();
    live.do_it(&Happens::Close);
    live.do_it(&Happens::Close);
    assert!(recording_since(&doing.borrow()), "{:?}", doing.borrow());

    // Another server's: told as long as that has it.
    live.do_it(&Happens::StandsBy);
    live.writer.try_again();
    let other = Folder::open(&path).expect("free");
    live.do_it(&Happens::Beat(1));
    live.do_it(&Happens::Close);
    assert_eq!(trouble(), "another server records to this folder");
    live.tick(0, 1, 1, 1, 1);
    live.do_it(&Happens::Close);
    drop(other);
    live.writer.try_again();
    live.do_it(&Happens::Beat(1));
    live.do_it(&Happens::Close);
    assert!(recording_since(&doing.borrow()));

    // A file where the folder should be.
    live.do_it(&Happens::StandsBy);
    live.writer.try_again();
    fs::remove_dir_all(&path).expect("removed");
    fs::write(&path, "").expect("written");
    live.do_it(&Happens::Beat(1));
    live.do_it(&Happens::Close);
    assert!(trouble().starts_with("its folder cannot be used: "), "{}", trouble());
}

#[test]
fn a_recorder_that_is_behind_costs_ticks_of_the_recording_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let recording = Recording::to_read(config(folder.path()));
    let (mut tee, ends) = Tee::new(Arc::clone(&recording.shared));
    tee.chunk_ms = 0;
    let row = Live::row(1);
    let tick = Tick { connection_id: Some(2), symbol: row.symbol, price: 1.5, volume: 1, timestamp: NOW };
    let snapshot = || Snapshot { rows: vec![row], rows_total: 1, ..Snapshot::default() };
    let round = |tee: &mut Tee, n: i64| {
        tee.record(2, 0, &tick, 1);
        tee.step(UnixMillis(NOW.0 + n * 10), vec![Frame::Ticks(Ticks::default())], true, snapshot);
    };
    // Nobody takes what is left.
    (0..50).for_each(|n| round(&mut tee, n));
    assert!(
        matches!(&*recording.shared.doing.borrow(), Doing::Trouble(trouble) if trouble.reason.contains("too slow"))
    );
    let mut writer = Writer::new(config(folder.path()), Arc::clone(&recording.shared), ends).expect("an encoder");
    writer.catch_up();
    (50..60).for_each(|n| {
        round(&mut tee, n);
        writer.catch_up();
    });
    assert!(matches!(&*recording.shared.doing.borrow(), Doing::Recording(_)), "it records again");
    let counted = recording.counted();
    // The first is in the board that the recording begins with.
    assert_eq!(counted.ticks + counted.lost, 59, "{counted:?}");
    assert!(counted.lost > 30 && counted.ticks > 9, "{counted:?}");
}

#[test]
fn a_clock_that_is_set_back_loses_nothing_and_the_newest_of_a_moment_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut live = Live::new(folder.path());
    for second in 0..5 {
        live.do_it(&Happens::Beat(second));
        live.do_it(&Happens::Close);
        live.pass(1_000);
    }
    live.now.0 -= 3_000;
    for second in 10..15 {
        live.do_it(&Happens::Beat(second));
        live.do_it(&Happens::Close);
        live.pass(1_000);
    }
    let sent = live.end();
    let recording = Recording::to_read(config(folder.path()));
    let back = sent.windows(2).position(|pair| pair[1].0 < pair[0].0).expect("it was set back") + 1;
    for (at, _, shown) in &sent[back + 1..] {
        assert_eq!(&recording.past(*at).expect("recorded"), shown);
    }
    // Played, everything comes in the order in which it was.
    let mut session = Session::new(recording);
    session.seek(sent[0].0, TapeSet::default()).expect("recorded");
    for (at, _, shown) in &sent[1..] {
        session.step(TapeSet::default()).expect("recorded");
        assert_eq!((session.at(), session.board()), (Some(*at), Some(&shown.board)));
    }
}

#[test]
fn a_block_that_rotted_costs_what_is_behind_it_in_its_file() {
    let (folder, sent) = recorded(150);
    let all = segments(folder.path()).expect("a folder");
    assert!(all.len() >= 3, "a file a minute: {}", all.len());
    let (_, path) = &all[1];
    let mut bytes = fs::read(path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].fill(0xff);
    fs::write(path, bytes).expect("written");
    let recording = Recording::to_read(config(folder.path()));
    let last = sent.last().expect("sent");
    assert_eq!(recording.past(last.0).expect("recorded"), last.2);
    let mut session = Session::new(recording);
    let mut shown = Past::default();
    session.seek(sent[0].0, TapeSet::default()).expect("recorded").iter().for_each(|frame| shown.apply(frame));
    loop {
        let advanced = session.advance(last.0, TapeSet::default(), true).expect("readable");
        advanced.frames.iter().for_each(|frame| shown.apply(frame));
        if advanced.is_end || session.at() == Some(last.0) {
            break;
        }
    }
    let totals = |past: &Past| past.board.rows.iter().map(|row| row.ticks_total).collect::<Vec<_>>();
    assert_eq!(totals(&shown), totals(&last.2), "behind the broken block it goes on with a whole board");
}

#[test]
fn what_is_kept_outlives_the_ring_within_its_quota() {
    let (folder, sent) = recorded(150);
    let recording = Recording::to_read(config(folder.path()));
    let (at, _, shown) = &sent[sent.len() / 2];
    let (from, to) = (UnixMillis(at.0 - 2_000), UnixMillis(at.0 + 2_000));
    let kept = recording.keep(from, to, "the outage of Monday", "ann@example.com").expect("kept");
    for (_, path) in segments(folder.path()).expect("a folder") {
        fs::remove_file(path).expect("removed");
    }
    assert_eq!(&recording.past(*at).expect("kept"), shown);
    assert!(recording.past(sent.last().expect("sent").0).is_err(), "the ring is gone");
    let contents = recording.contents().expect("a folder");
    assert_eq!((contents.kept.as_slice(), contents.spans.len(), contents.ticks), (&[kept.clone()][..], 1, 0));
    assert!(contents.spans[0].0 <= from && contents.spans[0].1 >= to);
    assert!(matches!(recording.keep(from, to, "again", "ann@example.com"), Err(NotKept::NotShown(_))));

    let (folder, sent) = recorded(3);
    let small = Recording::to_read(RecordingConfig { bytes_max: kept.bytes / 100, ..config(folder.path()) });
    let error = small.keep(NOW, sent[1].0, "too much", "ann@example.com").expect_err("too much");
    assert!(matches!(error, NotKept::Full { .. }), "{error}");
    assert_eq!(recording.forget("elsewhere").expect("a folder"), None);
    assert_eq!(recording.forget(&kept.id).expect("a folder"), Some(kept));
    assert!(recording.past(*at).is_err());
}

fn exported(recording: &Recording, wanted: &Wanted, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    recording.export(wanted, format, &mut bytes).expect("written");
    bytes
}

#[test]
fn every_tick_of_a_stretch_is_exported_once() {
    let (folder, sent) = recorded(150);
    let recording = Recording::to_read(config(folder.path()));
    let all = Wanted { range: NOW..UnixMillis(NOW.0 + 3_600_000), connections: Default::default(), symbol: None };
    let csv = String::from_utf8(exported(&recording, &all, Format::Csv)).expect("text");
    let told: u64 = sent.last().expect("sent").2.board.rows.iter().map(|row| row.ticks_total).sum();
    assert_eq!(csv.lines().count() as u64, told + 1);
    assert!(
        csv.starts_with("received_at,timestamp,connection_id,symbol,price,volume,ticks,epoch\r\n2026-01-21T"),
        "{csv:.200}"
    );
    let volume = |text: &str| {
        text.lines()
            .skip(1)
            .map(|line| line.split(',').nth(5).and_then(|v| v.parse::<u64>().ok()).expect("a volume"))
            .sum::<u64>()
    };
    assert_eq!(volume(&csv), told * 100);

    // In two halves it is the same, and of one symbol only its own.
    let middle = sent[sent.len() / 2].0;
    let half = |range| {
        String::from_utf8(exported(&recording, &Wanted { range, ..all.clone() }, Format::Csv))
            .expect("text")
            .lines()
            .count()
            - 1
    };
    assert_eq!((half(NOW..middle) + half(middle..all.range.end)) as u64, told);
    let one = Wanted { symbol: Some(Live::row(1).symbol), ..all.clone() };
    let lines = String::from_utf8(exported(&recording, &one, Format::JsonLines)).expect("text");
    assert!(lines.lines().count() > 100 && lines.lines().all(|line| line.contains(r#""symbol":"S1""#)));
    let of_two = Wanted { connections: [2].into_iter().collect(), ..all.clone() };
    assert_eq!(
        exported(&recording, &of_two, Format::Csv).iter().filter(|byte| **byte == b'\n').count(),
        lines.lines().count() + 1
    );

    use parquet::file::reader::{FileReader, SerializedFileReader};
    let parquet = axum::body::Bytes::from(exported(&recording, &all, Format::Parquet));
    let reader = SerializedFileReader::new(parquet).expect("a file");
    assert_eq!(reader.metadata().file_metadata().num_rows() as u64, told);
}
