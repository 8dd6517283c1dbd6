//! `tickstock-monitor serve`: the monitor.

use anyhow::Context;
use secrecy::ExposeSecret;
use server::{
    auth::{self, FirstAccount, FirstAccountError},
    config::{AccountsConfig, unusable_files},
    database::{Claim, Database},
    logging::Lines,
    signals,
    site::Site,
};
use std::{fmt::Write as _, io, time::Duration};
use tokio::{net::TcpListener, time::sleep};
use tracing::{error, info, warn};

/// How often a database that could not be opened at the start is tried again.
const OPEN_AGAIN: Duration = Duration::from_secs(5);

/// `site`: the browser's files, where they are in the program.
pub(crate) async fn run(site: Option<&'static Site>) -> anyhow::Result<()> {
    let mut config = super::read_config(unusable_files)?;
    config.dashboard.site = site;
    let stop = signals::until_told_to_stop()?;
    signals::survive_hangup()?;
    let address = config.dashboard.listen;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("LEPTOS_SITE_ADDR={address}: cannot listen there"))?;
    let scheme = if config.dashboard.tls.is_some() { "https" } else { "http" };
    let urls: Vec<_> = match &config.dashboard.public_url {
        Some(url) => vec![url.clone()],
        None => super::openable(listener.local_addr()?).iter().map(|address| format!("{scheme}://{address}")).collect(),
    };

    let accounts = &config.accounts;
    // Until the end: two servers on one database would each take the other's life for its own.
    let _claim = Claim::take(&accounts.database_url, urls.first().map_or("", String::as_str))?;
    let (database, trouble) = Database::open_or_later(&accounts.database_url).await?;
    // Standard output may be a pipe that nobody reads, as the log may.
    let output = Lines::default();
    output.write_to(io::stdout())?;
    match trouble {
        None => greet(&output, &urls, Some(&first_account(&database, accounts).await?)),
        Some(trouble) => {
            error!("{trouble}; ingest runs without it, and nobody can sign in until it can be opened");
            greet(&output, &urls, None);
            let opening = open_later(database.clone(), accounts.clone(), output, urls);
            tokio::spawn(stop.clone().run_until_cancelled_owned(opening));
        }
    }
    server::run(config, database, listener, stop).await
}

async fn first_account(database: &Database, accounts: &AccountsConfig) -> Result<FirstAccount, FirstAccountError> {
    let (email, password) = (accounts.admin_email.clone(), accounts.admin_password.clone());
    auth::first_account(database, email, password, &accounts.names).await
}

/// Opens the database as soon as that is possible, and makes the first account then.
async fn open_later(database: Database, accounts: AccountsConfig, output: Lines, urls: Vec<String>) {
    loop {
        sleep(OPEN_AGAIN).await;
        // What is wrong is told by the status, by `/readyz`, and was logged.
        if database.prepare().await.is_err() {
            continue;
        }
        match first_account(&database, &accounts).await {
            Ok(first) => {
                info!("The database could be opened");
                return greet(&output, &urls, Some(&first));
            }
            // Trying again does not make it a better one.
            Err(error @ FirstAccountError::Password(_)) => {
                return error!(
                    "No first account was made, so nobody can sign in until the server is started with another. {error}"
                );
            }
            Err(error) => warn!("The first account could not be made: {error}; trying again"),
        }
    }
}

/// The addresses, and the account when it was made now: its password is printed once and kept nowhere.
fn greet(output: &Lines, urls: &[String], first: Option<&FirstAccount>) {
    let mut text = String::new();
    for (place, url) in urls.iter().enumerate() {
        let title = if place == 0 { "\n  TickStock Monitor   " } else { "  or                  " };
        let _ = writeln!(text, "{title}{url}/admin/websockets");
    }
    match first {
        Some(FirstAccount::Made { email, generated_password: Some(password) }) => {
            let _ = writeln!(text, "  Sign in as          {}", email.as_str());
            let _ = writeln!(text, "  with the password   {}   (shown once)", password.expose_secret());
        }
        Some(FirstAccount::Made { email, generated_password: None }) => {
            let _ = writeln!(text, "  Sign in as          {}, with ADMIN_PASSWORD", email.as_str());
        }
        Some(FirstAccount::AlreadyThere) => {
            text += "  Sign in with an account that is there; `tickstock-monitor user` lists and adds them\n";
        }
        None => text += "  The database cannot be opened: nobody can sign in until it can\n",
    }
    text += "\n";
    output.put(text.as_bytes());
}
