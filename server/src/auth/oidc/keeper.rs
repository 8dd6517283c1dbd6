//! Roles, taken anew while sessions live.

use super::{OidcError, Provider, anew::Anew};
use crate::{
    auth::Revocations,
    database::{Database, DueSession, QueryError, SessionsToEnd},
    model::{Action, Actor, Role},
};
use app::model::time::UnixMillis;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How long a role counts.
const EVERY_MS: i64 = 900_000;
/// How soon a provider that did not answer is asked once more.
const AGAIN_MS: i64 = 60_000;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Asks the provider every quarter of an hour what each session's owner may do by now, until stopped. Of several servers, one asks. While the
/// provider does not answer, sessions go on.
pub async fn keep_roles(provider: Provider, database: Database, revocations: Revocations, stop: CancellationToken) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            looked = look(&provider, &database, &revocations) => if let Err(error) = looked {
                tracing::warn!(%error, "The roles of signed-in accounts could not be looked at; trying again");
            }
        }
    }
}

async fn look(provider: &Provider, database: &Database, revocations: &Revocations) -> Result<(), QueryError> {
    let now = UnixMillis::now();
    let issuer = &provider.config().issuer;
    let mut due = database.take_due_oidc_sessions(issuer, UnixMillis(now.0 - EVERY_MS), now).await?.into_iter();
    while let Some(session) = due.next() {
        let Err(OidcError::Unreachable(why)) = take_anew(provider, database, revocations, &session).await? else {
            continue;
        };
        tracing::warn!(why, "The identity provider does not answer; sessions go on, and their roles are as they were");
        for session in [session].into_iter().chain(due.by_ref()) {
            database.move_oidc_check(&session, now, UnixMillis(now.0 - EVERY_MS + AGAIN_MS)).await?;
        }
    }
    Ok(())
}

async fn take_anew(
    provider: &Provider,
    database: &Database,
    revocations: &Revocations,
    session: &DueSession,
) -> Result<Result<(), OidcError>, QueryError> {
    let role = match provider.take_anew(&session.identity.subject, &session.tokens).await {
        Ok(Anew { tokens, role }) => {
            if let Some(tokens) = tokens {
                database.set_oidc_tokens(session, &tokens).await?;
            }
            role
        }
        Err(error) => Err(error),
    };
    let Some(account) = database.account_by_id(session.account_id).await? else { return Ok(Ok(())) };
    let actor = Actor::identity_provider();
    let mut change = match role {
        Err(OidcError::Unreachable(why)) => return Ok(Err(OidcError::Unreachable(why))),
        Ok(role) if role == account.role => return Ok(Ok(())),
        Ok(_) | Err(_) => database.change().await?,
    };
    // Where it ended while the provider was asked, the answer may be older than a session that began since, and its role.
    if !change.has_session(session).await? {
        return Ok(Ok(()));
    }
    let act = match role {
        Ok(role) => {
            change.set_role(&account.email, role).await?;
            actor.does(Action::AccountRole).because(format!("role {role}, by its groups"))
        }
        Err(OidcError::NoRole(why)) => {
            // The least that there is, in case that somebody makes viewers of everybody.
            change.set_role(&account.email, Role::User).await?;
            change.sign_out(&account.email).await?;
            actor.does(Action::SessionEnd).because(why)
        }
        Err(OidcError::Refused(why) | OidcError::Unreachable(why)) => {
            change.end_sessions(account.id, SessionsToEnd::One(session.number)).await?;
            actor.does(Action::SessionEnd).because(why)
        }
    };
    change.record(&act.to(account.email.as_str())).await?;
    change.commit().await?;
    revocations.tell();
    Ok(Ok(()))
}
