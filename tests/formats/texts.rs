//! Formats that are text: the principals of certificates, scenarios and histories.

use std::collections::BTreeMap;

use quorate::runtime::Principal;
use quorate::storage::ClusterId;
use quorate::types::NodeId;
use quorate_checker::formats::{Object, Options, parse, write};
use quorate_sim::faults::Verb;
use quorate_sim::plan::Trigger;
use quorate_sim::run::RunOptions;
use quorate_sim::scenario::{ROWS, Scenario};

use crate::draw::Draw;
use crate::fixtures::Fixtures;

#[test]
fn the_fixtures_of_principals_are_written_and_read() {
    let cluster = ClusterId(0x0123_4567_89ab_cdef);
    let mut fixtures = Fixtures::of("principal", 1);
    let client = |name: &str| Principal::client(name).expect("it is a name");
    let principals = [
        ("node", Principal::Node(NodeId(u64::MAX))),
        ("client", client("web-1")),
        ("client-of-64-bytes", client(&"a.B_".repeat(16))),
        ("administrator", Principal::admin("root").expect("it is a name")),
    ];
    for (name, principal) in principals {
        fixtures.text(name, &principal.uri(cluster), |kept| {
            assert_eq!(Principal::from_uri(kept), Some((cluster, principal)));
        });
    }
    fixtures.finish();
}

/// Settings of every form.
const SETTINGS: [&str; 14] = [
    "spares 2",
    "bootstrap on",
    "heartbeat 40ms",
    "election timeout 200ms..500ms",
    "priorities 1 2 3 4 5",
    "suspension after 2s, down to 3, pause 4s",
    "survivor after 20s",
    "lease 300ppm read-leases",
    "clock error 100ppm",
    "loss 50 in 1000",
    "latency 1ms..9ms",
    "machine checkpoint every 10",
    "clients 3 operations 50",
    "faults loss crash",
];

/// Operations of a plan: every verb, with all its arguments.
const OPERATIONS: [&str; 42] = [
    "crash n1",
    "crash leader keep=part for 90ms",
    "stop n1 for 90ms",
    "pause n1 for 90ms",
    "wipe n1 for 90ms",
    "roll back n1 by 1s for 90ms",
    "isolate n1",
    "block inbound n1 for 1.5s",
    "block outbound n1 for 90ms",
    "strand leader with n2 for 90ms",
    "cut n1 -> leader for 90ms",
    "split n1 leader for 90ms",
    "only n1-n2 n2-n3 for 90ms",
    "flap n1-leader every 5ms for 90ms",
    "clog n1 for 90ms",
    "clock drift n1 -300ppm for 90ms",
    "clock step n1 by 90ms",
    "slow disk n1 by 5ms for 90ms",
    "slow apply n1 by 5ms for 90ms",
    "misroute n1 count=3",
    "replay n1",
    "campaign n1",
    "load spike leader count=30",
    "poll reads n1 every 5ms for 90ms",
    "fail directory flush n1 after=1 sectors=2",
    "fill disk n1 free=512 for 90ms",
    "stall disk n1 for 90ms",
    "corrupt headers n1",
    "damage entries n1",
    "misdirect write n1 to bodies after=1",
    "lose write n1 after=1",
    "change leader +n4 ?n5 ~n3 -n2 n1!200 n1@host-1 casting=n4",
    "change leader nothing",
    "cancel change leader",
    "transfer leader to n2",
    "machine fault n1 skipped command",
    "put x=1 via n2",
    "cas x=1 -> 2",
    "cas x=nothing -> 2 via leader",
    "get x via n3 local",
    "install n2 1",
    "raise version leader 1",
];

/// Expectations of every form.
const EXPECTATIONS: [&str; 12] = [
    "expect pass",
    "expect S1 election-safety",
    "expect panic",
    "expect stall",
    "expect elections >= 2",
    "expect crash <= 9",
    "expect get x=1 via n2 lease at 1s",
    "expect put x=1 at 1s",
    "expect cas x=nothing -> 1 at 1s",
    "expect no answer to get x at 1s",
    "expect leader n1 at 1s",
    "expect no leader from 1s to 2s",
];

/// Each line of a scenario prints and reads back as it is kept.
#[test]
fn the_fixtures_of_scenarios_are_written_and_read() {
    let options = RunOptions::default();
    let read = |text: &str| {
        Scenario::read(text, &options.workload).unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let mut fixtures = Fixtures::of("scenario", 1);
    for row in ROWS {
        // The form of a setting: its name and its arguments.
        let form = format!("{} {}", row.name, row.arguments);
        fixtures.text(&format!("setting-{}", row.name.replace(' ', "-")), &form, |kept| {
            assert_eq!(kept, form);
        });
    }
    for verb in Verb::syntax() {
        let start = verb.verb;
        assert!(OPERATIONS.iter().any(|line| line.starts_with(start)), "no line of `{start}`");
    }
    let triggers = Trigger::ALL
        .iter()
        .map(|(_, words)| format!("whenever any {words} times=3 delay 500ms, pause it for 90ms"));
    let operations = OPERATIONS.iter().map(|line| format!("at 1s {line}"));
    let settings = SETTINGS.iter().map(|line| (*line).to_owned());
    let expectations = EXPECTATIONS.iter().map(|line| (*line).to_owned());
    let lines = settings.chain(operations).chain(triggers).chain(expectations);
    for (number, line) in lines.enumerate() {
        let text = format!("nodes 5\n{line}");
        assert_eq!(read(&text).lines().join("\n"), text, "a line prints as it reads");
        fixtures.text(&format!("line-{number}"), &text, |kept| {
            assert_eq!(read(kept).lines().join("\n"), text, "{kept}");
        });
    }
    fixtures.finish();
}

/// A history of every model: its name, the rest of its header, and each operation with its result.
const HISTORIES: [(&str, &str, &[&str]); 11] = [
    ("register", r#""init":0"#, &[r#""f":"write","value":1"#, r#""f":"read"|1"#]),
    (
        "cas-register",
        r#""init":null"#,
        &[r#""f":"write","value":"a""#, r#""f":"cas","value":["a",2]|true"#],
    ),
    (
        "kv",
        r#""init":"""#,
        &[
            r#""key":"k","f":"put","value":"a""#,
            r#""key":"k","f":"append","value":"b""#,
            r#""key":"k","f":"cas","value":["ab","c"]|true"#,
            r#""key":"k","f":"get"|"c""#,
        ],
    ),
    (
        "multi-register",
        r#""init":0"#,
        &[r#""f":"txn","value":[["w","a",1],["r","b",null]]|[["w","a",1],["r","b",0]]"#],
    ),
    ("list-append", "", &[r#""f":"append","value":1"#, r#""f":"read"|[1]"#]),
    ("mutex", "", &[r#""f":"acquire""#, r#""f":"release""#]),
    (
        "set",
        r#""init":[1]"#,
        &[r#""f":"add","value":2|true"#, r#""f":"contains","value":2|true"#, r#""f":"read"|[1,2]"#],
    ),
    ("counter", r#""init":3"#, &[r#""f":"add","value":2|5"#, r#""f":"read"|5"#]),
    ("queue", r#""init":[1]"#, &[r#""f":"enqueue","value":2"#, r#""f":"dequeue"|1"#]),
    ("stack", r#""init":[1]"#, &[r#""f":"push","value":2"#, r#""f":"pop"|2"#]),
    (
        "bank",
        r#""init":{"1":5,"2":0},"overdraft":false"#,
        &[
            r#""f":"transfer","value":{"from":1,"to":2,"amount":3}|true"#,
            r#""f":"read"|{"1":2,"2":3}"#,
        ],
    ),
];

/// The number of drawn histories of each model.
const DRAWN_HISTORIES: u64 = 16;

/// Draws the events of four concurrent clients after a header: operations of the model with drawn
/// numbers. Some operations fail, some have an unknown outcome, and some do not end.
fn drawn_history(draw: &mut Draw, header: &str, operations: &[&str]) -> String {
    let mut text = header.to_owned();
    let mut processes = [0, 1, 2, 3];
    let (mut id, mut next_process) = (0, 4);
    let mut pending: BTreeMap<usize, (u64, String)> = BTreeMap::new();
    // The accounts of a bank are those of its header.
    let tens_max = if header.contains("bank") { 1 } else { 50 };
    for _ in 0..draw.below(60) {
        let place = draw.below(4) as usize;
        let process = processes[place];
        let Some((id, result)) = pending.remove(&place) else {
            let operation = operations[draw.below(operations.len() as u64) as usize];
            let operation = with_tens(operation, draw.below(tens_max));
            let (call, result) = operation.split_once('|').unwrap_or((&operation, ""));
            text += &format!("{{\"type\":\"invoke\",\"id\":{id},\"process\":{process},{call}}}\n");
            pending.insert(place, (id, result.to_owned()));
            id += 1;
            continue;
        };
        let kind = ["ok", "ok", "ok", "fail", "info"][draw.below(5) as usize];
        let result = match (kind, &*result) {
            ("ok", "") | ("fail" | "info", _) => String::new(),
            _ => format!(",\"result\":{result}"),
        };
        text += &format!("{{\"type\":\"{kind}\",\"id\":{id},\"process\":{process}{result}}}\n");
        if kind == "info" {
            processes[place] = next_process;
            next_process += 1;
        }
    }
    text
}

/// Puts the same tens before each digit of a text.
fn with_tens(text: &str, tens: u64) -> String {
    let digit =
        |it: char| if it.is_ascii_digit() && tens > 0 { format!("{tens}{it}") } else { it.into() };
    text.chars().map(digit).collect()
}

#[test]
fn the_fixtures_of_histories_are_written_and_read() {
    let parsed = |text: &str| {
        let loaded = parse(text.as_bytes(), &Options::default());
        loaded.unwrap_or_else(|error| panic!("{error}\n{text}"))
    };
    let written = |text: &str| {
        let mut bytes = Vec::new();
        write(&mut bytes, "sample", &parsed(text).history).expect("memory has room");
        String::from_utf8(bytes).expect("a history is text")
    };
    let (mut fixtures, mut draw) = (Fixtures::of("history", 1), Draw(1));
    for (model, header, operations) in HISTORIES {
        assert!(Object::by_name(model).is_ok(), "{model}");
        let header = format!("{{\"format\":\"history/1\",\"model\":\"{model}\",{header}}}\n");
        let header = header.replace(",}", "}");
        let mut text = header.clone();
        for (id, operation) in operations.iter().enumerate() {
            let (call, result) = operation.split_once('|').unwrap_or((operation, ""));
            text += &format!("{{\"type\":\"invoke\",\"id\":{id},\"process\":0,{call}}}\n");
            let result =
                if result.is_empty() { String::new() } else { format!(",\"result\":{result}") };
            text += &format!("{{\"type\":\"ok\",\"id\":{id},\"process\":0{result}}}\n");
        }
        let pending = format!("{{\"type\":\"invoke\",\"id\":{},\"process\":1,", operations.len());
        let (first, _) = operations[0].split_once('|').unwrap_or((operations[0], ""));
        text += &format!("{pending}{first}}}\n");
        fixtures.text(model, &written(&text), |kept| {
            assert_eq!(written(kept), written(&text), "{kept}");
            assert_eq!(parsed(kept).history.counts(), parsed(&text).history.counts());
        });
        for number in 0..DRAWN_HISTORIES {
            let drawn = written(&drawn_history(&mut draw, &header, operations));
            assert_eq!(written(&drawn), drawn);
            fixtures.hash(&format!("{model}-drawn-{number}"), drawn.as_bytes());
        }
    }
    fixtures.finish();
}
