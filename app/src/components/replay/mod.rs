//! What the page of the past has beside the dashboard's own parts: the bar with the time, the map and the controls.
//!
//! ```text
//!  PastBar ── clock, what was skipped, the way back
//!          ├─ Map        a strip a connection, the marks of events, the moment: a slider
//!          ├─ Controls   play, speed, steps, the bar's length
//!          └─ Keeping, Export, Keys, Differences
//! ```

pub mod bar;
pub mod keeping;
pub mod map;
pub mod player;
