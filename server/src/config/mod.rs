//! Configuration: the environment and `.env`, read at the start and on every refresh, all problems reported together.
//!
//! `docs/configuration.md` lists every variable. A value is checked where it is read; nothing after this module looks
//! at the environment.

mod alerts;
mod connections;
mod env_file;
mod fingerprint;
mod oidc;
mod reader;
#[cfg(test)]
mod tests;
mod url;

// The types of single settings belong to the modules that are configured.
pub use crate::{bus::RedisConfig, front::TlsConfig, problem::Problem, universe::ConnectionSettings};
pub use env_file::read_env_file;
pub use reader::Variables;

use crate::{
    alerts::AlertsConfig,
    audit,
    auth::{Email, Names, OidcConfig, Role, RoleSet, TOKEN_MIN, check_password, is_good_token},
    database::history::Retention,
    front::TlsKeys,
    recording::RecordingConfig,
    site::Site,
    universe::{Universes, UniversesError},
};
use app::model::status::Feed;
use ipnet::IpNet;
use reader::Reader;
use secrecy::SecretString;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tokio_tungstenite::tungstenite::http::Uri;

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// `MARKET_FEED`, or what the presence of a key says.
    pub feed: Feed,
    /// All slots, disabled ones too.
    pub connections: Vec<ConnectionSettings>,
    /// The provider and its stand-in.
    pub market: MarketConfig,
    /// `REDIS_URL`; without it the bus is in-process.
    pub redis: Option<RedisConfig>,
    /// `MONITOR_ROLE`.
    pub role: MonitorRole,
    /// `SERVER_NAME`: how this server is called; `None`: by its host's name and its port.
    pub server_name: Option<String>,
    /// The database and the first account.
    pub accounts: AccountsConfig,
    /// How long history is kept.
    pub history: Retention,
    /// What is recorded of the way of every tick, and where.
    pub recording: RecordingConfig,
    /// Who is told of alerts.
    pub alerts: AlertsConfig,
    /// The page and its socket.
    pub dashboard: DashboardConfig,
    /// Problems that stop nothing.
    pub warnings: Vec<Problem>,
    /// Where all of it comes from, to be read again.
    pub variables: Variables,
    /// The names that were asked for.
    asked: BTreeSet<String>,
}

/// What a server may do among several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MonitorRole {
    /// It competes for collecting.
    #[default]
    Auto,
    /// It never collects.
    Dashboard,
}

/// Where ticks come from.
#[derive(Clone, Debug)]
pub struct MarketConfig {
    /// `MASSIVE_API_KEY`.
    pub api_key: Option<SecretString>,
    /// `MASSIVE_WEBSOCKET_URL`.
    pub massive_url: String,
    /// `SIMULATOR_LISTEN`: where the simulated market listens inside `serve`.
    pub simulator_listen: SocketAddr,
    /// `SIMULATOR_TICK_RATE`: trades a second that the simulated market makes in a symbol, on average.
    pub simulator_tick_rate: f64,
    /// `UNIVERSES_FILE`.
    pub universes_file: Option<PathBuf>,
}

/// The database and the first account.
#[derive(Clone, Debug)]
pub struct AccountsConfig {
    /// `DATABASE_URL`.
    pub database_url: String,
    /// `ADMIN_EMAIL` of the first account.
    pub admin_email: Option<Email>,
    /// `ADMIN_PASSWORD` of the first account.
    pub admin_password: Option<SecretString>,
    /// The machine's name and those in `PUBLIC_URL` and `ALLOWED_HOSTS`: no password is to be made of them.
    pub names: Names,
    /// `SESSION_IDLE_HOURS`: without a request for so long, a session ends.
    pub session_idle: Duration,
    /// `SESSION_LIFETIME_HOURS`: so long after the sign-in, a session ends in any case.
    pub session_lifetime: Duration,
    /// `VIEWER_ROLE`: accounts with this role, or one above it, see everything; only administrators change anything.
    pub viewer_role: Option<Role>,
    /// `SECOND_FACTOR_ROLES`: accounts with one of these roles get nowhere without a second factor.
    pub second_factor_roles: RoleSet,
    /// `OIDC_…`: the identity provider; `None` without `OIDC_ISSUER`.
    pub oidc: Option<OidcConfig>,
    /// `AUDIT_RETENTION_DAYS`, `AUDIT_SIZE_MAX_MB`: how much of the audit log is kept.
    pub audit: audit::Retention,
}

/// The page, its socket and what else is served.
#[derive(Clone, Debug)]
pub struct DashboardConfig {
    /// `LEPTOS_SITE_ROOT`: where the browser's files are, when they are not in the program.
    pub site_root: String,
    /// The browser's files in the program. No variable: the binary says what it has.
    pub site: Option<&'static Site>,
    /// `LEPTOS_SITE_ADDR`.
    pub listen: SocketAddr,
    /// `PUBLIC_URL`: the address that people type, scheme and host and perhaps a port, without a slash at its end.
    pub public_url: Option<String>,
    /// Names that the server answers to beside `localhost` and IP addresses: `ALLOWED_HOSTS`, and that of `PUBLIC_URL`.
    pub allowed_hosts: Vec<String>,
    /// `TLS_CERT` and `TLS_KEY`: the server speaks TLS itself.
    pub tls: Option<TlsConfig>,
    /// Browsers speak TLS, to us or (`COOKIE_SECURE`) to a proxy in front.
    pub secure: bool,
    /// `ADMIN_WEBSOCKET_DASHBOARD_ENABLED`.
    pub enabled: bool,
    /// `FRAME_INTERVAL_MS`: the shortest time between two frames of ticks.
    pub frame_interval: Duration,
    /// `METRICS_INTERVAL_MS`: at most 4 s, as a page that hears nothing for 5 s takes its link for lost.
    pub metrics_interval: Duration,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed, networks separated by commas.
    pub trusted_proxies: Vec<IpNet>,
    /// `METRICS_TOKEN`: what `/metrics` asks everybody for; without it, it answers to this machine alone.
    pub metrics_token: Option<SecretString>,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every problem that keeps the server from starting. Problems of single connections are no such problems: they
    /// switch their connection off.
    pub fn read(variables: &Variables) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(variables);
        let feed = feed(&mut reader);
        let mut connections = connections::read(&mut reader, feed);
        // So far only a slot that is not there, or a name that nothing reads: said aloud, but no reason to stay down.
        let (warnings, fatal): (Vec<_>, _) = std::mem::take(&mut reader.problems)
            .into_iter()
            .partition(|p| p.variable.starts_with("WEBSOCKET_CONNECTION_"));
        reader.problems = fatal;
        for slot in &mut connections {
            let own = format!("WEBSOCKET_CONNECTION_{}_", slot.id);
            let misspelt = warnings.iter().filter(|problem| problem.variable.starts_with(&own));
            slot.warnings.extend(misspelt.map(|problem| format!("ignored: {problem}")));
        }
        let config = Self {
            feed,
            connections,
            market: market(&mut reader, feed),
            redis: redis(&mut reader, feed),
            role: role(&mut reader),
            server_name: server_name(&mut reader),
            accounts: accounts(&mut reader),
            history: history(&mut reader),
            recording: recording(&mut reader),
            alerts: alerts::read(&mut reader),
            dashboard: dashboard(&mut reader),
            warnings,
            variables: variables.clone(),
            asked: reader.asked.into_inner(),
        };
        if reader.problems.is_empty() {
            return Ok(config);
        }
        reader.problems.extend(config.accounts.password_problem());
        Err(reader.problems)
    }

    /// Is this server one of several, of which one collects?
    #[must_use]
    pub fn is_among_several(&self) -> bool {
        self.redis.is_some() && self.feed != Feed::Redis
    }

    /// The universes that its connections can name.
    ///
    /// # Errors
    /// When `UNIVERSES_FILE` is not there or not what it should be.
    pub async fn universes(&self) -> Result<Universes, UniversesError> {
        Universes::gather(&self.connections, self.market.universes_file.as_deref(), self.redis.as_ref()).await
    }

    /// The variables that differ from those of `newer` and are read at a start alone.
    #[must_use]
    pub fn needs_restart_for(&self, newer: &Self) -> Vec<String> {
        let is_late = |name: &&String| !is_refreshable(name) && self.variables.get(name) != newer.variables.get(name);
        self.asked.union(&newer.asked).filter(is_late).cloned().collect()
    }
}

/// Whatever is wrong with the files that the variables name, a line for each of them. A start needs them all; a refresh reads
/// the universes alone.
#[must_use]
pub fn unusable_files(variables: &Variables) -> Vec<String> {
    let universes = variables.get("UNIVERSES_FILE").and_then(|path| Universes::load(Some(path.as_ref())).err());
    // One of the two alone is a problem of the variables.
    let files = variables.get("TLS_CERT").zip(variables.get("TLS_KEY"));
    let tls = files.and_then(|(certificate, key)| {
        TlsKeys::check(&TlsConfig { certificate: certificate.into(), key: key.into() }).err()
    });
    universes.map(|error| error.to_string()).into_iter().chain(tls.map(|error| error.to_string())).collect()
}

/// Can a refresh take it over?
fn is_refreshable(name: &str) -> bool {
    const NAMES: [&str; 6] = [
        "MASSIVE_API_KEY",
        "MASSIVE_WEBSOCKET_URL",
        "SYMBOL_UNIVERSE_KEY",
        "UNIVERSES_FILE",
        "USE_MULTI_CONNECTION",
        "WEBSOCKET_CONNECTIONS_MAX",
    ];
    NAMES.contains(&name) || name.starts_with("WEBSOCKET_CONNECTION_")
}

fn feed(reader: &mut Reader<'_>) -> Feed {
    let has_key = reader.text("MASSIVE_API_KEY").is_some() && reader.flag("USE_MASSIVE_API", true);
    let default = if has_key { Feed::Massive } else { Feed::Simulator };
    reader.read("MARKET_FEED", default, "simulator, massive or redis", |value| {
        match value.to_ascii_lowercase().as_str() {
            "simulator" => Some(Feed::Simulator),
            "massive" => Some(Feed::Massive),
            "redis" => Some(Feed::Redis),
            _ => None,
        }
    })
}

fn market(reader: &mut Reader<'_>, feed: Feed) -> MarketConfig {
    let api_key = reader.secret("MASSIVE_API_KEY");
    if feed == Feed::Massive && api_key.is_none() {
        reader.problems.push(Problem::new("MASSIVE_API_KEY", None, "a key, because MARKET_FEED is massive"));
    }
    let default_url = "wss://socket.massive.com/stocks".to_owned();
    let massive_url = reader.text("MASSIVE_WEBSOCKET_URL").map_or(default_url, str::to_owned);
    if let Some(problem) = url::problem_of_websocket(&massive_url) {
        reader.problems.push(problem);
    }
    MarketConfig {
        api_key,
        massive_url,
        simulator_listen: reader.parse(
            "SIMULATOR_LISTEN",
            SocketAddr::from(([127, 0, 0, 1], 0)),
            "an address like 127.0.0.1:9100",
        ),
        simulator_tick_rate: reader.read("SIMULATOR_TICK_RATE", 10.0, "a number from 0 to 1000", |value| {
            value.parse().ok().filter(|rate| (0.0..=1000.0).contains(rate))
        }),
        universes_file: reader.text("UNIVERSES_FILE").map(PathBuf::from),
    }
}

fn redis(reader: &mut Reader<'_>, feed: Feed) -> Option<RedisConfig> {
    let key_prefix = reader.text("REDIS_KEY_PREFIX").unwrap_or("tickstock:").to_owned();
    let publish_ticks = reader.flag("REDIS_PUBLISH_TICKS", true);
    let Some(url) = reader.text("REDIS_URL") else {
        if feed == Feed::Redis {
            let accepted = format!("{}, because MARKET_FEED is redis", url::REDIS);
            reader.problems.push(Problem::new("REDIS_URL", None, accepted));
        }
        return None;
    };
    reader.problems.extend(url::problem_of_redis(url));
    Some(RedisConfig { url: url.into(), key_prefix, publish_ticks })
}

fn role(reader: &mut Reader<'_>) -> MonitorRole {
    let role = reader.read("MONITOR_ROLE", MonitorRole::Auto, "auto or dashboard", |value| {
        match value.to_ascii_lowercase().as_str() {
            "auto" => Some(MonitorRole::Auto),
            "dashboard" => Some(MonitorRole::Dashboard),
            _ => None,
        }
    });
    if role == MonitorRole::Dashboard && reader.text("REDIS_URL").is_none() {
        let accepted = "auto, as without REDIS_URL there is no other server that collects";
        reader.problems.push(Problem::new("MONITOR_ROLE", Some("dashboard"), accepted));
    }
    role
}

fn server_name(reader: &mut Reader<'_>) -> Option<String> {
    let is_name = |value: &str| value.len() <= 64 && value.chars().all(|c| c.is_alphanumeric() || "-._:/ ".contains(c));
    reader.read("SERVER_NAME", None, "up to 64 letters, digits and -._:/", |value| {
        is_name(value).then(|| Some(value.to_owned()))
    })
}

impl AccountsConfig {
    /// What is wrong with `ADMIN_PASSWORD`. To find out takes longer and needs more memory than all the rest of a start, and where
    /// there are accounts the variable counts for nothing. So whoever makes the first account asks, and `check-config`.
    #[must_use]
    pub fn password_problem(&self) -> Option<Problem> {
        let email = self.admin_email.clone().unwrap_or_else(Email::first);
        let why = check_password(self.admin_password.as_ref()?, &email, &self.names).err()?;
        Some(Problem::new("ADMIN_PASSWORD", None, format!("a stronger password: {why}")))
    }
}

fn accounts(reader: &mut Reader<'_>) -> AccountsConfig {
    let database_url = reader.text("DATABASE_URL").unwrap_or(crate::database::DEFAULT_URL).to_owned();
    reader.problems.extend(url::problem_of_database(&database_url));
    let admin_email =
        reader.read("ADMIN_EMAIL", None, "an email, as in ann@example.com", |value| value.parse().ok().map(Some));
    let admin_password = reader.secret("ADMIN_PASSWORD");
    AccountsConfig {
        database_url,
        admin_email,
        admin_password,
        names: Names::of_installation(&[reader.text("PUBLIC_URL"), reader.text("ALLOWED_HOSTS")]),
        session_idle: hours(reader.number("SESSION_IDLE_HOURS", 12, 1..=720)),
        session_lifetime: hours(reader.number("SESSION_LIFETIME_HOURS", 24, 1..=720)),
        viewer_role: reader.read("VIEWER_ROLE", None, "moderator, or user for every account", |value| {
            value.to_ascii_lowercase().parse().ok().filter(|role: &Role| !role.is_admin()).map(Some)
        }),
        second_factor_roles: reader.parse(
            "SECOND_FACTOR_ROLES",
            RoleSet::default(),
            "roles separated by commas, as in admin,super",
        ),
        oidc: oidc::read(reader),
        audit: audit::Retention {
            days: reader.number("AUDIT_RETENTION_DAYS", 400, 1..=36_500),
            bytes_max: reader.number("AUDIT_SIZE_MAX_MB", 1_024, 16..=1_048_576) * 1_000_000,
        },
    }
}

fn history(reader: &mut Reader<'_>) -> Retention {
    const HOUR: u64 = 3_600;
    let mut hours = |name, default, max| Duration::from_secs(reader.number(name, default, 1..=max) * HOUR);
    Retention {
        seconds: hours("HISTORY_SECONDS_KEPT_HOURS", 1, 48),
        ten_seconds: hours("HISTORY_TEN_SECONDS_KEPT_HOURS", 24, 24 * 30),
        rest: Duration::from_secs(reader.number("HISTORY_KEPT_DAYS", 90, 1..=366) * 24 * HOUR),
        bytes_max: reader.number("HISTORY_SIZE_MAX_MB", 1_024, 16..=1_048_576) * 1_000_000,
    }
}

fn recording(reader: &mut Reader<'_>) -> RecordingConfig {
    RecordingConfig {
        enabled: reader.flag("RECORDING", true),
        folder: reader.text("RECORDING_DIR").unwrap_or("data/recording").into(),
        kept: hours(reader.number("RECORDING_KEPT_HOURS", 24, 1..=720)),
        bytes_max: reader.number("RECORDING_MAX_MB", 2_048, 16..=1_048_576) * 1_000_000,
    }
}

fn dashboard(reader: &mut Reader<'_>) -> DashboardConfig {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 3000));
    let tls = tls(reader);
    let public_url = public_url(reader);
    DashboardConfig {
        allowed_hosts: allowed_hosts(reader, public_url.as_ref()),
        public_url: public_url.map(|url| url.to_string().trim_end_matches('/').to_owned()),
        secure: reader.flag("COOKIE_SECURE", tls.is_some()) || tls.is_some(),
        tls,
        site_root: reader.text("LEPTOS_SITE_ROOT").unwrap_or("target/site").to_owned(),
        site: None,
        listen: reader.parse("LEPTOS_SITE_ADDR", loopback, "an address like 127.0.0.1:3000"),
        enabled: reader.flag("ADMIN_WEBSOCKET_DASHBOARD_ENABLED", true),
        frame_interval: Duration::from_millis(reader.number("FRAME_INTERVAL_MS", 10, 1..=1000)),
        metrics_interval: Duration::from_millis(reader.number("METRICS_INTERVAL_MS", 1000, 100..=4000)),
        trusted_proxies: networks(reader),
        metrics_token: metrics_token(reader),
    }
}

fn metrics_token(reader: &mut Reader<'_>) -> Option<SecretString> {
    let token = reader.text("METRICS_TOKEN")?;
    if !is_good_token(token) {
        let accepted =
            format!("{TOKEN_MIN} characters or more that cannot be guessed, as `openssl rand -hex 32` makes them");
        reader.problems.push(Problem::new("METRICS_TOKEN", None, accepted));
    }
    Some(token.into())
}

/// Both or neither: one alone would be a server without TLS that looks as if it had it.
fn tls(reader: &mut Reader<'_>) -> Option<TlsConfig> {
    match (reader.text("TLS_CERT"), reader.text("TLS_KEY")) {
        (Some(certificate), Some(key)) => Some(TlsConfig { certificate: certificate.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            reader.problems.push(Problem::new("TLS_KEY", None, "a PEM file, because TLS_CERT is set"));
            None
        }
        (None, Some(_)) => {
            reader.problems.push(Problem::new("TLS_CERT", None, "a PEM file, because TLS_KEY is set"));
            None
        }
    }
}

impl DashboardConfig {
    /// The port that people's browsers ask for, where `PUBLIC_URL` says.
    #[must_use]
    pub fn public_port(&self) -> Option<u16> {
        let url: Uri = self.public_url.as_deref()?.parse().ok()?;
        url.port_u16().or(match url.scheme_str() {
            Some("https") => Some(443),
            _ => Some(80),
        })
    }
}

fn public_url(reader: &mut Reader<'_>) -> Option<Uri> {
    const ACCEPTED: &str = "the address that people type, as in https://monitor.example.com, without a path";
    reader.read("PUBLIC_URL", None, ACCEPTED, |value| {
        let url: Uri = value.parse().ok()?;
        let has_host = url.authority().is_some_and(|host| !host.host().is_empty() && !host.as_str().contains('@'));
        let is_whole = has_host && matches!(url.scheme_str(), Some("http" | "https"));
        (is_whole && url.path() == "/" && url.query().is_none()).then_some(Some(url))
    })
}

fn allowed_hosts(reader: &mut Reader<'_>, public_url: Option<&Uri>) -> Vec<String> {
    const ACCEPTED: &str = "names separated by commas, without ports, as in monitor.example.com,monitor";
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let one = |text: &str| (is_name(text) || text.parse::<IpAddr>().is_ok()).then(|| text.to_owned());
    let all = |value: &str| value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect();
    let mut names: Vec<String> = reader.read("ALLOWED_HOSTS", Vec::new(), ACCEPTED, all);
    names.extend(public_url.and_then(Uri::host).map(str::to_owned));
    names
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

fn networks(reader: &mut Reader<'_>) -> Vec<IpNet> {
    const ACCEPTED: &str = "addresses or networks separated by commas, as in 10.0.0.0/8,::1";
    let one = |text: &str| text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let all = |value: &str| value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(one).collect();
    reader.read("TRUSTED_PROXIES", Vec::new(), ACCEPTED, all)
}
