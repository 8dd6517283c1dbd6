//! `postgres://USER:PASSWORD@HOST:PORT/NAME`, and everything that can be wrong with it at once, without a word of the password.

use crate::database::error::DatabaseError;
use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const PARAMETERS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Where the database is, and as whom.
pub(in crate::database) fn parse(url: &str) -> Result<PgConnectOptions, DatabaseError> {
    let faults = faults(url);
    if !faults.is_empty() {
        return Err(DatabaseError::PostgresUrl(faults));
    }
    let options = PgConnectOptions::from_str(url).map_err(DatabaseError::BadUrl)?;
    Ok(options.application_name("tickstock-monitor"))
}

/// What is wrong with an address, all of it.
fn faults(url: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    if let Some(c) = user.chars().find(|c| matches!(c, '/' | '?' | '#')) {
        let code = u32::from(c);
        faults.push(format!("percent-encode `{c}` in the user and the password as %{code:02X}"));
    } else if user.split(':').next().is_none_or(str::is_empty) {
        faults.push("it names no user".to_owned());
    }
    if place.contains('#') {
        faults.push("it has a `#`, which ends an address".to_owned());
    }
    let (place, parameters) = place.split_once('?').unwrap_or((place, ""));
    let (host, name) = place.split_once('/').unwrap_or((place, ""));
    faults.extend(faults_of_host(host));
    if name.is_empty() || name.contains('/') {
        faults.push("it names no database behind the host, as in …@HOST/NAME".to_owned());
    }
    faults.extend(parameters.split('&').filter(|parameter| !parameter.is_empty()).filter_map(fault_of_parameter));
    if faults.is_empty() && PgConnectOptions::from_str(url).is_err() {
        faults.push("percent-encode `%` in the user, the password and the name as %25".to_owned());
    }
    faults
}

fn faults_of_host(host: &str) -> Option<String> {
    // An IPv6 address has colons of its own, within brackets.
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    if name.is_empty() {
        return Some("it names no host".to_owned());
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    match port {
        Some(port) if !is_port(port) => Some("its port is no number from 1 to 65535".to_owned()),
        _ => None,
    }
}

fn fault_of_parameter(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    if !PARAMETERS.contains(&name) {
        return Some(format!("it has a parameter that is none of {}", PARAMETERS.join(", ")));
    }
    if name == "sslmode" && !SSL_MODES.contains(&value) {
        return Some(format!("its sslmode is none of {}", SSL_MODES.join(", ")));
    }
    value.is_empty().then(|| format!("its {name} is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told_at_once_without_the_password() {
        for url in [
            "postgres://monitor:pw@db/monitor",
            "postgresql://monitor:p%23w@db.internal:6432/monitor?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgres://monitor@[::1]:5432/monitor",
            "postgres://monitor:p@w@db/monitor",
            "postgres://monitor@%2Frun%2Fpostgresql/monitor",
        ] {
            assert_eq!(faults(url), [""; 0], "{url}");
            parse(url).unwrap();
        }
        let text = parse("postgres://:hunter2@:x/?sslmode=on&connect=5#a").unwrap_err().to_string();
        for part in ["names no user", "has a `#`", "names no host", "names no database", "none of disable", "sslcert"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
        for (url, part) in [
            ("postgres://monitor:hun/ter2@db/monitor", "percent-encode `/` in the user and the password as %2F"),
            ("postgres://monitor:hunter2%ff@db/monitor", "percent-encode `%`"),
            ("postgres://monitor:hunter2@db:99999/monitor", "no number from 1 to 65535"),
            ("postgres://db/monitor", "names no user"),
            ("postgres://", "names no host"),
        ] {
            let text = parse(url).unwrap_err().to_string();
            assert!(text.contains(part) && !text.contains("hunter2") && !text.contains("ter2"), "{url}: {text}");
        }
    }
}
