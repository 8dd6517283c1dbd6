//! Redis Sentinel: which of several Redis servers is the master.
//!
//! All Sentinels are asked at once, before every new connection. More than half of them have to know of the fail-over, so the
//! word of the highest configuration epoch counts; the server that they name has to say itself that it is a master.

use super::{ANSWER_TIMEOUT, answered, client, words};
use futures_util::{StreamExt, stream::FuturesUnordered};
use percent_encoding::percent_decode_str;
use redis::{
    Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    RedisResult,
};
use std::{collections::HashMap, fmt, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// What an address has to look like.
const FORM: &str =
    "redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/MASTER[?db=N&sentinel_user=U&sentinel_password=P]";
/// Once a Sentinel has answered, the others have so much time.
const OTHERS: Duration = Duration::from_millis(100);

/// The Sentinels of one master.
#[derive(Debug)]
pub(crate) struct Sentinels {
    sentinels: Vec<(Place, Client)>,
    /// The name that they know the master by.
    master: String,
    /// How to sign in at the master.
    settings: RedisConnectionInfo,
    /// The master at the last look.
    known: watch::Sender<Option<Place>>,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    port: u16,
}

impl Place {
    fn client(&self, settings: RedisConnectionInfo) -> RedisResult<Client> {
        let info = ConnectionAddr::Tcp(self.host.clone(), self.port).into_connection_info()?;
        client(info.set_redis_settings(settings))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What a Sentinel says of the master.
struct Word {
    place: Place,
    epoch: u64,
    is_down: bool,
}

impl Sentinels {
    /// Reads what stands behind `redis+sentinel://`.
    ///
    /// # Errors
    /// What is wrong with it and how it has to look; nothing of it is repeated that may be secret.
    pub(super) fn parse(rest: &str) -> Result<Self, String> {
        let parts = parse(rest).map_err(|why| format!("{FORM}; {why}"))?;
        let client = |place: Place| Ok((place.clone(), place.client(parts.of_sentinels.clone())?));
        let sentinels = parts.sentinels.into_iter().map(client).collect::<RedisResult<_>>();
        let sentinels = sentinels.map_err(|error| error.category().to_owned())?;
        Ok(Self { sentinels, master: parts.master, settings: parts.of_master, known: watch::Sender::default() })
    }

    pub(super) fn known(&self) -> watch::Receiver<Option<Place>> {
        self.known.subscribe()
    }

    /// The master, once it said that it is one.
    pub(super) async fn master(&self) -> RedisResult<Client> {
        let Word { place, is_down, .. } = self.ask_all().await?;
        if is_down {
            return Err(failure(format!("the Sentinels say that the master {place} is down and name no other yet")));
        }
        let client = place.client(self.settings.clone())?;
        match ask::<Vec<redis::Value>>(&client, redis::cmd("ROLE")).await {
            Ok(role) => {
                let role = role.first().and_then(|role| String::from_redis_value_ref(role).ok()).unwrap_or_default();
                if role != "master" {
                    return Err(failure(format!("the Sentinels name {place}, which is no master yet")));
                }
            }
            // Its user may be confined to what is needed.
            Err(error) if error.code() == Some("NOPERM") => {}
            Err(error) => {
                return Err(failure(format!("the master {place} that the Sentinels name: {}", words(&error))));
            }
        }
        self.known.send_if_modified(|known| known.replace(place.clone()).is_some_and(|before| before != place));
        Ok(client)
    }

    /// The newest word on the master: of more than half of them, or of those that answer in time.
    async fn ask_all(&self) -> RedisResult<Word> {
        let mut asked: FuturesUnordered<_> = self.sentinels.iter().map(|sentinel| self.ask_one(sentinel)).collect();
        let mut deadline = Instant::now() + ANSWER_TIMEOUT;
        let (mut newest, mut answers, mut refusals) = (None::<Word>, 0, Vec::new());
        while let Ok(Some(answer)) = timeout_at(deadline, asked.next()).await {
            match answer {
                Ok(word) => {
                    answers += 1;
                    deadline = deadline.min(Instant::now() + OTHERS);
                    let rank = |word: &Word| (word.epoch, !word.is_down);
                    if newest.as_ref().is_none_or(|newest| rank(newest) < rank(&word)) {
                        newest = Some(word);
                    }
                }
                Err(why) => refusals.push(why),
            }
            if answers * 2 > self.sentinels.len() {
                break;
            }
        }
        newest.ok_or_else(|| {
            refusals.sort_unstable();
            let others = match refusals.len() {
                0 | 1 => String::new(),
                count => format!(" (and {} more)", count - 1),
            };
            let first = refusals.into_iter().next().unwrap_or_else(|| "no Sentinel answered in time".to_owned());
            failure(format!("{first}{others}"))
        })
    }

    async fn ask_one(&self, (place, client): &(Place, Client)) -> Result<Word, String> {
        let mut question = redis::cmd("SENTINEL");
        question.arg("MASTER").arg(&self.master);
        let said: HashMap<String, String> = ask(client, question).await.map_err(|error| {
            let why = error.to_string();
            if why.contains("No such master") {
                return format!("the Sentinel {place} knows no master named {:?}", self.master);
            }
            if why.contains("unknown command") || why.contains("Unknown command") {
                return format!("{place} is a Redis and no Sentinel");
            }
            if why.contains("NOAUTH") {
                return format!("the Sentinel {place} wants a password: sentinel_password");
            }
            format!("the Sentinel {place}: {}", words(&error))
        })?;
        let text = |name: &str| said.get(name).map(String::as_str).unwrap_or_default();
        let is_down = text("flags").split(',').any(|flag| matches!(flag, "s_down" | "o_down"));
        let (Ok(port), Ok(epoch)) = (text("port").parse(), text("config-epoch").parse()) else {
            return Err(format!("the Sentinel {place} gives an answer that cannot be read"));
        };
        Ok(Word { place: Place { host: text("ip").to_owned(), port }, epoch, is_down })
    }
}

/// Asks on a connection of its own.
async fn ask<T: FromRedisValue>(client: &Client, question: Cmd) -> RedisResult<T> {
    answered(async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        question.query_async(&mut connection).await
    })
    .await
}

fn failure(words: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "no master", words))
}

struct Parts {
    sentinels: Vec<Place>,
    master: String,
    of_master: RedisConnectionInfo,
    of_sentinels: RedisConnectionInfo,
}

fn parse(rest: &str) -> Result<Parts, String> {
    if rest.contains('#') {
        return Err("percent-encode `#` as %23".to_owned());
    }
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, master) = before.split_once('/').unwrap_or((before, ""));
    if master.contains('@') || query.contains('@') {
        return Err("percent-encode `/`, `?` and `@` in users and passwords as %2F, %3F and %40".to_owned());
    }
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (Some(user), hosts),
        None => (None, authority),
    };
    let mut of_master = RedisConnectionInfo::default();
    if let Some(user) = user {
        let Some((user, password)) = user.split_once(':') else {
            return Err("write USER:PASSWORD before the `@`, or :PASSWORD".to_owned());
        };
        if password.is_empty() {
            return Err("there is no password before the `@`".to_owned());
        }
        if !user.is_empty() {
            of_master = of_master.set_username(decoded(user)?);
        }
        of_master = of_master.set_password(decoded(password)?);
    }
    let sentinels = hosts.split(',').enumerate().map(|(at, host)| place(host, at + 1)).collect::<Result<_, _>>()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if master.is_empty() {
        return Err("the master's name is missing, as the Sentinels know it: …/mymaster".to_owned());
    }
    if !master.chars().all(is_name) {
        return Err("a master's name has letters, digits, `.`, `-` and `_` alone".to_owned());
    }
    let mut of_sentinels = RedisConnectionInfo::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "db" => {
                let number = value.parse::<u16>().map_err(|_| "db is a number, such as 0".to_owned())?;
                of_master = of_master.set_db(number.into());
            }
            "sentinel_user" => of_sentinels = of_sentinels.set_username(decoded(value)?),
            "sentinel_password" => of_sentinels = of_sentinels.set_password(decoded(value)?),
            _ => {
                return Err(
                    "the parameters are db, sentinel_user and sentinel_password; percent-encode `&` as %26".to_owned()
                );
            }
        }
    }
    if of_sentinels.username().is_some() && of_sentinels.password().is_none() {
        return Err("sentinel_user comes with sentinel_password".to_owned());
    }
    Ok(Parts { sentinels, master: master.to_owned(), of_master, of_sentinels })
}

/// `at` is its number. Nothing of it is repeated: a password whose `@` is missing stands there.
fn place(text: &str, at: usize) -> Result<Place, String> {
    let wrong =
        |what: &str| Err(format!("{what} of Sentinel {at}, written HOST:PORT as in 10.0.0.5:26379 or [::1]:26379"));
    let Some((host, port)) = text.rsplit_once(':') else { return wrong("no port") };
    let Some(port) = port.parse().ok().filter(|port| *port > 0) else { return wrong("no port from 1 to 65535") };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_right = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    };
    if !is_right {
        return wrong("no host");
    }
    Ok(Place { host: bare.unwrap_or(host).to_owned(), port })
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| "percent-encode `%` in users and passwords as %25".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_address_is_read() {
        let parts = parse("us%40er:p%2Fw@10.0.0.5:26379,[::1]:26380,redis-3.example:1/my.Master-1?db=2&sentinel_user=s&sentinel_password=t%26")
            .expect("right");
        let places: Vec<_> = parts.sentinels.iter().map(ToString::to_string).collect();
        assert_eq!(places, ["10.0.0.5:26379", "[::1]:26380", "redis-3.example:1"]);
        assert_eq!(parts.master, "my.Master-1");
        let (user, password) = (parts.of_master.username(), parts.of_master.password());
        assert_eq!((user, password, parts.of_master.db()), (Some("us@er"), Some("p/w"), 2));
        assert_eq!((parts.of_sentinels.username(), parts.of_sentinels.password()), (Some("s"), Some("t&")));
        let parts = parse(":p@w:x@h:1/m").expect("a password alone");
        assert_eq!((parts.of_master.username(), parts.of_master.password()), (None, Some("p@w:x")));
        assert_eq!(parse("h:1/m").expect("none").of_master.password(), None);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_repeating_it() {
        for (rest, why) in [
            ("", "no port of Sentinel 1"),
            ("/m", "no port of Sentinel 1"),
            ("h/m", "no port of Sentinel 1"),
            ("h:1,/m", "no port of Sentinel 2"),
            ("h:1,g:0/m", "no port from 1 to 65535 of Sentinel 2"),
            ("h:70000/m", "no port from 1 to 65535 of Sentinel 1"),
            (":1/m", "no host of Sentinel 1"),
            ("::1:5/m", "no host of Sentinel 1"),
            ("[::x]:5/m", "no host of Sentinel 1"),
            ("h:1", "the master's name is missing"),
            ("h:1/", "the master's name is missing"),
            ("h:1/a/b", "a master's name has letters"),
            ("h:1/m?x=1", "the parameters are db, sentinel_user and sentinel_password"),
            ("h:1/m?db=x", "db is a number"),
            ("h:1/m?sentinel_user=ZQ", "sentinel_user comes with sentinel_password"),
            ("ZQ@h:1/m", "write USER:PASSWORD before the `@`"),
            ("ZQ:@h:1/m", "there is no password"),
            ("u:Z/Q@h:1/m", "percent-encode `/`, `?` and `@`"),
            ("u:Z?Q@h:1/m", "percent-encode `/`, `?` and `@`"),
            ("u:Z#Q@h:1/m", "percent-encode `#`"),
            ("u:ZQ%ff@h:1/m", "percent-encode `%`"),
            ("h:1/m?sentinel_password=Z@Q", "percent-encode `/`, `?` and `@`"),
            ("h:1/m?sentinel_password=Z&Q", "percent-encode `&`"),
            ("u:ZQ,h:1/m", "no port from 1 to 65535 of Sentinel 1"),
        ] {
            let said = Sentinels::parse(rest).expect_err(rest);
            assert!(said.contains(why) && said.starts_with(FORM), "{rest}: {said}");
            assert!(!said.contains("ZQ") && !said.contains("Z/Q") && !said.contains("Z?Q"), "{said}");
        }
    }
}
