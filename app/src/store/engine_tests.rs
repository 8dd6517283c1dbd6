use super::*;
use crate::{
    model::{
        connection::ConnectionState,
        protocol::{TickEntry, Ticks},
        status::{ConnectionStatus, StatusReport},
        symbol::Symbol,
    },
    store::view::Flash,
};

fn row(connection_id: ConnectionId, symbol: &str) -> Row {
    Row::empty(connection_id, Symbol::parse(symbol).expect("a symbol"))
}

fn snapshot(rows: &[Row]) -> Snapshot {
    let mut report = StatusReport::default();
    for id in [1, 2] {
        let live = ConnectionLive { id, name: "primary".into(), ..ConnectionLive::default() };
        report.connections.push(ConnectionStatus { live, ..ConnectionStatus::default() });
    }
    let board = Board { report, rows: rows.to_vec(), rates: Vec::new() };
    board.snapshot()
}

fn ticks(at: i64, entries: &[(RowId, f64)]) -> Frame {
    let entries =
        entries.iter().map(|(row, price)| TickEntry { row: *row, price: *price, volume: 1, age_ms: 0, ticks: 3 });
    Frame::Ticks(Ticks { at: UnixMillis(at), entries: entries.collect() })
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
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "MSFT"), row(2, "JPM"), row(1, "AAPL")])), View::default());
    engine.paint(&view);
    assert_eq!((symbols(&view, 0), symbols(&view, 1)), (vec!["AAPL".into(), "MSFT".into()], vec!["JPM".into()]));
    engine.receive(Frame::Rows(vec![row(1, "GOOG")]), UnixMillis(0));
    engine.paint(&view);
    assert_eq!(symbols(&view, 0), ["AAPL", "GOOG", "MSFT"]);
    assert_eq!(shown(&view, 0)[2].index, 3);
}

#[test]
fn nothing_shows_before_the_animation_frame_and_only_the_last_price_after() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view);
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(ticks(20, &[(0, 2.0)]), UnixMillis(20));
    assert_eq!(shown(&view, 0)[0].price, None);
    engine.paint(&view);
    assert_eq!(shown(&view, 0)[0].price, Some(2.0));
}

#[test]
fn flashes_take_turns_and_start_with_the_second_price() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")])), View::default());
    let flashes: Vec<_> = [1.0, 2.0, 2.0, 1.0]
        .into_iter()
        .map(|price| {
            engine.receive(ticks(10, &[(0, price)]), UnixMillis(10));
            engine.paint(&view);
            shown(&view, 0)[0].flash
        })
        .collect();
    assert_eq!(flashes, [Flash::None, Flash::Tick, Flash::Tick, Flash::Tock]);
}

#[test]
fn paused_the_view_freezes_and_says_how_far_behind_it_is() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view);
    engine.toggle_pause(&view);
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(ticks(20, &[(0, 2.0)]), UnixMillis(20));
    engine.paint(&view);
    engine.show_rows(&view, 1, 0, 10);
    assert_eq!((shown(&view, 0)[0].price, view.behind.get_untracked()), (None, 6), "scrolling shows the frozen rows");
    engine.toggle_pause(&view);
    assert_eq!((shown(&view, 0)[0].price, view.behind.get_untracked()), (Some(2.0), 0));
}

#[test]
fn a_snapshot_while_paused_counts_the_ticks_it_stands_for() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")])), View::default());
    engine.toggle_pause(&view);
    let ticked = Row { ticks_total: 40, price: Some(1.0), ..row(1, "AAPL") };
    engine.receive(Frame::Snapshot(Box::new(snapshot(&[ticked]))), UnixMillis(0));
    engine.receive(ticks(10, &[(0, 2.0)]), UnixMillis(10));
    engine.paint(&view);
    assert_eq!(view.behind.get_untracked(), 43);
}

#[test]
fn a_tab_without_animation_frames_holds_a_bounded_buffer() {
    let mut engine = Engine::new(snapshot(&[row(1, "AAPL")]));
    for at in 0..3 * BUFFER_FRAMES_MAX as i64 {
        engine.receive(ticks(at, &[(0, at as f64 + 1.0)]), UnixMillis(at));
        assert!(engine.buffer.len() < BUFFER_FRAMES_MAX);
    }
    assert_eq!(engine.board.rows[0].ticks_total, 3 * 3 * BUFFER_FRAMES_MAX as u64);
}

#[test]
fn only_the_slots_in_the_document_are_written() {
    let rows: Vec<_> = (0..1000).map(|n| row(1, &format!("S{n:04}"))).collect();
    let (mut engine, view) = (Engine::new(snapshot(&rows)), View::default());
    engine.paint(&view);
    assert_eq!(shown(&view, 0).len(), FIRST_ROWS_MAX);
    engine.show_rows(&view, 1, 500, 12);
    assert_eq!(symbols(&view, 0).first().map(String::as_str), Some("S0500"));
    assert_eq!(shown(&view, 0).len(), 12);
    engine.show_rows(&view, 1, 5000, 12);
    assert_eq!(shown(&view, 0).last().map(|row| row.index), Some(1000), "scrolled past the end");
    engine.receive(Frame::Snapshot(Box::new(snapshot(&rows[..3]))), UnixMillis(0));
    engine.paint(&view);
    assert_eq!(symbols(&view, 0), ["S0000", "S0001", "S0002"], "a shorter list does not leave an empty view");
}

#[test]
fn rows_go_stale_after_a_minute_but_not_while_nobody_knows() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL"), row(1, "MSFT")])), View::default());
    engine.receive(ticks(1_000, &[(0, 1.0)]), UnixMillis(1_000));
    engine.paint(&view);
    engine.beat(&view, UnixMillis(99_000));
    engine.paint(&view);
    assert_eq!((shown(&view, 0)[0].stale, view.now.get_untracked()), (false, None), "not linked");
    engine.set_linked(true);
    engine.beat(&view, UnixMillis(61_500));
    engine.paint(&view);
    assert!(shown(&view, 0)[0].stale && !shown(&view, 0)[1].stale, "what never ticked is not stale");
    assert_eq!(view.totals.get_untracked().stale, 1);
}

#[test]
fn a_change_of_state_is_announced_once() {
    let (mut engine, view) = (Engine::new(snapshot(&[])), View::default());
    engine.paint(&view);
    engine.set_linked(true);
    let mut live = engine.board.report.live();
    live.connections[1].state = ConnectionState::Failed;
    live.connections[1].reason = Some("authentication failed".into());
    engine.receive(Frame::Live(live), UnixMillis(0));
    engine.paint(&view);
    assert_eq!(view.announcement.get_untracked(), "Connection 2, primary: failed, authentication failed. ");
}

#[test]
fn a_refresh_is_answered_by_the_next_metrics_even_while_paused() {
    let (mut engine, view) = (Engine::new(snapshot(&[])), View::default());
    engine.toggle_pause(&view);
    engine.expect_refresh();
    engine.paint(&view);
    assert_eq!(view.refreshed.get_untracked(), None);
    let mut live = engine.board.report.live();
    live.head.generated_at = UnixMillis(7_000);
    engine.receive(Frame::Live(live), UnixMillis(0));
    engine.paint(&view);
    assert_eq!(view.refreshed.get_untracked(), Some(UnixMillis(7_000)));
}

#[test]
fn a_connection_that_fails_while_prices_are_frozen_is_shown_at_once() {
    let (mut engine, view) = (Engine::new(snapshot(&[row(1, "AAPL")])), View::default());
    engine.paint(&view);
    engine.toggle_pause(&view);
    let mut live = engine.board.report.live();
    live.connections[0].state = ConnectionState::Failed;
    engine.receive(ticks(10, &[(0, 1.0)]), UnixMillis(10));
    engine.receive(Frame::Live(live), UnixMillis(0));
    engine.paint(&view);
    assert_eq!(view.columns.get_untracked()[0].live.get_untracked().state, ConnectionState::Failed);
    assert_eq!(shown(&view, 0)[0].price, None, "prices stand still");
}
