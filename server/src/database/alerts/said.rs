//! What people say of alerts: that somebody looks after one, that some are not to be told, that a rule has other numbers. Each
//! with its record, and the revision that makes every server look.

use super::Said;
use crate::{
    database::{
        Change, Database, QueryError,
        pool::{on, run},
    },
    model::AuditAct,
};
use app::model::{
    alert::{Rule, RuleNumbers, RuleSetting, Silence},
    connection::ConnectionId,
    history::gap::Acknowledgement,
    time::UnixMillis,
};

/// What came of acknowledging an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledged {
    /// It is acknowledged.
    Done,
    /// There is no such alert.
    Unknown,
    /// It is resolved, or somebody was first.
    TooLate,
}

impl Database {
    /// How often anybody said something.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_revision(&self) -> Result<i64, QueryError> {
        Ok(on!(&self.pool, db => sqlx::query_scalar("SELECT revision FROM alert_revision").fetch_one(db))?)
    }

    /// What people said, as far as it still counts.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alerts_said(&self, now: UnixMillis) -> Result<Said, QueryError> {
        let rows: Vec<(String, i64, String, String)> = on!(&self.pool, db => sqlx::query_as(
            "SELECT said.alert_id, said.at_ms, said.by_whom, said.note FROM alert_acknowledgements AS said
             JOIN alerts ON alerts.id = said.alert_id WHERE alerts.resolved_at_ms IS NULL",
        ).fetch_all(db))?;
        let acknowledgement = |(id, at, by, note)| (id, Acknowledgement { at: UnixMillis(at), by, note });
        let acknowledgements = rows.into_iter().map(acknowledgement).collect();
        Ok(Said { settings: self.alert_rules().await?, silences: self.alert_silences(now).await?, acknowledgements })
    }

    /// Silences that are not over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_silences(&self, now: UnixMillis) -> Result<Vec<Silence>, QueryError> {
        type Row = (i64, Option<String>, Option<i64>, i64, i64, String, String);
        let rows: Vec<Row> = on!(&self.pool, db => sqlx::query_as(
            "SELECT id, rule, connection_id, from_ms, until_ms, reason, by_whom FROM alert_silences
             WHERE until_ms > $1 ORDER BY until_ms, id",
        )
        .bind(now.0).fetch_all(db))?;
        let silence = |(id, rule, connection, from, until, reason, by): Row| Silence {
            id,
            // A rule of another version: it covers nothing here, as no alert has it.
            rule: rule.as_deref().map(|name| Rule::named(name).unwrap_or_default()),
            connection: connection.and_then(|id| ConnectionId::try_from(id).ok()),
            from: UnixMillis(from),
            until: UnixMillis(until),
            reason,
            by,
        };
        Ok(rows
            .into_iter()
            .filter(|row| row.1.as_deref().is_none_or(|name| Rule::named(name).is_some()))
            .map(silence)
            .collect())
    }

    /// Rules that were changed.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn alert_rules(&self) -> Result<Vec<RuleSetting>, QueryError> {
        type Row = (String, i64, i64, i64, i64, Option<f64>);
        let rows: Vec<Row> = on!(&self.pool, db => sqlx::query_as(
            "SELECT rule, connection_id, enabled, for_seconds, resolve_seconds, threshold FROM alert_rules
             ORDER BY rule, connection_id",
        ).fetch_all(db))?;
        let seconds = |seconds| u32::try_from(seconds).unwrap_or(u32::MAX);
        let setting = |(rule, connection, enabled, for_seconds, resolve_seconds, threshold): Row| {
            Some(RuleSetting {
                rule: Rule::named(&rule)?,
                connection: ConnectionId::try_from(connection).ok().filter(|id| *id > 0),
                numbers: RuleNumbers {
                    enabled: enabled != 0,
                    for_seconds: seconds(for_seconds),
                    resolve_seconds: seconds(resolve_seconds),
                    threshold,
                },
            })
        };
        Ok(rows.into_iter().filter_map(setting).collect())
    }

    /// Notes who looks after an alert, with the record of it.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn acknowledge_alert(
        &self,
        id: &str,
        said: &Acknowledgement,
        act: &AuditAct,
    ) -> Result<Acknowledged, QueryError> {
        let mut change = self.change().await?;
        let query = "SELECT resolved_at_ms FROM alerts WHERE id = $1";
        let known: Option<(Option<i64>,)> =
            on!(change.tx.connection(), db => sqlx::query_as(query).bind(id.to_owned()).fetch_optional(db))?;
        match known {
            None => return Ok(Acknowledged::Unknown),
            Some((Some(_),)) => return Ok(Acknowledged::TooLate),
            Some((None,)) => {}
        }
        let done = run!(
            change.tx.connection(),
            sqlx::query(
                "INSERT INTO alert_acknowledgements (alert_id, at_ms, by_whom, note) VALUES ($1, $2, $3, $4)
             ON CONFLICT (alert_id) DO NOTHING",
            )
            .bind(id.to_owned())
            .bind(said.at.0)
            .bind(said.by.clone())
            .bind(said.note.clone())
        )?;
        if done == 0 {
            return Ok(Acknowledged::TooLate);
        }
        change.say(act).await?;
        Ok(Acknowledged::Done)
    }

    /// Adds a silence, with the record of it; answers its number.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn add_silence(&self, silence: &Silence, act: &AuditAct) -> Result<i64, QueryError> {
        let mut change = self.change().await?;
        let (id,): (i64,) = on!(change.tx.connection(), db => sqlx::query_as(
            "INSERT INTO alert_silences (rule, connection_id, from_ms, until_ms, reason, by_whom)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(silence.rule.map(|rule| rule.name().to_owned()))
        .bind(silence.connection.map(i64::from))
        .bind(silence.from.0)
        .bind(silence.until.0)
        .bind(silence.reason.clone())
        .bind(silence.by.clone()).fetch_one(db))?;
        change.say(act).await?;
        Ok(id)
    }

    /// Ends a silence now, with the record of it. False when there is none that lasts.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn end_silence(&self, id: i64, now: UnixMillis, act: &AuditAct) -> Result<bool, QueryError> {
        let mut change = self.change().await?;
        let done = run!(
            change.tx.connection(),
            sqlx::query("UPDATE alert_silences SET until_ms = $1 WHERE id = $2 AND until_ms > $1").bind(now.0).bind(id)
        )?;
        if done == 0 {
            return Ok(false);
        }
        change.say(act).await?;
        Ok(true)
    }

    /// Gives a rule other numbers, for a connection or for all that have none of their own; `None`: those that ship. With the
    /// record of it.
    ///
    /// # Errors
    /// When the database does not answer; then nothing happened.
    pub async fn set_alert_rule(
        &self,
        rule: Rule,
        connection: Option<ConnectionId>,
        numbers: Option<RuleNumbers>,
        act: &AuditAct,
    ) -> Result<(), QueryError> {
        let mut change = self.change().await?;
        let connection = connection.map_or(0, i64::from);
        run!(
            change.tx.connection(),
            sqlx::query("DELETE FROM alert_rules WHERE rule = $1 AND connection_id = $2")
                .bind(rule.name())
                .bind(connection)
        )?;
        if let Some(numbers) = numbers {
            run!(
                change.tx.connection(),
                sqlx::query(
                    "INSERT INTO alert_rules (rule, connection_id, enabled, for_seconds, resolve_seconds, threshold)
                 VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(rule.name())
                .bind(connection)
                .bind(i64::from(numbers.enabled))
                .bind(i64::from(numbers.for_seconds))
                .bind(i64::from(numbers.resolve_seconds))
                .bind(numbers.threshold)
            )?;
        }
        change.say(act).await
    }
}

impl Change {
    /// Puts the act on record, moves the revision on, and makes it so.
    async fn say(mut self, act: &AuditAct) -> Result<(), QueryError> {
        self.record(act).await?;
        run!(self.tx.connection(), sqlx::query("UPDATE alert_revision SET revision = revision + 1"))?;
        self.commit().await
    }
}
