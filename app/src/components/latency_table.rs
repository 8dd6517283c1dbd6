//! How late a connection's ticks are, on each half of their way.

use super::format;
use crate::{
    model::{connection::ConnectionId, status::ConnectionLive},
    store::screen_delay::ScreenDelay,
};
use leptos::prelude::*;

/// The percentiles of one half of the way in milliseconds, or why there are none.
type Percentiles = Result<[String; 3], String>;

/// From the exchange to the server, and from there to the screen.
#[component]
pub fn LatencyTable(
    /// The connection.
    id: ConnectionId,
    /// How the connection is.
    live: Signal<ConnectionLive>,
    /// How long ticks take from the server to the screen.
    screen_delay: Signal<Option<ScreenDelay>>,
) -> impl IntoView {
    let to_server = Memo::new(move |_| live.with(to_server));
    let to_screen = Memo::new(move |_| to_screen(screen_delay.get()));
    // What to make of the figures: where there are none, it stands in their place.
    let note = Memo::new(move |_| {
        live.with(|live| live.metrics.latency_note.clone().filter(|_| live.metrics.latency_ms.is_some()))
    });
    view! {
        <table class="latency">
            <thead>
                <tr>
                    <th scope="col">"Latency, ms"</th>
                    <th scope="col" title="50 % are faster">"p50"</th>
                    <th scope="col" title="95 % are faster">"p95"</th>
                    <th scope="col" title="99 % are faster">"p99"</th>
                </tr>
            </thead>
            <tbody>
                <tr data-testid=format!("to-server-{id}")>
                    <th scope="row" title="From the exchange's timestamp to receipt by the server: trades and quotes of the last minute">"Exchange to server"</th>
                    {move || cells(to_server.get())}
                </tr>
                <tr data-testid=format!("to-screen-{id}")>
                    <th scope="row" title="From receipt of a frame's first tick until this browser has drawn it: the last 600 frames with ticks of this connection">"Server to screen"</th>
                    {move || cells(to_screen.get())}
                </tr>
            </tbody>
        </table>
        {move || note.get().map(|note| view! { <p class="latency-note">{note}</p> })}
    }
}

fn to_server(live: &ConnectionLive) -> Percentiles {
    match &live.metrics.latency_ms {
        Some(latency) => {
            let parts = [latency.p50, latency.p95, latency.p99];
            // What this server measures is whole; others may tell more.
            let decimals = u32::from(parts.iter().any(|ms| ms.fract() != 0.0));
            Ok(parts.map(|ms| format::fixed(ms, decimals)))
        }
        None => Err(live.metrics.latency_note.clone().unwrap_or_else(|| format::NOTHING.to_owned())),
    }
}

fn to_screen(delay: Option<ScreenDelay>) -> Percentiles {
    match delay {
        Some(delay) => Ok([delay.p50_ms, delay.p95_ms, delay.p99_ms].map(|ms| ms.to_string())),
        None => Err(format::NOTHING.to_owned()),
    }
}

fn cells(percentiles: Percentiles) -> AnyView {
    match percentiles {
        Ok(parts) => parts.map(|part| view! { <td class="number">{part}</td> }).into_any(),
        Err(why) => view! { <td class="unit" colspan="3">{why}</td> }.into_any(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::LatencyMs;

    #[test]
    fn percentiles_are_three_numbers_or_a_reason() {
        let mut live = ConnectionLive::default();
        assert_eq!(to_server(&live), Err(format::NOTHING.to_owned()));
        live.metrics.latency_note = Some("Not measured for bars".to_owned());
        assert_eq!(to_server(&live), Err("Not measured for bars".to_owned()));
        live.metrics.latency_ms = Some(LatencyMs { p50: 1.2, p95: 3.44, p99: 5.6, samples: 9 });
        assert_eq!(to_server(&live), Ok(["1.2", "3.4", "5.6"].map(str::to_owned)));
        let delay = ScreenDelay { p50_ms: 12, p95_ms: 25, p99_ms: 31 };
        assert_eq!(to_screen(Some(delay)), Ok(["12", "25", "31"].map(str::to_owned)));
        assert_eq!(to_screen(None), Err(format::NOTHING.to_owned()));
    }
}
