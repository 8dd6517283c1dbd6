//! What a process took of the machine, from `/proc` (Linux).

use anyhow::Context;
use std::{fs, path::Path};

/// The thread that makes the load inside a server's process; its time is not the server's.
pub(crate) const GENERATOR: &str = "generator";

/// CPU seconds of a process since its start, all threads but the generator's. From `schedstat`: to the nanosecond, where
/// `stat` counts hundredths of a second.
pub(crate) fn cpu_seconds(process: u32) -> anyhow::Result<f64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).context("the process is gone")? {
        let thread = thread?.path();
        if name(&thread) != GENERATOR {
            nanos += nanos_of(&thread);
        }
    }
    Ok(nanos as f64 / 1e9)
}

/// The most memory that a process held, in MB (VmHWM).
pub(crate) fn peak_mb(process: u32) -> f64 {
    status_kb(process, "VmHWM:") / 1000.0 * 1.024
}

/// What it holds now, in MB (VmRSS).
pub(crate) fn resident_mb(process: u32) -> f64 {
    status_kb(process, "VmRSS:") / 1000.0 * 1.024
}

/// Open sockets. Files are not counted: a database opens more of its own when it is asked more.
pub(crate) fn open_sockets(process: u32) -> usize {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return 0 };
    let targets = files.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

fn name(thread: &Path) -> String {
    fs::read_to_string(thread.join("comm")).unwrap_or_default().trim().to_owned()
}

/// A thread that has just ended counts as nothing: the servers measured here keep theirs.
fn nanos_of(thread: &Path) -> u64 {
    let text = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

fn status_kb(process: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// CPU seconds of the calling thread.
pub(crate) fn own_thread_seconds() -> f64 {
    nanos_of(Path::new("/proc/thread-self")) as f64 / 1e9
}
