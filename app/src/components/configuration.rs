//! What a connection is set to carry.

use super::{
    format,
    icon::{Icon, WARNING},
    section::Section,
};
use crate::model::{
    connection::ConnectionId,
    status::{ConnectionConfig, SymbolSource},
    symbol::Symbol,
};
use leptos::prelude::*;

/// The most symbols that are written out; a list of thousands is no reading matter.
const SYMBOLS_SHOWN_MAX: usize = 500;
/// From so many symbols on there is a field to search them.
const SEARCHABLE_FROM: usize = 20;

/// Warnings are always in sight, the rest opens.
#[component]
pub fn Configuration(
    /// Whose configuration.
    id: ConnectionId,
    /// The configuration.
    config: Signal<ConnectionConfig>,
) -> impl IntoView {
    let source = move || config.with(source_text);
    let tickers = move || config.with(|config| format::count(config.ticker_count.into()));
    let unit = move || config.with(|config| if config.ticker_count == 1 { " ticker" } else { " tickers" });
    let warnings = move || {
        config.with(|config| config.warnings.iter().map(|warning| warning_line(warning.clone())).collect_view())
    };
    let head = view! {
        <span class="config-source">{source}</span>
        <span class="config-count number">{tickers}<span class="unit">{unit}</span></span>
    }
    .into_any();
    view! {
        <div class="config" data-testid=format!("config-{id}")>
            <Section id name="configuration" title="Configuration" shows_title=true opens=false head>
                <dl class="config-list">
                    <Entry term="Universe key" config of=|c| c.universe_key.clone().unwrap_or_else(|| "not set".into())/>
                    <Entry term="Symbol source" config of=|c| source_name(c.source).into()/>
                    <Entry term="Channels" config of=channel_text/>
                    <Entry term="Priority" config of=|c| c.priority.label().into()/>
                    <Entry term="Routing" config of=rule_text/>
                    <Entry term="Duplicates" config of=duplicate_text/>
                    <Symbols id config/>
                </dl>
            </Section>
            <ul class="config-warnings">{warnings}</ul>
            <p class="config-advice" hidden=move || config.with(|config| config.warnings.is_empty())>"To change this, edit the settings, then press Refresh config."</p>
        </div>
    }
}

/// One line of it; not there when it has nothing to say.
#[component]
fn Entry(
    /// What it is.
    term: &'static str,
    /// The configuration.
    config: Signal<ConnectionConfig>,
    /// What it says.
    of: fn(&ConnectionConfig) -> String,
) -> impl IntoView {
    let text = Memo::new(move |_| config.with(of));
    view! { <div hidden=move || text.with(String::is_empty)><dt>{term}</dt><dd>{move || text.get()}</dd></div> }
}

/// The symbols, and when they are many a field to search them.
#[component]
fn Symbols(
    /// The connection.
    id: ConnectionId,
    /// The configuration.
    config: Signal<ConnectionConfig>,
) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let is_long = Memo::new(move |_| config.with(|config| config.symbols.len() >= SEARCHABLE_FROM));
    let list = move || config.with(|config| search.with(|search| symbol_list(&config.symbols, search.trim())));
    view! {
        <div class="config-symbols-entry">
            <dt>"Symbols"</dt>
            <dd>
                <input
                    type="search"
                    class="config-search"
                    hidden=move || !is_long.get()
                    aria-label=format!("Search the configured symbols of connection {id}")
                    data-testid=format!("search-{id}")
                    placeholder="Search"
                    autocomplete="off"
                    spellcheck="false"
                    on:input=move |event| search.set(event_target_value(&event))
                />
                <span class="config-symbols" data-testid=format!("symbols-{id}")>{list}</span>
            </dd>
        </div>
    }
}

fn warning_line(text: String) -> impl IntoView {
    view! { <li><Icon path=WARNING/> <span>{text}</span></li> }
}

fn source_name(source: SymbolSource) -> &'static str {
    match source {
        SymbolSource::Universe => "universe key",
        SymbolSource::Symbols => "symbol list",
        SymbolSource::None => "none",
    }
}

/// One line for the closed state: the key, or the first symbols, or that there is nothing.
fn source_text(config: &ConnectionConfig) -> String {
    match (config.source, &config.universe_key) {
        (SymbolSource::Universe, Some(key)) => key.clone(),
        (SymbolSource::None, Some(key)) => key.clone() + " (not resolved)",
        (SymbolSource::None, None) => "no symbols configured".to_owned(),
        _ => join(config.symbols.iter().take(4)) + if config.symbols.len() > 4 { ", …" } else { "" },
    }
}

/// `second bars (A), quotes (Q)`
fn channel_text(config: &ConnectionConfig) -> String {
    let channels: Vec<_> =
        config.channels.iter().map(|channel| [channel.label(), " (", channel.prefix(), ")"].concat()).collect();
    if channels.is_empty() { format::NOTHING.to_owned() } else { channels.join(", ") }
}

fn rule_text(config: &ConnectionConfig) -> String {
    if config.routing.rule.is_empty() {
        "A symbol listed on several connections is routed to the one with the highest priority; on a tie, to the lowest number.".to_owned()
    } else {
        config.routing.rule.clone()
    }
}

/// `12 routed to other connections: AAPL by 1, …`; empty without any.
fn duplicate_text(config: &ConnectionConfig) -> String {
    let routing = &config.routing;
    if routing.duplicates_total == 0 {
        return String::new();
    }
    let mut text = format::count(routing.duplicates_total.into()) + " routed to other connections: ";
    for (place, duplicate) in routing.duplicates.iter().enumerate() {
        text.push_str(if place > 0 { ", " } else { "" });
        text.push_str(&duplicate.symbol);
        text.push_str(" to ");
        text.push_str(&duplicate.carried_by.to_string());
    }
    if routing.duplicates.len() < routing.duplicates_total as usize {
        text.push_str(", …");
    }
    text
}

fn symbol_list(symbols: &[Symbol], search: &str) -> String {
    let wanted = search.to_ascii_uppercase();
    let found: Vec<_> = symbols.iter().filter(|symbol| symbol.to_ascii_uppercase().contains(&wanted)).collect();
    let mut text = join(found.iter().copied().take(SYMBOLS_SHOWN_MAX));
    if let Some(more) = found.len().checked_sub(SYMBOLS_SHOWN_MAX).filter(|more| *more > 0) {
        text.push_str(", and ");
        text.push_str(&format::count(more as u64));
        text.push_str(" more");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

fn join<'a>(symbols: impl Iterator<Item = &'a Symbol>) -> String {
    symbols.map(|symbol| &**symbol).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::{Duplicate, Routing};

    #[test]
    fn a_key_that_does_not_resolve_is_said() {
        let config = ConnectionConfig { universe_key: Some("tpyo".into()), ..ConnectionConfig::default() };
        assert_eq!(source_text(&config), "tpyo (not resolved)");
        assert_eq!(source_text(&ConnectionConfig::default()), "no symbols configured");
        assert_eq!(symbol_list(&[], ""), "none");
    }

    #[test]
    fn long_lists_are_cut_and_searched() {
        let symbols: Vec<_> = (0..502).map(|n| Symbol::parse(&format!("S{n}")).expect("a symbol")).collect();
        assert!(symbol_list(&symbols, "").ends_with("S499, and 2 more"));
        assert_eq!(symbol_list(&symbols, "s50"), "S50, S500, S501");
        let config = ConnectionConfig { symbols, source: SymbolSource::Symbols, ..ConnectionConfig::default() };
        assert_eq!(source_text(&config), "S0, S1, S2, S3, …");
    }

    #[test]
    fn duplicates_say_who_carries_them() {
        let duplicate = Duplicate { symbol: Symbol::parse("AAPL").expect("a symbol"), carried_by: 1 };
        let routing = Routing { duplicates_total: 12, duplicates: vec![duplicate], ..Routing::default() };
        let config = ConnectionConfig { routing, ..ConnectionConfig::default() };
        assert_eq!(duplicate_text(&config), "12 routed to other connections: AAPL to 1, …");
        assert_eq!(duplicate_text(&ConnectionConfig::default()), "");
    }
}
