//! Tests of Porcupine's events and operations.

use quorate_checker::formats::Options;
use quorate_checker::history::EventIndex;

use super::shown::{error, linearizable, named, read, shown};

#[test]
fn events_are_matched_by_number() {
    let events = r#"[{"ClientId":0,"Kind":false,"Value":{"f":"write","value":1},"Id":7},
        {"ClientId":1,"Kind":false,"Value":{"f":"read"},"Id":3,"Metadata":null},
        {"ClientId":1,"Kind":true,"Value":{"result":1},"Id":3},
        {"ClientId":1,"Kind":false,"Value":{"f":"cas","value":[1,2]},"Id":4},
        {"ClientId":1,"Kind":true,"Value":{"type":"info"},"Id":4},
        {"ClientId":1,"Kind":false,"Value":{"f":"cas","value":[1,3]},"Id":5},
        {"ClientId":1,"Kind":true,"Value":{"type":"fail"},"Id":5},
        {"ClientId":0,"Kind":true,"Value":null,"Id":7}]"#;
    let expected = [
        "init null",
        "0 0: write 1: \u{20}at 5",
        "1 1: read: 1 at 2",
        "1 3: cas 1 -> 2: unknown",
        // Client 1 has a call with an unknown outcome, and cannot invoke again: its next call gets
        // the first unused number.
        "2 4: cas 1 -> 3: failed",
    ];
    let loaded = read(events, &named("cas-register"));
    assert_eq!(shown(&loaded.history), expected);
    assert_eq!(loaded.line(EventIndex(1)), Some(2));
    let lines = events.trim_matches(['[', ']']).replace("},\n", "}\n");
    assert_eq!(shown(&read(&lines, &named("cas-register")).history), expected);
    let header = "{\"format\":\"porcupine/1\",\"model\":\"cas-register\",\"init\":1}\n";
    let loaded = read(&format!("{header}{events}"), &Options::default());
    assert_eq!(shown(&loaded.history)[0], "init 1");
    assert_eq!(loaded.line(EventIndex(1)), Some(3));
    assert!(error(events, &Options::default()).message.contains("the name of the model"));
}

#[test]
fn operations_have_closed_intervals() {
    let operations = |second_call: i64| {
        format!(
            r#"[{{"ClientId":0,"Input":{{"f":"read"}},"Call":{second_call},
                  "Output":{{"result":null}},"Return":9}},
            {{"ClientId":0,"Input":{{"f":"write","value":1}},"Call":1,"Output":{{}},"Return":5}},
            {{"Input":{{"f":"write","value":2}},"Call":8,"Output":null,"Return":null}}]"#
        )
    };
    let touching = read(&operations(5), &named("register"));
    assert!(linearizable(&touching), "at 5 both are pending: {:?}", shown(&touching.history));
    assert!(!linearizable(&read(&operations(6), &named("register"))));
    let expected =
        ["init null", "0 0: write 1: \u{20}at 2", "1 1: read: null at 4", "0 3: write 2: unknown"];
    assert_eq!(shown(&touching.history), expected);
}

#[test]
fn errors_have_their_position() {
    let call = r#"{"Kind":false,"Value":{"f":"read"},"Id":3}"#;
    let ret = r#"{"Kind":true,"Value":{"result":1},"Id":3}"#;
    let cases = [
        (format!("[{call}"), (1, 44), "expected `,` or `]`, found the end"),
        (format!("[{call},]"), (1, 45), "expected a JSON value"),
        (format!("[{call}] 1"), (1, 46), "expected the end"),
        (format!("[{ret}]"), (1, 2), "operation 3 was never called"),
        (format!("{call}\n{ret}\n{ret}"), (3, 1), "operation 3 has returned already"),
        (format!("{call}\n{call}"), (2, 1), "operation 3 is called twice"),
        (format!("{call}\n{{\"Call\":1}}"), (2, 1), "the file mixes events and operations"),
        ("[{\"Id\":1}]".to_owned(), (1, 2), "an event with `Kind`"),
        (call.replace("false", "0"), (1, 9), "expected true or false"),
        (call.replace("\"read\"", "\"pop\""), (1, 1), "found `pop`"),
        (call.replace("{\"f\":\"read\"}", "5"), (1, 23), "an object with `f`"),
        (format!("{call}\n{}", ret.replace("{\"result\":1}", "1")), (2, 22), "an object"),
        (
            format!("{{\"format\":\"porcupine/1\",\"ops\":2}}\n{call}\n{ret}"),
            (1, 31),
            "the header states 2 operations, but there are 1",
        ),
        (
            r#"{"Input":{"f":"read"},"Call":5,"Return":4}"#.to_owned(),
            (1, 41),
            "expected 5, the time of the call",
        ),
    ];
    for (text, place, message) in cases {
        let error = error(&text, &named("register"));
        assert_eq!((error.line, error.column), place, "{error}\n{text}");
        assert!(error.message.contains(message), "{error}\n{message}");
    }
}
