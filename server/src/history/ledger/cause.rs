//! Why a connection misses ticks, as far as its state and its last loss tell.

use super::Watch;
use app::model::{
    connection::ConnectionState,
    health::{LastLoss, LayerState, LossKind},
    history::gap::{CauseStep, GapCause},
    market::MarketSession,
    status::{ConnectionLive, ConnectionStatus, StatusHead, StatusSource},
    time::UnixMillis,
};

/// A connection that is not up for so long after it was first wanted is an outage from that moment on: dialling, the key and
/// symbols that come late are over by then.
const FIRST_UP_MS: i64 = 30_000;

/// How a gap begins.
pub(super) struct Beginning<'a> {
    pub(super) cause: GapCause,
    /// The last sign of life before.
    pub(super) alive_at: Option<UnixMillis>,
    pub(super) loss: Option<&'a LastLoss>,
}

impl Watch {
    /// Does a gap begin, and how?
    pub(super) fn beginning<'a>(
        &self,
        head: &StatusHead,
        connection: &'a ConnectionStatus,
        now: UnixMillis,
    ) -> Option<Beginning<'a>> {
        use ConnectionState as S;
        let live = &connection.live;
        let news = self.news_of_loss(live);
        let (cause, alive_at, loss) = match live.state {
            S::Mute => (GapCause::Mute, live.metrics.last_update.max(self.quiet_at), None),
            // Nobody dials for what has nothing to carry.
            S::Failed if connection.config.ticker_count == 0 && live.health.transport.state == LayerState::Off => {
                (GapCause::Configuration, self.sign_of_life(live), None)
            }
            S::Reconnecting | S::Failed => {
                (news.map_or(GapCause::Reported, |loss| loss.kind.into()), self.sign_of_life(live), news)
            }
            S::Connecting | S::Authenticating | S::Subscribing if self.up_at.is_some() => {
                let unknown =
                    if self.is_another_run(head) { GapCause::CollectorSilent } else { GapCause::Configuration };
                (news.map_or(unknown, |loss| loss.kind.into()), self.sign_of_life(live), news)
            }
            // Never up, while ticks were to be expected.
            S::Connecting | S::Authenticating | S::Subscribing if self.is_missed(&head.market, now) => {
                let is_reported = head.status_source == StatusSource::Reported;
                let unknown = if is_reported { GapCause::Reported } else { GapCause::CollectorSilent };
                (news.map_or(unknown, |loss| loss.kind.into()), self.sign_of_life(live), news)
            }
            _ => return None,
        };
        Some(Beginning { cause, alive_at, loss })
    }

    /// Has it been wanted up for so long that it should have been?
    pub(super) fn is_overdue(&self, now: UnixMillis) -> bool {
        self.up_at.is_some() || self.wanted_since.is_some_and(|since| now.millis_since(since) > FIRST_UP_MS)
    }

    /// The same while ticks are to be expected, within the market's session.
    fn is_missed(&self, market: &MarketSession, now: UnixMillis) -> bool {
        let waited_ms = self.wanted_since.map_or(0, |since| market.silence_ms(since, now));
        market.is_regular() && waited_ms > FIRST_UP_MS.unsigned_abs()
    }

    /// How it was lost, when that is another loss than the one that was known while it was up.
    fn news_of_loss<'a>(&self, live: &'a ConnectionLive) -> Option<&'a LastLoss> {
        live.last_loss.as_ref().filter(|loss| self.up_loss_at.is_none_or(|known| loss.at > known))
    }

    /// Does another run of a collector elsewhere report now than when the connection was last up?
    fn is_another_run(&self, head: &StatusHead) -> bool {
        self.up_run.is_some_and(|run| run != head.origin.counter_run)
    }

    /// The last tick, or any later frame: while frames come, a connection that does not tick has nothing to say.
    fn sign_of_life(&self, live: &ConnectionLive) -> Option<UnixMillis> {
        self.last_tick.max(live.metrics.last_update).max(live.last_heartbeat)
    }
}

/// Was it lost between the collector and us, so that the provider has nothing to do with it?
pub(super) fn is_elsewhere(kind: LossKind) -> bool {
    matches!(kind, LossKind::CollectorSilent | LossKind::BusDown)
}

/// What else keeps a connection down that has a gap: one that dropped and whose key is refused since is not down because it
/// dropped.
pub(super) fn further_cause(live: &ConnectionLive, began: UnixMillis, now: UnixMillis) -> Option<CauseStep> {
    if live.state == ConnectionState::Mute {
        let words = live.reason.clone().unwrap_or_else(|| GapCause::Mute.label().to_owned());
        return Some(CauseStep { cause: GapCause::Mute, at: live.state_since.unwrap_or(now), close_code: None, words });
    }
    let loss = live.last_loss.as_ref().filter(|loss| loss.at >= began || is_elsewhere(loss.kind))?;
    let (at, close_code, words) = (loss.at, loss.close_code, loss.reason.clone());
    Some(CauseStep { cause: loss.kind.into(), at, close_code, words })
}
