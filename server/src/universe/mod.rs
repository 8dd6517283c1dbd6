//! Universes: named sets of symbols. A key resolves from `UNIVERSES_FILE`, then from a set on Redis, then from the
//! universes that ship with the server (`shipped.json`, real US tickers). What comes out is checked symbols in
//! alphabetical order.

mod plausible;
mod routing;

pub use routing::{Assignments, ConnectionPlan, plan};

use crate::{
    bus::{self, UniversesOnRedis},
    config::Config,
};
use app::model::symbol::Symbol;
use foldhash::HashSet;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

/// All universes that are known by name.
#[derive(Clone, Debug, Default)]
pub struct Universes {
    by_key: Arc<BTreeMap<String, BTreeSet<Symbol>>>,
    /// The keys of `UNIVERSES_FILE`, which comes before anything else.
    of_file: BTreeSet<String>,
    /// Why Redis could not be asked, where it should have been.
    unasked: Option<String>,
    /// What is wrong with keys on Redis, for people.
    warnings: BTreeMap<String, String>,
}

/// The most parts of a key that are looked up on Redis, one by one and in every union.
const KEY_PARTS_MAX: usize = 16;

/// Why `UNIVERSES_FILE` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UniversesError {
    /// The file cannot be read.
    #[error("UNIVERSES_FILE={path:?}: cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is not an object of arrays of symbols.
    #[error("UNIVERSES_FILE={path:?}: expected a JSON object of key to array of symbols: {cause}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        cause: serde_json::Error,
    },
}

impl Universes {
    /// The universes that a configuration can name: those of its file, those on Redis under the keys that it names, those
    /// that ship. A Redis that does not answer is no error; [`unasked`](Self::unasked) says so.
    ///
    /// # Errors
    /// When the file is not there or not what it should be.
    pub async fn gather(config: &Config) -> Result<Self, UniversesError> {
        let file = config.market.universes_file.as_deref();
        let Some(redis) = &config.redis else { return Self::load(file) };
        let keys: BTreeSet<String> = config
            .connections
            .iter()
            .filter_map(|connection| connection.universe_key.as_deref())
            .flat_map(parts_of)
            .collect();
        match bus::read_universes(redis, &keys).await {
            Ok(sets) => Self::merge(file, sets),
            Err(why) => Ok(Self { unasked: Some(why), ..Self::load(file)? }),
        }
    }

    /// Why Redis could not be asked for universes; what is unknown may be known there.
    #[must_use]
    pub fn unasked(&self) -> Option<&str> {
        self.unasked.as_deref()
    }

    /// Why it is not sure what a key means: Redis, which could not be asked, may hold another list under it.
    #[must_use]
    pub fn doubt_about(&self, key: &str) -> Option<&str> {
        self.unasked().filter(|_| !self.of_file.contains(key))
    }

    /// What is wrong with whatever a key may mean, for people.
    pub fn warnings_of(&self, key: &str) -> impl Iterator<Item = &str> {
        let parts: BTreeSet<_> = parts_of(key).into_iter().collect();
        self.warnings.iter().filter(move |(part, _)| parts.contains(*part)).map(|(_, warning)| warning.as_str())
    }

    /// The universes that ship with the server, and over them those of a file.
    ///
    /// # Errors
    /// When the file is not there or not what it should be.
    pub fn load(file: Option<&Path>) -> Result<Self, UniversesError> {
        Self::merge(file, UniversesOnRedis::default())
    }

    fn merge(file: Option<&Path>, on_redis: UniversesOnRedis) -> Result<Self, UniversesError> {
        let mut by_key = shipped();
        by_key.extend(on_redis.by_key);
        let mut of_file = BTreeSet::new();
        if let Some(path) = file {
            let text = std::fs::read(path).map_err(|cause| UniversesError::Unreadable { path: path.into(), cause })?;
            let own: BTreeMap<String, BTreeSet<Symbol>> = serde_json::from_slice(&text)
                .map_err(|cause| UniversesError::Malformed { path: path.into(), cause })?;
            of_file.extend(own.keys().cloned());
            by_key.extend(own);
        }
        Ok(Self { by_key: Arc::new(by_key), of_file, unasked: None, warnings: on_redis.warnings })
    }

    /// The symbols of a key: the whole key's, or else, where it has colons, the union of its parts' (`dow30:nasdaq100`).
    /// Keys have colons themselves, so each part is the longest that is known. `None` when any of it is unknown.
    #[must_use]
    pub fn resolve(&self, key: &str) -> Option<BTreeSet<Symbol>> {
        if let Some(symbols) = self.by_key.get(key) {
            return Some(symbols.clone());
        }
        key.match_indices(':').rev().find_map(|(colon, _)| {
            let mut symbols = self.by_key.get(&key[..colon])?.clone();
            symbols.extend(self.resolve(&key[colon + 1..])?);
            Some(symbols)
        })
    }
}

/// How many symbols a list has that another one had not, and the other way round. Linear: lists may have 100,000.
pub(crate) fn added_and_removed(before: &[Symbol], after: &[Symbol]) -> (usize, usize) {
    let (old, new): (HashSet<_>, HashSet<_>) = (before.iter().collect(), after.iter().collect());
    (new.difference(&old).count(), old.difference(&new).count())
}

/// Everything that a key may mean: itself, and each run of its parts.
fn parts_of(key: &str) -> Vec<String> {
    let parts: Vec<&str> = key.split(':').collect();
    if parts.len() > KEY_PARTS_MAX {
        return vec![key.to_owned()];
    }
    (0..parts.len())
        .flat_map(|from| (from + 1..=parts.len()).map(move |to| (from, to)))
        .map(|(from, to)| parts[from..to].join(":"))
        .collect()
}

fn shipped() -> BTreeMap<String, BTreeSet<Symbol>> {
    // The file is part of the program; a test reads it.
    serde_json::from_str(include_str!("shipped.json")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promised_universes_ship() {
        let universes = Universes::load(None).expect("no file");
        for (key, at_least) in [
            ("market_leaders:top_500", 500),
            ("tech_sector:large_cap", 90),
            ("finance_sector:large_cap", 90),
            ("healthcare_sector:large_cap", 90),
            ("energy_sector:large_cap", 40),
            ("consumer_sector:large_cap", 90),
            ("dow30", 30),
            ("nasdaq100", 100),
            ("sp500", 500),
        ] {
            let symbols = universes.resolve(key).unwrap_or_else(|| panic!("{key} ships"));
            assert!(symbols.len() >= at_least, "{key}: {}", symbols.len());
        }
    }

    #[test]
    fn the_three_universes_of_the_first_run_share_no_symbol() {
        let universes = Universes::load(None).expect("no file");
        let sets = ["tech", "finance", "healthcare"]
            .map(|sector| universes.resolve(&format!("{sector}_sector:large_cap")).expect("ships"));
        let together: BTreeSet<_> = sets.iter().flatten().collect();
        assert_eq!(together.len(), sets.iter().map(BTreeSet::len).sum::<usize>());
    }

    #[test]
    fn a_key_of_several_keys_is_their_union() {
        let universes = Universes::load(None).expect("no file");
        let union = universes.resolve("dow30:tech_sector:large_cap:nasdaq100").expect("all known");
        for part in ["dow30", "tech_sector:large_cap", "nasdaq100"] {
            assert!(union.is_superset(&universes.resolve(part).expect("ships")), "{part}");
        }
        assert_eq!(universes.resolve("dow30:nonesuch"), None);
        assert_eq!(universes.resolve("dow30:"), None);
        assert_eq!(universes.resolve(""), None);
    }

    #[test]
    fn a_file_adds_to_what_ships_and_wins() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"dow30": ["AAPL"], "mine:own": ["BRK.B", "AAPL"]}"#).expect("written");
        let universes = Universes::load(Some(file.path())).expect("reads");
        assert_eq!(universes.resolve("dow30").expect("there").len(), 1);
        assert_eq!(universes.resolve("mine:own").expect("there").len(), 2);
        assert!(universes.resolve("nasdaq100").is_some());
    }

    #[test]
    fn a_file_comes_before_redis_and_redis_before_what_ships() {
        let symbols = |text: &str| -> BTreeSet<Symbol> { [Symbol::parse(text).expect("a symbol")].into() };
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"mine": ["AAPL"]}"#).expect("written");
        let by_key = [("mine".to_owned(), symbols("MSFT")), ("dow30".to_owned(), symbols("TSLA"))].into();
        let on_redis = UniversesOnRedis { by_key, ..UniversesOnRedis::default() };
        let universes = Universes::merge(Some(file.path()), on_redis).expect("reads");
        assert_eq!(universes.resolve("mine"), Some(symbols("AAPL")));
        assert_eq!(universes.resolve("dow30"), Some(symbols("TSLA")));
    }

    #[test]
    fn a_key_may_mean_each_run_of_its_parts() {
        assert_eq!(parts_of("a:b:c"), ["a", "a:b", "a:b:c", "b", "b:c", "c"]);
        assert_eq!(parts_of(&"x:".repeat(100)).len(), 1);
    }

    #[test]
    fn a_long_list_is_compared_with_another_one_at_once() {
        let symbol = |n: usize| Symbol::parse(&format!("S{n}")).expect("a symbol");
        let before: Vec<_> = (0..50_000).map(symbol).collect();
        let after: Vec<_> = (10_000..60_001).rev().map(symbol).collect();
        let since = std::time::Instant::now();
        assert_eq!(added_and_removed(&before, &after), (10_001, 10_000));
        assert!(since.elapsed().as_millis() < 1_000, "compared each with each: {:?}", since.elapsed());
    }

    #[test]
    fn a_key_of_the_file_is_sure_whether_redis_answers_or_not() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"mine": ["AAPL"]}"#).expect("written");
        let universes = Universes::load(Some(file.path())).expect("reads");
        assert_eq!(universes.doubt_about("dow30"), None, "there is no Redis");
        let universes = Universes { unasked: Some("refused".into()), ..universes };
        assert_eq!((universes.doubt_about("mine"), universes.doubt_about("dow30")), (None, Some("refused")));
    }

    #[test]
    fn a_bad_file_is_named_with_what_is_wrong() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), r#"{"mine": ["NOT A SYMBOL"]}"#).expect("written");
        let error = Universes::load(Some(file.path())).expect_err("refused").to_string();
        assert!(error.contains("NOT A SYMBOL") && error.contains("UNIVERSES_FILE"), "{error}");
        assert!(Universes::load(Some(Path::new("/nonexistent/universes.json"))).is_err());
    }
}
