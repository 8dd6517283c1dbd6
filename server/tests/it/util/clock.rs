//! A clock for processes, which a test sets: what the calendar says can be seen at any time, and hours pass in a moment.

use app::model::time::UnixMillis;
use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicI64, Ordering::SeqCst},
};
use tempfile::TempDir;

/// A Wednesday, eleven in the morning in New York: 2031-12-03T16:00:00Z.
const OPEN_MARKET: UnixMillis = UnixMillis(1_954_080_000_000);

pub(crate) struct Clock {
    ahead_ms: AtomicI64,
    folder: TempDir,
    preload: String,
}

impl Clock {
    /// In the regular session.
    pub(crate) fn of_an_open_market() -> Self {
        Self::ahead(OPEN_MARKET.millis_since(UnixMillis::now()))
    }

    /// By so many milliseconds.
    pub(crate) fn ahead(ms: i64) -> Self {
        let output = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        let preload = String::from_utf8(output.expect("faketime is installed").stdout).unwrap().trim().to_owned();
        let clock = Self { ahead_ms: AtomicI64::new(ms), folder: tempfile::tempdir().unwrap(), preload };
        clock.write();
        clock
    }

    /// What a process needs to go by it. What measures how long something takes goes on untouched.
    pub(crate) fn variables(&self) -> [(&str, String); 4] {
        [
            ("LD_PRELOAD", self.preload.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.folder.path().join("ahead").display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    pub(crate) fn now(&self) -> UnixMillis {
        UnixMillis(UnixMillis::now().0 + self.ahead_ms.load(SeqCst))
    }

    /// So many milliseconds pass at once.
    pub(crate) fn advance(&self, ms: i64) {
        self.ahead_ms.fetch_add(ms, SeqCst);
        self.write();
    }

    fn write(&self) {
        let (new, file) = (self.folder.path().join("new"), self.folder.path().join("ahead"));
        fs::write(&new, format!("{:+.3}\n", self.ahead_ms.load(SeqCst) as f64 / 1000.0)).unwrap();
        // In one step: it is read all the time.
        fs::rename(new, file).unwrap();
    }
}
