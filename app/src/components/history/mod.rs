//! What the page of the full metrics is made of. All charts share one time axis and one point in time.
//!
//! ```text
//!  RangeBar                     range, connection, export
//!  Charts ── EventLane          markers that lead to the timeline; the point in time, by pointer and by keys
//!         ├─ StateChart         a band a connection
//!         ├─ LineChart × 4      ticks, latency, errors, reconnects
//!         └─ TimeAxis
//!  GapLedger                    every outage, and its acknowledgement
//!  Timeline                     every event
//! ```
//!
//! Geometry is plain Rust in [`scale`]: whole numbers only, tested natively, the same on both sides.

pub mod charts;
pub mod gap_ledger;
pub mod line_chart;
pub mod range_bar;
pub mod scale;
pub mod state_chart;
pub mod timeline;
pub mod value_table;
