//! Which connection carries which symbol: universe or list, then the priority tier.

use super::{ConnectionSettings, Universes, plausible};
use app::model::{
    board::ROWS_MAX,
    connection::{ConnectionId, ConnectionState},
    health::{Health, Layer, LayerState, NAMES_MAX},
    status::{ConnectionConfig, ConnectionLive, Duplicate, Routing, SymbolSource},
    symbol::Symbol,
};
use foldhash::{HashMap, HashMapExt};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// One slot with its symbols: what the connection manager runs and the dashboard shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPlan {
    /// The slot's number.
    pub id: ConnectionId,
    /// Its name.
    pub name: String,
    /// Does it run?
    pub enabled: bool,
    /// Symbols, channels and what the dashboard shows of them.
    pub config: ConnectionConfig,
    /// Where it carries all symbols by `*`: those that connections which come first carry, which are theirs alone.
    pub carried_elsewhere: Arc<BTreeSet<Symbol>>,
}

impl ConnectionPlan {
    /// Is it switched on, with something to carry?
    #[must_use]
    pub fn runs(&self) -> bool {
        self.enabled && !self.config.symbols.is_empty()
    }

    /// Its status while it does not run: switched off, or enabled without symbols.
    #[must_use]
    pub fn idle(&self) -> ConnectionLive {
        let starved = self.enabled && self.config.symbols.is_empty();
        let off = Layer::of(LayerState::Off);
        ConnectionLive {
            id: self.id,
            name: self.name.clone(),
            enabled: self.enabled,
            state: if starved { ConnectionState::Failed } else { ConnectionState::Disabled },
            reason: starved.then(|| match self.carried_elsewhere.len() {
                0 => "No symbols configured".to_owned(),
                _ => "All of its symbols are routed to other connections".to_owned(),
            }),
            health: Health { transport: off.clone(), subscription: off.clone(), data: off },
            ..ConnectionLive::default()
        }
    }
}

/// The rule that gives a symbol to one connection as the dashboard shows it.
const RULE: &str = "A symbol listed on several enabled connections is routed to the one with the highest priority; on a tie, to the lowest number.";

/// Resolves every slot's symbols, then gives a symbol that several enabled slots list to the highest tier alone; in
/// the same tier the lower number wins.
#[must_use]
pub fn plan(settings: &[ConnectionSettings], universes: &Universes) -> Vec<ConnectionPlan> {
    let mut plans: Vec<_> = settings.iter().map(|settings| unrouted(settings, universes)).collect();
    let mut by_tier: Vec<_> =
        plans.iter().filter(|plan| plan.enabled).map(|plan| (plan.config.priority, plan.id)).collect();
    by_tier.sort_unstable();

    let mut carriers: HashMap<Symbol, ConnectionId> = HashMap::new();
    for (tier, id) in by_tier.iter().copied() {
        let Some(plan) = plans.iter_mut().find(|plan| plan.id == id) else { continue };
        let mut taken: BTreeMap<ConnectionId, u32> = BTreeMap::new();
        let routing = &mut plan.config.routing;
        // Who carries all symbols carries this one too.
        let of_all = carriers.iter().find(|(symbol, _)| &***symbol == "*").map(|(_, carrier)| *carrier);
        plan.config.symbols.retain(|symbol| match carriers.get(symbol).copied().or(of_all) {
            Some(carrier) => {
                *taken.entry(carrier).or_default() += 1;
                routing.duplicates_total += 1;
                if routing.duplicates.len() < NAMES_MAX {
                    routing.duplicates.push(Duplicate { symbol: *symbol, carried_by: carrier });
                }
                false
            }
            None => {
                carriers.insert(*symbol, id);
                true
            }
        });
        for (carrier, count) in taken {
            let duplicates = if count == 1 { "duplicate" } else { "duplicates" };
            let why =
                if by_tier.contains(&(tier, carrier)) { "same priority, lower number" } else { "higher priority" };
            plan.config.warnings.push(format!("{count} {duplicates} routed to connection {carrier} ({why})"));
        }
        plan.config.ticker_count = plan.config.symbols.len() as u32;
        if plan.config.symbols.iter().any(|symbol| &**symbol == "*") {
            let others = carriers.iter().filter(|(_, carrier)| **carrier != id);
            plan.carried_elsewhere = Arc::new(others.map(|(symbol, _)| *symbol).collect());
        }
    }
    plans
}

/// Which connection carries a symbol, for producers of ticks that do not say.
#[derive(Clone, Debug, Default)]
pub struct Assignments {
    by_symbol: HashMap<Symbol, ConnectionId>,
    /// Who carries every symbol that nobody names.
    all: Option<ConnectionId>,
}

impl Assignments {
    /// A connection carries a symbol; `*` stands for all. Who comes first keeps it.
    pub fn assign(&mut self, symbol: Symbol, connection: ConnectionId) {
        if &*symbol == "*" {
            self.all.get_or_insert(connection);
        } else {
            self.by_symbol.entry(symbol).or_insert(connection);
        }
    }

    /// The connection that carries the symbol; `None` when none does.
    #[must_use]
    pub fn get_ticker_assignment(&self, symbol: Symbol) -> Option<ConnectionId> {
        self.by_symbol.get(&symbol).copied().or(self.all)
    }
}

fn unrouted(settings: &ConnectionSettings, universes: &Universes) -> ConnectionPlan {
    let mut warnings = settings.warnings.clone();
    warnings.extend(settings.universe_key.iter().flat_map(|key| universes.warnings_of(key)).map(str::to_owned));
    let from_universe = settings.universe_key.as_deref().and_then(|key| {
        let symbols = universes.resolve(key).filter(|symbols| !symbols.is_empty());
        let doubt = universes.doubt_about(key);
        if let (Some(why), Some(_)) = (doubt, &symbols) {
            warnings.push(format!(
                "Redis could not be asked for universe key {key:?} ({why}); using the list that ships with the server"
            ));
        }
        if symbols.is_none() {
            let unasked = doubt.map(|why| format!(" (Redis could not be asked: {why})"));
            let instead = if settings.symbols.is_empty() { "" } else { "; using the symbol list instead" };
            warnings.push(format!("universe key {key:?} is unknown or empty{}{instead}", unasked.unwrap_or_default()));
        }
        symbols
    });
    let (source, symbols) = match from_universe {
        Some(symbols) => {
            let unused = settings.symbols.iter().filter(|symbol| !symbols.contains(symbol)).count();
            if unused > 0 {
                warnings.push(format!(
                    "the universe key takes precedence over the symbol list: {unused} of its {} symbols are not subscribed",
                    settings.symbols.len()
                ));
            }
            (SymbolSource::Universe, symbols)
        }
        None if settings.symbols.is_empty() => (SymbolSource::None, BTreeSet::new()),
        None => (SymbolSource::Symbols, settings.symbols.iter().copied().collect()),
    };
    if settings.enabled && symbols.is_empty() {
        let id = settings.id;
        warnings.push(format!(
            "no symbols: set WEBSOCKET_CONNECTION_{id}_UNIVERSE_KEY or WEBSOCKET_CONNECTION_{id}_SYMBOLS"
        ));
    }
    let mut symbols: Vec<_> = symbols.into_iter().collect();
    warnings.extend(plausible::warning(&symbols));
    if let Some(first) = symbols.get(ROWS_MAX) {
        let others = symbols.len() - ROWS_MAX;
        warnings.push(format!(
            "a connection carries at most {ROWS_MAX} symbols; the last {others}, from {first} on, are ignored"
        ));
        symbols.truncate(ROWS_MAX);
    }
    ConnectionPlan {
        id: settings.id,
        name: settings.name.clone(),
        enabled: settings.enabled,
        config: ConnectionConfig {
            universe_key: settings.universe_key.clone(),
            ticker_count: symbols.len() as u32,
            symbols,
            priority: settings.priority,
            source,
            channels: settings.channels.clone(),
            routing: Routing { rule: RULE.to_owned(), ..Routing::default() },
            warnings,
        },
        carried_elsewhere: Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Variables};

    fn plan_of<const N: usize>(pairs: [(&str, &str); N]) -> Vec<ConnectionPlan> {
        let common = [
            ("USE_MULTI_CONNECTION", "true"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_2_ENABLED", "true"),
        ];
        let variables: Variables = common.into_iter().chain(pairs).collect();
        let config = Config::read(&variables).expect("a good configuration");
        plan(&config.connections, &Universes::load(None).expect("no file"))
    }

    fn symbols(plan: &ConnectionPlan) -> Vec<&str> {
        plan.config.symbols.iter().map(|symbol| &**symbol).collect()
    }

    #[test]
    fn the_higher_tier_carries_a_symbol_that_two_list() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT,NVDA"),
            ("WEBSOCKET_CONNECTION_1_PRIORITY", "low"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "NVDA,TSLA"),
        ]);
        assert_eq!(symbols(&plans[0]), ["AAPL", "MSFT"]);
        assert_eq!(symbols(&plans[1]), ["NVDA", "TSLA"]);
        assert_eq!(plans[0].config.warnings, ["1 duplicate routed to connection 2 (higher priority)"]);
        let routing = &plans[0].config.routing;
        let nvda = Duplicate { symbol: Symbol::parse("NVDA").expect("a symbol"), carried_by: 2 };
        assert_eq!((routing.duplicates_total, &routing.duplicates[..]), (1, &[nvda][..]));
    }

    #[test]
    fn who_carries_all_symbols_carries_those_that_come_after() {
        let plans = plan_of([("WEBSOCKET_CONNECTION_1_SYMBOLS", "*"), ("WEBSOCKET_CONNECTION_2_SYMBOLS", "AAPL,MSFT")]);
        assert_eq!((symbols(&plans[0]), symbols(&plans[1]).len()), (vec!["*"], 0));
        assert_eq!(plans[1].config.routing.duplicates_total, 2);
    }

    #[test]
    fn a_wildcard_leaves_to_others_what_they_carry_by_name() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,MSFT"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "*"),
            ("WEBSOCKET_CONNECTION_3_ENABLED", "true"),
            ("WEBSOCKET_CONNECTION_3_SYMBOLS", "NVDA"),
        ]);
        let elsewhere: Vec<_> = plans[1].carried_elsewhere.iter().map(|symbol| &**symbol).collect();
        assert_eq!(elsewhere, ["AAPL", "MSFT"]);
        assert!(plans[0].carried_elsewhere.is_empty() && symbols(&plans[2]).is_empty());
    }

    #[test]
    fn a_list_that_a_universe_puts_aside_is_spoken_of() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "dow30"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL,NOTDOW"),
        ]);
        let said = "the universe key takes precedence over the symbol list: 1 of its 2 symbols are not subscribed";
        assert_eq!(
            (plans[0].config.source, &plans[0].config.warnings[..]),
            (SymbolSource::Universe, &[said.to_owned()][..])
        );
    }

    #[test]
    fn a_symbol_that_looks_like_none_is_a_warning_with_what_was_meant() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "[AAPL,MSFT]"),
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "nvda, TSLA;AMD"),
        ]);
        let read = "WEBSOCKET_CONNECTION_1_SYMBOLS: read as AAPL,MSFT: expected symbols separated by commas, without brackets or quotes";
        assert_eq!((symbols(&plans[0]), &plans[0].config.warnings[..]), (vec!["AAPL", "MSFT"], &[read.to_owned()][..]));
        let strange =
            r#"2 symbols do not look valid: "TSLA;AMD" (did you mean TSLA, AMD?), "nvda" (did you mean NVDA?)"#;
        assert_eq!(plans[1].config.warnings, [strange]);
    }

    #[test]
    fn more_symbols_than_a_connection_follows_are_a_warning() {
        let list: Vec<_> = (0..ROWS_MAX + 5).map(|number| format!("S{number:06}")).collect();
        let plans = plan_of([("WEBSOCKET_CONNECTION_1_SYMBOLS", &list.join(","))]);
        assert_eq!((symbols(&plans[0]).len(), plans[0].config.ticker_count), (ROWS_MAX, ROWS_MAX as u32));
        let said = "a connection carries at most 100000 symbols; the last 5, from S100000 on, are ignored";
        assert_eq!(plans[0].config.warnings, [said]);
    }

    #[test]
    fn a_disabled_connection_takes_no_symbol_away() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_2_SYMBOLS", "AAPL"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL"),
            ("WEBSOCKET_CONNECTION_1_ENABLED", "false"),
        ]);
        assert_eq!(symbols(&plans[1]), ["AAPL"]);
    }

    #[test]
    fn a_symbol_belongs_to_who_names_it_and_then_to_who_carries_all() {
        let symbol = |text| Symbol::parse(text).expect("a symbol");
        let mut assignments = Assignments::default();
        assignments.assign(symbol("AAPL"), 2);
        assignments.assign(symbol("AAPL"), 3);
        assert_eq!(assignments.get_ticker_assignment(symbol("AAPL")), Some(2));
        assert_eq!(assignments.get_ticker_assignment(symbol("MSFT")), None);
        assignments.assign(symbol("*"), 1);
        assert_eq!(assignments.get_ticker_assignment(symbol("MSFT")), Some(1));
    }

    #[test]
    fn an_unknown_key_is_a_warning_and_the_list_steps_in() {
        let plans = plan_of([
            ("WEBSOCKET_CONNECTION_1_UNIVERSE_KEY", "nonesuch"),
            ("WEBSOCKET_CONNECTION_1_SYMBOLS", "AAPL"),
            ("WEBSOCKET_CONNECTION_2_UNIVERSE_KEY", "nonesuch"),
        ]);
        assert_eq!(plans[0].config.source, SymbolSource::Symbols);
        assert_eq!(
            plans[0].config.warnings,
            [r#"universe key "nonesuch" is unknown or empty; using the symbol list instead"#]
        );
        assert_eq!(plans[1].config.source, SymbolSource::None);
        assert_eq!(plans[1].config.warnings.len(), 2, "{:?}", plans[1].config.warnings);
    }
}
