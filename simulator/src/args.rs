//! `tickstock-monitor simulator …`: the command line of the simulator on its own.

use super::{SimulatorConfig, TICK_RATE_MAX, is_tick_rate, protocol::Channel, protocol::UnknownChannel};
use secrecy::{ExposeSecret, SecretString};
use std::net::SocketAddr;

/// What the command line of the simulator takes.
#[derive(Clone, Debug, clap::Args)]
pub struct SimulatorArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9100")]
    pub listen: SocketAddr,
    /// Accepted keys, separated by commas; any key when absent
    #[arg(long, value_name = "K1,K2", value_delimiter = ',', hide_default_value = true)]
    pub keys: Option<Vec<SecretString>>,
    /// Sessions per key
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_connections: usize,
    /// Channels that the plan does not include, separated by commas
    #[arg(long, value_name = "Q,NOI", value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Trades per second of an average symbol
    #[arg(long, value_name = "RATE", default_value_t = 10.0)]
    pub tick_rate: f64,
}

/// What is wrong with a command line that could be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulatorArgsError {
    /// A comma too many, or nothing at all.
    #[error("--keys has an empty key; accepted: keys separated by single commas, or no --keys for any key")]
    EmptyKey,
    /// Nobody could connect.
    #[error("--max-connections is 0; accepted: 1 or more")]
    NoConnections,
    /// Not a channel.
    #[error("--deny: {0}")]
    Deny(#[from] UnknownChannel),
    /// Negative, not a number, or more than a machine can do.
    #[error("--tick-rate is {0}; accepted: 0 to {TICK_RATE_MAX}")]
    TickRate(f64),
}

impl TryFrom<SimulatorArgs> for SimulatorConfig {
    type Error = SimulatorArgsError;

    fn try_from(args: SimulatorArgs) -> Result<Self, Self::Error> {
        if args.keys.iter().flatten().any(|key| key.expose_secret().trim().is_empty()) {
            return Err(SimulatorArgsError::EmptyKey);
        }
        if args.max_connections == 0 {
            return Err(SimulatorArgsError::NoConnections);
        }
        for channel in &args.deny {
            channel.trim().parse::<Channel>()?;
        }
        if !is_tick_rate(args.tick_rate) {
            return Err(SimulatorArgsError::TickRate(args.tick_rate));
        }
        Ok(Self {
            keys: args.keys,
            connections_max: args.max_connections,
            denied_channels: args.deny,
            tick_rate: args.tick_rate,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: SimulatorArgs,
    }

    fn read(line: &str) -> Result<SimulatorConfig, SimulatorArgsError> {
        let line = Line::try_parse_from(std::iter::once("simulator").chain(line.split_whitespace()));
        line.expect("a command line").args.try_into()
    }

    #[test]
    fn an_empty_line_is_the_default_configuration() {
        let config = read("").expect("a configuration");
        assert_eq!(format!("{config:?}"), format!("{:?}", SimulatorConfig::default()));
    }

    #[test]
    fn every_option_arrives_and_no_key_is_in_debug_output() {
        let config =
            read("--keys hush1,hush2 --max-connections 1 --deny Q,NOI --tick-rate 0.5").expect("a configuration");
        assert_eq!(config.keys.as_ref().map(Vec::len), Some(2));
        assert_eq!((config.connections_max, config.tick_rate), (1, 0.5));
        assert_eq!(config.denied_channels, ["Q", "NOI"]);
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn errors_name_the_option_and_what_it_takes() {
        for (line, expected) in [
            ("--keys a,,b", "--keys has an empty key"),
            ("--max-connections 0", "--max-connections is 0; accepted: 1 or more"),
            ("--deny Q,X", "--deny: \"X\" is not a channel; accepted: T, Q, A, AM, LULD, NOI, FMV"),
            ("--tick-rate NaN", "--tick-rate is NaN; accepted: 0 to 10000"),
            ("--tick-rate=-1", "--tick-rate is -1; accepted: 0 to 10000"),
        ] {
            let error = read(line).expect_err(line).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
