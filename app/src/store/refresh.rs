//! Asking the server to read its configuration again: one request, whose answer the page shows.

use crate::model::refresh::RefreshOutcome;

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
            401 => Self::Failed("Your session has ended. Sign in again.".to_owned()),
            403 => Self::Failed("Your account is not allowed to do that.".to_owned()),
            404 => Self::Failed("This monitor cannot reload its configuration; restart it.".to_owned()),
            429 => Self::Failed("Too many requests. Wait a minute, then try again.".to_owned()),
            _ => Self::Failed(["The monitor responded with status ", &status.to_string(), "."].concat()),
        }
    }
}

/// Asks, and answers with what came of it. In the browser only.
#[cfg(feature = "hydrate")]
pub async fn ask() -> Refresh {
    use crate::api::packed::Postcard;
    use leptos::server_fn::ContentType;

    let answer = async {
        let request =
            gloo_net::http::Request::post("/api/admin/config/refresh").header("accept", Postcard::CONTENT_TYPE);
        let response = request.send().await?;
        Ok::<_, gloo_net::Error>((response.status(), response.binary().await?))
    };
    match answer.await {
        Ok((status, body)) => Refresh::of_answer(status, &body),
        Err(_) => Refresh::Failed("The monitor is not responding.".to_owned()),
    }
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
        assert!(matches!(Refresh::of_answer(500, b""), Refresh::Failed(reason) if reason.contains("500")));
    }
}
