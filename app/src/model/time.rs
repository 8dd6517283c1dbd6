//! Points in time: Unix milliseconds inside and between our own ends, RFC 3339 UTC in JSON for others.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z. In JSON an RFC 3339 string with milliseconds, in binary the bare integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The present, by this machine's clock. Server only: the browser has no `SystemTime`.
    #[cfg(not(target_arch = "wasm32"))]
    #[must_use]
    pub fn now() -> Self {
        SystemTime::now().into()
    }

    /// From Unix seconds with a fraction, as Redis carries them. `None` unless the result is a time from 1970 to the year
    /// 5138: later ones could not be told from milliseconds by their size.
    #[must_use]
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let millis = (seconds * 1000.0).round();
        (millis.is_finite() && (0.0..1e14).contains(&millis)).then_some(Self(millis as i64))
    }

    /// Unix seconds with a fraction.
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is later.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Day and time of day in UTC, to the second: `2026-01-21 12:34:56`.
    #[must_use]
    pub fn day_and_clock(self) -> String {
        self.to_string().get(..19).unwrap_or_default().replace('T', " ")
    }

    /// The time of day in UTC, `09:30:12`: the same on the server and in every browser.
    #[must_use]
    pub fn clock(self) -> String {
        let seconds = self.0.div_euclid(1000).rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    /// The same with milliseconds: `09:30:12.045`.
    #[must_use]
    pub fn clock_millis(self) -> String {
        let millis = self.0.rem_euclid(1000);
        format!("{}.{millis:03}", self.clock())
    }

    fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<SystemTime> for UnixMillis {
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_millis(self.to_system_time()).fmt(f)
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        let time = humantime::parse_rfc3339(&text).map_err(|e| D::Error::custom(format!("{text:?}: {e}")))?;
        let since_epoch = time.duration_since(UNIX_EPOCH).map_err(D::Error::custom)?;
        Ok(Self(i64::try_from(since_epoch.as_millis()).map_err(D::Error::custom)?))
    }
}

#[cfg(feature = "ssr")]
impl schemars::JsonSchema for UnixMillis {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, in UTC with milliseconds, such as 2026-01-21T12:34:56.789Z",
        })
    }
}

/// A span in whole units, the two largest that matter: `8 s`, `4 m 05 s`, `3 h 07 m`, `2 d 03 h`.
#[must_use]
pub fn format_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_rfc_3339_with_milliseconds() {
        let time = UnixMillis(1_768_998_896_789);
        let json = serde_json::to_string(&time).expect("serialises");
        assert_eq!(json, r#""2026-01-21T12:34:56.789Z""#);
        assert_eq!(serde_json::from_str::<UnixMillis>(&json).expect("parses"), time);
    }

    #[test]
    fn binary_is_the_bare_integer() {
        let bytes = postcard::to_stdvec(&UnixMillis(1)).expect("serialises");
        assert_eq!(bytes, [2], "zigzag varint");
    }

    #[test]
    fn seconds_that_are_no_time_are_refused() {
        for seconds in [f64::NAN, f64::INFINITY, -1.0, 1e11, 1e15] {
            assert_eq!(UnixMillis::from_seconds(seconds), None, "{seconds}");
        }
        assert_eq!(UnixMillis::from_seconds(1_705_853_696.123), Some(UnixMillis(1_705_853_696_123)));
    }

    #[test]
    fn spans_show_the_two_largest_units() {
        let shown: Vec<_> = [0, 59, 60, 3_725, 200_000].into_iter().map(format_seconds).collect();
        assert_eq!(shown, ["0 s", "59 s", "1 m 00 s", "1 h 02 m", "2 d 07 h"]);
        assert_eq!(UnixMillis(1_768_998_896_789).clock(), "12:34:56");
        assert_eq!(UnixMillis(1_768_998_896_045).clock_millis(), "12:34:56.045");
    }
}
