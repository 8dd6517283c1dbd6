//! What the page is made of: one component a file. Signals and values come in as props, nothing is read from context.
//!
//! ```text
//!  TopBar
//!  Banners
//!  SummaryStrip
//!  Column ── ColumnHeader ── StatusPill
//!         ├─ ReasonLine
//!         ├─ HealthTrio
//!         ├─ Configuration
//!         ├─ LiveTable ── TableRow
//!         └─ MetricsPanel ── Sparkline
//! ```
//!
//! What depends on the present (ages, countdowns, New York's time) shows only once the page's clock has started, which
//! happens after hydration: until then both sides render the same absolute UTC times.

pub mod banners;
pub mod column;
pub mod column_header;
pub mod configuration;
pub mod format;
pub mod health_trio;
pub mod icon;
pub mod live_table;
pub mod metrics_panel;
pub mod office;
pub mod reason_line;
pub mod sparkline;
pub mod status_pill;
pub mod summary_strip;
pub mod theme_toggle;
pub mod top_bar;
