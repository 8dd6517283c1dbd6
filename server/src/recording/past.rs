//! The board as it was: folded of recorded frames, by the code that folds live ones.

use app::model::{
    alert::OpenAlerts,
    board::Board,
    protocol::{Frame, Snapshot},
    time::UnixMillis,
};

/// The dashboard at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// When the last frame was made.
    pub at: UnixMillis,
    /// States, prices, rates.
    pub board: Board,
    /// The open alerts.
    pub alerts: OpenAlerts,
}

impl Past {
    pub(super) fn apply(&mut self, frame: &Frame) {
        self.board.apply(frame);
        match frame {
            Frame::Snapshot(snapshot) => self.alerts.clone_from(&snapshot.alerts),
            Frame::Metrics(metrics) => self.alerts.clone_from(&metrics.alerts),
            _ => {}
        }
    }

    /// What a socket would have been sent that was opened then.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { alerts: self.alerts.clone(), ..self.board.snapshot() }
    }
}
