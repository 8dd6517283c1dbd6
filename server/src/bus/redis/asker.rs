//! Asks the collector for its board, again and again until it has come.

use super::{
    Names,
    address::RedisAddress,
    answered,
    health::{Health, Part},
    words,
};
use redis::{RedisResult, Value};
use std::{sync::Arc, time::Duration};
use tokio::{sync::watch, time::sleep};

/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(300);

/// `wanted` says whether it is needed.
pub(super) async fn run(
    address: RedisAddress,
    names: Arc<Names>,
    health: Arc<Health>,
    mut wanted: watch::Receiver<bool>,
) {
    // It fails when the subscriber is gone, and with it everything.
    while wanted.wait_for(|is_wanted| *is_wanted).await.is_ok() {
        let asked = ask(&address, &names).await;
        let trouble = asked
            .err()
            .map(|error| format!("Redis does not pass on what is asked of the collector: {}", words(&error)));
        health.set(Part::Asking, trouble);
        sleep(INTERVAL).await;
    }
}

/// On a connection of its own, as it happens rarely and a subscription cannot publish.
async fn ask(address: &RedisAddress, names: &Names) -> RedisResult<()> {
    let asked = async {
        let client = address.client().await?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("PUBLISH").arg(&names.ask).arg("").query_async::<Value>(&mut connection).await
    };
    answered(asked).await.map(|_| ())
}
