//! Plain data that the server and the browser share: no framework, no I/O, no clock.
//!
//! ```text
//!  Tick ──▶ Board (server) ──▶ Frame ──postcard──▶ Frame ──▶ Board (browser)
//! ```
//!
//! The [`board::Board`] is the one picture of "what we know now". The server folds ticks and status reports into it and
//! emits [`protocol::Frame`]s; the browser folds those frames into a board of its own. Whoever reads a number therefore
//! reads it the same way on both sides.

pub mod account;
pub mod alert;
pub mod audit;
pub mod board;
pub mod connection;
pub mod feed;
pub mod health;
pub mod history;
pub mod market;
pub mod past;
pub mod protocol;
pub mod refresh;
pub mod replay;
pub mod servers;
pub mod status;
pub mod symbol;
pub mod symbol_detail;
pub mod tape;
pub mod tick;
pub mod time;
