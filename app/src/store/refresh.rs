//! What the page asks the server to do: read its configuration again, try a connection now. One request each, whose answer
//! the page shows.

#[cfg(feature = "hydrate")]
use crate::api::packed::Postcard;
use crate::model::refresh::RefreshOutcome;
#[cfg(feature = "hydrate")]
use leptos::server_fn::ContentType;

/// How far a refresh is.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Refresh {
    /// Nobody asked, or the answer was read.
    #[default]
    None,
    /// On its way.
    Asked,
    /// Answered.
    Done(RefreshOutcome),
    /// Not answered, and why.
    Failed(String),
}

impl Refresh {
    /// Its colour, as the value of `data-tone`.
    #[must_use]
    pub fn tone(&self) -> &'static str {
        match self {
            Self::None | Self::Asked => "info",
            Self::Done(outcome) if outcome.refused.is_empty() => "info",
            Self::Done(_) => "warn",
            Self::Failed(_) => "bad",
        }
    }

    /// What the server's answer means.
    #[must_use]
    pub fn of_answer(status: u16, body: &[u8]) -> Self {
        match status {
            200 => match postcard::from_bytes(body) {
                Ok(outcome) => Self::Done(outcome),
                Err(_) => Self::Failed("The response could not be read.".to_owned()),
            },
            404 => Self::Failed("This monitor cannot reload its configuration; restart it.".to_owned()),
            500 => {
                Self::Failed("Reloading failed: an internal error. See the monitor's log, then try again.".to_owned())
            }
            _ => Self::Failed(refusal(status, body)),
        }
    }
}

/// Why the server did not do it: in its own words where it has any that the page does not say better.
#[must_use]
pub fn refusal(status: u16, body: &[u8]) -> String {
    let body = str::from_utf8(body).unwrap_or_default();
    let said = || body.split_once(r#""message":""#)?.1.split_once('"').map(|(message, _)| message);
    match (status, said()) {
        (401, _) => "Your session has ended. Sign in again.".to_owned(),
        (403, _) => "Your account is not allowed to do that.".to_owned(),
        (409 | 429, Some(message)) => ["Not done: ", message, "."].concat(),
        (429, None) => "Too many requests. Wait a minute, then try again.".to_owned(),
        _ => ["The monitor responded with status ", &status.to_string(), "."].concat(),
    }
}

/// Asks for a refresh, and answers with what came of it. In the browser only.
#[cfg(feature = "hydrate")]
pub async fn ask() -> Refresh {
    match post("/api/admin/config/refresh", Postcard::CONTENT_TYPE).await {
        Ok((status, body)) => Refresh::of_answer(status, &body),
        Err(silence) => Refresh::Failed(silence),
    }
}

/// Asks for another attempt of a connection now, and answers why there is none. In the browser only.
#[cfg(feature = "hydrate")]
pub async fn retry(id: crate::model::connection::ConnectionId) -> Option<String> {
    match post(&["/api/admin/connections/", &id.to_string(), "/retry"].concat(), "application/json").await {
        Ok((200, _)) => None,
        Ok((status, body)) => Some(refusal(status, &body)),
        Err(silence) => Some(silence),
    }
}

/// Says that somebody looks after an alert, and answers why that was not taken. In the browser only.
#[cfg(feature = "hydrate")]
pub async fn acknowledge(id: &str) -> Option<String> {
    match post(&["/api/admin/alerts/", id, "/acknowledge"].concat(), "application/json").await {
        Ok((200, _)) => None,
        Ok((status, body)) => Some(refusal(status, &body)),
        Err(silence) => Some(silence),
    }
}

#[cfg(feature = "hydrate")]
async fn post(path: &str, accepted: &str) -> Result<(u16, Vec<u8>), String> {
    let answer = async {
        let response = gloo_net::http::Request::post(path).header("accept", accepted).send().await?;
        Ok::<_, gloo_net::Error>((response.status(), response.binary().await?))
    };
    answer.await.map_err(|_| "The monitor is not responding.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_as_what_it_means() {
        let outcome = RefreshOutcome { unchanged: vec![1, 2, 3], ..RefreshOutcome::default() };
        let done = Refresh::of_answer(200, &postcard::to_stdvec(&outcome).expect("serialises"));
        assert_eq!(done, Refresh::Done(outcome));
        assert_eq!((done.tone(), Refresh::of_answer(200, b"<html>").tone()), ("info", "bad"));
        assert!(matches!(Refresh::of_answer(502, b""), Refresh::Failed(reason) if reason.contains("502")));
        assert!(
            matches!(Refresh::of_answer(500, b""), Refresh::Failed(reason) if reason.starts_with("Reloading failed"))
        );
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"error":{"code":"asked_to_wait","message":"the provider asked this account to wait"}}"#;
        assert_eq!(refusal(409, body), "Not done: the provider asked this account to wait.");
        assert_eq!(refusal(429, b""), "Too many requests. Wait a minute, then try again.");
    }
}
