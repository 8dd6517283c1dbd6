//! What a connection does about the provider's words.

use super::{
    connection::Connection,
    dial::Socket,
    loss::Loss,
    massive::{self, Notice},
    state::{Action, Event},
};
use app::model::{connection::ConnectionState, time::UnixMillis};
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tracing::{debug, info, warn};

/// Complaints of the provider that are counted and told, each once.
const SAID_MAX: usize = 16;

impl Connection {
    pub(super) async fn hear(&mut self, socket: &mut Socket, now: UnixMillis) -> Result<(), Loss> {
        let before = self.link.state();
        let was_live = self.link.is_live();
        for notice in std::mem::take(&mut self.reading.notices) {
            match &notice {
                Notice::Problem(words) | Notice::Refused(words) | Notice::Leaving(_, words) => {
                    self.complain(words, now);
                }
                Notice::Remark(words) => debug!(parent: &self.span, "The provider says: {words}"),
                _ => {}
            }
            match self.link.next(Event::Said(notice)) {
                // It may have ended while the socket was opened: the key could put out one of another server.
                Some(Action::Authenticate) if self.is_without_right() => {
                    return Err(Loss::dropped(
                        "Not opened: this server does not hold the lease of the collector any more",
                    ));
                }
                Some(Action::Authenticate) => {
                    self.parts.place.presents_key(Instant::now());
                    let message = massive::auth_message(self.parts.endpoint.key());
                    self.send(socket, Message::text(message)).await?;
                }
                Some(Action::Subscribe) => {
                    let messages: Vec<_> = massive::subscribe_messages(self.link.params()).collect();
                    for message in messages {
                        self.send(socket, Message::text(message)).await?;
                    }
                    self.pulse.subscribed(now);
                }
                Some(Action::HangUp(loss)) => return Err(loss),
                Some(Action::Wait(_)) | None => {}
            }
        }
        if self.link.is_live() && !was_live {
            self.check(now);
        }
        self.show(None);
        self.tell(before);
        Ok(())
    }

    /// Told to stop, it reads what the provider sent before it took the goodbye.
    pub(super) async fn read_rest(&mut self, socket: &mut Socket) {
        while let Some(message) = socket.next().await {
            if self.take(socket, Some(message), UnixMillis::now()).await.is_err() {
                return;
            }
        }
    }

    fn is_without_right(&self) -> bool {
        self.parts.bus.right().is_some_and(|right| right.epoch(Instant::now()).is_none())
    }

    /// A complaint of the provider is an error, once: what it said on this socket already is none, and a refusal of each of
    /// a thousand symbols by its name is one trouble.
    fn complain(&mut self, words: &str, now: UnixMillis) {
        if self.said.len() >= SAID_MAX || self.has_said(words) {
            return;
        }
        self.said.push(words.to_owned());
        self.parts.telemetry.error(1, words, now);
        warn!(parent: &self.span, "Connection {}: the provider says: {words}", self.id);
    }

    /// Did the provider complain in these words on this socket?
    pub(super) fn has_said(&self, words: &str) -> bool {
        self.said.iter().any(|said| said == words)
    }

    pub(super) fn tell(&self, before: ConnectionState) {
        let state = self.link.state();
        if state != before {
            let why = self.link.reason().map(|why| format!(": {why}")).unwrap_or_default();
            info!(parent: &self.span, "Connection {} is {}{why}", self.id, state.label());
        }
    }
}
