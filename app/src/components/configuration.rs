//! What a connection is set to carry. Native `<details>`: opens by keyboard and without JavaScript.

use super::{
    format,
    icon::{Icon, WARNING},
};
use crate::model::{
    connection::ConnectionId,
    status::{ConnectionConfig, SymbolSource},
};
use leptos::prelude::*;

/// The most symbols that are written out; a list of thousands is no reading matter.
const SYMBOLS_SHOWN_MAX: usize = 500;

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
    let rule = "A symbol listed on two connections is carried by the higher tier, then by the lower number.";
    let warnings = move || {
        config.with(|config| config.warnings.iter().map(|warning| warning_line(warning.clone())).collect_view())
    };
    view! {
        <div class="config" data-testid=format!("config-{id}")>
            <details class="config-details">
                <summary>
                    <span class="config-title">"Configuration"</span>
                    <span class="config-source">{source}</span>
                    <span class="config-count number">{tickers}<span class="unit">" tickers"</span></span>
                </summary>
                <dl class="config-list">
                    <div><dt>"Universe key"</dt><dd>{move || config.with(|c| c.universe_key.clone().unwrap_or_else(|| "none set".into()))}</dd></div>
                    <div><dt>"Symbols from"</dt><dd>{move || config.with(|c| source_name(c.source))}</dd></div>
                    <div><dt>"Priority"</dt><dd>{move || config.with(|c| c.priority.label())}</dd></div>
                    <div><dt>"Routing"</dt><dd>{rule}</dd></div>
                    <div><dt>"Symbols"</dt><dd class="config-symbols">{move || config.with(symbol_list)}</dd></div>
                </dl>
            </details>
            <ul class="config-warnings">{warnings}</ul>
        </div>
    }
}

fn warning_line(text: String) -> impl IntoView {
    view! { <li><Icon path=WARNING/> <span>{text}</span></li> }
}

fn source_name(source: SymbolSource) -> &'static str {
    match source {
        SymbolSource::Universe => "the universe key",
        SymbolSource::Symbols => "the symbol list",
        SymbolSource::None => "nowhere",
    }
}

/// One line for the closed state: the key, or the first symbols, or that there is nothing.
fn source_text(config: &ConnectionConfig) -> String {
    match (config.source, &config.universe_key) {
        (SymbolSource::Universe, Some(key)) => key.clone(),
        (SymbolSource::None, Some(key)) => key.clone() + " (not resolved)",
        (SymbolSource::None, None) => "no symbols set".to_owned(),
        _ => join(config.symbols.iter().take(4)) + if config.symbols.len() > 4 { ", …" } else { "" },
    }
}

fn symbol_list(config: &ConnectionConfig) -> String {
    let mut text = join(config.symbols.iter().take(SYMBOLS_SHOWN_MAX));
    if let Some(more) = config.symbols.len().checked_sub(SYMBOLS_SHOWN_MAX).filter(|more| *more > 0) {
        text.push_str(", and ");
        text.push_str(&format::count(more as u64));
        text.push_str(" more");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

fn join<'a>(symbols: impl Iterator<Item = &'a crate::model::symbol::Symbol>) -> String {
    symbols.map(|symbol| &**symbol).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::symbol::Symbol;

    #[test]
    fn a_key_that_does_not_resolve_is_said() {
        let config = ConnectionConfig { universe_key: Some("tpyo".into()), ..ConnectionConfig::default() };
        assert_eq!(source_text(&config), "tpyo (not resolved)");
        assert_eq!(source_text(&ConnectionConfig::default()), "no symbols set");
        assert_eq!(symbol_list(&ConnectionConfig::default()), "none");
    }

    #[test]
    fn long_lists_are_cut() {
        let symbols: Vec<_> = (0..502).map(|n| Symbol::parse(&format!("S{n}")).expect("a symbol")).collect();
        let config = ConnectionConfig { symbols, source: SymbolSource::Symbols, ..ConnectionConfig::default() };
        assert_eq!(source_text(&config), "S0, S1, S2, S3, …");
        assert!(symbol_list(&config).ends_with("S499, and 2 more"));
    }
}
