//! The dashboard's markup as the server writes it.

use super::*;
use crate::model::{
    board::Board,
    connection::{ConnectionState, Priority},
    health::{Layer, LayerState},
    market::MarketSession,
    protocol::{Frame, Row, Snapshot, TickEntry, Ticks},
    status::{
        BusStatus, ConnectionConfig, ConnectionLive, ConnectionMetrics, ConnectionStatus, LastError, LatencyMs,
        Reconnect, StatusReport, StatusSource, Subscription, Summary, SymbolSource,
    },
    symbol::Symbol,
};

const AT: UnixMillis = UnixMillis(1_768_998_896_789);

fn symbols(names: &str) -> Vec<Symbol> {
    names.split_whitespace().map(|name| Symbol::parse(name).expect("a symbol")).collect()
}

fn connection(id: u8, name: &str, state: ConnectionState, names: &str) -> ConnectionStatus {
    let symbols = symbols(names);
    let enabled = state != ConnectionState::Disabled;
    let count = symbols.len() as u32;
    ConnectionStatus {
        live: ConnectionLive {
            id,
            name: name.into(),
            enabled,
            connected: state.is_up(),
            state,
            state_since: enabled.then_some(UnixMillis(AT.0 - 3_600_000)),
            uptime_seconds: 3_600,
            last_heartbeat: enabled.then_some(AT),
            subscription: Subscription {
                requested: count,
                acknowledged: if state.is_up() { count } else { 0 },
                ..Subscription::default()
            },
            metrics: ConnectionMetrics {
                messages_per_second: 25.3,
                ticks_per_second: 61.7,
                last_update: enabled.then_some(UnixMillis(AT.0 - 1_200)),
                ticks_total: 222_120,
                latency_ms: enabled.then_some(LatencyMs { p50: 1.2, p95: 3.4, p99: 5.6, samples: 100 }),
                ..ConnectionMetrics::default()
            },
            ..ConnectionLive::default()
        },
        config: ConnectionConfig {
            universe_key: enabled.then(|| format!("{name}_sector:large_cap")),
            ticker_count: count,
            symbols,
            priority: [Priority::High, Priority::Normal, Priority::Low][usize::from(id - 1) % 3],
            source: if enabled { SymbolSource::Universe } else { SymbolSource::None },
            ..ConnectionConfig::default()
        },
        ..ConnectionStatus::default()
    }
}

fn board(connections: Vec<ConnectionStatus>) -> Board {
    let mut report = StatusReport { connections, ..StatusReport::default() };
    report.head.generated_at = AT;
    report.head.bus = BusStatus { connected: true, ..BusStatus::default() };
    let mut board = Board { report, ..Board::default() };
    for connection in board.report.connections.clone() {
        let id = connection.live.id;
        board.apply(&Frame::Rows(connection.config.symbols.iter().map(|symbol| Row::empty(id, *symbol)).collect()));
    }
    let mut seed = 7_u32;
    for age_ms in [60, 40, 20] {
        let entries = (0..board.rows.len() as u32).filter(|row| row % 9 != 8).map(|row| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let price = 20.0 + f64::from(row) * 7.37 + f64::from(seed >> 28) / 20.0;
            TickEntry { row, price, volume: 100, age_ms: age_ms * 37 * i64::from(row % 5), ticks: 1 }
        });
        let ticks = Ticks { at: AT, entries: entries.collect(), waited_ms: 0 };
        board.apply(&Frame::Ticks(ticks));
    }
    for sample in 0..300_u32 {
        for (place, connection) in board.report.connections.iter_mut().enumerate() {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = 25.0 + 8.0 * (f64::from(sample) / (20.0 + place as f64 * 9.0)).sin() + f64::from(seed >> 30);
            connection.live.metrics.messages_per_second = if connection.live.connected { wave } else { 0.0 };
        }
        board.sample_rates();
    }
    board.report.head.summary = Summary::of(board.report.connections.iter().map(|connection| &connection.live), 0);
    board
}

fn three(third: ConnectionState) -> Vec<ConnectionStatus> {
    let tech = "AAPL ACN ADBE ADI AMAT AMD ANET APH AVGO CDNS CRM CRWD CSCO DELL FTNT GLW GOOG HPQ IBM INTC INTU KLAC LRCX MCHP META MSFT MSI MU NOW NVDA NXPI ORCL";
    let money = "AFL AIG AJG ALL AMP AON AXP BAC BK BLK BRK.B BX C CB CME COF FI GS ICE JPM KKR MA MCO MET MMC MS PGR PNC SCHW SPGI TFC V WFC";
    let health =
        "ABBV ABT AMGN BDX BMY BSX CI CVS DHR ELV GILD HCA ISRG JNJ LLY MCK MDT MRK PFE REGN SYK TMO UNH VRTX ZTS";
    vec![
        connection(1, "primary", ConnectionState::Connected, tech),
        connection(2, "secondary", ConnectionState::Connected, money),
        connection(3, "tertiary", third, if third == ConnectionState::Disabled { "" } else { health }),
    ]
}

fn render(snapshot: Snapshot) -> String {
    let owner = Owner::new();
    owner.with(|| {
        let first = FirstView { snapshot, email: "admin@example.com".into(), may_act: true, ..FirstView::default() };
        view! { <Monitor first opening=PageArrangement::default()/> }.to_html()
    })
}

#[test]
fn who_may_only_look_sees_no_way_to_act() {
    let snapshot = || board(three(ConnectionState::Reconnecting)).snapshot();
    let acts = ["data-testid=\"refresh\"", "data-testid=\"retry-3\""];
    let html = render(snapshot());
    assert!(html.contains(acts[0]), "an administrator may");
    let html = Owner::new().with(|| {
        let first = FirstView { snapshot: snapshot(), ..FirstView::default() };
        view! { <Monitor first opening=PageArrangement::default()/> }.to_html()
    });
    assert!(acts.iter().all(|act| !html.contains(act)) && html.contains("data-testid=\"pause\""), "{html}");
}

/// With `TICKSTOCK_PAGES` set to a directory, leaves the page there to be looked at.
fn keep(name: &str, html: &str) {
    if let Some(directory) = std::env::var_os("TICKSTOCK_PAGES") {
        std::fs::write(std::path::Path::new(&directory).join(name), html).expect("the page is written");
    }
}

#[test]
fn the_first_view_is_all_in_the_markup() {
    let html = render(board(three(ConnectionState::Connected)).snapshot());
    keep("healthy.html", &html);
    for part in [
        "data-testid=\"column-3\"",
        "data-testid=\"state-1\">connected",
        "data-testid=\"row-AAPL\"",
        "data-testid=\"link\"",
        "data-state=\"connecting\"",
        "action=\"/logout\"",
        "admin@example.com",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert!(!html.contains(" ago"), "ages would differ by the time of hydration");
    assert!(!html.contains("style=") && !html.contains("onclick"), "the policy forbids both");
    assert!(!html.contains("data-testid=\"banner\""), "all is well");
}

#[test]
fn a_failed_connection_says_why_and_what_comes_next() {
    let mut connections = three(ConnectionState::Failed);
    let live = &mut connections[2].live;
    live.reason = Some("Key refused by Massive: authentication failed".into());
    live.reconnect = Reconnect { attempt: 3, next_at: Some(UnixMillis(AT.0 + 42_000)) };
    live.metrics.error_count = 3;
    live.metrics.last_error = Some(LastError { at: AT, message: "authentication failed".into() });
    connections[1].config.warnings = vec!["GOOG is carried by connection 1 (higher tier)".into()];
    connections[1].live.state = ConnectionState::Degraded;
    connections[1].live.subscription.acknowledged = 31;
    let html = render(board(connections).snapshot());
    keep("failed.html", &html);
    assert!(html.contains("Key refused by Massive"), "the reason is the provider's words");
    assert!(
        html.contains("MASSIVE_API_KEY")
            || html.contains("press Refresh config")
            || html.contains("Check the settings"),
        "what to do"
    );
    assert!(html.contains("connection=3#ledger-title"), "and the way to the gap");
    assert!(html.contains("attempt 3 · next at 12:35:38 UTC"), "the next attempt is an absolute time");
    assert!(html.contains("data-testid=\"errors-3\" class=\"number\">3"), "errors are counted");
    assert!(html.contains("carried by connection 1"), "warnings are in sight");
}

#[test]
fn a_disabled_connection_says_how_to_enable_it() {
    let html = render(board(three(ConnectionState::Disabled)).snapshot());
    keep("disabled.html", &html);
    assert!(html.contains("WEBSOCKET_CONNECTION_3_ENABLED=true") && html.contains("USE_MULTI_CONNECTION=true"));
    assert!(!html.contains("data-testid=\"rate-3\""), "a disabled column has no numbers");
}

#[test]
fn a_dead_bus_is_said_before_anything_else() {
    let mut board = board(three(ConnectionState::Mute));
    board.report.head.bus = BusStatus { reason: Some("Redis refused the connection".into()), ..BusStatus::default() };
    let html = render(board.snapshot());
    keep("mute.html", &html);
    let banner = html.find("data-testid=\"banner\"").expect("a banner");
    assert!(banner < html.find("data-testid=\"summary\"").expect("a summary"));
    assert!(html.contains("Redis refused the connection"));
}

#[test]
fn what_is_wrong_with_the_server_s_setup_is_said_steadily() {
    let html = Owner::new().with(|| {
        let snapshot = board(three(ConnectionState::Connected)).snapshot();
        let first = FirstView { snapshot, warnings: vec!["Set TRUSTED_PROXIES.".into()], ..FirstView::default() };
        view! { <Monitor first opening=PageArrangement::default()/> }.to_html()
    });
    assert!(html.contains("data-testid=\"warnings\"") && html.contains("Set TRUSTED_PROXIES."));
    let fine = render(board(three(ConnectionState::Connected)).snapshot());
    assert!(!fine.contains("data-testid=\"warnings\""));
}

#[test]
fn an_empty_table_says_what_would_fill_it() {
    let html = render(board(vec![connection(1, "primary", ConnectionState::Connected, "")]).snapshot());
    assert!(html.contains("universe key or symbol list"));
}

#[test]
fn the_tab_says_what_is_wrong() {
    let head = |connected, bus_up| StatusHead {
        bus: BusStatus { connected: bus_up, ..BusStatus::default() },
        summary: Summary { enabled: 3, connected, ..Summary::default() },
        ..StatusHead::default()
    };
    let totals = |mute, degraded| Totals { mute, degraded, ..Totals::default() };
    assert_eq!(title(&head(3, false), totals(0, 0), LinkState::Live), "✕ no ticks · Connections");
    let of = |connected, mute, degraded| title(&head(connected, true), totals(mute, degraded), LinkState::Live);
    assert_eq!(
        [of(3, 0, 0), of(2, 0, 0), of(2, 1, 0), of(3, 0, 2), of(3, 1, 1)],
        [
            "Connections",
            "✕ 1 down · Connections",
            "✕ 1 down, 1 mute · Connections",
            "▲ 2 degraded · Connections",
            "✕ 1 mute, 1 degraded · Connections"
        ]
    );
    let lost = LinkState::Lost { attempt: 1, retry_at: None, http_works: false };
    assert_eq!(title(&head(3, true), Totals::default(), lost), "link lost · Connections");
}

#[test]
fn a_closed_market_says_so_and_its_silence_is_no_fault() {
    let mut board = board(three(ConnectionState::Connected));
    // Thanksgiving of 2026, noon in New York.
    board.report.head.market = MarketSession::at(UnixMillis(1_795_712_400_000));
    for connection in &mut board.report.connections {
        connection.live.health.data = Layer::because(LayerState::Quiet, "The market is closed");
    }
    let html = render(board.snapshot());
    keep("closed.html", &html);
    assert!(html.contains("market closed") && html.contains("Thanksgiving"));
    assert!(html.contains("The market is closed") && html.contains("quiet, as expected"));
}

#[test]
fn an_inferred_state_is_marked_as_such() {
    let mut board = board(three(ConnectionState::Connected));
    assert!(!render(board.snapshot()).contains("Status is inferred"));
    board.report.head.status_source = StatusSource::Inferred;
    assert!(render(board.snapshot()).contains("Status is inferred"));
}

#[test]
fn all_mute_is_no_health() {
    let html = render(board(three(ConnectionState::Mute)).snapshot());
    assert!(html.contains("healthy") && html.contains("data-tone=\"bad\""), "{html}");
}

#[test]
fn many_connections_have_an_overview_worst_first() {
    let few = render(board(three(ConnectionState::Connected)).snapshot());
    assert!(!few.contains("data-testid=\"overview\""), "three columns are one");
    let states =
        [ConnectionState::Connected, ConnectionState::Degraded, ConnectionState::Disabled, ConnectionState::Failed];
    let connections = (1..).zip(states).map(|(id, state)| connection(id, &format!("feed {id}"), state, "AAPL"));
    let html = render(board(connections.collect()).snapshot());
    let order: Vec<_> =
        html.match_indices("data-testid=\"tile-").map(|(at, mark)| &html[at + mark.len()..][..1]).collect();
    assert_eq!(order, ["4", "2", "1", "3"]);
}
