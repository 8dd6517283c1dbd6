//! The US stock market's hours: whether silence is normal now. Pure, by rule, without a time-zone database.
//!
//! Sources: NYSE Rule 7.2 (holidays and when they are observed), NYSE Rule 7.34 (sessions), 15 U.S.C. 260a (daylight
//! saving time since 2007). The extended hours are those of the consolidated tape: 04:00 to 20:00 New York time.

#[cfg(test)]
mod tests;

use super::{feed::Feed, time::UnixMillis};
use serde::{Deserialize, Serialize};

/// Days on which the exchanges depart from the rules below, in order, as they announced them: the holiday on which they stay
/// closed, or `None` where they open and close at 13:00. Whatever they announce next is another line here.
const EXCEPTIONS: [(Day, Option<Holiday>); 2] = [
    // The funerals of the presidents Bush and Carter.
    (Day::new(2018, 12, 5), Some(Holiday::Mourning)),
    (Day::new(2025, 1, 9), Some(Holiday::Mourning)),
];

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

const PRE_OPENS_MS: i64 = 4 * HOUR_MS;
const OPENS_MS: i64 = 9 * HOUR_MS + 30 * MINUTE_MS;
const CLOSES_MS: i64 = 16 * HOUR_MS;
const CLOSES_EARLY_MS: i64 = 13 * HOUR_MS;
const POST_CLOSES_MS: i64 = 20 * HOUR_MS;
/// After an early close, late trading ends early too.
const POST_CLOSES_EARLY_MS: i64 = 17 * HOUR_MS;

/// Part of a trading day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// Before the open, from 04:00 New York time.
    Pre,
    /// 09:30 to 16:00, or to 13:00 before some holidays.
    Regular,
    /// After the close, until 20:00, or 17:00 after an early close.
    Post,
    /// Night, weekend or holiday.
    Closed,
    /// A market without hours: the simulated one.
    #[default]
    AlwaysOpen,
}

impl SessionKind {
    /// The sessions in which ticks are to be expected: pre-market, regular, after hours.
    pub const OPEN_COUNT: usize = 3;

    /// Its place among them; a market without hours is always in the regular one.
    #[must_use]
    pub fn place(self) -> Option<usize> {
        match self {
            Self::Pre => Some(0),
            Self::Regular | Self::AlwaysOpen => Some(1),
            Self::Post => Some(2),
            Self::Closed => None,
        }
    }

    /// The words shown for it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pre => "pre-market",
            Self::Regular => "open",
            Self::Post => "after hours",
            Self::Closed => "closed",
            Self::AlwaysOpen => "always open",
        }
    }
}

/// A day on which the market does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Holiday {
    /// 1 January; not moved to a Friday, as that would be another accounting year.
    NewYear,
    /// Third Monday of January.
    MartinLutherKing,
    /// Third Monday of February.
    Washington,
    /// The Friday before Easter.
    GoodFriday,
    /// Last Monday of May.
    Memorial,
    /// 19 June, since 2022.
    Juneteenth,
    /// 4 July.
    Independence,
    /// First Monday of September.
    Labor,
    /// Fourth Thursday of November.
    Thanksgiving,
    /// 25 December.
    Christmas,
    /// Closed by decision, for one day.
    Mourning,
}

impl Holiday {
    /// Its name.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::NewYear => "New Year's Day",
            Self::MartinLutherKing => "Martin Luther King Jr. Day",
            Self::Washington => "Washington's Birthday",
            Self::GoodFriday => "Good Friday",
            Self::Memorial => "Memorial Day",
            Self::Juneteenth => "Juneteenth",
            Self::Independence => "Independence Day",
            Self::Labor => "Labor Day",
            Self::Thanksgiving => "Thanksgiving",
            Self::Christmas => "Christmas Day",
            Self::Mourning => "National Day of Mourning",
        }
    }
}

/// The market at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ssr", derive(schemars::JsonSchema))]
pub struct MarketSession {
    /// Which part of the day it is.
    pub kind: SessionKind,
    /// When it began; `None` where that says nothing: while the market is closed, and when it never is.
    #[serde(default)]
    pub since: Option<UnixMillis>,
    /// When it ends: for a closed market, when the next pre-market begins. `None` when it never does.
    pub until: Option<UnixMillis>,
    /// Why a working day is none.
    pub holiday: Option<Holiday>,
    /// Does the market close at 13:00 today?
    pub early_close: bool,
}

/// Whose hours count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calendar {
    /// The simulated market: never closed.
    #[default]
    AlwaysOpen,
    /// The US stock exchanges.
    UnitedStates,
}

impl Calendar {
    /// The calendar of the market that a feed carries.
    #[must_use]
    pub fn of(feed: Feed) -> Self {
        match feed {
            Feed::Simulator => Self::AlwaysOpen,
            Feed::Massive | Feed::Redis => Self::UnitedStates,
        }
    }

    /// The market at a moment.
    #[must_use]
    pub fn session_at(self, now: UnixMillis) -> MarketSession {
        match self {
            Self::AlwaysOpen => MarketSession::default(),
            Self::UnitedStates => MarketSession::at(now),
        }
    }

    /// The milliseconds of a stretch in which ticks were to be expected.
    #[must_use]
    pub fn open_ms(self, from: UnixMillis, to: UnixMillis) -> u64 {
        self.session_ms(from, to).iter().sum()
    }

    /// The same for each session, at its [`SessionKind::place`].
    #[must_use]
    pub fn session_ms(self, from: UnixMillis, to: UnixMillis) -> [u64; SessionKind::OPEN_COUNT] {
        let (mut at, mut spent) = (from, [0; SessionKind::OPEN_COUNT]);
        while at < to {
            let session = self.session_at(at);
            let until = session.until.map_or(to, |until| until.min(to));
            if let Some(place) = session.kind.place() {
                spent[place] += until.millis_since(at).unsigned_abs();
            }
            at = until;
        }
        spent
    }
}

impl MarketSession {
    /// The US stock market at a moment.
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        let local = NewYork::of(now);
        let (day, time) = (local.day, local.millis_of_day);
        let holiday = day.holiday();
        let early_close = day.closes_early();
        if !day.trades() {
            let until = Some(day.next_trading_day().at(PRE_OPENS_MS));
            return Self { kind: SessionKind::Closed, since: None, until, holiday, early_close: false };
        }
        let (closes, post_closes) =
            if early_close { (CLOSES_EARLY_MS, POST_CLOSES_EARLY_MS) } else { (CLOSES_MS, POST_CLOSES_MS) };
        let (kind, since, until) = if time < PRE_OPENS_MS {
            (SessionKind::Closed, None, day.at(PRE_OPENS_MS))
        } else if time < OPENS_MS {
            (SessionKind::Pre, Some(PRE_OPENS_MS), day.at(OPENS_MS))
        } else if time < closes {
            (SessionKind::Regular, Some(OPENS_MS), day.at(closes))
        } else if time < post_closes {
            (SessionKind::Post, Some(closes), day.at(post_closes))
        } else {
            (SessionKind::Closed, None, day.next_trading_day().at(PRE_OPENS_MS))
        };
        Self { kind, since: since.map(|time| day.at(time)), until: Some(until), holiday, early_close }
    }

    /// The silence that says something: the time since `last`, and no more than since the session began. What came in
    /// the session before is no measure for this one.
    #[must_use]
    pub fn silence_ms(&self, last: UnixMillis, now: UnixMillis) -> u64 {
        now.millis_since(self.since.map_or(last, |since| since.max(last))).max(0).unsigned_abs()
    }

    /// Has it brought a tick yet, when the last one came then?
    #[must_use]
    pub fn has_seen(&self, last: UnixMillis) -> bool {
        self.since.is_none_or(|since| last >= since)
    }

    /// Is silence of a whole connection no accident? Outside the regular session few symbols trade.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        matches!(self.kind, SessionKind::Regular | SessionKind::AlwaysOpen)
    }

    /// Are ticks to be expected?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.kind != SessionKind::Closed
    }
}

/// When the day began that it is in New York: the day of the market, whose evening is in UTC the next one.
#[must_use]
pub fn new_york_midnight(now: UnixMillis) -> UnixMillis {
    let midnight = NewYork::of(now).day.0 * DAY_MS;
    // Clocks change at 06:00 UTC at the earliest: at 04:00 the offset is still that of midnight.
    UnixMillis(midnight - utc_offset_ms(UnixMillis(midnight + 4 * HOUR_MS)))
}

/// The time of day in New York, `09:30:12`.
#[must_use]
pub fn new_york_clock(now: UnixMillis) -> String {
    let seconds = NewYork::of(now).millis_of_day / 1000;
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Local time in New York.
struct NewYork {
    day: Day,
    millis_of_day: i64,
}

impl NewYork {
    fn of(now: UnixMillis) -> Self {
        let local = now.0 + utc_offset_ms(now);
        Self { day: Day(local.div_euclid(DAY_MS)), millis_of_day: local.rem_euclid(DAY_MS) }
    }
}

/// Minus four hours from the second Sunday of March, 02:00, to the first Sunday of November, 02:00; else minus five.
fn utc_offset_ms(now: UnixMillis) -> i64 {
    let (year, _, _) = Day(now.0.div_euclid(DAY_MS)).date();
    // Both changes are at 02:00 local time: 07:00 UTC by winter's clock, 06:00 UTC by summer's.
    let starts = Day::nth(year, 3, Weekday::Sunday, 2).0 * DAY_MS + 7 * HOUR_MS;
    let ends = Day::nth(year, 11, Weekday::Sunday, 1).0 * DAY_MS + 6 * HOUR_MS;
    if (starts..ends).contains(&now.0) { -4 * HOUR_MS } else { -5 * HOUR_MS }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weekday {
    Monday = 0,
    Tuesday = 1,
    Wednesday = 2,
    Thursday = 3,
    Friday = 4,
    Saturday = 5,
    Sunday = 6,
}

/// A calendar day, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Day(i64);

impl Day {
    /// Howard Hinnant's `days_from_civil`: years begin in March, so that the leap day is the last one.
    const fn new(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// The `nth` such weekday of a month, from 1.
    fn nth(year: i64, month: i64, weekday: Weekday, nth: i64) -> Self {
        let first = Self::new(year, month, 1);
        let ahead = (weekday as i64 - first.weekday() as i64).rem_euclid(7);
        Self(first.0 + ahead + 7 * (nth - 1))
    }

    /// Year, month, day.
    fn date(self) -> (i64, i64, i64) {
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
    }

    fn weekday(self) -> Weekday {
        // 1970-01-01 was a Thursday.
        match (self.0 + 3).rem_euclid(7) {
            0 => Weekday::Monday,
            1 => Weekday::Tuesday,
            2 => Weekday::Wednesday,
            3 => Weekday::Thursday,
            4 => Weekday::Friday,
            5 => Weekday::Saturday,
            _ => Weekday::Sunday,
        }
    }

    fn is_weekend(self) -> bool {
        matches!(self.weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    fn trades(self) -> bool {
        !self.is_weekend() && self.holiday().is_none()
    }

    fn next_trading_day(self) -> Self {
        // A weekend with holidays on both sides is four days long.
        (1..=7).map(|ahead| Self(self.0 + ahead)).find(|day| day.trades()).unwrap_or(self)
    }

    /// A time of this day in New York. No session begins or ends near 02:00 on a Sunday, so the offset at noon counts.
    fn at(self, millis_of_day: i64) -> UnixMillis {
        let noon = UnixMillis(self.0 * DAY_MS + 17 * HOUR_MS);
        UnixMillis(self.0 * DAY_MS + millis_of_day - utc_offset_ms(noon))
    }

    /// What was announced for this day alone.
    fn exception(self) -> Option<Option<Holiday>> {
        EXCEPTIONS.iter().find(|(day, _)| *day == self).map(|(_, closed)| *closed)
    }

    /// The holiday that keeps the market closed on this day.
    fn holiday(self) -> Option<Holiday> {
        if let Some(closed) = self.exception() {
            return closed;
        }
        let (year, _, _) = self.date();
        let moved = |month, day| {
            let date = Self::new(year, month, day);
            match date.weekday() {
                Weekday::Saturday => Self(date.0 - 1),
                Weekday::Sunday => Self(date.0 + 1),
                _ => date,
            }
        };
        let new_year = match Self::new(year, 1, 1) {
            date if date.weekday() == Weekday::Sunday => Self(date.0 + 1),
            date => date,
        };
        let last_monday_of_may = {
            let fifth = Self::nth(year, 5, Weekday::Monday, 5);
            if fifth.date().1 == 5 { fifth } else { Self(fifth.0 - 7) }
        };
        let holidays = [
            (Holiday::NewYear, new_year, 0),
            (Holiday::MartinLutherKing, Self::nth(year, 1, Weekday::Monday, 3), 1998),
            (Holiday::Washington, Self::nth(year, 2, Weekday::Monday, 3), 0),
            (Holiday::GoodFriday, Self(easter(year).0 - 2), 0),
            (Holiday::Memorial, last_monday_of_may, 0),
            (Holiday::Juneteenth, moved(6, 19), 2022),
            (Holiday::Independence, moved(7, 4), 0),
            (Holiday::Labor, Self::nth(year, 9, Weekday::Monday, 1), 0),
            (Holiday::Thanksgiving, Self::nth(year, 11, Weekday::Thursday, 4), 0),
            (Holiday::Christmas, moved(12, 25), 0),
        ];
        holidays.into_iter().find(|(_, day, since)| *day == self && year >= *since).map(|(holiday, _, _)| holiday)
    }

    /// 3 July, the day after Thanksgiving and 24 December, where they are trading days and what they lead to is one off; and
    /// what was announced.
    fn closes_early(self) -> bool {
        let (year, month, day) = self.date();
        self.trades()
            && match (month, day) {
                _ if self.exception().is_some() => true,
                (7, 3) | (12, 24) => true,
                (11, _) => self == Self(Self::nth(year, 11, Weekday::Thursday, 4).0 + 1),
                _ => false,
            }
    }
}

/// Easter Sunday by the Gregorian computus (Meeus, Jones, Butcher).
fn easter(year: i64) -> Day {
    let golden = year % 19;
    let (century, year_of_century) = (year / 100, year % 100);
    let lunar = (century - century / 4 - (8 * century + 13) / 25 + 19 * golden + 15) % 30;
    let lunar = lunar - (lunar / 28) * (1 - (29 / (lunar + 1)) * ((21 - golden) / 11));
    let weekday = (century * 100 + year_of_century + (century * 100 + year_of_century) / 4 + lunar + 2 - century
        + century / 4)
        % 7;
    let from_march = lunar - weekday;
    let month = 3 + (from_march + 40) / 44;
    Day::new(year, month, from_march + 28 - 31 * (month / 4))
}
