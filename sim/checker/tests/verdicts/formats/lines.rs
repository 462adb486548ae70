//! Tests of JSON lines, `history/1`.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use quorate_checker::formats::{self, Options, ReadError};
use quorate_checker::history::EventIndex;

use super::shown::{error, linearizable, named, read, shown};

/// Builds a file from the rest of a header and of each event.
fn file(header: &str, events: &[&str]) -> String {
    let mut text = format!("{{\"format\":\"history/1\",{header}}}\n");
    for event in events {
        let (kind, rest) = event.split_once(' ').expect("a type and the rest");
        text.push_str(&format!("{{\"type\":\"{kind}\",{rest}}}\n"));
    }
    text
}

/// Builds a file of sequential operations of one client, each as invocation and result.
fn in_turn(header: &str, operations: &[(&str, &str)]) -> String {
    let mut text = format!("{{\"format\":\"history/1\",{header}}}\n");
    for (id, (call, result)) in operations.iter().enumerate() {
        text.push_str(&format!("{{\"type\":\"invoke\",\"id\":{id},\"process\":0,{call}}}\n"));
        let result = if result.is_empty() { String::new() } else { format!(",{result}") };
        text.push_str(&format!("{{\"type\":\"ok\",\"id\":{id},\"process\":0{result}}}\n"));
    }
    text
}

#[test]
fn lines_determine_outcomes() {
    let text = file(
        "\"name\":\"n\",\"model\":\"register\",\"init\":7,\"ops\":5",
        &[
            r#"invoke "id":0,"process":4,"f":"write","value":"x""#,
            r#"invoke "id":1,"process":2,"f":"read""#,
            r#"ok "id":1,"process":2,"f":"read","result":null"#,
            r#"info "id":0,"process":4,"f":"write","error":{"any":[1.5]}"#,
            r#"invoke "id":2,"process":2,"f":"cas","value":[7,[1,true]]"#,
            r#"fail "id":2,"process":2"#,
            r#"invoke "id":3,"process":2,"f":"cas","value":[7,8]"#,
            r#"ok "id":3,"process":2,"result":false"#,
            r#"invoke "id":4,"process":2,"f":"write","value":null"#,
        ],
    );
    let loaded = read(&text, &Options::default());
    let expected = [
        "init 7",
        "4 0: write \"x\": unknown",
        "2 1: read: null at 2",
        "2 3: cas 7 -> [1, true]: failed",
        "2 4: cas 7 -> 8: false at 5",
        "2 6: write null: unknown",
    ];
    assert_eq!(shown(&loaded.history), expected);
    assert_eq!(loaded.name.as_deref(), Some("n"));
    let lines = [0, 1, 2, 3, 4, 5, 6].map(|event_index| loaded.line(EventIndex(event_index)));
    assert_eq!(lines, [2, 3, 4, 6, 8, 9, 10].map(Some));
    assert_eq!(loaded.line(EventIndex(7)), None);
}

/// For each model: its header, operations of one client, and an illegal result of the last one.
type Example = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const EXAMPLES: &[Example] = &[
    (
        r#""model":"register","init":null"#,
        &[(r#""f":"write","value":3"#, ""), (r#""f":"read""#, r#""result":3"#)],
        r#""result":null"#,
    ),
    (
        r#""model":"cas-register","init":0"#,
        &[(r#""f":"cas","value":[0,1]"#, r#""result":true"#), (r#""f":"read""#, r#""result":1"#)],
        r#""result":0"#,
    ),
    (
        r#""model":"kv","init":"""#,
        &[
            (r#""f":"put","key":"a","value":"x""#, ""),
            (r#""f":"append","key":"a","value":"y""#, ""),
            (r#""f":"cas","key":"a","value":["xy","z"]"#, r#""result":true"#),
            (r#""f":"get","key":"a""#, r#""result":"z""#),
        ],
        r#""result":"xy""#,
    ),
    (
        r#""model":"register","keyed":true,"init":0"#,
        &[
            (r#""f":"write","key":1,"value":3"#, ""),
            (r#""f":"read","key":2"#, r#""result":0"#),
            (r#""f":"read","key":1"#, r#""result":3"#),
        ],
        r#""result":0"#,
    ),
    (
        r#""model":"multi-register","init":0"#,
        &[
            (
                r#""f":"txn","value":[["read","x",null],["write","y",5]]"#,
                r#""result":[["read","x",0],["write","y",5]]"#,
            ),
            (r#""f":"txn","value":[["r","y",null]]"#, r#""result":[["r","y",5]]"#),
        ],
        r#""result":[["r","y",0]]"#,
    ),
    (
        r#""model":"kv","init":0,"init_by_key":[["a",1],[2,5]]"#,
        &[
            (r#""f":"get","key":"a""#, r#""result":1"#),
            (r#""f":"get","key":2"#, r#""result":5"#),
            (r#""f":"get","key":"2""#, r#""result":0"#),
            (r#""f":"cas","key":"a","value":[1,0]"#, r#""result":true"#),
            (r#""f":"get","key":"a""#, r#""result":0"#),
        ],
        r#""result":1"#,
    ),
    (
        r#""model":"multi-register","init":0,"init_by_key":[["x",3]]"#,
        &[(
            r#""f":"txn","value":[["r","x",null],["r","y",null]]"#,
            r#""result":[["r","x",3],["r","y",0]]"#,
        )],
        r#""result":[["r","x",0],["r","y",0]]"#,
    ),
    (
        r#""model":"list""#,
        &[
            (r#""f":"append","value":1"#, ""),
            (r#""f":"txn","value":[["append",null,2]]"#, r#""result":[["append",null,2]]"#),
            (r#""f":"read""#, r#""result":[1,2]"#),
        ],
        r#""result":[2,1]"#,
    ),
    (
        r#""model":"list""#,
        &[
            (r#""f":"append","key":"a","value":1"#, ""),
            (r#""f":"read","key":"b""#, r#""result":[]"#),
            (r#""f":"txn","value":[["r","a",null]]"#, r#""result":[["r","a",[1]]]"#),
        ],
        r#""result":[["r","a",[]]]"#,
    ),
    (r#""model":"mutex","init":false"#, &[(r#""f":"acquire""#, ""), (r#""f":"release""#, "")], ""),
    (r#""model":"lock","init":true"#, &[(r#""f":"release""#, ""), (r#""f":"acquire""#, "")], ""),
    (
        r#""model":"set","init":[1]"#,
        &[
            (r#""f":"add","value":2"#, r#""result":true"#),
            (r#""f":"remove","value":1"#, ""),
            (r#""f":"add","value":3"#, ""),
            (r#""f":"contains","value":1"#, r#""result":false"#),
            (r#""f":"read""#, r#""result":[3,2]"#),
        ],
        r#""result":[1,2,3]"#,
    ),
    (
        r#""model":"counter","init":5"#,
        &[
            (r#""f":"add","value":2"#, ""),
            (r#""f":"add","value":-3"#, r#""result":4"#),
            (r#""f":"read""#, r#""result":4"#),
        ],
        r#""result":7"#,
    ),
    (
        r#""model":"queue","init":["a"]"#,
        &[
            (r#""f":"enqueue","value":"b""#, ""),
            (r#""f":"dequeue""#, r#""result":"a""#),
            (r#""f":"dequeue""#, r#""result":"b""#),
            (r#""f":"dequeue""#, r#""result":null"#),
        ],
        r#""result":"a""#,
    ),
    (
        r#""model":"stack","init":["a"]"#,
        &[(r#""f":"push","value":"b""#, ""), (r#""f":"pop""#, r#""result":"b""#)],
        r#""result":"a""#,
    ),
    (
        r#""model":"bank","init":{"a":10,"7":0}"#,
        &[
            (r#""f":"transfer","value":{"from":"a","to":7,"amount":4}"#, ""),
            (r#""f":"transfer","value":{"from":"a","to":"7","amount":7}"#, r#""result":false"#),
            (r#""f":"read""#, r#""result":{"7":4,"a":6}"#),
        ],
        r#""result":{"7":0,"a":10}"#,
    ),
    (
        r#""model":"bank","overdraft":true,"init":{"a":0,"b":0}"#,
        &[
            (r#""f":"transfer","value":{"from":"a","to":"b","amount":4}"#, r#""result":true"#),
            (r#""f":"read""#, r#""result":{"a":-4,"b":4}"#),
        ],
        r#""result":{"a":0,"b":0}"#,
    ),
    (
        r#""model":"queue","keyed":true"#,
        &[
            (r#""f":"enqueue","key":1,"value":"b""#, ""),
            (r#""f":"dequeue","key":2"#, r#""result":null"#),
            (r#""f":"dequeue","key":1"#, r#""result":"b""#),
        ],
        r#""result":null"#,
    ),
];

#[test]
fn every_model_is_parsed_and_checked() {
    for (header, operations, error) in EXAMPLES {
        let good = read(&in_turn(header, operations), &Options::default());
        assert!(linearizable(&good), "{header}: {:?}", shown(&good.history));
        if error.is_empty() {
            continue;
        }
        let mut operations = operations.to_vec();
        operations.last_mut().expect("there is one").1 = error;
        let bad = read(&in_turn(header, &operations), &Options::default());
        assert!(!linearizable(&bad), "{header}: {:?}", shown(&bad.history));
    }
    for (header, first) in
        [("\"model\":\"lock\"", "release"), ("\"model\":\"mutex\",\"init\":true", "acquire")]
    {
        let call = format!("\"f\":\"{first}\"");
        assert!(!linearizable(&read(&in_turn(header, &[(&call, "")]), &Options::default())));
    }
}

const HEADER: &str = r#"{"format":"history/1","model":"cas-register"}"#;

const INVOKE: &str = r#"{"type":"invoke","id":0,"process":1,"f":"write","value":1}"#;
const OK: &str = r#"{"type":"ok","id":0,"process":1}"#;

/// Lines after the header, the position of the error, and its message.
type ErrorCase<'a> = (&'a [&'a str], (u64, u64), &'a str);

#[test]
fn errors_in_lines_have_their_position() {
    let cases: &[ErrorCase] = &[
        (&["{\"type\":"], (2, 9), "expected a JSON value, found the end"),
        (&[INVOKE, "{} x"], (3, 4), "expected the end of the line, found `x`"),
        (&["[1]"], (2, 1), "expected an event: a JSON object, found a list"),
        (&["{\"id\":1}"], (2, 1), "this event has no `type`"),
        (&[r#"{"type":"invoke","id":0,"process":1}"#], (2, 1), "this event has no `f`"),
        (&[r#"{"type":"begin","id":0,"process":1}"#], (2, 9), "found \"begin\""),
        (&[r#"{"type":"ok","id":"0","process":1}"#], (2, 19), "found \"0\""),
        (&[r#"{"type":"ok","id":0,"process":-1}"#], (2, 31), "a process, found -1"),
        (&[r#"{"type":"ok","id":0,"id":0}"#], (2, 21), "this field occurs twice"),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"pop"}"#],
            (2, 1),
            "expected `read`, `write` or `cas`, found `pop`",
        ),
        (&[r#"{"type":"invoke","id":0,"process":1,"f":1}"#], (2, 41), "expected a string, found 1"),
        (&[r#"{"type":"invoke","id":0,"process":1,"f":"write"}"#], (2, 1), "no `value`"),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"write","value":1.5}"#],
            (2, 57),
            "expected a whole number that fits 64 bits, found 1.5",
        ),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"cas","value":[1,2,3]}"#],
            (2, 55),
            "expected a list of two values, from and to",
        ),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"read","value":1}"#],
            (2, 56),
            "expected no value: `read` has none, found 1",
        ),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"read","key":1}"#],
            (2, 54),
            "expected no key: this cas-register has none, found 1",
        ),
    ];
    assert_errors(cases);
}

#[test]
fn impossible_events_are_rejected_with_their_position() {
    let (invoke, ok, info) = (INVOKE, OK, r#"{"type":"info","id":0,"process":1}"#);
    let cases: &[ErrorCase] = &[
        (&[&invoke.replace("\"id\":0", "\"id\":1")], (2, 23), "expected 0, the next number"),
        (&[ok], (2, 19), "expected an operation that was invoked, found 0"),
        (&[invoke, ok, ok], (4, 19), "operation 0 has a completion already"),
        (&[invoke, info, ok], (4, 19), "operation 0 has a completion already"),
        (
            &[invoke, &ok.replace("s\":1", "s\":2")],
            (3, 31),
            "expected 1, the process that invoked operation 0",
        ),
        (
            &[invoke, &invoke.replace("\"id\":0", "\"id\":1")],
            (3, 1),
            "already has a pending operation, 0",
        ),
        (
            &[invoke, info, &invoke.replace("\"id\":0", "\"id\":1")],
            (4, 1),
            "process 1 has an operation of unknown outcome",
        ),
        (
            &[invoke, r#"{"type":"ok","id":0,"process":1,"f":"read"}"#],
            (3, 37),
            "expected `write`, the operation that was invoked, found \"read\"",
        ),
        (
            &[invoke, r#"{"type":"ok","id":0,"process":1,"result":true}"#],
            (3, 42),
            "expected no result: the operation returns nothing, found true",
        ),
        (
            &[
                r#"{"type":"invoke","id":0,"process":1,"f":"cas","value":[1,2]}"#,
                r#"{"type":"ok","id":0,"process":1,"result":1}"#,
            ],
            (3, 42),
            "expected true or false, found 1",
        ),
        (
            &[r#"{"type":"invoke","id":0,"process":1,"f":"read"}"#, ok],
            (3, 1),
            "expected a result, the value that was read, found none",
        ),
    ];
    assert_errors(cases);
}

fn assert_errors(cases: &[ErrorCase]) {
    for (lines, place, message) in cases {
        let text = format!("{HEADER}\n{}\n", lines.join("\n"));
        let error = error(&text, &Options::default());
        assert_eq!((error.line, error.column), *place, "{error}\n{text}");
        assert!(error.message.contains(message), "{error}\n{message}");
    }
}

#[test]
fn errors_in_headers_have_their_position() {
    let cases = [
        ("", (1, 1), "found nothing"),
        ("{\"format\":\"history/2\"}", (1, 11), "expected \"history/1\""),
        ("{\"format\":\"history/1\"}", (1, 1), "the name of the model"),
        ("{\"format\":\"history/1\",\"model\":\"heap\"}", (1, 31), "there is no model `heap`"),
        (
            "{\"format\":\"history/1\",\"model\":\"counter\",\"init\":\"x\"}",
            (1, 48),
            "whole number",
        ),
        ("{\"format\":\"history/1\",\"model\":\"counter\",\"ops\":2}", (1, 47), "there are 0"),
        ("{\"format\":\"history/1\",\"model\":\"list\",\"init\":[1]}", (1, 45), "an empty list"),
        ("{\"format\":\"history/1\",\"model\":\"multi-register\",\"keyed\":true}", (1, 1), "keys"),
        (
            "{\"format\":\"history/1\",\"model\":\"bank\",\"init\":{\"1\":0,\"1\":0}}",
            (1, 45),
            "twice",
        ),
        ("\u{1}", (1, 1), "no operation in any known notation"),
    ];
    for (text, place, message) in cases {
        let error = error(text, &Options::default());
        assert_eq!((error.line, error.column), place, "{error}\n{text}");
        assert!(error.message.contains(message), "{error}\n{message}");
    }
    let other = error(HEADER, &named("queue"));
    assert_eq!(other.message, "expected a history of `queue`, found one of `register`");
    let init = Options { init: Some("[1".to_owned()), ..Options::default() };
    assert!(error(HEADER, &init).message.contains("before the first operation"));
}

#[test]
fn wrong_initial_values_of_single_keys_are_named() {
    let cases = [
        ("kv", r#"{"a":1}"#, (1, 1), "a list of pairs"),
        ("kv", r#"[["a",1],["b"]]"#, (1, 10), "a pair: key and value"),
        ("kv", r#"[["a",1],["a",2]]"#, (1, 11), "this key occurs twice"),
        ("rw-register", "[[1,2]] 3", (1, 9), "the end"),
        ("register", "[[1,2]]", (1, 1), "only `kv`"),
        ("counter", "[[1,2]]", (1, 1), "only `kv`"),
    ];
    for (model, pairs, place, message) in cases {
        let options = Options { init_by_key: Some(pairs.to_owned()), ..named(model) };
        let error = error("{\"format\":\"history/1\"}", &options);
        assert_eq!((error.line, error.column), place, "{error}");
        assert!(error.message.contains("initial values of single keys"), "{error}");
        assert!(error.message.contains(message), "{error}\n{message}");
    }
    let in_file = r#"{"format":"history/1","model":"set","init_by_key":[[1,[2]]]}"#;
    let error = error(in_file, &Options::default());
    assert_eq!((error.line, error.column), (1, 51), "{error}");
}

#[test]
fn the_caller_may_name_the_model() {
    let text = r#"{"type":"invoke","id":0,"process":1,"f":"read"}
                  {"type":"ok","id":0,"process":1,"result":4}"#;
    assert!(error(text, &Options::default()).message.contains("add a header"));
    let started = Options { init: Some("4".to_owned()), ..named("register") };
    assert!(linearizable(&read(text, &started)));
    assert!(!linearizable(&read(text, &named("register"))));
    let keyed = text.replace("\"f\"", "\"key\":\"k\",\"f\"");
    let by_key = |pairs: &str| Options { init_by_key: Some(pairs.to_owned()), ..named("kv") };
    assert!(linearizable(&read(&keyed, &by_key("[[\"k\",4]]"))));
    assert!(!linearizable(&read(&keyed, &by_key("[[\"other\",4]]"))));
}

#[test]
fn lines_texts_and_depth_are_bounded() {
    let line = r#"{"type":"invoke","id":0,"process":1,"f":"write","value":1}"#;
    let text = format!("{HEADER}\n{line}\n");
    let bounded = |text_bytes_max, line_bytes_max| Options {
        text_bytes_max,
        line_bytes_max,
        ..Options::default()
    };
    read(&text, &bounded(text.len(), line.len()));
    let long = error(&text, &bounded(text.len(), line.len() - 1));
    assert_eq!((long.line, long.column), (2, 1));
    assert_eq!(long.message, "this line is longer than 57 bytes");
    let long = error(&text, &bounded(text.len() - 1, line.len()));
    assert_eq!(long.message, format!("the text is longer than {} bytes", text.len() - 1));
    let deep = text.replace(":1}", &format!(":{}}}", "[".repeat(100_000)));
    let deep = error(&deep, &Options::default());
    assert!(deep.message.contains("more than 64"), "{deep}");
    let bytes = formats::parse(b"{\"a\":\n\"\xff\"}", &Options::default());
    let error = bytes.expect_err("it is not text");
    assert_eq!((error.line, error.column), (2, 2), "{error}");
}

#[test]
fn gzip_files_are_decompressed() {
    let text = in_turn("\"model\":\"counter\"", &[("\"f\":\"add\",\"value\":1", ""); 500]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes everything");
    let compressed = encoder.finish().expect("memory takes everything");
    let options = Options::default();
    let decompressed = formats::read(&compressed[..], &options).expect("it is whole");
    assert_eq!(shown(&decompressed.history), shown(&read(&text, &options).history));
    for cut in [2, 10, compressed.len() / 2, compressed.len() - 8, compressed.len() - 1] {
        match formats::read(&compressed[..cut], &options) {
            Err(ReadError::Parse(error)) => assert!(error.message.contains("too early"), "{error}"),
            other => panic!("{cut}: {other:?}"),
        }
    }
    let mut damaged = compressed.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    match formats::read(&damaged[..], &options) {
        Err(ReadError::Parse(error)) => assert!(error.message.contains("damaged"), "{error}"),
        other => panic!("{other:?}"),
    }
    let small = Options { text_bytes_max: text.len() - 1, ..Options::default() };
    assert!(formats::read(&compressed[..], &small).is_err());
}
