//! The command `cargo sim check`: files, verdicts and exit codes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const GOOD: &str = r#"{"format":"history/1","model":"register","init":0}
{"type":"invoke","id":0,"process":0,"f":"write","value":1}
{"type":"invoke","id":1,"process":1,"f":"read"}
{"type":"ok","id":1,"process":1,"result":1}
{"type":"ok","id":0,"process":0}
{"type":"invoke","id":2,"process":1,"f":"read"}
{"type":"ok","id":2,"process":1,"result":1}
"#;

fn check(folder: &Path, arguments: &str, input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-sim"));
    command.arg("check").args(arguments.split_whitespace()).env_remove("QUORATE_DATA");
    command.current_dir(folder).stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that does not read its input may have exited already.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

/// Returns the exit code, standard output and standard error.
fn ended(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the output is text");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn each_verdict_has_its_line_and_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder for the files");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("room");
    write("good.jsonl", GOOD);
    let bad =
        GOOD.replace("\"id\":2,\"process\":1,\"result\":1", "\"id\":2,\"process\":1,\"result\":0");
    write("bad.jsonl", &bad);
    write("wrong.jsonl", &GOOD.replace("\"f\":\"read\"", "\"f\":\"pop\""));

    let (code, out, error) = ended(&check(folder.path(), "good.jsonl", ""));
    assert_eq!((code, error.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("good.jsonl: linearizable: register, 3 operations, 1 key, "), "{out}");
    assert_eq!(out.lines().count(), 1);

    let (code, out, error) = ended(&check(folder.path(), "bad.jsonl --html page.html", ""));
    assert_eq!((code, error.as_str()), (Some(10), ""), "{out}");
    assert!(out.starts_with("bad.jsonl: not linearizable: "), "{out}");
    assert!(out.lines().any(|line| line.contains("operation  client  call")), "{out}");
    let read = out.lines().find(|line| line.trim_start().starts_with("r2 "));
    let cells: Vec<&str> = read.expect("the read is listed").split_whitespace().collect();
    assert_eq!(cells, ["r2", "1", "read", "0", "6-7"]);
    let page = fs::read_to_string(folder.path().join("page.html")).expect("it is written");
    let why = out.lines().nth(1).expect("it is said").trim();
    assert!(why.starts_with("read 2 returned 0, although"), "{out}");
    assert!(page.contains(&format!("<p>not linearizable: {why}</p>")), "{page}");
    assert!(page.contains("class=\"document\">"), "{page}");

    let (code, out, error) = ended(&check(folder.path(), "bad.jsonl --html /no/such/page", ""));
    assert_eq!(code, Some(10), "the verdict matters more than the page");
    assert!(out.starts_with("bad.jsonl: not linearizable: "), "{out}");
    assert!(error.starts_with("error: --html: /no/such/page: "), "{error}");

    let (code, out, error) = ended(&check(folder.path(), "wrong.jsonl", ""));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    let expected = "error: wrong.jsonl: line 3, column 1: expected `read`, `write` or `cas`, \
                    found `pop`\n";
    assert_eq!(error, expected);

    let (code, _, error) = ended(&check(folder.path(), "gone.jsonl", ""));
    assert!(code == Some(2) && error.starts_with("error: gone.jsonl: "), "{error}");
    let (code, out, _) = ended(&check(folder.path(), "wrong.jsonl good.jsonl bad.jsonl", ""));
    assert!(code == Some(10) && out.contains("good.jsonl: linearizable"), "{out}");
    let (code, ..) = ended(&check(folder.path(), "good.jsonl wrong.jsonl", ""));
    assert_eq!(code, Some(2));
}

#[test]
fn standard_input_is_read_and_the_model_can_be_given() {
    let folder = tempfile::tempdir().expect("a folder to be in");
    let log = "INFO  jepsen.util - 0 :invoke :read nil\nINFO  jepsen.util - 0 :ok :read 5\n";
    let (code, out, _) = ended(&check(folder.path(), "-", log));
    assert!(code == Some(10) && out.starts_with("standard input: not lin"), "{out}");
    let (code, out, _) = ended(&check(folder.path(), "- --init 5", log));
    assert!(code == Some(0) && out.starts_with("standard input: lin"), "{out}");
    let keys = "{\"format\":\"history/1\",\"model\":\"kv\"}\n\
                {\"type\":\"invoke\",\"id\":0,\"process\":0,\"f\":\"read\",\"key\":\"x\"}\n\
                {\"type\":\"ok\",\"id\":0,\"process\":0,\"result\":1}\n";
    for (flag, expected) in [("[[\"x\",1]]", 0), ("[[\"y\",1]]", 10), ("[[\"x\",1]", 2)] {
        let (code, out, _) = ended(&check(folder.path(), &format!("- --init-by-key {flag}"), keys));
        assert_eq!(code, Some(expected), "{flag}: {out}");
    }
    let failed =
        "INFO  jepsen.util - 0 :invoke :cas [0 2]\nINFO  jepsen.util - 0 :fail :cas [0 2]\n";
    for (flag, expected) in [("--init 0", 0), ("--init 0 --failed-cas-is-read", 10)] {
        let (code, out, _) = ended(&check(folder.path(), &format!("- {flag}"), failed));
        assert_eq!(code, Some(expected), "{flag}: {out}");
    }
    let (code, _, error) = ended(&check(folder.path(), "- --model queue", GOOD));
    assert!(code == Some(2) && error.contains("expected a history of `queue`"), "{error}");
    let (code, _, error) = ended(&check(folder.path(), "", ""));
    assert!(code == Some(2) && error.contains("<FILE>"), "{error}");
}

#[test]
fn json_has_the_verdicts_and_the_counterexample() {
    let folder = tempfile::tempdir().expect("a folder to be in");
    let bad = GOOD.replace("\"result\":1}", "\"result\":7}");
    let (code, out, _) = ended(&check(folder.path(), "- --json", &bad));
    let value: Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!((code, &value["exit_code"]), (Some(10), &10.into()));
    let history = &value["histories"][0];
    assert_eq!(history["verdict"], "not linearizable");
    assert_eq!((&history["operations"], &history["keys"]), (&3.into(), &1.into()));
    assert!(history["reason"].as_str().is_some_and(|text| text.contains('7')), "{out}");
    assert_eq!(history["counterexample"][0]["result"], "7");
}

#[test]
fn a_verdict_without_evidence_lists_no_operation() {
    let folder = tempfile::tempdir().expect("a folder to be in");
    let bad = GOOD.replace("\"result\":1}", "\"result\":7}");
    let (code, out, _) = ended(&check(folder.path(), "- --verdict-only", &bad));
    assert_eq!((code, out.lines().count()), (Some(10), 1), "{out}");
    let (_, out, _) = ended(&check(folder.path(), "-", &bad));
    assert!(out.contains(" s for the counterexample\n"), "{out}");
    let (code, out, _) = ended(&check(folder.path(), "- --verdict-only --json", &bad));
    let value: Value = serde_json::from_str(&out).expect("it is JSON");
    let history = &value["histories"][0];
    assert_eq!((code, &history["counterexample"]), (Some(10), &Value::Null));
    assert!(history["verdict_seconds"].is_f64() && history["evidence_seconds"].is_f64(), "{out}");
}

#[test]
fn a_set_that_contains_an_element_twice_is_not_linearizable() {
    let folder = tempfile::tempdir().expect("a folder to be in");
    let history = "{\"format\":\"history/1\",\"model\":\"set\"}\n\
                   {\"type\":\"invoke\",\"id\":0,\"process\":0,\"f\":\"add\",\"value\":4}\n\
                   {\"type\":\"ok\",\"id\":0,\"process\":0}\n\
                   {\"type\":\"invoke\",\"id\":1,\"process\":0,\"f\":\"read\"}\n\
                   {\"type\":\"ok\",\"id\":1,\"process\":0,\"result\":[4,4]}\n";
    let (code, out, error) = ended(&check(folder.path(), "-", history));
    assert_eq!((code, error.as_str()), (Some(10), ""), "{out}");
    assert!(out.contains("returned an element twice"), "{out}");
    let once = history.replace("[4,4]", "[4]");
    assert_eq!(ended(&check(folder.path(), "-", &once)).0, Some(0));
}

/// Returns a history that takes exponential time: concurrent transfers of unknown outcome, and a
/// read that no subset of them explains.
fn exponential_history() -> String {
    let mut text = "{\"format\":\"history/1\",\"model\":\"bank\",\"overdraft\":true,\
                    \"init\":{\"a\":0,\"b\":0}}\n"
        .to_owned();
    for id in 0..60 {
        let amount = 1_i64 << id;
        text.push_str(&format!(
            "{{\"type\":\"invoke\",\"id\":{id},\"process\":{id},\"f\":\"transfer\",\
             \"value\":{{\"from\":\"a\",\"to\":\"b\",\"amount\":{amount}}}}}\n"
        ));
    }
    text.push_str("{\"type\":\"invoke\",\"id\":60,\"process\":60,\"f\":\"read\"}\n");
    text + "{\"type\":\"ok\",\"id\":60,\"process\":60,\"result\":{\"a\":5,\"b\":-5}}\n"
}

#[test]
fn a_check_that_reaches_a_limit_names_it() {
    let folder = tempfile::tempdir().expect("a folder to be in");
    let cases = [("--time 100ms", "--time"), ("--memory 1M", "--memory")];
    for (limit, flag) in cases {
        let history = exponential_history();
        let (code, out, _) = ended(&check(folder.path(), &format!("- {limit}"), &history));
        assert_eq!(code, Some(15), "{out}");
        assert!(out.starts_with("standard input: unknown: bank, "), "{out}");
        assert!(out.contains(flag), "{out}");
    }
}
