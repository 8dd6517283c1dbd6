//! Addresses among the variables. What an address is refused for names the character that has to be written otherwise, and
//! repeats nothing of the address where it may hold a secret.

use crate::{database::DatabaseError, problem::Problem};
use tokio_tungstenite::tungstenite::http::Uri;

/// What `REDIS_URL` may be.
pub(super) const REDIS: &str = "a redis://, rediss://, redis+unix:// or redis+sentinel:// address";

pub(super) fn problem_of_redis(url: &str) -> Option<Problem> {
    let refused = |accepted: &str| Some(Problem::new("REDIS_URL", None, accepted));
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    if scheme == "redis+sentinel" {
        return crate::bus::check_redis_address(url).err().and_then(|why| refused(&why));
    }
    if scheme.ends_with("unix") {
        if let Some(c) = strange_in_query(rest) {
            return refused(&format!("{REDIS}; {}", encoded(c)));
        }
    } else if let Some(c) = strange_in_user(rest) {
        return refused(&format!("{REDIS}; {}", encoded(c)));
    } else if rest.contains('#') && !(scheme.starts_with("rediss") && rest.ends_with("#insecure")) {
        return refused(&format!("{REDIS}, without `#`"));
    }
    if crate::bus::check_redis_address(url).is_ok() {
        return None;
    }
    // The escapes of a password may make no text.
    if rest.rsplit_once('@').is_some_and(|(user, _)| user.contains('%')) {
        return refused(&format!("{REDIS}; {}", encoded('%')));
    }
    refused(REDIS)
}

fn encoded(c: char) -> String {
    format!("percent-encode `{c}` in the user and the password as %{:02X}", u32::from(c))
}

/// The first character before the last `@` that ends user and password too early.
fn strange_in_user(rest: &str) -> Option<char> {
    let (user, _) = rest.rsplit_once('@')?;
    user.chars().find(|c| matches!(c, '/' | '?' | '#'))
}

/// The first character among the parameters of a socket's path that means something else there than itself.
fn strange_in_query(rest: &str) -> Option<char> {
    const KNOWN: [&str; 4] = ["db", "user", "pass", "protocol"];
    if rest.contains('#') {
        return Some('#');
    }
    let (_, query) = rest.split_once('?')?;
    let is_known = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| KNOWN.contains(&name));
    if query.split('&').any(|pair| !is_known(pair)) {
        return Some('&');
    }
    query.contains('+').then_some('+')
}

pub(super) fn problem_of_websocket(url: &str) -> Option<Problem> {
    const ACCEPTED: &str = "a ws:// or wss:// address";
    let refused = |value, accepted: &str| Some(Problem::new("MASSIVE_WEBSOCKET_URL", value, accepted));
    if url.contains('@') {
        let accepted =
            format!("{ACCEPTED} without user and password; the key is MASSIVE_API_KEY, and an `@` in a path is %40");
        return refused(None, &accepted);
    }
    // A key may stand in a query, and behind a `#` whatever a key goes on with.
    let shown = (!url.contains(['?', '#'])).then_some(url);
    if url.contains('#') {
        return refused(shown, &format!("{ACCEPTED} without `#`; percent-encode it as %23"));
    }
    let is_address = |uri: &Uri| {
        let Some(authority) = uri.authority() else { return false };
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let has_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
        let is_right = matches!(uri.scheme_str(), Some("ws" | "wss")) && !authority.host().is_empty();
        is_right && (port.is_empty() || port.strip_prefix(':').is_some_and(has_port))
    };
    if url.parse().is_ok_and(|uri| is_address(&uri)) { None } else { refused(shown, ACCEPTED) }
}

/// `scheme://ann:secret@host/…`: another database's address, which as the name of a file would be shown.
fn names_somebody(url: &str) -> bool {
    let host = url.split_once("://").and_then(|(_, rest)| rest.split('/').next());
    host.and_then(|host| host.split_once('@')).is_some_and(|(user, _)| user.contains(':'))
}

pub(super) fn problem_of_database(url: &str) -> Option<Problem> {
    let mut accepted = "an SQLite file, as in sqlite://data/monitor.db, or a PostgreSQL database, as in \
                        postgres://USER:PASSWORD@HOST:5432/NAME"
        .to_owned();
    match crate::database::check_url(url) {
        Ok(()) if !url.starts_with("sqlite:") || !names_somebody(url) => return None,
        Err(DatabaseError::PostgresUrl(faults)) => accepted = [accepted, faults.join("; ")].join("; "),
        _ if url.starts_with("sqlite://") && url.contains(['?', '%']) => {
            accepted += "; in a file's name, percent-encode `?` as %3F and `%` as %25";
        }
        _ => {}
    }
    // The value may hold a password.
    Some(Problem::new("DATABASE_URL", None, accepted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redis(url: &str) -> Option<String> {
        problem_of_redis(url).map(|problem| problem.to_string())
    }

    #[test]
    fn a_character_that_ends_the_password_too_early_is_named() {
        for (secret, c, code) in [("p#w", '#', "23"), ("p/w", '/', "2F"), ("p?w", '?', "3F"), ("12#34", '#', "23")] {
            for url in ["redis://:SECRET@host", "rediss://user:SECRET@host:6380/1", "redis://SECRET:x@host"] {
                let text = redis(&url.replace("SECRET", secret)).unwrap_or_else(|| panic!("{url} with {secret}"));
                assert!(
                    text.contains(&format!("percent-encode `{c}` in the user and the password as %{code}")),
                    "{text}"
                );
                assert!(!text.contains(secret), "{text}");
            }
        }
        let text = redis("redis://:p%ffw@host").expect("no text");
        assert!(text.contains("percent-encode `%`") && !text.contains("ffw"), "{text}");
        for (query, c) in [("pass=p#w", '#'), ("pass=p&w", '&'), ("pass=p+w", '+')] {
            let text = redis(&format!("redis+unix:///run/redis.sock?db=1&{query}")).expect(query);
            assert!(text.contains(&format!("percent-encode `{c}`")) && !text.contains("p#w"), "{text}");
        }
    }

    #[test]
    fn good_addresses_are_taken() {
        for url in [
            "redis://host",
            "redis://host:6379/2",
            "redis://:p%23w@host",
            "redis://user:p@w@host",
            "redis://:p%w@host",
            "rediss://user:pw@host:6380#insecure",
            "redis://[::1]:6379",
            "redis+unix:///run/redis.sock",
            "redis+sentinel://h:26379/mymaster",
            "redis+sentinel://user:p@w@h:1,g:2,[::1]:3/mymaster?db=1&sentinel_password=x",
            "redis+unix:///run/redis.sock?db=1&user=u&pass=p%2Bw",
        ] {
            assert_eq!(redis(url), None, "{url}");
        }
        for url in ["ws://127.0.0.1:9100/stocks", "wss://socket.massive.com/stocks?x=1", "ws://[::1]:80"] {
            assert_eq!(problem_of_websocket(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_of_the_provider_is_whole_and_without_a_secret() {
        for url in ["wss://user:p#w@host/stocks", "wss://p?w@host", "wss://:p/w@host", "ws://p%w@host"] {
            let text = problem_of_websocket(url).expect(url).to_string();
            assert!(text.contains("without user and password; the key is MASSIVE_API_KEY"), "{text}");
            assert!(!text.contains("host"), "{text}");
        }
        for url in ["http://host", "ws://", "ws://host:99999", "wss://host:", "ws://ho st", "host:80", "wss://h/#k"] {
            assert!(problem_of_websocket(url).is_some(), "{url}");
        }
        let text = problem_of_websocket("wss://host:x/stocks?apiKey=secret").expect("no port").to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn a_database_whose_name_has_a_question_mark_is_explained() {
        let text = problem_of_database("sqlite://data/what?.db").expect("a parameter").to_string();
        assert!(text.ends_with("percent-encode `?` as %3F and `%` as %25"), "{text}");
        assert_eq!(problem_of_database("sqlite://data/what%3F.db"), None);
        assert_eq!(problem_of_database("sqlite://data/a#b.db"), None);
    }

    proptest! {
        #[test]
        fn no_secret_is_repeated_and_an_encoded_one_is_taken(secret in "[!-~]{3,20}") {
            // Letters that the words around it do not have.
            let secret = format!("ZQ{secret}QZ");
            for url in [
                format!("redis://:{secret}@host"),
                format!("redis+unix:///s?pass={secret}"),
                format!("redis+sentinel://u:{secret}@host:1/m"),
                format!("redis+sentinel://host:1/m?sentinel_password={secret}"),
                format!("redis+sentinel://{secret}/m"),
            ] {
                if let Some(problem) = problem_of_redis(&url) {
                    prop_assert!(!problem.to_string().contains(&secret));
                }
            }
            for url in [format!("wss://u:{secret}@host"), format!("postgres://u:{secret}@host")] {
                for problem in [problem_of_websocket(&url), problem_of_database(&url)] {
                    prop_assert!(problem.is_some_and(|problem| !problem.to_string().contains("ZQ")));
                }
            }
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(redis(&format!("redis://:{encoded}@host:6379/0")), None);
            let url = format!("redis+sentinel://:{encoded}@host:1/m?sentinel_password={encoded}");
            prop_assert_eq!(redis(&url), None);
        }
    }
}
