//! The recent past of a rate, as a line.

use super::format;
use crate::model::protocol::RATE_HISTORY_LENGTH;
use leptos::prelude::*;

const WIDTH: u32 = 300;
const HEIGHT: u32 = 40;

/// Draws five minutes of ticks a second, with the lowest and the highest beside it; the newest sample is at the right edge.
#[component]
pub fn Sparkline(
    /// Samples, oldest first.
    rates: Signal<Vec<f32>>,
) -> impl IntoView {
    let line = Memo::new(move |_| rates.with(|rates| points(rates)));
    let bound =
        move |of: fn(f32, f32) -> f32| move || rates.with(|rates| rates.iter().copied().reduce(of).map(rate_text));
    view! {
        <svg
            class="sparkline"
            viewBox=format!("0 0 {WIDTH} {HEIGHT}")
            preserveAspectRatio="none"
            aria-hidden="true"
            focusable="false"
        >
            <polygon class="sparkline-area" points=move || line.with(|line| area(line))></polygon>
            <polyline class="sparkline-line" points=move || line.get() vector-effect="non-scaling-stroke"></polyline>
        </svg>
        <span class="sparkline-bounds number" title="Highest and lowest ticks/s over the last five minutes">
            <span><span class="visually-hidden">"highest "</span>{bound(f32::max)}</span>
            <span><span class="visually-hidden">"lowest "</span>{bound(f32::min)}</span>
        </span>
    }
}

/// Whole ticks a second; below ten with a decimal, where it counts.
fn rate_text(rate: f32) -> String {
    format::fixed(f64::from(rate), u32::from(rate < 9.95))
}

/// The corners of the line, in the drawing's units. Zero is the bottom, the highest sample the top.
fn points(rates: &[f32]) -> String {
    let rates = &rates[rates.len().saturating_sub(RATE_HISTORY_LENGTH)..];
    let highest = rates.iter().copied().fold(1.0_f32, f32::max);
    let start = RATE_HISTORY_LENGTH - rates.len();
    let mut text = String::with_capacity(rates.len() * 7);
    for (place, rate) in rates.iter().enumerate() {
        let x = (start + place + 1) as u32 * WIDTH / RATE_HISTORY_LENGTH as u32;
        let y = HEIGHT - 1 - (rate.max(0.0) / highest * (HEIGHT - 3) as f32) as u32;
        text.push_str(&x.to_string());
        text.push(',');
        text.push_str(&y.to_string());
        text.push(' ');
    }
    text
}

/// The same corners, and down to the bottom at both ends; nothing where there is no line.
fn area(line: &str) -> String {
    let Some((left, _)) = line.split_once(',') else { return String::new() };
    let bottom = HEIGHT.to_string();
    [left, ",", &bottom, " ", line, &WIDTH.to_string(), ",", &bottom].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sample_is_at_the_right_edge_and_the_highest_at_the_top() {
        assert_eq!(points(&[0.0, 50.0, 100.0]), "298,39 299,21 300,2 ");
        assert_eq!(points(&[]), "");
        assert_eq!(points(&[f32::NAN]), "300,39 ");
        assert_eq!(area("299,21 300,2 "), "299,40 299,21 300,2 300,40");
        assert_eq!(area(""), "");
    }
}
