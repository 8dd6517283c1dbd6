//! Alerts: somebody is told what is wrong, once, and that it is well again.

mod fact;
mod machine;
