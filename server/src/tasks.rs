//! The tasks that make up the server, and what happens when one of them ends that must not.

use std::sync::{Arc, OnceLock};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

/// Where tasks are started and ended together.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    broken: Arc<OnceLock<&'static str>>,
    /// Where they run; `None`: where they are started.
    runtime: Option<Handle>,
}

impl Tasks {
    /// Tasks that end with `shutdown`.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), shutdown, ..Self::default() }
    }

    /// The same tasks; those that are started through this run on `runtime`.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        Self { runtime: Some(runtime.clone()), ..self.clone() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        }
    }

    /// Tells every task to end, and can be waited for.
    #[must_use]
    pub fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    /// All of them, to wait for their end.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Starts a task that is dropped at shutdown, and may as well end by itself then. Nothing works without it: should it
    /// end before, or panic at any time, everything is ended, as a dashboard that goes on without it would show the past as
    /// the present.
    pub fn spawn_vital(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let running = self.spawn(async move {
            shutdown.run_until_cancelled_owned(task).await;
        });
        let (broken, shutdown) = (Arc::clone(&self.broken), self.shutdown.clone());
        self.tracker.spawn(async move {
            if running.await.is_err() || !shutdown.is_cancelled() {
                error!("The {name} ended unexpectedly; stopping");
                let _ = broken.set(name);
                shutdown.cancel();
            }
        });
    }

    /// Starts a task that ends by itself, in good order, when `stop` or the shutdown is cancelled. Should it end before,
    /// or panic at any time, everything is ended, as with [`spawn_vital`](Self::spawn_vital).
    pub fn spawn_vital_until(
        &self,
        name: &'static str,
        stop: CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let running = self.spawn(task);
        let (broken, shutdown) = (Arc::clone(&self.broken), self.shutdown.clone());
        self.tracker.spawn(async move {
            if running.await.is_err() || !(stop.is_cancelled() || shutdown.is_cancelled()) {
                error!("The {name} ended unexpectedly; stopping");
                let _ = broken.set(name);
                shutdown.cancel();
            }
        })
    }

    /// The vital task that ended unexpectedly, if one did.
    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        self.broken.get().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vital_task_that_panics_ends_everything_and_is_named() {
        let tasks = Tasks::default();
        tasks.spawn_vital("clockwork", async { panic!("a broken spring") });
        tasks.shutdown().cancelled().await;
        tasks.tracker().close();
        tasks.tracker().wait().await;
        assert_eq!(tasks.broken(), Some("clockwork"));
    }

    #[tokio::test]
    async fn an_ordered_end_is_no_accident() {
        let tasks = Tasks::default();
        tasks.spawn_vital("clockwork", std::future::pending());
        tasks.shutdown().cancel();
        tasks.tracker().close();
        tasks.tracker().wait().await;
        assert_eq!(tasks.broken(), None);
    }

    #[tokio::test]
    async fn a_task_that_notices_the_shutdown_itself_is_no_accident_but_one_that_panics_then_is() {
        for (panics, broken) in [(false, None), (true, Some("clockwork"))] {
            let tasks = Tasks::default();
            let told = tasks.shutdown().clone();
            tasks.spawn_vital("clockwork", async move {
                // In one poll, so that the task is never dropped in between.
                told.cancel();
                assert!(!panics, "a broken spring");
            });
            tasks.shutdown().cancelled().await;
            tasks.tracker().close();
            tasks.tracker().wait().await;
            assert_eq!(tasks.broken(), broken);
        }
    }
}
