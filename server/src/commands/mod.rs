//! What the program does, by its command. `user`, `token` and `audit` are the library's own; what they need is opened here.

pub(crate) mod check_config;
pub(crate) mod database;
pub(crate) mod serve;
pub(crate) mod simulator;

use server::{
    audit::{self, cli::AuditCommand},
    auth::{self, cli::UserCommand, token_cli::TokenCommand},
    config::{Config, Variables},
    database::Database,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

pub(crate) async fn user(command: UserCommand) -> anyhow::Result<()> {
    let (database, config) = open_database().await?;
    auth::cli::run(command, &database, &config.accounts.names).await
}

pub(crate) async fn token(command: TokenCommand) -> anyhow::Result<()> {
    auth::token_cli::run(command, &open_database().await?.0).await
}

pub(crate) async fn audit(command: AuditCommand) -> anyhow::Result<()> {
    audit::cli::run(command, &open_database().await?.0).await
}

async fn open_database() -> anyhow::Result<(Database, Config)> {
    // Neither certificates nor universes play a part.
    let config = read_config(|_| Vec::new())?;
    Ok((Database::open(&config.accounts.database_url).await?, config))
}

/// The configuration, or every problem of it, with what `check_files` finds.
fn read_config(check_files: impl Fn(&Variables) -> Vec<String>) -> anyhow::Result<Config> {
    let mut lines = Vec::new();
    match Variables::from_process() {
        Ok(variables) => {
            lines = check_files(&variables);
            match Config::read(&variables) {
                Ok(config) if lines.is_empty() => return Ok(config),
                Ok(_) => {}
                Err(problems) => lines.extend(problems.iter().map(ToString::to_string)),
            }
        }
        Err(problems) => lines.extend(problems.iter().map(ToString::to_string)),
    }
    Err(unusable(&lines))
}

fn unusable(problems: &[String]) -> anyhow::Error {
    anyhow::anyhow!("the configuration cannot be used:\n  {}", problems.join("\n  "))
}

/// Where something that listens there can be opened. `0.0.0.0` and `[::]` are every address of the machine and can be opened
/// under neither of these: of them, the loopback address, and those by which the machine reaches others. Not its name, which
/// the server answers to only when it is told to.
fn openable(listening: SocketAddr) -> Vec<String> {
    let port = listening.port();
    let loopback = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        _ => return vec![listening.to_string()],
    };
    let mut found = vec![SocketAddr::new(loopback, port).to_string()];
    let outgoing = [own_address("0.0.0.0:0", "192.0.2.1:9"), own_address("[::]:0", "[2001:db8::1]:9")];
    let is_served = |ip: &IpAddr| !ip.is_loopback() && (listening.is_ipv6() || ip.is_ipv4());
    found.extend(outgoing.into_iter().flatten().filter(is_served).map(|ip| SocketAddr::new(ip, port).to_string()));
    found
}

/// The address from which the machine would reach another one: routing knows it, and nothing is sent.
fn own_address(any: &str, other: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(other).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_the_machine_is_told_as_ones_that_can_be_opened() {
        assert_eq!(openable("192.0.2.7:80".parse().expect("an address")), ["192.0.2.7:80"]);
        for (any, loopback) in [("0.0.0.0:3000", "127.0.0.1:3000"), ("[::]:3000", "[::1]:3000")] {
            let found = openable(any.parse().expect("an address"));
            assert_eq!(found[0], loopback);
            assert!(found.iter().all(|address| address.ends_with(":3000") && address != any), "{found:?}");
        }
    }
}
