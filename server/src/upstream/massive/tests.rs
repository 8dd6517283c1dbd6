use super::*;
use app::model::health::LossKind;
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_610_144_870_000);

fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    read_frame(text, 2, NOW, &mut reading);
    reading.check(text.len(), NOW);
    reading
}

/// The reasons for which something was dropped, and how often.
fn dropped(reading: &Reading) -> Vec<(&'static str, u32)> {
    let all = DropReason::ALL.into_iter().map(|reason| (reason.label(), reading.dropped(reason)));
    all.filter(|(_, count)| *count > 0).collect()
}

#[test]
fn a_mixed_frame_gives_its_ticks_in_order() {
    let reading = read(
        r#"[{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1610144868784,"q":3681328},
            {"ev":"A","sym":"SPCE","v":200.5,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.4,"h":25.39,"l":25.39,"a":25.3714,"z":12.5,"s":1610144868000,"e":1610144869000,"dv":"200.5"},
            {"ev":"Q","sym":"BRK.B","bx":4,"bp":100.0,"bs":1,"ax":7,"ap":101.0,"as":1,"c":0,"i":[604],"t":1610144868784000000,"q":5,"z":3}]"#,
    );
    assert_eq!(reading.rejected(), 0, "{:?}", reading.rejection);
    let ticks: Vec<_> = reading.ticks.iter().map(|t| (&*t.symbol, t.price, t.volume, t.timestamp.0)).collect();
    assert_eq!(
        ticks,
        [
            ("MSFT", 114.125, 100, 1_610_144_868_784),
            ("SPCE", 25.4, 201, 1_610_144_869_000),
            ("BRK.B", 100.5, 0, 1_610_144_868_784),
        ]
    );
    assert!(reading.ticks.iter().all(|tick| tick.connection_id == Some(2)));
}

#[test]
fn statuses_keep_the_providers_words() {
    let reading = read(
        r#"[{"ev":"status","status":"connected","message":"Connected Successfully"},
            {"ev":"status","status":"auth_failed","message":"authentication failed"},
            {"ev":"status","status":"auth_timeout","message":"No authentication request received."},
            {"ev":"status","status":"success","message":"subscribed to: A.BRK.B"},
            {"ev":"status","status":"max_connections","message":"Maximum number of websocket connections exceeded. "},
            {"ev":"status","status":"error","message":"not authorized"},
            {"ev":"status","status":"slow_consumer"}]"#,
    );
    assert_eq!(
        reading.notices,
        [
            Notice::Hello,
            Notice::KeyRefused("authentication failed".into()),
            Notice::Leaving(LossKind::Closed, "No authentication request received.".into()),
            Notice::Subscribed("A.BRK.B".into()),
            Notice::TooManyConnections("Maximum number of websocket connections exceeded.".into()),
            Notice::Refused("not authorized".into()),
            Notice::Leaving(LossKind::SlowConsumer, "slow_consumer".into()),
        ]
    );
}

#[test]
fn a_broken_event_costs_itself_alone() {
    let reading = read(
        r#"[{"ev":"T","sym":"A","p":1.5,"s":1,"t":1610144868784},
            {"ev":"T","sym":"B","p":"dear","s":1,"t":1610144868784},
            {"ev":"T","sym":"C","s":1,"t":1610144868784},
            {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"t":1601316752683746000},
            {"ev":"NEW","p":{"any":"shape"}},
            {"ev":"T","sym":"D","p":2.5,"s":1,"t":1610144868784}]"#,
    );
    let symbols: Vec<_> = reading.ticks.iter().map(|tick| &*tick.symbol).collect();
    assert_eq!(symbols, ["A", "D"]);
    assert_eq!((reading.rejected(), reading.unknown), (2, 1));
}

#[test]
fn a_bar_is_marked_with_its_window_and_a_halt_with_its_symbol() {
    let reading = read(
        r#"[{"ev":"A","sym":"SPCE","v":1,"c":2.5,"s":1610144868000,"e":1610144869000},
            {"ev":"T","sym":"SPCE","i":"17","p":2.5,"s":1,"t":1610144868000},
            {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[17],"z":3,"t":1601316752683746000,"q":1},
            {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"z":3,"t":1601316752683746000,"q":2},
            {"ev":"LULD","T":"AAPL","h":218.96,"l":198.11,"i":[18,4],"z":3,"t":1601316752683746000,"q":3}]"#,
    );
    let marks: Vec<_> = reading.marks.iter().map(|mark| (mark.channel, mark.window_start)).collect();
    assert_eq!(marks, [(Channel::SecondBars, 1_610_144_868_000), (Channel::Trades, 0)]);
    let halts: Vec<_> = reading.halts.iter().map(|(symbol, halted)| (&**symbol, *halted)).collect();
    assert_eq!((halts, reading.rejected()), (vec![("MSFT", true), ("AAPL", false)], 0));
}

#[test]
fn nothing_is_believed_of_a_frame_that_breaks_off() {
    let reading = read(r#"[{"ev":"T","sym":"A","p":1.5,"s":1,"t":1610144868784},{"ev":"T","sym":"B","p":1"#);
    assert_eq!((reading.ticks.len(), reading.marks.len(), reading.rejected()), (0, 0, 1));
}

#[test]
fn rubbish_is_counted_and_never_panics() {
    for text in
        ["", "[", "{}", "null", "[1,2]", "[{}]", r#"[{"ev":"T"}]"#, "\u{0}\u{1}", r#"[{"ev":"A","sym":"A","c":"x"}]"#]
    {
        let reading = read(text);
        assert!(reading.rejected() >= 1 && reading.ticks.is_empty(), "{text:?}");
    }
    assert_eq!(read("[]").rejected(), 0);
}

#[test]
fn a_key_with_quotes_stays_inside_its_field() {
    assert_eq!(auth_message("a\"b"), r#"{"action":"auth","params":"a\"b"}"#);
}

#[test]
fn a_quote_of_one_side_makes_no_price_and_is_no_error() {
    let t = r#""t":1610144868784"#;
    let reading = read(&format!(
        r#"[{{"ev":"Q","sym":"A","bp":0,"ap":101,{t}}},{{"ev":"Q","sym":"A","bp":101,"ap":0,{t}}},
            {{"ev":"Q","sym":"A","ap":101,{t}}},{{"ev":"Q","sym":"A","bp":null,"ap":101,{t}}},{{"ev":"Q","sym":"A","bp":0,"ap":0,{t}}},
            {{"ev":"Q","sym":"A","bp":100,"ap":101,{t}}},{{"ev":"Q","sym":"A","bp":-0.0,"ap":101,{t}}}]"#
    ));
    assert_eq!(reading.ticks.iter().map(|tick| tick.price).collect::<Vec<_>>(), [100.5]);
    assert_eq!((dropped(&reading), reading.rejected(), reading.rejection), (vec![("one_sided_quote", 6)], 0, None));
}

#[test]
fn what_is_dropped_is_counted_by_reason_and_says_what_it_was() {
    let t = r#""t":1610144868784"#;
    for (event, reason, why) in [
        (format!(r#"{{"ev":"T","sym":"A","p":-1.5,{t}}}"#), "price", "T event for A with a negative price (-1.5)"),
        (format!(r#"{{"ev":"T","sym":"A","p":0,{t}}}"#), "price", "T event for A with a price of 0"),
        (format!(r#"{{"ev":"T","sym":"A",{t}}}"#), "price", "T event for A without a price"),
        (format!(r#"{{"ev":"T","p":1,{t}}}"#), "symbol", "T event without a symbol"),
        (format!(r#"{{"ev":"Q","sym":"A","bp":-1,"ap":2,{t}}}"#), "price", "Q event for A with a negative price (-1)"),
        (format!(r#"{{"ev":"Q","sym":"A","bp":1,"ap":-2,{t}}}"#), "price", "Q event for A with a negative price (-2)"),
        (r#"{"ev":"T","sym":"A","p":1}"#.to_owned(), "no_time", "T event for A without a time"),
        (
            r#"{"ev":"T","sym":"A","p":1,"t":0}"#.to_owned(),
            "time_past",
            "T event for A with a time 18635 d 22 h in the past (0)",
        ),
        (
            r#"{"ev":"T","sym":"A","p":1,"t":1610144868}"#.to_owned(),
            "time_unit",
            "T event for A with a time in seconds; milliseconds are expected (1610144868)",
        ),
        (
            r#"{"ev":"T","sym":"A","p":1,"t":4102444800000}"#.to_owned(),
            "time_future",
            "T event for A with a time 28846 d 01 h in the future (4102444800000)",
        ),
        (
            r#"{"ev":"A","sym":"A","c":1,"s":1610148468000,"e":1610144869000}"#.to_owned(),
            "time_future",
            "A event for A with a time 59 m 58 s in the future (1610148468000)",
        ),
    ] {
        let reading = read(&format!(r#"[{event},{{"ev":"T","sym":"B","p":2,{t}}}]"#));
        assert_eq!((dropped(&reading), reading.ticks.len()), (vec![(reason, 1)], 1), "{event}");
        assert_eq!(reading.rejection.as_deref(), Some(why));
    }
}

#[test]
fn acknowledgements_may_be_joined_and_remarks_are_no_problem() {
    let names: Vec<String> = (0..900).map(|n| format!("A.S{n}")).collect();
    let reading = read(&format!(
        r#"[{{"ev":"status","status":"success","message":"subscribed to: {}"}},
            {{"ev":"status","status":"info","message":"maintenance on Sunday"}},
            {{"ev":"status","status":"success","message":"unsubscribed to: A.AAPL"}},
            {{"ev":"status","status":"success"}},{{"ev":"status","status":"success","message":"subscribed to:"}}]"#,
        names.join(", ")
    ));
    let expected = names.into_iter().map(Notice::Subscribed).chain(
        ["maintenance on Sunday", "unsubscribed to: A.AAPL", "success"].map(|words| Notice::Remark(words.into())),
    );
    assert_eq!(reading.notices, expected.collect::<Vec<_>>());
}

proptest! {
    /// Whatever words a status has: it is read, nothing is dropped, and what is kept of it is short.
    #[test]
    fn any_status_is_read(status in "[a-z_]{0,20}|success|error|info", message in any::<String>()) {
        let event = serde_json::json!([{"ev": "status", "status": status, "message": message}]).to_string();
        let reading = read(&event);
        prop_assert_eq!((reading.rejected(), reading.unknown), (0, 0));
        for notice in reading.notices {
            if let Notice::Remark(words) | Notice::Problem(words) | Notice::Refused(words) = notice {
                prop_assert!(words.chars().count() <= 300);
            }
        }
    }

    /// Whatever numbers a quote has: a price comes of two sides and lies between them, or none comes.
    #[test]
    fn a_middle_lies_between_its_sides(bid in any::<f64>(), ask in any::<f64>()) {
        prop_assume!(bid.is_finite() && ask.is_finite());
        let event = serde_json::json!([{"ev": "Q", "sym": "A", "bp": bid, "ap": ask, "t": NOW.0}]).to_string();
        let reading = read(&event);
        match reading.ticks.first() {
            Some(tick) => {
                prop_assert!(bid > 0.0 && ask > 0.0);
                prop_assert!(tick.price >= bid.min(ask) * 0.999_999 && tick.price <= bid.max(ask) * 1.000_001);
            }
            None if bid < 0.0 || ask < 0.0 => prop_assert_eq!(reading.rejected(), 1),
            None if bid > 0.0 && ask > 0.0 => prop_assert!(bid < 1e-300 || ask < 1e-300),
            None => prop_assert_eq!(reading.dropped(DropReason::OneSidedQuote), 1),
        }
    }
}
