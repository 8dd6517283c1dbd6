//! From a fact to what each rule makes of it.

use super::{ConnectionFact, Fact, Machine, Subject, Trouble};
use app::model::{
    alert::Rule,
    connection::{ConnectionId, ConnectionState},
    health::LossKind,
    time::UnixMillis,
};

const DAY_MS: f64 = 86_400_000.0;

impl Machine {
    /// Takes a fact in.
    pub fn take(&mut self, fact: Fact, now: UnixMillis) {
        match fact {
            Fact::Connection(fact) => self.take_connection(&fact, now),
            Fact::Connections(ids) => self.forget_others(&ids, now),
            Fact::Gaps(open) => self.take_gaps(&open, now),
            Fact::Bus(trouble) => self.judge(Rule::Bus, Subject::Whole, trouble.and_then(Trouble::because), now),
            Fact::NoCollector(trouble) => {
                self.judge(Rule::NoCollector, Subject::Whole, trouble.and_then(Trouble::because), now);
            }
            Fact::History(trouble) => {
                let trouble = trouble.map(|(since, text)| Trouble { text, began: Some(since), value: None });
                self.judge(Rule::History, Subject::Whole, trouble, now);
            }
            Fact::AuditChain(trouble) => {
                self.judge(Rule::AuditChain, Subject::Whole, trouble.and_then(Trouble::because), now);
            }
            Fact::Certificate(ends_at) => self.take_certificate(ends_at, now),
            Fact::ServersLost(lost) => self.take_servers(&lost, now),
        }
    }

    fn take_connection(&mut self, fact: &ConnectionFact, now: UnixMillis) {
        use ConnectionState as S;
        let id = fact.id;
        if self.names.get(&id) != Some(&fact.name) {
            self.names.insert(id, fact.name.clone());
        }
        let is_wanted = fact.is_wanted && fact.state != S::Disabled;
        let down = is_wanted && !fact.state.is_up();
        let reason = || fact.reason.clone().unwrap_or_else(|| fact.state.label().to_owned());
        let because = |is_so: bool| {
            let began = fact.state_since.filter(|at| *at <= now);
            is_so.then(|| Trouble { text: reason(), began, value: None })
        };
        let lost_by = |kind| because(down && fact.loss == Some(kind));
        let mute = because(is_wanted && fact.state == S::Mute)
            .map(|trouble| Trouble { began: fact.last_tick_at.filter(|at| *at <= now).or(trouble.began), ..trouble });
        // On its way up again after a refusal, it is still refused until it is up.
        self.judge(Rule::KeyRefused, Subject::Connection(id), lost_by(LossKind::KeyRefused), now);
        self.judge(Rule::ConnectionLimit, Subject::Connection(id), lost_by(LossKind::TooManyConnections), now);
        self.judge(Rule::NotConnected, Subject::Connection(id), because(down), now);
        self.judge(Rule::Mute, Subject::Connection(id), mute, now);
        self.judge(Rule::Degraded, Subject::Connection(id), because(is_wanted && fact.state == S::Degraded), now);
        self.measure(fact, is_wanted, now);
    }

    fn measure(&mut self, fact: &ConnectionFact, is_wanted: bool, now: UnixMillis) {
        let id = fact.id;
        let [rate, latency, errors] =
            [Rule::Rate, Rule::Latency, Rule::Errors].map(|rule| self.numbers(rule, Some(id)));
        let session = self.calendar.session_at(now);
        let meter = self.meters.entry(id).or_default();
        let measured = meter.read(fact, &session, rate.for_seconds, now);
        let is_over = |value: f64, threshold: Option<f64>| threshold.is_some_and(|threshold| value > threshold);

        let low = measured.rate.filter(|(percent, _)| rate.threshold.is_some_and(|threshold| *percent < threshold));
        let low = low.filter(|_| is_wanted && session.is_regular()).map(|(percent, usual)| Trouble {
            text: format!("{:.1} ticks/s, {percent:.0} % of the usual {usual:.1}", percent * usual / 100.0),
            began: None,
            value: Some(percent.round()),
        });
        self.judge(Rule::Rate, Subject::Connection(id), low, now);

        let late = fact
            .latency_p99_ms
            .filter(|p99| is_wanted && session.is_regular() && fact.state.is_up() && is_over(*p99, latency.threshold));
        let late = late.map(|p99| Trouble {
            text: format!("One in a hundred trades and quotes is over {p99:.0} ms old when it arrives"),
            began: None,
            value: Some(p99.round()),
        });
        self.judge(Rule::Latency, Subject::Connection(id), late, now);

        let count = measured.errors as f64;
        let last = fact.last_error.as_deref().unwrap_or("no message");
        let many = (is_wanted && is_over(count, errors.threshold)).then(|| Trouble {
            text: format!("{count} errors in the last minute; the last one: {last}"),
            began: None,
            value: Some(count),
        });
        self.judge(Rule::Errors, Subject::Connection(id), many, now);
    }

    fn take_gaps(&mut self, open: &[(ConnectionId, UnixMillis)], now: UnixMillis) {
        let known = self.watches.keys().filter(|(rule, _)| *rule == Rule::Gap).filter_map(|(_, of)| of.connection());
        let over: Vec<_> = known.filter(|id| open.iter().all(|(gap, _)| gap != id)).collect();
        over.into_iter().for_each(|id| self.judge(Rule::Gap, Subject::Connection(id), None, now));
        for (id, since) in open {
            let text = format!("No tick since {} UTC, though it is up", since.clock());
            let trouble = Trouble { text, began: Some(*since), value: None };
            self.judge(Rule::Gap, Subject::Connection(*id), Some(trouble), now);
        }
    }

    fn take_servers(&mut self, lost: &[(String, UnixMillis)], now: UnixMillis) {
        let known = self.watches.keys().filter_map(|(_, subject)| subject.server().map(str::to_owned));
        let back: Vec<_> = known.filter(|name| lost.iter().all(|(gone, _)| gone != name)).collect();
        back.into_iter().for_each(|name| self.judge(Rule::ServerLost, Subject::Server(name), None, now));
        for (name, last_seen) in lost {
            let text = format!("Last heard of at {} UTC; it did not say that it stops", last_seen.clock());
            let trouble = Trouble { text, began: Some(*last_seen), value: None };
            self.judge(Rule::ServerLost, Subject::Server(name.clone()), Some(trouble), now);
        }
    }

    fn take_certificate(&mut self, ends_at: Option<UnixMillis>, now: UnixMillis) {
        let days_left = ends_at.map(|at| at.millis_since(now) as f64 / DAY_MS);
        let threshold = self.numbers(Rule::Certificate, None).threshold.unwrap_or_default();
        let trouble = ends_at.zip(days_left).filter(|(_, days)| *days < threshold).map(|(at, days)| {
            let when = if days < 0.0 { "ended" } else { "ends" };
            Trouble {
                text: format!("The certificate in TLS_CERT {when} at {at}"),
                began: None,
                value: Some(days.floor()),
            }
        });
        self.judge(Rule::Certificate, Subject::Whole, trouble, now);
    }

    /// A connection that is configured no more has no trouble any more.
    fn forget_others(&mut self, ids: &[ConnectionId], now: UnixMillis) {
        let is_gone = |subject: &Subject| subject.connection().is_some_and(|id| !ids.contains(&id));
        let gone: Vec<_> = self.watches.keys().filter(|(_, subject)| is_gone(subject)).cloned().collect();
        gone.into_iter().for_each(|(rule, subject)| self.judge(rule, subject, None, now));
        self.meters.retain(|id, _| ids.contains(id));
        self.names.retain(|id, _| ids.contains(id));
    }

    /// What a rule makes of a subject from now on. A rule that is switched off finds nothing wrong.
    fn judge(&mut self, rule: Rule, subject: Subject, trouble: Option<Trouble>, now: UnixMillis) {
        let trouble = trouble.filter(|_| self.numbers(rule, subject.connection()).enabled);
        let key = (rule, subject);
        if trouble.is_none() && !self.watches.contains_key(&key) {
            return;
        }
        let watch = self.watches.entry(key).or_default();
        match (watch.trouble.is_some(), &trouble) {
            (false, Some(_)) => {
                watch.since = now;
                watch.unexplained_ms = 0;
                watch.begins.push_back(now);
                // More than enough to tell what flaps.
                if watch.begins.len() > 16 {
                    watch.begins.pop_front();
                }
            }
            (true, None) => watch.since = now,
            _ => {}
        }
        // It began with what was wrong first: attempts to connect change the state again and again.
        let began = watch.trouble.as_ref().and_then(|trouble| trouble.began);
        watch.trouble = trouble.map(|trouble| Trouble { began: began.or(trouble.began), ..trouble });
    }
}
