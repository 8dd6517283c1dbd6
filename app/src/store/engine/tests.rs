use super::*;
use crate::{
    api::FIRST_ROWS_MAX,
    model::{
        connection::ConnectionState,
        protocol::{RowId, RowSpan, TickEntry},
        status::{ConnectionLive, ConnectionStatus, StatusReport},
        symbol::Symbol,
        symbol_detail::SymbolName,
        tick::Direction,
    },
    store::{
        arrangement::{Arrangement, DataView, SortKey},
        filter::Filter,
        screen_delay::ScreenDelay,
        view::{FLASH_STEP_MS, Hold, RowView, TapeEvent},
    },
};

const LOCAL: UnixMillis = UnixMillis(0);

fn new_engine(snapshot: Snapshot) -> Engine {
    Engine::new(snapshot, PageArrangement::default())
}

fn row(connection_id: ConnectionId, symbol: &str) -> Row {
    Row::empty(connection_id, Symbol::parse(symbol).expect("a symbol"))
}

fn snapshot(rows: &[Row]) -> Snapshot {
    let mut report = StatusReport::default();
    for id in [1, 2] {
        let live = ConnectionLive { id, name: "primary".into(), ..ConnectionLive::default() };
        report.connections.push(ConnectionStatus { live, ..ConnectionStatus::default() });
    }
    let board = Board { report, rows: rows.to_vec(), ..Board::default() };
    board.snapshot()
}

fn ticks(at: i64, entries: &[(RowId, f64)]) -> Frame {
    let entries =
        entries.iter().map(|(row, price)| TickEntry { row: *row, price: *price, volume: 1, age_ms: 0, ticks: 3 });
    Frame::Ticks(Ticks { at: UnixMillis(at), entries: entries.collect(), waited_ms: 10 })
}

fn shown(view: &View, column: usize) -> Vec<RowView> {
    let columns = view.columns.get_untracked();
    columns[column].slots.get_untracked().iter().filter_map(|slot| slot.row.get_untracked()).collect()
}

fn symbols(view: &View, column: usize) -> Vec<String> {
    shown(view, column).iter().map(|row| row.symbol.to_string()).collect()
}

#[test]
fn each_column_lists_its_own_symbols_in_alphabetical_order() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "MSFT"), row(2, "JPM"), row(1, "AAPL")])), View::default());
    engine.paint(&view, LOCAL);
    assert_eq!((symbols(&view, 0), symbols(&view, 1)), (vec!["AAPL".into(), "MSFT".into()], vec!["JPM".into()]));
    engine.receive(Frame::Rows(vec![row(1, "GOOG")]), UnixMillis(0));
    engine.paint(&view, LOCAL);
    assert_eq!(symbols(&view, 0), ["AAPL", "GOOG", "MSFT"]);
    assert_eq!(shown(&view, 0)[2].place, 2);
}

#[test]
fn nothing_shows_before_the_animation_frame_and_only_the_last_price_after() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view, LOCAL);
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(ticks(20, &[(0, 2.0)]), UnixMillis(20));
    assert_eq!(shown(&view, 0)[0].price, None);
    engine.paint(&view, LOCAL);
    assert_eq!(shown(&view, 0)[0].price, Some(2.0));
}

#[test]
fn a_price_that_changes_flashes_for_a_while_from_the_second_on() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    let mut paint = |price: Option<f64>, step: i64| {
        if let Some(price) = price {
            engine.receive(ticks(10, &[(0, price)]), UnixMillis(10));
        }
        let rest = engine.paint(&view, UnixMillis(step * FLASH_STEP_MS));
        let flash = shown(&view, 0)[0].flash;
        assert_eq!(
            rest == Rest::Flashes,
            flash > 0,
            "a flash is ended by the page itself, whether a tick comes or not"
        );
        flash
    };
    assert_eq!([paint(Some(1.0), 0), paint(Some(2.0), 1), paint(Some(2.0), 1)], [0, 3, 3]);
    assert_eq!([paint(None, 2), paint(None, 2), paint(Some(1.0), 3), paint(None, 5)], [2, 2, 3, 1]);
    assert_eq!([paint(None, 6), paint(Some(4.0), 7), paint(None, 1_000)], [0, 3, 0]);
}

#[test]
fn rows_out_of_sight_are_written_once_a_second_and_their_arrows_tell_of_what_was_drawn() {
    let rows: Vec<_> = ["AAPL", "GOOG", "MSFT"].map(|symbol| row(1, symbol)).to_vec();
    let (mut engine, view) = (new_engine(snapshot(&rows)), View::default());
    engine.paint(&view, LOCAL);
    engine.act(&view, 1, Act::Rows(0, 3, 0..1));
    engine.set_link(&view, LinkState::Live);
    engine.receive(ticks(10, &[(0, 1.0), (2, 1.0)]), UnixMillis(10));
    engine.paint(&view, LOCAL);
    assert_eq!([0, 2].map(|place| shown(&view, 0)[place].price), [Some(1.0), None]);
    engine.beat(&view, LOCAL);
    engine.paint(&view, LOCAL);
    assert_eq!(shown(&view, 0)[2].price, Some(1.0));
    for price in [3.0, 2.0, 2.0] {
        engine.receive(ticks(20, &[(2, price)]), UnixMillis(20));
        engine.paint(&view, LOCAL);
    }
    engine.act(&view, 1, Act::Rows(0, 3, 1..3));
    let row = shown(&view, 0)[2];
    assert_eq!((row.price, row.direction), (Some(2.0), Direction::Up), "at once when they come into sight");
}

#[test]
fn paused_the_view_freezes_and_says_how_far_behind_it_is() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view, LOCAL);
    engine.toggle_pause(&view, LOCAL);
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(ticks(20, &[(0, 2.0)]), UnixMillis(20));
    engine.paint(&view, LOCAL);
    engine.act(&view, 1, Act::Rows(0, 10, 0..10));
    assert_eq!((shown(&view, 0)[0].price, view.behind.get_untracked()), (None, 6), "scrolling shows the frozen rows");
    engine.toggle_pause(&view, LOCAL);
    engine.paint(&view, LOCAL);
    assert_eq!((shown(&view, 0)[0].price, view.behind.get_untracked()), (Some(2.0), 0));
}

#[test]
fn a_snapshot_while_paused_counts_the_ticks_it_stands_for() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    engine.toggle_pause(&view, LOCAL);
    let ticked = Row { ticks_total: 40, price: Some(1.0), ..row(1, "AAPL") };
    engine.receive(Frame::Snapshot(Box::new(snapshot(&[ticked]))), UnixMillis(0));
    engine.receive(ticks(10, &[(0, 2.0)]), UnixMillis(10));
    engine.paint(&view, LOCAL);
    assert_eq!(view.behind.get_untracked(), 43);
}

#[test]
fn a_tab_without_animation_frames_holds_a_bounded_buffer() {
    let mut engine = new_engine(snapshot(&[row(1, "AAPL")]));
    for at in 0..3 * BUFFER_FRAMES_MAX as i64 {
        engine.receive(ticks(at, &[(0, at as f64 + 1.0)]), UnixMillis(at));
        assert!(engine.buffer.len() < BUFFER_FRAMES_MAX);
    }
    assert_eq!(engine.board.rows[0].ticks_total, 3 * 3 * BUFFER_FRAMES_MAX as u64);
}

#[test]
fn only_the_slots_in_the_document_are_written() {
    let rows: Vec<_> = (0..1000).map(|n| row(1, &format!("S{n:04}"))).collect();
    let (mut engine, view) = (new_engine(snapshot(&rows)), View::default());
    engine.paint(&view, LOCAL);
    assert_eq!(shown(&view, 0).len(), FIRST_ROWS_MAX);
    engine.act(&view, 1, Act::Rows(500, 12, 500..512));
    assert_eq!(symbols(&view, 0).first().map(String::as_str), Some("S0500"));
    assert_eq!(shown(&view, 0).len(), 12);
    engine.act(&view, 1, Act::Rows(5000, 12, 5000..5012));
    assert_eq!(shown(&view, 0).last().map(|row| row.place), Some(999), "scrolled past the end");
    engine.receive(Frame::Snapshot(Box::new(snapshot(&rows[..3]))), UnixMillis(0));
    engine.paint(&view, LOCAL);
    assert_eq!(symbols(&view, 0), ["S0000", "S0001", "S0002"], "a shorter list does not leave an empty view");
}

#[test]
fn rows_are_stale_when_the_server_says_so_however_old_their_times_are() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL"), row(1, "MSFT")])), View::default());
    engine.set_link(&view, LinkState::Live);
    engine.receive(ticks(1_000, &[(0, 1.0), (1, 1.0)]), UnixMillis(1_000));
    let show = |engine: &mut Engine, stale: &[RowSpan], ledger_changed_at| {
        let live = engine.board.report.live();
        let metrics = Metrics {
            live,
            stale: stale.to_vec(),
            ledger_changed_at: UnixMillis(ledger_changed_at),
            ..Metrics::default()
        };
        engine.receive(Frame::Metrics(metrics), UnixMillis(1_000));
        engine.beat(&view, UnixMillis(3_600_000));
        engine.paint(&view, LOCAL);
        let rows: Vec<_> = shown(&view, 0).iter().map(|row| row.stale).collect();
        (rows, view.totals.get_untracked().stale, view.ledger_changed_at.get_untracked())
    };
    assert_eq!(show(&mut engine, &[], 7), (vec![false, false], 0, UnixMillis(7)));
    let one = [RowSpan { first: 1, count: 1 }];
    assert_eq!(show(&mut engine, &one, 8), (vec![false, true], 1, UnixMillis(8)), "and the ledger is to be asked for");
    engine.toggle_pause(&view, LOCAL);
    assert_eq!(show(&mut engine, &[], 9).0, [false, true], "as of the moment of the pause");
}

#[test]
fn a_change_of_state_is_announced_and_stands_on_the_tape() {
    let (mut engine, view) = (new_engine(snapshot(&[])), View::default());
    engine.set_link(&view, LinkState::Live);
    engine.paint(&view, LOCAL);
    let mut live = engine.board.report.live();
    live.connections[1].state = ConnectionState::Failed;
    live.connections[1].reason = Some("authentication failed".into());
    engine.receive(Frame::Live(live), UnixMillis(0));
    engine.paint(&view, LOCAL);
    assert_eq!(view.announcement.get_untracked(), "Connection 2, primary: failed, authentication failed. ");

    engine.act(&view, 2, Act::View(DataView::Tape));
    engine.act(&view, 2, Act::TapeRows(0, 10, true));
    let tape = view.columns.get_untracked()[1].tape.clone();
    let line = tape.slots.get_untracked()[0].row.get_untracked().expect("a line");
    assert_eq!(line.event, TapeEvent::State(ConnectionState::Failed, Some("authentication failed".into())));
}

#[test]
fn a_connection_that_fails_while_prices_are_frozen_is_shown_at_once() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view, LOCAL);
    engine.toggle_pause(&view, LOCAL);
    let mut live = engine.board.report.live();
    live.connections[0].state = ConnectionState::Failed;
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(Frame::Live(live), UnixMillis(0));
    engine.paint(&view, LOCAL);
    assert_eq!(view.columns.get_untracked()[0].live.get_untracked().state, ConnectionState::Failed);
    assert_eq!(shown(&view, 0)[0].price, None, "prices stand still");
}

#[test]
fn a_live_order_is_made_anew_once_a_second_and_stands_still_while_it_is_read() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "A"), row(1, "B")])), View::default());
    engine.set_link(&view, LinkState::Live);
    engine.paint(&view, LOCAL);
    engine.act(&view, 1, Act::Sort(SortKey::Price));
    let tick = |engine: &mut Engine, a: f64, b: f64| {
        engine.receive(ticks(10, &[(0, a), (1, b)]), UnixMillis(10));
        engine.paint(&view, LOCAL);
        symbols(&view, 0)
    };
    assert_eq!(tick(&mut engine, 1.0, 2.0), ["A", "B"], "not with every tick");
    engine.beat(&view, UnixMillis(1_000));
    assert_eq!(tick(&mut engine, 1.0, 2.0), ["B", "A"]);
    engine.act(&view, 1, Act::Touch);
    assert_eq!(view.columns.get_untracked()[0].held.get_untracked(), Hold::Order);
    tick(&mut engine, 3.0, 2.0);
    engine.beat(&view, UnixMillis(2_000));
    assert_eq!(tick(&mut engine, 3.0, 2.0), ["B", "A"], "somebody points at it");
    engine.act(&view, 1, Act::Leave);
    engine.beat(&view, UnixMillis(3_000));
    assert_eq!(tick(&mut engine, 3.0, 2.0), ["A", "B"]);
}

#[test]
fn change_is_against_the_first_price_that_this_page_saw() {
    let opened = Row { price: Some(10.0), ..row(1, "A") };
    let (mut engine, view) = (new_engine(snapshot(&[opened, row(1, "B")])), View::default());
    engine.receive(ticks(10, &[(0, 11.0), (1, 4.0)]), UnixMillis(10));
    engine.receive(ticks(20, &[(1, 5.0)]), UnixMillis(20));
    engine.paint(&view, LOCAL);
    let changes: Vec<_> = shown(&view, 0).iter().map(|row| row.change).collect();
    assert_eq!(changes, [Some(0.1), Some(0.25)]);
}

#[test]
fn ticks_behind_a_drawn_price_are_told() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "A")])), View::default());
    engine.set_link(&view, LinkState::Live);
    engine.paint(&view, LOCAL);
    for at in 0..5 {
        engine.receive(ticks(at, &[(0, 1.0 + at as f64)]), UnixMillis(at));
    }
    engine.paint(&view, LOCAL);
    let mut one_of_at = |second: i64| {
        engine.beat(&view, UnixMillis(second * 1_000));
        engine.paint(&view, UnixMillis(second * 1_000));
        view.columns.get_untracked()[0].one_of.get_untracked()
    };
    assert_eq!(one_of_at(1), 15, "five frames of three ticks, drawn once");
    assert_eq!(one_of_at(2), 1);
}

#[test]
fn the_page_opens_as_its_address_asks() {
    let arrangement = Arrangement { view: DataView::Tape, filter: Filter::new("ms"), ..Arrangement::default() };
    let opening = PageArrangement { paused: true, columns: vec![(1, arrangement)], ..PageArrangement::default() };
    let (mut engine, view) =
        (Engine::new(snapshot(&[row(1, "AAPL"), row(1, "MSFT")]), opening.clone()), View::default());
    engine.paint(&view, LOCAL);
    assert_eq!((symbols(&view, 0), engine.open_tapes().contains(1)), (vec!["MSFT".to_owned()], true));
    assert!(!view.paused.get_untracked() && engine.arrangement().paused, "not before there is something to freeze");
    engine.pause_as_opened(&view, LOCAL);
    assert!(view.paused.get_untracked() && view.opened_paused.get_untracked(), "whoever opened it is told");
    assert_eq!(engine.arrangement().query(), opening.query());
    engine.toggle_pause(&view, LOCAL);
    assert!(!view.opened_paused.get_untracked());
    engine.pause_as_opened(&view, LOCAL);
    assert!(!view.paused.get_untracked(), "a later snapshot pauses nothing");
}

#[test]
fn a_page_that_nobody_sees_measures_no_drawing() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "A")])), View::default());
    engine.paint(&view, LOCAL);
    engine.set_link(&view, LinkState::Live);
    for at in 0..3 * BUFFER_FRAMES_MAX as i64 {
        engine.receive(ticks(at, &[(0, 1.0)]), UnixMillis(at));
    }
    engine.wake();
    engine.paint(&view, UnixMillis(10_000));
    engine.drawn(UnixMillis(10_000));
    engine.beat(&view, UnixMillis(10_000));
    engine.paint(&view, UnixMillis(10_000));
    assert_eq!(delays(&view), [None, None]);
    assert_eq!(view.columns.get_untracked()[0].one_of.get_untracked(), 1, "what came meanwhile was not conflated");
}

#[test]
fn each_connection_has_its_own_delay_from_received_to_drawn() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "A"), row(2, "B")])), View::default());
    engine.paint(&view, LOCAL);
    engine.set_link(&view, LinkState::Live);
    engine.receive(ticks(1_000, &[(0, 1.0)]), UnixMillis(1_000));
    engine.paint(&view, UnixMillis(1_005));
    engine.drawn(UnixMillis(1_015));
    engine.receive(ticks(1_100, &[(1, 1.0)]), UnixMillis(1_100));
    engine.paint(&view, UnixMillis(1_103));
    engine.drawn(UnixMillis(1_105));
    engine.beat(&view, UnixMillis(1_200));
    engine.paint(&view, UnixMillis(1_200));
    let p50s = delays(&view).map(|delay| delay.map(|delay| delay.p50_ms));
    assert_eq!(p50s, [Some(25), Some(15)], "10 ms of waiting for the frame, and the drawing");

    engine.toggle_pause(&view, UnixMillis(1_300));
    engine.receive(ticks(1_400, &[(1, 2.0)]), UnixMillis(1_400));
    engine.toggle_pause(&view, UnixMillis(9_000));
    engine.paint(&view, UnixMillis(9_000));
    engine.drawn(UnixMillis(9_000));
    engine.beat(&view, UnixMillis(9_000));
    engine.paint(&view, UnixMillis(9_000));
    assert_eq!(delays(&view)[1].map(|delay| delay.p99_ms), Some(15), "what a pause held back was not late");
}

fn delays(view: &View) -> [Option<ScreenDelay>; 2] {
    let columns = view.columns.get_untracked();
    [0, 1].map(|place: usize| columns[place].screen_delay.get_untracked())
}

#[test]
fn rows_stand_still_while_text_is_selected_but_not_for_ever() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL")])), View::default());
    let price_after = |engine: &mut Engine, price: f64| {
        engine.receive(ticks(10, &[(0, price)]), UnixMillis(10));
        engine.paint(&view, LOCAL);
        shown(&view, 0)[0].price
    };
    assert_eq!(price_after(&mut engine, 1.0), Some(1.0));
    engine.select(&view, TapeSet::from_iter([1]));
    assert_eq!(price_after(&mut engine, 2.0), Some(1.0));
    assert_eq!(view.columns.get_untracked()[1].held.get_untracked(), Hold::None, "the others go on");
    let held = || view.columns.get_untracked()[0].held.get_untracked();
    assert_eq!(held(), Hold::All, "and that is said");
    engine.select(&view, TapeSet::default());
    assert_eq!((shown(&view, 0)[0].price, held()), (Some(2.0), Hold::None), "the present at once");

    engine.select(&view, TapeSet::from_iter([1]));
    let beats = (0..1_000).take_while(|second| {
        engine.beat(&view, UnixMillis(second * 1_000));
        held() == Hold::All
    });
    assert_eq!(beats.count(), SELECTION_SECONDS as usize - 1, "a selection that was left behind holds nothing");
}

#[test]
fn all_rows_are_in_the_document_to_be_printed_and_no_longer() {
    let rows: Vec<_> = (0..900).map(|n| row(1, &format!("S{n:03}"))).collect();
    let (mut engine, view) = (new_engine(snapshot(&rows)), View::default());
    engine.paint(&view, LOCAL);
    engine.act(&view, 1, Act::Rows(500, 20, 500..520));
    let before = shown(&view, 0);
    engine.print(&view, true);
    engine.act(&view, 1, Act::Rows(0, 7, 0..7));
    assert_eq!((shown(&view, 0).len(), shown(&view, 0)[0].place), (900, 0), "the paper's layout is not the screen's");
    engine.print(&view, true);
    engine.print(&view, false);
    assert_eq!(shown(&view, 0), before);
    assert_eq!(shown(&view, 0)[0].place, 500);
}

#[test]
fn a_symbol_is_found_in_all_columns_the_best_match_first() {
    let rows = [row(1, "XA"), row(1, "AAPL"), row(2, "AA"), row(2, "AAPL"), row(2, "MSFT"), row(1, "BAAA")];
    let mut engine = new_engine(snapshot(&rows));
    engine.beat(&View::default(), LOCAL);
    let found = |text: &str, max| {
        let (found, count) = engine.find(text, max);
        (
            found.iter().map(|found| [&*found.symbol, &found.connection_id.to_string()].concat()).collect::<Vec<_>>(),
            count,
        )
    };
    assert_eq!(found(" aa ", 3), (vec!["AA2".into(), "AAPL1".into(), "AAPL2".into()], 4));
    assert_eq!((found("aaplx", 3).1, found("", 3).1, found("é", 3).1), (0, 0, 0));
    let name = |text: &str| engine.named(SymbolName::read(text).expect("a name")).map(|found| found.connection_id);
    assert_eq!((name("AAPL"), name("AAPL@2"), name("AAPL@3"), name("NONE")), (Some(1), Some(2), None, None));
}

#[test]
fn going_to_a_symbol_opens_what_hides_it() {
    let (mut engine, view) = (new_engine(snapshot(&[row(1, "AAPL"), row(1, "MSFT")])), View::default());
    engine.paint(&view, LOCAL);
    engine.act(&view, 1, Act::Filter("aapl".into()));
    engine.act(&view, 1, Act::View(DataView::Tape));
    engine.act(&view, 1, Act::Find(Symbol::parse("MSFT").expect("a symbol")));
    let column = &view.columns.get_untracked()[0];
    assert_eq!((column.cursor.get_untracked(), symbols(&view, 0).len()), (Some(1), 2));
    assert_eq!(column.arrangement.get_untracked(), Arrangement::default());
}

#[test]
fn a_jump_to_an_earlier_moment_is_as_if_the_page_were_opened_there() {
    let tape = Arrangement { view: DataView::Tape, ..Arrangement::default() };
    let opening = PageArrangement { columns: vec![(1, tape)], ..PageArrangement::default() };
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")]), opening), View::default());
    engine.paint(&view, LOCAL);
    engine.set_link(&view, LinkState::Live);
    for second in 100..115 {
        let at = UnixMillis(second * 1000);
        engine.receive(ticks(at.0, &[(0, second as f64)]), at);
        engine.beat(&view, at);
    }
    let entry = TickEntry { row: 0, price: 7.0, volume: 1, age_ms: 0, ticks: 1 };
    let tape = Tape { connection_id: 1, at: UnixMillis(115_000), entries: vec![entry], skipped: 0 };
    engine.receive(Frame::Tape(tape), UnixMillis(115_000));
    engine.paint(&view, UnixMillis(115_000));
    let column = view.columns.get_untracked()[0].clone();
    assert_eq!((column.tape.length.get_untracked(), shown(&view, 0)[0].rate), (1, Some(3.0)));

    let mut then = snapshot(&[Row { ticks_total: 9, price: Some(5.0), ..row(1, "AAPL") }]);
    then.report.live.head.generated_at = UnixMillis(50_000);
    engine.jump();
    engine.receive(Frame::Snapshot(Box::new(then)), UnixMillis(50_000));
    engine.beat(&view, UnixMillis(50_000));
    engine.paint(&view, UnixMillis(50_000));
    assert_eq!(view.now.get_untracked(), Some(UnixMillis(50_000)), "the clock goes back");
    assert_eq!((column.tape.length.get_untracked(), shown(&view, 0)[0].rate), (0, None));
    assert_eq!(shown(&view, 0)[0].flash, 0, "another moment's price is no tick");
    engine.receive(ticks(51_000, &[(0, 10.0)]), UnixMillis(51_000));
    engine.beat(&view, UnixMillis(51_000));
    engine.paint(&view, UnixMillis(51_000));
    let shown = &shown(&view, 0)[0];
    assert_eq!((shown.change, shown.rate), (Some(1.0), Some(3.0)), "against the price there, and measured from there");
    assert_eq!(column.arrangement.with_untracked(|arrangement| arrangement.view), DataView::Tape, "arranged as it was");
}

#[test]
fn with_many_columns_a_second_is_written_in_turns_and_no_column_is_left_out() {
    let mut first = snapshot(&[]);
    let (live, config) = (first.report.live.connections[0].clone(), first.report.configs[0].clone());
    first.report.live.connections = (1..=16).map(|id| ConnectionLive { id, ..live.clone() }).collect();
    first.report.configs = vec![config; 16];
    let (mut engine, view) = (new_engine(first), View::default());
    assert_eq!(engine.paint(&view, LOCAL), Rest::None, "all at once when the page is opened");
    engine.set_link(&view, LinkState::Live);
    let of = |second: i64| {
        let is = |column: &&super::super::view::Column| column.now.get_untracked() == Some(UnixMillis(second * 1_000));
        view.columns.get_untracked().iter().filter(is).map(|column| column.id).collect::<Vec<_>>()
    };
    engine.beat(&view, UnixMillis(1_000));
    let frames = [(); 4].map(|()| (engine.paint(&view, UnixMillis(1_000)), of(1).len()));
    assert_eq!(frames, [(Rest::Columns, 8), (Rest::None, 16), (Rest::None, 16), (Rest::None, 16)]);
    // A second in each frame: slower than that no machine is.
    let mut shown = Vec::new();
    for second in 2..6 {
        engine.beat(&view, UnixMillis(second * 1_000));
        engine.paint(&view, UnixMillis(second * 1_000));
        shown.extend(of(second));
    }
    shown.sort_unstable();
    assert_eq!(shown, (1..=16).flat_map(|id| [id, id]).collect::<Vec<_>>());
    engine.toggle_pause(&view, LOCAL);
    assert_eq!(engine.paint(&view, LOCAL), Rest::Columns);
    let frozen = |view: &View| {
        view.columns.get_untracked().iter().filter(|column| column.frozen_at.get_untracked().is_some()).count()
    };
    assert_eq!((frozen(&view), view.paused.get_untracked()), (8, true));
    while engine.paint(&view, LOCAL) == Rest::Columns {}
    assert_eq!(frozen(&view), 16);
}
