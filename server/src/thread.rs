//! A thread of its own for work that must not wait for other work: ingest on one, the hub and all sockets on another.
//!
//! Each is a runtime of one thread. What comes in wakes it once, and it goes through everything that is due by itself; where
//! threads share the work, each task is woken on whichever is free, which costs more than a socket's read or write does.
//! And a page that takes long to render holds up neither ticks nor frames.

use std::{io, thread};
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The running thread. It ends, and with it what runs there, when this is dropped.
#[derive(Debug)]
pub struct Thread {
    runtime: Handle,
    _stop: DropGuard,
}

impl Thread {
    /// Starts it.
    ///
    /// # Errors
    /// When the system gives no thread or no event queue.
    pub fn start(name: &'static str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(stopped.cancelled()))?;
        Ok(Self { runtime: handle, _stop: stop.drop_guard() })
    }

    /// Where to spawn what is to run on it.
    #[must_use]
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_spawned_there_runs_there_and_ends_with_it() {
        let thread = Thread::start("elsewhere").expect("starts");
        let name = thread.runtime().spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(name.await.expect("runs"), Some("elsewhere".to_owned()));
        let endless = thread.runtime().spawn(std::future::pending::<()>());
        drop(thread);
        assert!(endless.await.is_err_and(|error| error.is_cancelled()));
    }
}
