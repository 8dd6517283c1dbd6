//! What Redis' answers mean: it takes what is published, or refuses it.

use super::{
    super::{
        answered,
        connection::{Answer, Asked, What, error_of},
        fence,
        health::Part,
        words_of,
    },
    Publisher,
};
use crate::bus::Right;
use app::model::time::UnixMillis;
use futures_util::{StreamExt, stream::FuturesOrdered};
use redis::{RedisResult, ServerError, Value};
use tokio::time::Instant;

impl Publisher {
    /// Redis answered. `Err` with the first of the ticks that it refused.
    pub(super) fn take_answer(&mut self, asked: Asked, values: &[Value]) -> Result<(), usize> {
        match asked.what {
            What::Probe => match error_of(values.first()) {
                None if !self.refused => self.proven(asked.at),
                // A user may be confined to the channels that are needed: then these tell.
                Some(error) if !error.details().is_some_and(|words| words.contains("channel")) => {
                    self.tell_refusal(error);
                }
                _ => self.in_trouble = true,
            },
            What::Status => {
                let words = |what: &str, error| format!("Redis does not {what} the status: {}", words_of(error));
                let (kept, published) = (error_of(values.first()), error_of(values.get(1)));
                if kept.is_some_and(fence::is_over) {
                    self.fenced();
                    return Ok(());
                }
                let trouble = kept.map(|error| words("keep", error)).or(published.map(|error| words("publish", error)));
                self.health.set(Part::Status, trouble);
                match published {
                    None if !self.refused => self.proven(asked.at),
                    Some(error) if self.proven_at.is_none() => self.tell_refusal(error),
                    _ => {}
                }
            }
            What::Frames { ticks } => {
                self.frames.answered();
                let refused = values.iter().find_map(|value| error_of(Some(value)));
                let unpublished = if refused.is_some() { ticks } else { 0 } + self.frames.outlet.lost_ticks();
                self.health.unpublished(0, if self.frames.alone { unpublished } else { 0 });
                match refused {
                    Some(error) if fence::is_over(error) => self.fenced(),
                    Some(error) if self.frames.alone => self.tell_refusal(error),
                    None if self.frames.alone => self.proven(asked.at),
                    refused => {
                        let words = |error| format!("Redis does not take frames for dashboards: {}", words_of(error));
                        self.health.set(Part::Frames, refused.map(words));
                    }
                }
            }
            What::Ticks { first, count } => {
                let taken = values.iter().position(|value| error_of(Some(value)).is_some()).unwrap_or(count);
                self.transit.confirm(first + taken as u64, Instant::now());
                if error_of(values.get(taken)).is_some_and(fence::is_over) {
                    self.fenced();
                }
                if taken < count {
                    return Err(taken);
                }
                self.refused = false;
                self.proven(asked.at);
            }
        }
        Ok(())
    }

    /// Redis refused an epoch: the lease is over, or has to be taken anew.
    pub(super) fn fenced(&mut self) {
        if let (Some(right), Some(epoch)) = (&self.right, self.epoch) {
            right.refuse(epoch);
        }
    }

    /// Does this server collect without the right to publish?
    fn is_without_right(&self) -> bool {
        self.epoch.is_none() && self.right.as_ref().is_some_and(Right::is_collecting)
    }

    /// Redis took what was sent to it then.
    fn proven(&mut self, sent_at: UnixMillis) {
        self.health.confirmed(sent_at);
        if self.is_without_right() {
            return;
        }
        self.in_trouble = false;
        self.hold_until = Instant::now();
        if self.proven_at.is_none() {
            self.proven_at = Some(Instant::now());
            self.health.set(Part::Publishing, None);
        }
    }

    fn tell_refusal(&mut self, error: &ServerError) {
        self.trouble(format!("Redis does not take ticks: {}", words_of(error)));
        self.hold_until = Instant::now() + self.retry.next();
        self.probed = self.refused;
    }

    /// Redis refused ticks from a place in this answer on: what is in flight behind them is answered too, and what was not
    /// taken waits again.
    pub(super) async fn take_refusal(
        &mut self,
        refused_from: usize,
        values: &[Value],
        answers: &mut FuturesOrdered<impl Future<Output = Answer>>,
    ) -> RedisResult<()> {
        let is_taken = |value: &Value| error_of(Some(value)).is_none();
        let mut taken: Vec<bool> = values[refused_from..].iter().map(is_taken).collect();
        self.refused = true;
        while let Some((asked, values)) = answered(async { Ok(answers.next().await) }).await? {
            let values = values?;
            match asked.what {
                What::Ticks { .. } => taken.extend(values.iter().map(is_taken)),
                What::Status | What::Probe | What::Frames { .. } => {
                    self.take_answer(asked, &values).unwrap_or_default();
                }
            }
        }
        let (first, back) = self.transit.take_back();
        // As it happens rarely that some are taken after one was refused, they are told apart only here.
        let behind = taken.split_off(taken.len().saturating_sub(back.len()));
        match error_of(values.get(refused_from)) {
            // The lease tells what comes of it.
            Some(error) if fence::is_over(error) => self.trouble("Redis refuses this server's lease".to_owned()),
            Some(error) => self.tell_refusal(error),
            None => {}
        }
        let replaced = self.put_back(first, &back, |place| !behind.get(place).copied().unwrap_or(false));
        self.health.unpublished(replaced, 0);
        Ok(())
    }
}
