//! What the page of the full metrics is made of. All charts share one time axis and one point in time.
//!
//! ```text
//!  HistoryBar                   the way to the other pages, the market's hours, link, theme
//!  RangeBar                     range and its neighbours, connections, export
//!  Charts ── TimeLine           the point in time, by pointer and by keys
//!         ├─ Lanes              marks that lead to ledger and timeline
//!         ├─ StateChart         a strip a connection
//!         └─ Chart × 4          ticks, latency, errors, reconnects
//!  GapLedger                    every outage, and its acknowledgement
//!  Timeline                     every event
//! ```
//!
//! Geometry is plain Rust in [`scale`] and [`bands`]: whole numbers only, tested natively, the same on both sides.

pub mod bands;
pub mod chart;
pub mod charts;
pub mod context;
pub mod gap_ledger;
pub mod history_bar;
pub mod overlay;
pub mod quantity;
pub mod range_bar;
pub mod scale;
pub mod state_chart;
pub mod timeline;
pub mod value_table;
