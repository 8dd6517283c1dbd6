//! Who is told of alerts: `ALERT_…` and `SMTP_URL`. Every name may be set several times, as `…_2` to `…_9`.

use super::reader::Reader;
use crate::{
    alerts::{
        AlertsConfig, Destination, Email, Format, PAGERDUTY_URL, Reach, SmtpUrl, are_addresses, is_address, key_of,
    },
    problem::Problem,
};
use app::model::alert::Severity;
use ipnet::IpNet;
use secrecy::{ExposeSecret, SecretString};
use std::net::IpAddr;
use tokio_tungstenite::tungstenite::http::Uri;

/// The most destinations of a format.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=9;
const WEB: &str = "an https:// address; http:// where ALERT_ALLOWED_NETS names its network";

pub(super) fn read(reader: &mut Reader<'_>) -> AlertsConfig {
    let allowed = allowed_nets(reader);
    let reach = Reach::new(&allowed);
    let mut destinations = Vec::new();
    for number in NUMBERS {
        let mut numbered = Numbered { reader: &mut *reader, reach: &reach, has_nets: !allowed.is_empty(), number };
        let found = [
            numbered.webhook(),
            numbered.slack(),
            numbered.pagerduty(),
            numbered.alertmanager(),
            numbered.ntfy(),
            numbered.email(),
        ];
        destinations.extend(found.into_iter().flatten());
    }
    let mut once = Numbered { reader: &mut *reader, reach: &reach, has_nets: !allowed.is_empty(), number: 1 };
    let heartbeat = once.web("ALERT_HEARTBEAT_URL");
    tell_strays(reader);
    AlertsConfig { destinations, heartbeat, allowed_nets: allowed }
}

/// A misspelt name would be somebody who is never told.
fn tell_strays(reader: &mut Reader<'_>) {
    let is_known = |name: &&str| reader.asked.borrow().contains(*name);
    let strays: Vec<_> =
        reader.variables.names_with("ALERT_").filter(|name| !is_known(name)).map(str::to_owned).collect();
    let accepted = "one of the names in docs/configuration.md, for a second destination with _2 at its end";
    reader.problems.extend(strays.iter().map(|name| Problem::new(name, None, accepted)));
}

fn allowed_nets(reader: &mut Reader<'_>) -> Vec<IpNet> {
    const ACCEPTED: &str = "addresses or networks separated by commas, as in 10.0.0.0/8,127.0.0.1";
    let one = |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let all = |value: &str| value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect();
    reader.read("ALERT_ALLOWED_NETS", Vec::new(), ACCEPTED, all)
}

/// The variables with one number at their end.
struct Numbered<'r, 'v> {
    reader: &'r mut Reader<'v>,
    reach: &'r Reach,
    has_nets: bool,
    number: u8,
}

impl Numbered<'_, '_> {
    fn name(&self, name: &str) -> String {
        if self.number == 1 { name.to_owned() } else { format!("{name}_{}", self.number) }
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        self.reader.secret(&self.name(name))
    }

    /// The value is never repeated: such addresses are secrets.
    fn refuse(&mut self, name: &str, accepted: impl Into<String>) {
        let name = self.name(name);
        self.reader.problems.push(Problem::new(&name, None, accepted));
    }

    fn web(&mut self, name: &str) -> Option<SecretString> {
        let secret = self.secret(name)?;
        let uri: Option<Uri> = secret.expose_secret().parse().ok();
        let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.host()?)));
        let refused = match parts {
            Some(("https", host)) | Some(("http", host)) if !host.is_empty() => {
                self.reach.check_literal(host).err().map(|error| format!("{WEB}: {error}"))
            }
            _ => Some(WEB.to_owned()),
        };
        let is_plain = parts.is_some_and(|(scheme, _)| scheme == "http") && !self.has_nets;
        match refused.or_else(|| is_plain.then(|| WEB.to_owned())) {
            None => Some(secret),
            Some(accepted) => {
                self.refuse(name, accepted);
                None
            }
        }
    }

    fn destination(&mut self, kind: &str, format: Option<Format>) -> Option<Destination> {
        let variable = self.name(&["ALERT_", &kind.to_ascii_uppercase(), "_MIN_SEVERITY"].concat());
        let min_severity = self.reader.read(&variable, Severity::Warning, "info, warning or critical", |value| {
            Severity::named(&value.to_ascii_lowercase())
        });
        Some(Destination { name: self.name(kind), min_severity, format: format? })
    }

    fn webhook(&mut self) -> Option<Destination> {
        let url = self.web("ALERT_WEBHOOK_URL");
        let secret = self.secret("ALERT_WEBHOOK_SECRET");
        if secret.as_ref().is_some_and(|secret| key_of(secret.expose_secret()).is_none()) {
            let accepted = "whsec_ and 24 to 64 bytes in Base64, as `echo whsec_$(openssl rand -base64 32)` makes them";
            self.refuse("ALERT_WEBHOOK_SECRET", accepted);
        }
        self.destination("webhook", url.map(|url| Format::Webhook { url, secret }))
    }

    fn slack(&mut self) -> Option<Destination> {
        let url = self.web("ALERT_SLACK_URL");
        self.destination("slack", url.map(|url| Format::Slack { url }))
    }

    fn pagerduty(&mut self) -> Option<Destination> {
        let key = self.secret("ALERT_PAGERDUTY_KEY");
        let url = self.web("ALERT_PAGERDUTY_URL").unwrap_or_else(|| PAGERDUTY_URL.into());
        self.destination("pagerduty", key.map(|key| Format::PagerDuty { url, key }))
    }

    fn alertmanager(&mut self) -> Option<Destination> {
        let url = self.web("ALERT_ALERTMANAGER_URL");
        self.destination("alertmanager", url.map(|url| Format::Alertmanager { url }))
    }

    fn ntfy(&mut self) -> Option<Destination> {
        let url = self.web("ALERT_NTFY_URL");
        let topic = |url: &SecretString| {
            let uri: Option<Uri> = url.expose_secret().parse().ok();
            uri.is_some_and(|uri| !uri.path().trim_matches('/').is_empty())
        };
        if url.as_ref().is_some_and(|url| !topic(url)) {
            self.refuse("ALERT_NTFY_URL", "an address with a topic, as in https://ntfy.sh/our-topic");
        }
        self.destination("ntfy", url.map(|url| Format::Ntfy { url }))
    }

    fn email(&mut self) -> Option<Destination> {
        let name = self.name("ALERT_EMAIL_TO");
        let to = self.reader.text(&name).map(str::to_owned);
        let [from_name, server_name] = ["ALERT_EMAIL_FROM", "SMTP_URL"].map(|name| self.name(name));
        // The second destination may share the first one's server and sender.
        let own_or_first = |reader: &Reader<'_>, own: &str, first: &str| {
            reader.text(own).or_else(|| reader.text(first)).map(str::to_owned)
        };
        let from = own_or_first(self.reader, &from_name, "ALERT_EMAIL_FROM");
        let server = own_or_first(self.reader, &server_name, "SMTP_URL");
        let Some(to) = to else { return self.destination("email", None) };
        if !are_addresses(&to) {
            self.reader.problem(&name, &to, "addresses separated by commas, as in ann@example.com");
        }
        if !from.as_deref().is_some_and(is_address) {
            let accepted = format!("an address, as in monitor@example.com, because {name} is set");
            self.reader.problems.push(Problem::new(&from_name, from.as_deref(), accepted));
        }
        let url = server.as_deref().and_then(SmtpUrl::read);
        if url.is_none() {
            let accepted = format!(
                "smtp:// or smtps:// with a host, as in smtp://user:password@mail.example.com:587, because {name} is set"
            );
            self.reader.problems.push(Problem::new(&server_name, None, accepted));
        }
        let email = url.map(|server| Email { to, from: from.unwrap_or_default(), server });
        self.destination("email", email.map(|email| Format::Email(Box::new(email))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::reader::Variables;
    use super::*;

    fn read_all(pairs: &[(&str, &str)]) -> (AlertsConfig, Vec<String>) {
        let variables: Variables = pairs.iter().copied().collect();
        let mut reader = Reader::new(&variables);
        let config = read(&mut reader);
        (config, reader.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn destinations_are_as_many_as_are_named() {
        let (config, problems) = read_all(&[
            ("ALERT_WEBHOOK_URL", "https://hooks.example.com/a"),
            ("ALERT_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            ("ALERT_WEBHOOK_URL_2", "http://10.1.2.3:8080/b"),
            ("ALERT_WEBHOOK_MIN_SEVERITY_2", "critical"),
            ("ALERT_PAGERDUTY_KEY", "0123456789abcdef"),
            ("ALERT_NTFY_URL_3", "https://ntfy.sh/topic"),
            ("ALERT_EMAIL_TO", "ann@example.com, Bob <bob@example.com>"),
            ("ALERT_EMAIL_TO_2", "boss@example.com"),
            ("ALERT_EMAIL_FROM", "monitor@example.com"),
            ("SMTP_URL", "smtp://mail.example.com"),
            ("ALERT_ALLOWED_NETS", "10.0.0.0/8"),
            ("ALERT_HEARTBEAT_URL", "https://hc.example.com/uuid"),
        ]);
        assert_eq!(problems, [""; 0]);
        let names: Vec<_> = config.destinations.iter().map(|one| (&*one.name, one.min_severity, one.host())).collect();
        let expected = [
            ("webhook", Severity::Warning, "hooks.example.com"),
            ("pagerduty", Severity::Warning, "events.pagerduty.com"),
            ("email", Severity::Warning, "ann@example.com, Bob <bob@example.com>"),
            ("webhook_2", Severity::Critical, "10.1.2.3:8080"),
            ("email_2", Severity::Warning, "boss@example.com"),
            ("ntfy_3", Severity::Warning, "ntfy.sh"),
        ];
        assert_eq!(names, expected.map(|(name, severity, host)| (name, severity, host.to_owned())));
        assert!(config.heartbeat.is_some());
        assert!(!format!("{config:?}").contains("0123456789abcdef") && !format!("{config:?}").contains("/uuid"));
    }

    #[test]
    fn every_problem_is_told_at_once_and_no_secret_with_it() {
        let (_, problems) = read_all(&[
            ("ALERT_WEBHOOK_URL", "https://127.0.0.1/private-token"),
            ("ALERT_WEBHOOK_SECRET", "whsec_short"),
            ("ALERT_SLACK_URL", "http://hooks.example.com/private-token"),
            ("ALERT_ALERTMANAGER_URL", "https://[::ffff:169.254.169.254]/private-token"),
            ("ALERT_NTFY_URL", "https://ntfy.sh/"),
            ("ALERT_SLACK_MIN_SEVERITY", "fatal"),
            ("ALERT_EMAIL_TO", "nobody"),
            ("ALERT_HEARTBEAT_URL", "private-token"),
            ("ALERT_WEBHOK_URL", "https://x/private-token"),
        ]);
        let all = problems.join("\n");
        for name in [
            "ALERT_WEBHOOK_URL",
            "ALERT_WEBHOOK_SECRET",
            "ALERT_SLACK_URL",
            "ALERT_ALERTMANAGER_URL",
            "ALERT_NTFY_URL",
            "ALERT_SLACK_MIN_SEVERITY",
            "ALERT_EMAIL_TO",
            "ALERT_EMAIL_FROM",
            "SMTP_URL",
            "ALERT_HEARTBEAT_URL",
            "ALERT_WEBHOK_URL",
        ] {
            assert!(all.contains(name), "{name} in {all}");
        }
        assert!(!all.contains("private-token") && !all.contains("whsec_short"), "{all}");
    }
}
