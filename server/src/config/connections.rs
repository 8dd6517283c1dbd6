//! The settings of each connection slot: `USE_MULTI_CONNECTION`, `WEBSOCKET_CONNECTIONS_MAX`, `WEBSOCKET_CONNECTION_{N}_*`.
//!
//! A bad setting here disables its own connection with a warning that the dashboard shows; the server still starts.

use super::reader::{Reader, Variables};
use crate::{problem::Problem, universe::ConnectionSettings};
use app::model::{
    connection::{CONNECTIONS_MAX, Channel, ConnectionId, Priority},
    status::Feed,
    symbol::Symbol,
};
use std::{collections::HashSet, hash::Hash};

const SIMULATOR_UNIVERSES: [&str; 3] =
    ["tech_sector:large_cap", "finance_sector:large_cap", "healthcare_sector:large_cap"];

/// Which slots run when nothing is said about them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The simulator's first run: all three, each with a universe of its own.
    Demo,
    /// `USE_MULTI_CONNECTION=false`: connection 1 alone.
    Single,
    /// `USE_MULTI_CONNECTION=true`: those that are enabled.
    Multi,
}

pub(super) fn read(reader: &mut Reader<'_>, feed: Feed) -> Vec<ConnectionSettings> {
    let untouched =
        reader.variables.names_with("WEBSOCKET_").next().is_none() && reader.text("USE_MULTI_CONNECTION").is_none();
    let mode = if untouched && feed == Feed::Simulator {
        Mode::Demo
    } else if reader.flag("USE_MULTI_CONNECTION", false) {
        Mode::Multi
    } else {
        Mode::Single
    };
    let count = reader.number("WEBSOCKET_CONNECTIONS_MAX", 3, 1..=u64::from(CONNECTIONS_MAX)) as ConnectionId;
    let stray = stray_variables(reader.variables, count);
    reader.problems.extend(stray);
    (1..=count).map(|id| slot(reader.variables, id, mode)).collect()
}

/// Settings of slots that do not exist, and misspelt ones, would silently do nothing.
fn stray_variables(variables: &Variables, count: ConnectionId) -> Vec<Problem> {
    const SETTINGS: [&str; 6] = ["ENABLED", "NAME", "UNIVERSE_KEY", "SYMBOLS", "PRIORITY", "CHANNELS"];
    let is_known = |rest: &str| {
        rest.split_once('_').is_some_and(|(number, setting)| {
            SETTINGS.contains(&setting) && (1..=count).any(|id| id.to_string() == number)
        })
    };
    variables
        .names_with("WEBSOCKET_CONNECTION_")
        .filter(|name| !is_known(name.trim_start_matches("WEBSOCKET_CONNECTION_")))
        .map(|name| {
            let accepted = format!("a connection from 1 to {count} and one of {}", SETTINGS.join(", "));
            Problem::new(name, variables.get(name), accepted)
        })
        .collect()
}

fn slot(variables: &Variables, id: ConnectionId, mode: Mode) -> ConnectionSettings {
    let mut reader = Reader::new(variables);
    let name_of = |setting: &str| format!("WEBSOCKET_CONNECTION_{id}_{setting}");
    let (default_name, default_priority) = match id {
        1 => ("primary".to_owned(), Priority::High),
        2 => ("secondary".to_owned(), Priority::Normal),
        3 => ("tertiary".to_owned(), Priority::Low),
        _ => (format!("connection {id}"), Priority::Low),
    };
    // TickStock's own `.env` switches every slot off by name, and its single connection runs all the same.
    let enabled = reader.flag(&name_of("ENABLED"), mode == Mode::Demo) || (mode == Mode::Single && id == 1);
    let fallback_key = match mode {
        Mode::Demo => SIMULATOR_UNIVERSES.get(usize::from(id) - 1).copied(),
        Mode::Single if id == 1 => reader.text("SYMBOL_UNIVERSE_KEY"),
        Mode::Single | Mode::Multi => None,
    };
    let mut warnings = Vec::new();
    let symbols = symbols(&mut reader, &name_of("SYMBOLS"), &mut warnings);
    let channels = channels(&mut reader, &name_of("CHANNELS"));
    let priority = reader.read(&name_of("PRIORITY"), default_priority, "high, normal or low", priority);
    warnings.extend(reader.problems.iter().map(|problem| format!("switched off: {problem}")));
    let mut settings = ConnectionSettings {
        id,
        name: reader.text(&name_of("NAME")).map_or(default_name, str::to_owned),
        enabled: enabled && (mode != Mode::Single || id == 1),
        universe_key: reader.text(&name_of("UNIVERSE_KEY")).or(fallback_key).map(str::to_owned),
        symbols,
        priority,
        channels: if channels.is_empty() { vec![Channel::SecondBars] } else { channels },
        warnings,
        problems: reader.problems,
    };
    settings.enabled &= settings.problems.is_empty();
    settings
}

/// Symbols. A list in brackets or with quotes, as in JSON, has one meaning and is taken with a warning.
fn symbols(reader: &mut Reader<'_>, name: &str, warnings: &mut Vec<String>) -> Vec<Symbol> {
    const ACCEPTED: &str = "ticker symbols separated by commas, each of at most 24 characters";
    let bare =
        |text: &str| text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '"' | '\'')).to_owned();
    let mut is_bare = true;
    let symbols = list(reader, name, ACCEPTED, |text| {
        let meant = bare(text);
        is_bare &= meant == text;
        Symbol::parse(&meant).ok()
    });
    if !is_bare && !symbols.is_empty() {
        let mut read: Vec<_> = symbols.iter().take(3).map(ToString::to_string).collect();
        if symbols.len() > read.len() {
            read.push("…".to_owned());
        }
        let read = read.join(",");
        warnings
            .push(format!("{name}: read as {read}: expected symbols separated by commas, without brackets or quotes"));
    }
    symbols
}

/// Channels; one that carries no prices cannot be the only one.
fn channels(reader: &mut Reader<'_>, name: &str) -> Vec<Channel> {
    let accepted = "channels among A, AM, T, Q and LULD separated by commas, not LULD alone";
    let channels = list(reader, name, accepted, Channel::parse);
    if !channels.is_empty() && !channels.iter().any(|channel| channel.carries_prices()) {
        reader.problem(name, reader.text(name).unwrap_or_default(), accepted);
    }
    channels
}

/// A list separated by commas; blanks around entries are allowed, repeated entries count once.
fn list<T: Copy + Eq + Hash>(
    reader: &mut Reader<'_>,
    name: &str,
    accepted: &str,
    mut read: impl FnMut(&str) -> Option<T>,
) -> Vec<T> {
    let Some(value) = reader.text(name) else { return Vec::new() };
    let (mut entries, mut known) = (Vec::new(), HashSet::new());
    for text in value.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        match read(text) {
            Some(entry) if known.insert(entry) => entries.push(entry),
            Some(_) => {}
            None => reader.problem(name, text, accepted),
        }
    }
    entries
}

fn priority(text: &str) -> Option<Priority> {
    [Priority::High, Priority::Normal, Priority::Low].into_iter().find(|tier| text.eq_ignore_ascii_case(tier.label()))
}
