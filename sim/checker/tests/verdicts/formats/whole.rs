//! Inputs that a careless parser would read only in part, or altered: each is read in full or
//! rejected.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use quorate_checker::formats::{self, Options};

use super::shown::{error, linearizable, named, read};

const HEADER: &str = r#"{"format":"history/1","model":"register","init":0}"#;
const INVOKE: &str = r#"{"type":"invoke","id":0,"process":1,"f":"read"}"#;
const WRONG: &str = r#"{"type":"ok","id":0,"process":1,"result":7}"#;

#[test]
fn nothing_may_follow_a_header_on_its_line() {
    for between in ["", " ", "\r", "\t"] {
        let text = [HEADER, INVOKE, WRONG].join(between);
        let found = error(&text, &Options::default());
        assert_eq!((found.line, found.column), (1, 51 + between.len() as u64), "{text:?}");
        assert_eq!(found.message, "expected the end of the line, found '{'");
    }
    let zero = format!("{HEADER}\0\n{INVOKE}\n{WRONG}\n");
    assert!(error(&zero, &Options::default()).message.contains("the end of the line"));
    let porcupine = HEADER.replace("history/1", "porcupine/1");
    let events =
        r#"[{"Kind":false,"Value":{"f":"read"},"Id":0},{"Kind":true,"Value":{"result":7},"Id":0}]"#;
    let found = error(&format!("{porcupine} {events}"), &Options::default());
    assert_eq!(found.message, "expected the end of the line, found '['");
    assert!(!linearizable(&read(&format!("{porcupine}\r\n{events}"), &Options::default())));
}

#[test]
fn nothing_may_follow_an_event_on_its_line_or_the_end_of_the_history() {
    let lines = format!("{HEADER}\r\n{INVOKE}\r\n{WRONG}");
    assert!(!linearizable(&read(&lines, &Options::default())));
    let events = r#"[{"Kind":false,"Value":{"f":"read"},"Id":0}]"#;
    for rest in ["\0", "{}", "x", "\u{feff}", HEADER] {
        error(&format!("{HEADER}\n{INVOKE}{rest}\n{WRONG}"), &Options::default());
        error(&format!("{lines}{rest}"), &Options::default());
        error(&format!("{lines}\n{rest}"), &Options::default());
        error(&format!("{events}{rest}"), &named("register"));
        error(&format!("[{{:type :invoke, :process 0, :f :read}}]{rest}"), &named("register"));
        error(&format!("{{:type :invoke, :process 0, :f :read}}{rest}"), &named("register"));
    }
}

#[test]
fn a_carriage_return_ends_an_edn_comment() {
    let text = "; a comment\r{:type :invoke, :process 0, :f :read, :value nil}\r\
                {:type :ok, :process 0, :f :read, :value 7}\r";
    assert!(!linearizable(&read(text, &named("register"))));
}

#[test]
fn a_line_of_a_log_has_one_operation() {
    let text = "INFO jepsen.util - 0\t:invoke\t:read\tnil\r\
                INFO jepsen.util - 0\t:ok\t:read\t7\r";
    let found = error(text, &Options::default());
    assert_eq!((found.line, found.column), (1, 45), "{found:?}");
    assert!(!linearizable(&read(&text.replace('\r', "\r\n"), &Options::default())));
}

#[test]
fn all_members_of_a_gzip_file_are_read() {
    let gzip = |text: &str| {
        let mut to = GzEncoder::new(Vec::new(), Compression::fast());
        to.write_all(text.as_bytes()).expect("a vector takes all bytes");
        to.finish().expect("a vector takes all bytes")
    };
    let mut members = gzip(&format!("{HEADER}\n"));
    members.extend(gzip(&format!("{INVOKE}\n{WRONG}\n")));
    let loaded = formats::read(&*members, &Options::default());
    assert!(!linearizable(&loaded.expect("the text is a history")));
    for rest in [&b"\0\0\0\0\0\0\0\0\0\0\0\0"[..], b"x", INVOKE.as_bytes()] {
        let more = [&members, rest].concat();
        assert!(formats::read(&*more, &Options::default()).is_err(), "{rest:?}");
    }
}

#[test]
fn a_queue_or_stack_cannot_start_with_null() {
    for model in ["queue", "stack"] {
        let text = format!(r#"{{"format":"history/1","model":"{model}","init":[1,null]}}"#);
        let found = error(&text, &Options::default());
        assert_eq!((found.line, found.column), (1, 49), "{found:?}");
        assert!(found.message.starts_with("expected a value other than null"), "{found:?}");
    }
    let set = r#"{"format":"history/1","model":"set","init":[1,null]}"#;
    assert!(linearizable(&read(set, &Options::default())));
}

#[test]
fn control_characters_are_escaped_in_messages() {
    let calls = [
        r#"{"type":"invoke","id":0,"process":1,"f":"\u001b[31mx\n\u202ey"}"#,
        "{\"type\":\"invoke\",\"id\":0,\"process\":1,\"f\":\"\u{9b}31mx\"}",
    ];
    for call in calls {
        let found = error(&format!("{HEADER}\n{call}"), &Options::default());
        assert!(!found.message.contains(|c: char| c.is_control() || c == '\u{202e}'), "{found:?}");
    }
    let model = r#"{"format":"history/1","model":"\u001b[2J"}"#;
    let found = error(model, &Options::default());
    assert!(found.message.contains("no model `\\u{1b}[2J`"), "{found:?}");
    let step = "{:type :invoke, :process 0, :f :txn, :value [[\"\u{1b}c\" 1 2]]}";
    let found = error(step, &named("multi-register"));
    assert!(found.message.contains("found `\\u{1b}c`"), "{found:?}");
    let end = format!("{HEADER}\n{}\n", INVOKE.replace("read", "\\u001bq"));
    assert!(!error(&end, &Options::default()).message.contains('\u{1b}'));
}

#[test]
fn repeated_fields_are_rejected_by_name() {
    let headers = [("init", "1"), ("model", "\"register\""), ("format", "\"history/1\"")];
    for (name, value) in headers {
        let header = format!("{},\"{name}\":{value}}}", HEADER.trim_end_matches('}'));
        let found = error(&format!("{header}\n{INVOKE}\n{WRONG}"), &Options::default());
        assert_eq!(found.message, format!("the field `{name}` occurs twice"));
    }
    let events = [
        (r#"[{"Kind":false,"Kind":true,"Value":{"f":"read"},"Id":0}]"#, "Kind"),
        (r#"[{"Kind":false,"Value":{"f":"read","f":"write"},"Id":0}]"#, "f"),
        (
            r#"[{"Kind":false,"Value":{"f":"read"},"Id":0},
                {"Kind":true,"Value":{"result":7,"result":0},"Id":0}]"#,
            "result",
        ),
    ];
    for (text, name) in events {
        let found = error(text, &named("register"));
        assert_eq!(found.message, format!("the field `{name}` occurs twice"));
    }
}

#[test]
fn a_transaction_of_one_step_cannot_write_null_to_an_elle_register() {
    let text = "{:type :invoke, :process 0, :f :txn, :value [[:w 1 nil]]}";
    let found = error(text, &named("rw-register"));
    assert_eq!(found.message, "expected a value other than the initial value, found null");
    let zero = Options { init: Some("0".to_owned()), ..named("rw-register") };
    assert!(linearizable(&read(text, &zero)));
}

#[test]
fn a_read_of_null_shows_that_nothing_was_written_whatever_the_initial_values() {
    let read_two = |of_one: &str, options: &Options| {
        let text = format!(
            "{{:type :invoke, :process 0, :f :txn, :value [[:r 1 nil] [:r 2 nil]]}}
             {{:type :ok, :process 0, :f :txn, :value [[:r 1 {of_one}] [:r 2 nil]]}}"
        );
        formats::read(text.as_bytes(), options)
    };
    let good = |of_one: &str, init: Option<&str>, by_key: Option<&str>| {
        let (init, init_by_key) = (init.map(str::to_owned), by_key.map(str::to_owned));
        let options = Options { init, init_by_key, ..named("rw-register") };
        linearizable(&read_two(of_one, &options).expect("a history"))
    };
    assert!(good("nil", None, None));
    assert!(!good("nil", Some("0"), None), "key 2 is initially 0");
    assert!(good("nil", None, Some("[[1, null]]")), "null of a single key is null, too");
    assert!(good("5", None, Some("[[1, 5]]")));
    assert!(!good("nil", None, Some("[[1, 5]]")));
    assert!(good("5", Some("5"), Some("[[2, null]]")));
    let failed = read_two("[nil]", &named("rw-register")).expect_err("[null] stands for null");
    assert!(failed.to_string().contains("expected a value other than [null]"), "{failed}");
}

#[test]
fn the_largest_limit_of_bytes_is_allowed() {
    let options = Options { text_bytes_max: usize::MAX, ..Options::default() };
    let text = format!("{HEADER}\n{INVOKE}\n{WRONG}\n");
    assert!(!linearizable(&formats::read(text.as_bytes(), &options).expect("a history")));
}
