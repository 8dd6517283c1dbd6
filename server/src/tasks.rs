//! The tasks that make up the server, and what happens when one of them ends that must not.

use std::sync::{Arc, OnceLock};
use tokio::{
    runtime::Handle,
    task::{JoinError, JoinHandle},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

/// Where tasks are started and ended together.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    shutdown: CancellationToken,
    /// Cancelled when a task ends that must not.
    alarm: CancellationToken,
    broken: Arc<OnceLock<&'static str>>,
    /// Where they run; `None`: where they are started.
    runtime: Option<Handle>,
}

impl Tasks {
    /// Tasks that end with `shutdown`.
    #[must_use]
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { tracker: TaskTracker::new(), alarm: shutdown.clone(), shutdown, broken: Arc::default(), runtime: None }
    }

    /// The same tasks; when one of them ends unexpectedly, `alarm` is cancelled instead of the shutdown, for an end in an
    /// order of its own.
    #[must_use]
    pub fn with_alarm(self, alarm: CancellationToken) -> Self {
        Self { alarm, ..self }
    }

    /// The same tasks; those that are started through this run on `runtime`.
    #[must_use]
    pub fn on(&self, runtime: &Handle) -> Self {
        Self { runtime: Some(runtime.clone()), ..self.clone() }
    }

    /// The same tasks; those that are started through this end with `shutdown` too, which is a child of theirs.
    #[must_use]
    pub fn until(&self, shutdown: CancellationToken) -> Self {
        Self { shutdown, ..self.clone() }
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
        let (broken, shutdown, alarm) = (Arc::clone(&self.broken), self.shutdown.clone(), self.alarm.clone());
        self.tracker.spawn(async move {
            if running.await.is_err() || !shutdown.is_cancelled() {
                error!("The {name} ended unexpectedly; stopping");
                let _ = broken.set(name);
                alarm.cancel();
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
        let (broken, shutdown, alarm) = (Arc::clone(&self.broken), self.shutdown.clone(), self.alarm.clone());
        self.tracker.spawn(async move {
            if running.await.is_err() || !(stop.is_cancelled() || shutdown.is_cancelled()) {
                error!("The {name} ended unexpectedly; stopping");
                let _ = broken.set(name);
                alarm.cancel();
            }
        })
    }

    /// The vital task that ended unexpectedly, if one did.
    #[must_use]
    pub fn broken(&self) -> Option<&'static str> {
        self.broken.get().copied()
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new(CancellationToken::new())
    }
}

/// The end of a task that may be under way, with what came of it; never while there is none.
///
/// Such a task is aborted by nobody. Should it panic, so does whoever waits; with its runtime it ends unfinished, and then so does
/// whoever waits.
pub(crate) async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> T {
    if let Some(handle) = task {
        let result = handle.await;
        *task = None;
        match result.map_err(JoinError::try_into_panic) {
            Ok(result) => return result,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_cancelled)) => {}
        }
    }
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_with_its_runtime_is_no_panic_and_a_panic_is_one() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let mut task = Some(runtime.spawn(std::future::pending::<()>()));
        runtime.shutdown_background();
        let wait = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(wait, ended(&mut task)).await.is_err());
        assert!(task.is_none(), "and nobody waits for it again");
        let done = tokio::spawn(async { ended(&mut Some(tokio::spawn(async { 7 }))).await }).await;
        assert_eq!(done.unwrap(), 7);
        let broken = async { ended(&mut Some(tokio::spawn(async { panic!("a broken spring") }))).await };
        assert!(tokio::spawn(broken).await.unwrap_err().is_panic());
    }

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
    async fn with_an_alarm_the_others_go_on_until_the_end() {
        let alarm = CancellationToken::new();
        let tasks = Tasks::default().with_alarm(alarm.clone());
        tasks.spawn_vital("clockwork", async {});
        alarm.cancelled().await;
        assert_eq!((tasks.broken(), tasks.shutdown().is_cancelled()), (Some("clockwork"), false));
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
