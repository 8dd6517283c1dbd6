use super::*;

fn utc(text: &str) -> UnixMillis {
    serde_json::from_str(&format!("\"{text}\"")).expect("a time")
}

fn closed_days(year: i64) -> Vec<(i64, i64, Holiday)> {
    let days = Day::new(year, 1, 1).0..Day::new(year + 1, 1, 1).0;
    days.filter_map(|day| {
        let (_, month, of_month) = Day(day).date();
        Some((month, of_month, Day(day).holiday()?))
    })
    .collect()
}

fn early_days(year: i64) -> Vec<(i64, i64)> {
    let days = Day::new(year, 1, 1).0..Day::new(year + 1, 1, 1).0;
    days.filter(|day| Day(*day).closes_early()).map(|day| (Day(day).date().1, Day(day).date().2)).collect()
}

/// The exchanges' published calendars.
#[test]
fn the_holidays_are_those_that_the_exchanges_published() {
    use Holiday::*;
    assert_eq!(
        closed_days(2024),
        [
            (1, 1, NewYear),
            (1, 15, MartinLutherKing),
            (2, 19, Washington),
            (3, 29, GoodFriday),
            (5, 27, Memorial),
            (6, 19, Juneteenth),
            (7, 4, Independence),
            (9, 2, Labor),
            (11, 28, Thanksgiving),
            (12, 25, Christmas),
        ]
    );
    assert_eq!(
        closed_days(2025),
        [
            (1, 1, NewYear),
            (1, 9, Mourning),
            (1, 20, MartinLutherKing),
            (2, 17, Washington),
            (4, 18, GoodFriday),
            (5, 26, Memorial),
            (6, 19, Juneteenth),
            (7, 4, Independence),
            (9, 1, Labor),
            (11, 27, Thanksgiving),
            (12, 25, Christmas),
        ]
    );
    assert_eq!(
        closed_days(2026),
        [
            (1, 1, NewYear),
            (1, 19, MartinLutherKing),
            (2, 16, Washington),
            (4, 3, GoodFriday),
            (5, 25, Memorial),
            (6, 19, Juneteenth),
            (7, 3, Independence),
            (9, 7, Labor),
            (11, 26, Thanksgiving),
            (12, 25, Christmas),
        ]
    );
    assert_eq!(
        closed_days(2027),
        [
            (1, 1, NewYear),
            (1, 18, MartinLutherKing),
            (2, 15, Washington),
            (3, 26, GoodFriday),
            (5, 31, Memorial),
            (6, 18, Juneteenth),
            (7, 5, Independence),
            (9, 6, Labor),
            (11, 25, Thanksgiving),
            (12, 24, Christmas),
        ]
    );
}

#[test]
fn the_early_closes_are_those_that_the_exchanges_published() {
    assert_eq!(early_days(2024), [(7, 3), (11, 29), (12, 24)]);
    assert_eq!(early_days(2025), [(7, 3), (11, 28), (12, 24)]);
    assert_eq!(early_days(2026), [(11, 27), (12, 24)]);
    assert_eq!(early_days(2027), [(11, 26)]);
}

#[test]
fn a_new_year_on_a_saturday_closes_no_friday() {
    assert_eq!(Day::new(2021, 12, 31).holiday(), None);
    assert!(Day::new(2021, 12, 31).trades());
    assert_eq!(Day::new(2023, 1, 2).holiday(), Some(Holiday::NewYear), "a Sunday moves to Monday");
}

#[test]
fn a_day_has_its_sessions_in_summer_and_in_winter() {
    for (moment, kind, until) in [
        ("2026-07-15T07:59:59Z", SessionKind::Closed, "2026-07-15T08:00:00Z"),
        ("2026-07-15T08:00:00Z", SessionKind::Pre, "2026-07-15T13:30:00Z"),
        ("2026-07-15T13:30:00Z", SessionKind::Regular, "2026-07-15T20:00:00Z"),
        ("2026-07-15T20:00:00Z", SessionKind::Post, "2026-07-16T00:00:00Z"),
        ("2026-07-16T00:00:00Z", SessionKind::Closed, "2026-07-16T08:00:00Z"),
        ("2026-01-21T14:29:59Z", SessionKind::Pre, "2026-01-21T14:30:00Z"),
        ("2026-01-21T20:59:59Z", SessionKind::Regular, "2026-01-21T21:00:00Z"),
        // Friday evening to Monday, over the change to summer time.
        ("2026-03-07T01:00:00Z", SessionKind::Closed, "2026-03-09T08:00:00Z"),
        // The day after Thanksgiving.
        ("2026-11-27T17:59:59Z", SessionKind::Regular, "2026-11-27T18:00:00Z"),
        ("2026-11-27T18:00:00Z", SessionKind::Post, "2026-11-27T22:00:00Z"),
        ("2026-11-27T22:00:00Z", SessionKind::Closed, "2026-11-30T09:00:00Z"),
        // Thanksgiving itself.
        ("2026-11-26T15:00:00Z", SessionKind::Closed, "2026-11-27T09:00:00Z"),
    ] {
        let session = MarketSession::at(utc(moment));
        assert_eq!((session.kind, session.until), (kind, Some(utc(until))), "{moment}");
        assert_eq!(session.since.is_some(), session.is_open(), "{moment}");
    }
    assert_eq!(MarketSession::at(utc("2026-11-26T15:00:00Z")).holiday, Some(Holiday::Thanksgiving));
    assert!(MarketSession::at(utc("2026-11-27T15:00:00Z")).early_close);
}

#[test]
fn the_clock_of_new_york_changes_twice_a_year() {
    for (moment, clock) in [
        ("2026-03-08T06:59:59Z", "01:59:59"),
        ("2026-03-08T07:00:00Z", "03:00:00"),
        ("2026-11-01T05:59:59Z", "01:59:59"),
        ("2026-11-01T06:00:00Z", "01:00:00"),
    ] {
        assert_eq!(new_york_clock(utc(moment)), clock, "{moment}");
    }
}

#[test]
fn sessions_follow_each_other_without_a_hole_for_years() {
    let mut now = utc("2024-01-01T00:00:00Z");
    let end = utc("2028-01-01T00:00:00Z");
    let mut regular = 0;
    while now < end {
        let session = MarketSession::at(now);
        let until = session.until.expect("an end");
        assert!(until > now, "{now}");
        assert_ne!(MarketSession::at(until).kind, session.kind, "{until} is a change");
        assert_eq!(MarketSession::at(UnixMillis(until.0 - 1)).kind, session.kind, "until {until}");
        assert!(!session.is_open() || session.since == Some(now), "since {now}");
        regular += i64::from(session.kind == SessionKind::Regular);
        now = until;
    }
    assert_eq!(regular, 252 + 250 + 251 + 251, "trading days of 2024 to 2027");
}

#[test]
fn a_day_is_its_date_and_back() {
    for days in -1_000_000..1_000_000_i64 {
        if days % 97 == 0 {
            let (year, month, day) = Day(days).date();
            assert_eq!(Day::new(year, month, day).0, days);
        }
    }
}

#[test]
fn the_day_begins_at_midnight_in_new_york_also_when_clocks_change() {
    let time = |text| crate::model::history::selection::parse_time(text).expect("a time");
    for (now, midnight) in [
        ("2026-01-21T02:00:00Z", "2026-01-20T05:00:00Z"),
        ("2026-07-21T03:59:59Z", "2026-07-20T04:00:00Z"),
        ("2026-07-21T04:00:00Z", "2026-07-21T04:00:00Z"),
        ("2026-03-08T20:00:00Z", "2026-03-08T05:00:00Z"),
        ("2026-11-01T20:00:00Z", "2026-11-01T04:00:00Z"),
        ("2026-11-02T04:30:00Z", "2026-11-01T04:00:00Z"),
    ] {
        assert_eq!(new_york_midnight(time(now)), time(midnight), "{now}");
    }
}
