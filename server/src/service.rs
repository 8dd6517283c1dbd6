//! What a service manager is told, where one asks (`NOTIFY_SOCKET`, as systemd's `Type=notify`): that the server is ready, that it
//! lives (`WatchdogSec=`), and that it stops.

use sd_notify::{NotifyState, notify, watchdog_enabled};
use std::{future::pending, time::Duration};
use tokio::{
    runtime::Handle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// Tells that the server is ready, then that it lives for as long as every one of `parts` answers, and with `stop` that it stops.
/// A part that hangs, ingest for one, is a server that the manager has to start again.
pub(crate) async fn tell(parts: Vec<Handle>, stop: CancellationToken) {
    say(NotifyState::Ready);
    let _ = stop.run_until_cancelled(live(&parts)).await;
    say(NotifyState::Stopping);
}

async fn live(parts: &[Handle]) {
    let Some(patience) = watchdog_enabled() else { return pending().await };
    // Twice and more in the time that the manager waits.
    let mut beat = interval((patience / 3).max(Duration::from_millis(1)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        answered(parts).await;
        say(NotifyState::Watchdog);
    }
}

/// Ends when each of the threads has run something; never, while one of them hangs.
async fn answered(parts: &[Handle]) {
    for part in parts {
        // Cancelled at the end, when the thread is gone.
        let _ = part.spawn(async {}).await;
    }
}

fn say(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        warn!("The service manager cannot be told how the server is: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thread::Thread;
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_thread_that_hangs_is_no_sign_of_life_until_it_goes_on() {
        let (well, stuck) = (Thread::start("well").unwrap(), Thread::start("stuck").unwrap());
        let parts = [well.runtime().clone(), stuck.runtime().clone()];
        timeout(Duration::from_secs(5), answered(&parts)).await.expect("both answer");
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        stuck.runtime().spawn(async move { wait.recv() });
        assert!(timeout(Duration::from_millis(50), answered(&parts)).await.is_err());
        go_on.send(()).unwrap();
        timeout(Duration::from_secs(5), answered(&parts)).await.expect("both answer again");
    }
}
