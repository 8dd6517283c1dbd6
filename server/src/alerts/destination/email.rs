//! E-mail. All messages of an alert are one thread.

use super::{Answer, Context, TIMEOUT, details, headline};
use app::model::alert::{Transition, TransitionKind};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, Mailboxes, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use std::error::Error as _;

/// Where mail is handed in, and from whom to whom.
#[derive(Clone, Debug)]
pub struct Email {
    /// `ALERT_EMAIL_TO`.
    pub to: String,
    /// `ALERT_EMAIL_FROM`.
    pub from: String,
    /// `SMTP_URL`.
    pub server: SmtpUrl,
}

/// `SMTP_URL`, taken apart.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    host: String,
    port: u16,
    tls: SmtpTls,
    user: Option<(String, SecretString)>,
}

/// How the way to the mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SmtpTls {
    /// From the first byte.
    Wrapped,
    /// By STARTTLS, or nothing is sent.
    Required,
    /// By STARTTLS where the server offers it.
    Offered,
    /// Not at all.
    Off,
}

impl SmtpUrl {
    /// Reads `smtp://` and `smtps://` addresses; `None` for anything else. A password is sent encrypted, unless that is
    /// switched off by `?tls=off`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let decoded = |text: &str| Some(percent_encoding::percent_decode_str(text).decode_utf8().ok()?.into_owned());
        let user = match url.password() {
            Some(password) => Some((decoded(url.username())?, SecretString::from(decoded(password)?))),
            None if url.username().is_empty() => None,
            None => return None,
        };
        let asked = match url.query() {
            None => None,
            Some("tls=off") => Some(SmtpTls::Off),
            Some("tls=required") => Some(SmtpTls::Required),
            Some(_) => return None,
        };
        let (tls, port) = match (url.scheme(), asked) {
            ("smtps", None) => (SmtpTls::Wrapped, 465),
            ("smtp", asked) => {
                let default = if user.is_some() { SmtpTls::Required } else { SmtpTls::Offered };
                (asked.unwrap_or(default), if user.is_some() { 587 } else { 25 })
            }
            _ => return None,
        };
        let is_bare = matches!(url.path(), "" | "/") && url.fragment().is_none();
        let host = url.host_str().filter(|host| !host.is_empty() && is_bare)?;
        Some(Self { host: host.trim_matches(['[', ']']).to_owned(), port: url.port().unwrap_or(port), tls, user })
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, lettre::transport::smtp::Error> {
        let parameters = || TlsParameters::new(self.host.clone());
        let tls = match self.tls {
            SmtpTls::Wrapped => Tls::Wrapper(parameters()?),
            SmtpTls::Required => Tls::Required(parameters()?),
            SmtpTls::Offered => Tls::Opportunistic(parameters()?),
            SmtpTls::Off => Tls::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.host).port(self.port).tls(tls);
        let builder = builder.timeout(Some(TIMEOUT));
        Ok(match &self.user {
            None => builder.build(),
            Some((user, password)) => {
                builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned())).build()
            }
        })
    }
}

/// Can mail go to these addresses?
#[must_use]
pub(crate) fn are_addresses(text: &str) -> bool {
    text.parse::<Mailboxes>().is_ok_and(|to| to.iter().next().is_some())
}

/// Can mail come from this address?
#[must_use]
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Mailbox>().is_ok()
}

impl Email {
    pub(super) async fn send(&self, step: &Transition, context: &Context) -> Answer {
        if step.kind == TransitionKind::Flapping {
            return Answer::Taken(String::new());
        }
        let message = match self.message(step, context) {
            Ok(message) => message,
            Err(error) => return Answer::Refused(format!("no message can be made of it: {error}")),
        };
        let sent = async { self.server.transport()?.send(message).await };
        match tokio::time::timeout(TIMEOUT, sent).await {
            Ok(Ok(response)) => Answer::Taken(response.code().to_string()),
            Ok(Err(error)) => {
                let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
                Answer::Failed(crate::text::tidy(&format!("{error}{cause}"), 200))
            }
            Err(_) => Answer::Failed(format!("no answer within {} s", TIMEOUT.as_secs())),
        }
    }

    fn message(
        &self,
        step: &Transition,
        context: &Context,
    ) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        let from: Mailbox = self.from.parse()?;
        let to: Mailboxes = self.to.parse()?;
        let domain = from.email.domain().to_owned();
        let id = |name: &str| ["<", name, "@", &domain, ">"].concat();
        let link = context.alert(&step.alert).map(|link| ["\n\n", &link].concat()).unwrap_or_default();
        let first = id(&[&step.alert.id, "-1"].concat());
        let mut builder = Message::builder().from(from).subject(headline(step)).message_id(Some(id(&step.id)));
        for mailbox in to {
            builder = builder.to(mailbox);
        }
        if id(&step.id) != first {
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        Ok(builder.header(ContentType::TEXT_PLAIN).body(details(step) + &link + "\n")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_is_an_address_with_a_way_to_encrypt() {
        let read = |text| SmtpUrl::read(text).map(|url| (url.host, url.port, url.tls, url.user.is_some()));
        let expected = |host: &str, port, tls, user| Some((host.to_owned(), port, tls, user));
        assert_eq!(read("smtp://mail"), expected("mail", 25, SmtpTls::Offered, false));
        assert_eq!(read("smtp://u:p%40@mail"), expected("mail", 587, SmtpTls::Required, true));
        assert_eq!(read("smtp://u:p@mail:2525?tls=off"), expected("mail", 2525, SmtpTls::Off, true));
        assert_eq!(read("smtps://u:p@mail/"), expected("mail", 465, SmtpTls::Wrapped, true));
        assert_eq!(read("smtp://[::1]:2500"), expected("::1", 2500, SmtpTls::Offered, false));
        for wrong in [
            "mail:25",
            "http://mail",
            "smtp://",
            "smtp://u@mail",
            "smtp://mail/x",
            "smtp://mail?tls=maybe",
            "smtps://m?tls=off",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(!format!("{:?}", SmtpUrl::read("smtp://u:hidden@mail")).contains("hidden"));
    }
}
