//! Numbers and times as texts. Integer arithmetic throughout: the float formatting of the standard library alone would
//! cost the browser tens of kilobytes.

use crate::model::{
    connection::{ConnectionId, ConnectionState},
    tick::Direction,
    time::{UnixMillis, format_seconds},
};

/// What stands where nothing is known yet.
pub const NOTHING: &str = "—";

/// Past this a value's age is amber, in seconds.
pub const AGE_WARN_SECONDS: u64 = 15;
/// Past this a value's age is red, in seconds.
pub const AGE_BAD_SECONDS: u64 = 60;

/// A connection's own colour: a series of eight that starts anew.
#[must_use]
pub fn identity(id: ConnectionId) -> String {
    (id.saturating_sub(1) % 8 + 1).to_string()
}

/// A whole number with thousands set apart: `12,345`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with a fixed number of decimals, at most six: `1,234.50`.
#[must_use]
pub fn fixed(value: f64, decimals: u32) -> String {
    let scale = 10_u64.pow(decimals.min(6));
    // A float that does not fit saturates; no price comes near.
    let scaled = (value.abs() * scale as f64).round() as u64;
    let mut text = String::from(if value < 0.0 && scaled > 0 { "-" } else { "" });
    text.push_str(&count(scaled / scale));
    if decimals > 0 {
        text.push('.');
        let fraction = (scaled % scale).to_string();
        text.extend(std::iter::repeat_n('0', decimals.min(6) as usize - fraction.len()));
        text.push_str(&fraction);
    }
    text
}

/// An amount of data with one decimal: `1.2 MB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    let (unit, scale) = match value {
        0..1_000_000 => (" kB", 1e3),
        1_000_000..1_000_000_000 => (" MB", 1e6),
        _ => (" GB", 1e9),
    };
    fixed(value as f64 / scale, 1) + unit
}

/// A price in dollars: cents, and hundredths of cents below a dollar, where exchanges quote them.
#[must_use]
pub fn price(value: Option<f64>) -> String {
    match value {
        Some(value) => fixed(value, if value < 1.0 { 4 } else { 2 }),
        None => NOTHING.to_owned(),
    }
}

/// A time of day in UTC, or that there is none.
#[must_use]
pub fn clock(time: Option<UnixMillis>) -> String {
    time.filter(|time| time.0 > 0).map_or_else(|| NOTHING.to_owned(), UnixMillis::clock)
}

/// The same with its day, `01-21 12:34:56`, when it is longer ago than one.
#[must_use]
pub fn day_and_clock(time: UnixMillis, now: Option<UnixMillis>) -> String {
    const DAY_MS: i64 = 86_400_000;
    if now.is_some_and(|now| now.millis_since(time) > DAY_MS) {
        [time.to_string().get(5..10).unwrap_or_default(), " ", &time.clock()].concat()
    } else {
        time.clock()
    }
}

/// A span that is whole in some unit, such as that of a bucket: `10 s`, `5 min`, `1 h`.
#[must_use]
pub fn round_span(seconds: u64) -> String {
    let (unit, length) = match seconds {
        _ if seconds == 0 || !seconds.is_multiple_of(60) => (" s", 1),
        _ if !seconds.is_multiple_of(3_600) => (" min", 60),
        _ if !seconds.is_multiple_of(86_400) => (" h", 3_600),
        _ => (" d", 86_400),
    };
    count(seconds / length) + unit
}

/// A change as a percentage with its sign: `+1.25`; the sign says what the colour says.
#[must_use]
pub fn change(part: Option<f64>) -> String {
    match part {
        Some(part) => {
            let text = fixed(part * 100.0, 2);
            if change_direction(Some(part)) == Direction::Up { "+".to_owned() + &text } else { text }
        }
        None => NOTHING.to_owned(),
    }
}

/// Which way a change points, as far as its two decimals show.
#[must_use]
pub fn change_direction(part: Option<f64>) -> Direction {
    Direction::of(Some(0.0), (part.unwrap_or_default() * 10_000.0).round())
}

/// A direction's name in markup and for those who cannot see the arrow.
#[must_use]
pub fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Up => "up",
        Direction::Down => "down",
        Direction::Unchanged => "unchanged",
    }
}

/// The age of a row's price, short: `now`, `12 s`; `never` for what has not ticked, nothing before the clock started.
#[must_use]
pub fn short_age(has_ticked: bool, seconds: Option<u64>) -> String {
    match seconds {
        _ if !has_ticked => "never".to_owned(),
        Some(0..=1) => "now".to_owned(),
        Some(seconds) => format_seconds(seconds),
        None => String::new(),
    }
}

/// Whole seconds from `time` to `now`; `None` before the page's clock started.
#[must_use]
pub fn age_seconds(time: Option<UnixMillis>, now: Option<UnixMillis>) -> Option<u64> {
    Some(u64::try_from(now?.millis_since(time?)).unwrap_or(0) / 1000)
}

/// An age once the page's clock runs (`4 s ago`), the time itself before.
#[must_use]
pub fn age(time: Option<UnixMillis>, now: Option<UnixMillis>) -> String {
    match age_seconds(time, now) {
        // What is told once a second is a second old at times, and of the present.
        Some(0..=1) => "now".to_owned(),
        Some(seconds) => format_seconds(seconds) + " ago",
        None => clock(time),
    }
}

/// How bad an age is, as the value of `data-age`.
#[must_use]
pub fn age_tone(seconds: Option<u64>) -> &'static str {
    match seconds {
        Some(seconds) if seconds > AGE_BAD_SECONDS => "bad",
        Some(seconds) if seconds > AGE_WARN_SECONDS => "warn",
        _ => "good",
    }
}

/// The colour of a state, as the value of `data-tone`. Status colours only; a connection's own colour is another system.
#[must_use]
pub fn tone(state: ConnectionState) -> &'static str {
    use ConnectionState as S;
    match state {
        S::Connected => "ok",
        S::Connecting | S::Authenticating | S::Subscribing | S::Reconnecting => "busy",
        S::Degraded => "warn",
        S::Mute | S::Failed => "bad",
        S::Disabled => "off",
    }
}

/// Is something wrong, or on its way to be right, so that a reason and the next attempt are worth a line?
#[must_use]
pub fn needs_reason(state: ConnectionState) -> bool {
    !matches!(state, ConnectionState::Connected | ConnectionState::Disabled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_fixed_decimals_and_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(fixed(1234.5, 2), "1,234.50");
        assert_eq!((fixed(0.05, 1), fixed(-0.04, 1), fixed(-1.25, 1)), ("0.1".into(), "0.0".into(), "-1.3".into()));
        assert_eq!((fixed(25.0, 0), fixed(f64::NAN, 1)), ("25".into(), "0.0".into()));
    }

    #[test]
    fn amounts_of_data_have_a_fitting_unit() {
        assert_eq!([0, 12_345, 1_250_000, 7_000_000_000].map(bytes), ["0.0 kB", "12.3 kB", "1.3 MB", "7.0 GB"]);
    }

    #[test]
    fn prices_show_cents_or_less() {
        let shown = [Some(178.23), Some(0.1234), Some(1.0), None].map(price);
        assert_eq!(shown, ["178.23", "0.1234", "1.00", NOTHING]);
    }

    #[test]
    fn changes_have_a_sign_but_for_none() {
        let shown = [Some(0.0125), Some(-0.2), Some(0.0), Some(-0.00001), None].map(change);
        assert_eq!(shown, ["+1.25", "-20.00", "0.00", "0.00", NOTHING]);
        assert_eq!(change_direction(Some(-0.00001)), Direction::Unchanged, "what reads 0.00 has no colour");
    }

    #[test]
    fn a_round_span_has_one_unit() {
        assert_eq!([1, 10, 300, 3_600, 86_400, 90].map(round_span), ["1 s", "10 s", "5 min", "1 h", "1 d", "90 s"]);
    }

    #[test]
    fn a_rows_age_is_short() {
        let shown = [(true, Some(0)), (true, Some(75)), (true, None), (false, Some(3))].map(|(t, s)| short_age(t, s));
        assert_eq!(shown, ["now", "1 m 15 s", "", "never"]);
    }

    #[test]
    fn ages_wait_for_the_clock() {
        let time = Some(UnixMillis(1_768_998_896_789));
        assert_eq!(age(time, None), "12:34:56");
        assert_eq!(age(time, Some(UnixMillis(1_768_998_900_000))), "3 s ago");
        assert_eq!(age(time, Some(UnixMillis(1_768_998_896_000))), "now", "a tick from the future is no error");
        assert_eq!(age(None, Some(UnixMillis(1))), NOTHING);
        assert_eq!([None, Some(15), Some(16), Some(61)].map(age_tone), ["good", "good", "warn", "bad"]);
    }
}
