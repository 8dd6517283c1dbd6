//! What the page is made of: one component a file. Signals and values come in as props, nothing is read from context.
//!
//! ```text
//!  TopBar ── LinkBadge, SearchField, ThemeToggle
//!  Banners, RefreshPanel
//!  SummaryStrip ── MarketClock
//!  Column ── ColumnHeader ── StatusPill
//!         ├─ ReasonLine
//!         ├─ HealthSection     ┐
//!         ├─ Configuration     │ each a Section, which folds
//!         ├─ LiveData ─────────┤── LiveTable or TapeList, each in a viewport
//!         └─ MetricsPanel      ┘── Sparkline, LatencyTable
//!  SymbolPanel (loaded when it is opened)
//!  Help
//! ```
//!
//! What depends on the present (ages, countdowns, New York's time) shows only once the page's clock has started, which
//! happens after hydration: until then both sides render the same absolute UTC times.

pub mod admin_pages;
pub mod banners;
pub mod column;
pub mod column_header;
pub mod common;
pub mod configuration;
pub mod dynamic;
pub mod format;
pub mod health;
pub mod help;
pub mod history;
pub mod icon;
pub mod latency_table;
pub mod link_badge;
pub mod live_data;
pub mod live_table;
pub mod market_clock;
pub mod metrics_panel;
pub mod open_alerts;
pub mod overview;
pub mod reason_line;
pub mod refresh_panel;
pub mod reliability_note;
pub mod replay;
pub mod search_state;
pub mod section;
pub mod shortcuts;
pub mod sparkline;
pub mod status_pill;
pub mod summary_strip;
pub mod symbol_panel;
pub mod symbol_search;
pub mod tab_title;
pub mod tape_list;
pub mod theme_toggle;
pub mod top_bar;
pub mod viewport;
