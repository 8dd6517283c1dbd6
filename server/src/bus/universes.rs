//! Universes that are sets on Redis, `tickstock:universe:{key}`: read when the configuration is.

use super::redis::{answered, client};
use crate::{
    config::RedisConfig,
    text::{self, tidy},
};
use app::model::{board::ROWS_MAX, symbol::Symbol};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, BTreeSet};
use tracing::warn;

pub(super) async fn read(
    config: &RedisConfig,
    keys: &BTreeSet<String>,
) -> Result<BTreeMap<String, BTreeSet<Symbol>>, String> {
    let client = client(config.url.expose_secret()).map_err(|error| error.category().to_owned())?;
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.smembers(format!("{}universe:{key}", config.key_prefix));
    }
    // One key may hold something that is no set: that costs this key alone.
    pipeline.ignore_errors();
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection().await?;
        pipeline.query_async::<Vec<redis::RedisResult<Vec<String>>>>(&mut connection).await
    };
    let answers = answered(asked).await.map_err(|error| words(&error))?;
    let mut universes = BTreeMap::new();
    for (key, answer) in keys.iter().zip(answers) {
        match answer {
            Ok(members) if members.is_empty() => {}
            Ok(members) => drop(universes.insert(key.clone(), symbols_of(key, &members))),
            Err(error) if error.code() == Some("WRONGTYPE") => {
                warn!("The universe {key:?} on Redis cannot be read: {}", words(&error));
            }
            // It is loading, say: what it holds is not known, and nothing is.
            Err(error) => return Err(words(&error)),
        }
    }
    Ok(universes)
}

/// What Redis said.
fn words(error: &redis::RedisError) -> String {
    tidy(&error.to_string(), text::BYTES_MAX)
}

fn symbols_of(key: &str, members: &[String]) -> BTreeSet<Symbol> {
    let symbols: BTreeSet<_> = members.iter().filter_map(|member| Symbol::parse(member).ok()).take(ROWS_MAX).collect();
    if symbols.len() < members.len() {
        let others = members.len() - symbols.len();
        warn!("The universe {key:?} on Redis has {others} members that are no symbols, or too many");
    }
    symbols
}
