//! What the system tells the program: SIGTERM and SIGINT to stop, a second one to stop at once, SIGHUP to read the
//! configuration again.

use crate::{audit::Actor, logging, refresh::Refresher};
use std::{
    io,
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A supervisor may signal the process and its group: what comes so soon after the first signal is the same one.
const ECHO: Duration = Duration::from_millis(300);

/// Cancelled by SIGTERM or SIGINT (Ctrl-C). The second of these ends the process at once, with 128 and the signal's number,
/// whatever still waits.
///
/// # Errors
/// When the system does not let us listen.
pub fn until_told_to_stop() -> io::Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        stop.cancel();
        let since = Instant::now();
        loop {
            let number = next(&mut interrupt, &mut terminate).await;
            if since.elapsed() >= ECHO {
                warn!("Second stop signal: ending at once");
                logging::flush();
                std::process::exit(128 + number);
            }
        }
    });
    Ok(token)
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    let kind = tokio::select! {
        _ = interrupt.recv() => SignalKind::interrupt(),
        _ = terminate.recv() => SignalKind::terminate(),
    };
    kind.as_raw_value()
}

/// From now on SIGHUP does not end the process. Before the server runs, the configuration has just been read.
///
/// # Errors
/// When the system does not let us listen.
pub fn survive_hangup() -> io::Result<()> {
    signal(SignalKind::hangup()).map(drop)
}

/// Reads the configuration again on every SIGHUP, on record, until stopped.
pub(crate) async fn refresh_on_hangup(refresher: Refresher, stop: CancellationToken) {
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => return warn!("SIGHUP cannot be listened for: {error}"),
    };
    while let Some(Some(())) = stop.run_until_cancelled(hangups.recv()).await {
        if let Err(error) = refresher.refresh_by(&Actor::signal("SIGHUP"), None).await {
            warn!("SIGHUP: the configuration was not read again: {error}");
        }
    }
}
