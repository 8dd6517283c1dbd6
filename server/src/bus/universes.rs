//! Universes that are sets on Redis, `tickstock:universe:{key}`: read when the configuration is.

use super::{
    RedisConfig,
    redis::{RedisAddress, answered, words},
};
use crate::text::tidy;
use app::model::{board::ROWS_MAX, symbol::Symbol};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, BTreeSet};

/// Members that are named in a warning.
const NAMED_MAX: usize = 3;
/// What is shown of a member that is no symbol.
const SHOWN_BYTES_MAX: usize = 60;

/// What Redis holds under some keys of universes.
#[derive(Clone, Debug, Default)]
pub struct UniversesOnRedis {
    /// Those that are sets.
    pub by_key: BTreeMap<String, BTreeSet<Symbol>>,
    /// What is wrong with those that are not, and with members that are no symbols, for people.
    pub warnings: BTreeMap<String, String>,
}

pub(super) async fn read(config: &RedisConfig, keys: &BTreeSet<String>) -> Result<UniversesOnRedis, String> {
    let address = RedisAddress::parse(config.url.expose_secret())?;
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.smembers(format!("{}universe:{key}", config.key_prefix));
    }
    // One key may hold something that is no set: that costs this key alone.
    pipeline.ignore_errors();
    let asked = async {
        let mut connection = address.client().await?.get_multiplexed_async_connection().await?;
        // Bytes: a member that is no text costs itself alone.
        pipeline.query_async::<Vec<redis::RedisResult<Vec<Vec<u8>>>>>(&mut connection).await
    };
    let answers = answered(asked).await.map_err(|error| words(&error))?;
    let mut universes = UniversesOnRedis::default();
    for (key, answer) in keys.iter().zip(answers) {
        let warning = match answer {
            Ok(members) if members.is_empty() => None,
            Ok(members) => {
                let (symbols, warning) = symbols_of(&members);
                universes.by_key.insert(key.clone(), symbols);
                warning
            }
            Err(error) if error.code() == Some("WRONGTYPE") => Some("is no set and is not read".to_owned()),
            // It is loading, say: what it holds is not known, and nothing is.
            Err(error) => return Err(words(&error)),
        };
        if let Some(warning) = warning {
            universes.warnings.insert(key.clone(), format!("the universe {key:?} on Redis {warning}"));
        }
    }
    Ok(universes)
}

fn symbols_of(members: &[Vec<u8>]) -> (BTreeSet<Symbol>, Option<String>) {
    let mut symbols = BTreeSet::new();
    let (mut others, mut named) = (0_usize, BTreeSet::new());
    for member in members {
        let text = String::from_utf8_lossy(member);
        match Symbol::parse(&text) {
            Ok(symbol) => drop(symbols.insert(symbol)),
            Err(_) => {
                others += 1;
                // The first by the alphabet: Redis gives them in any order.
                named.insert(format!("\"{}\"", tidy(&text, SHOWN_BYTES_MAX)));
                if named.len() > NAMED_MAX {
                    named.pop_last();
                }
            }
        }
    }
    let mut wrong = Vec::new();
    if others > 0 {
        let count = if others == 1 {
            "1 member that is no symbol".to_owned()
        } else {
            format!("{others} members that are no symbols")
        };
        let more = if others > named.len() { ", …" } else { "" };
        wrong.push(format!("{count} ({}{more})", Vec::from_iter(named).join(", ")));
    }
    if symbols.len() > ROWS_MAX {
        wrong.push(format!("{} symbols, of which the first {ROWS_MAX} are taken", symbols.len()));
        symbols = symbols.into_iter().take(ROWS_MAX).collect();
    }
    let warning = (!wrong.is_empty()).then(|| format!("has {}", wrong.join(" and ")));
    (symbols, warning)
}
