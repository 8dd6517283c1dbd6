use super::*;

fn read(text: &str) -> Reading {
    let mut reading = Reading::default();
    read_frame(text, 2, &mut reading);
    reading
}

#[test]
fn a_mixed_frame_gives_its_ticks_in_order() {
    let reading = read(
        r#"[{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,"q":3681328},
            {"ev":"A","sym":"SPCE","v":200.5,"av":8642007,"op":25.66,"vw":25.3981,"o":25.39,"c":25.4,"h":25.39,"l":25.39,"a":25.3714,"z":12.5,"s":1610144868000,"e":1610144869000,"dv":"200.5"},
            {"ev":"Q","sym":"BRK.B","bx":4,"bp":100.0,"bs":1,"ax":7,"ap":101.0,"as":1,"c":0,"i":[604],"t":1536036818784000000,"q":5,"z":3}]"#,
    );
    assert_eq!(reading.rejected, 0, "{:?}", reading.rejection);
    let ticks: Vec<_> = reading.ticks.iter().map(|t| (&*t.symbol, t.price, t.volume, t.timestamp.0)).collect();
    assert_eq!(
        ticks,
        [
            ("MSFT", 114.125, 100, 1_536_036_818_784),
            ("SPCE", 25.4, 201, 1_610_144_869_000),
            ("BRK.B", 100.5, 0, 1_536_036_818_784),
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
        r#"[{"ev":"T","sym":"A","p":1.5,"s":1,"t":1536036818784},
            {"ev":"T","sym":"B","p":"dear","s":1,"t":1536036818784},
            {"ev":"T","sym":"C","s":1,"t":1536036818784},
            {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[21],"t":1601316752683746000},
            {"ev":"NEW","p":{"any":"shape"}},
            {"ev":"T","sym":"D","p":2.5,"s":1,"t":1536036818784}]"#,
    );
    let symbols: Vec<_> = reading.ticks.iter().map(|tick| &*tick.symbol).collect();
    assert_eq!(symbols, ["A", "D"]);
    assert_eq!((reading.rejected, reading.unknown), (2, 1));
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
    assert_eq!((halts, reading.rejected), (vec![("MSFT", true), ("AAPL", false)], 0));
}

#[test]
fn nothing_is_believed_of_a_frame_that_breaks_off() {
    let reading = read(r#"[{"ev":"T","sym":"A","p":1.5,"s":1,"t":1536036818784},{"ev":"T","sym":"B","p":1"#);
    assert_eq!((reading.ticks.len(), reading.marks.len(), reading.rejected), (0, 0, 1));
}

#[test]
fn rubbish_is_counted_and_never_panics() {
    for text in
        ["", "[", "{}", "null", "[1,2]", "[{}]", r#"[{"ev":"T"}]"#, "\u{0}\u{1}", r#"[{"ev":"A","sym":"A","c":"x"}]"#]
    {
        let reading = read(text);
        assert!(reading.rejected >= 1 && reading.ticks.is_empty(), "{text:?}");
    }
    assert_eq!(read("[]").rejected, 0);
}

#[test]
fn a_key_with_quotes_stays_inside_its_field() {
    assert_eq!(auth_message("a\"b"), r#"{"action":"auth","params":"a\"b"}"#);
}
