//! `tickstock-monitor check-config`: every problem of the configuration, and what would run.

use server::{config::unusable_files, universe};

pub(crate) async fn run() -> anyhow::Result<()> {
    let config = super::read_config(unusable_files)?;
    if let Some(problem) = config.accounts.password_problem() {
        return Err(super::unusable(&[problem.to_string()]));
    }
    let universes = config.universes().await?;
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    println!("feed: {}", config.feed.label());
    for plan in universe::plan(&config.connections, &universes) {
        let state = if plan.enabled { "enabled" } else { "disabled" };
        println!("connection {} ({}): {state}, {} tickers", plan.id, plan.name, plan.config.ticker_count);
        for warning in &plan.config.warnings {
            println!("  warning: {warning}");
        }
    }
    Ok(())
}
