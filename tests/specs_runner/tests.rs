//! Tests of the runner's errors and of its rewriting of scripts.

use super::command::Command;
use super::diff::diff;
use super::report::run;
use super::script::{Script, ScriptError};

const HEADER: &str = "# Shows nothing.\n# fails under: nothing\n\n";

fn script_error(text: &str) -> String {
    let ScriptError { line, message } = Script::parse(text).expect_err("the script is invalid");
    format!("{line}: {message}")
}

fn run_error(commands: &str) -> String {
    let script = Script::parse(&format!("{HEADER}{commands}")).expect("the script can be read");
    let ScriptError { line, message } = run(&script).expect_err("a command fails");
    format!("{line}: {message}")
}

fn command_error(command: &str) -> String {
    Command::parse(command).expect_err("the command is invalid")
}

#[test]
fn a_script_without_a_purpose_is_rejected() {
    assert!(script_error("> cluster 3\n").starts_with("1: a script begins with"));
    assert!(script_error("\n# Late.\n> cluster 3\n").starts_with("1: a script begins with"));
    assert!(
        script_error("# Why.\n\n> cluster 3\n").starts_with("1: the first comment must name a bug")
    );
    assert!(script_error("# fails under: it\n# Why.\n").starts_with("1: the first line states"));
    assert!(script_error(HEADER).starts_with("1: the script has no command"));
}

#[test]
fn invalid_lines_are_rejected_with_their_number() {
    assert!(script_error(&format!("{HEADER}cluster 3\n")).starts_with("4: neither"));
    assert!(script_error(&format!("{HEADER}> cluster 3 \n")).starts_with("4: trailing spaces"));
}

#[test]
fn an_invalid_command_is_reported_with_its_line() {
    assert!(run_error("> campaign n1\n").starts_with("4: the first command is `cluster`"));
    assert!(run_error("> cluster 3\n> campain n1\n").starts_with("5: unknown command `campain`"));
    assert!(run_error("> cluster 3 pre_vote=maybe\n").starts_with("4: `maybe` is neither"));
    assert!(
        run_error("> cluster 3 colour=red\n").starts_with("4: `colour` is not a cluster option")
    );
    assert!(run_error("> cluster 3 casting=n4\n").starts_with("4: n4 has no vote"));
    assert!(run_error("> cluster 3 priorities=n4!9\n").starts_with("4: n4 is not a member"));
    assert!(run_error("> cluster 3 spares=n3\n").starts_with("4: n3 is a member"));
    assert!(run_error("> cluster 3 check_quorum=off\n").starts_with("4: stickiness without"));
    assert!(run_error("> cluster 3\n> campaign n4\n").starts_with("5: n4 is not in the cluster"));
    assert!(run_error("> cluster 3\n> deliver\n").starts_with("5: no such message is in flight"));
    assert!(run_error("> cluster 3\n> flush n1\n").starts_with("5: n1 has no pending write"));
    assert!(run_error("> cluster 3\n> crash n1\n> read n1\n").starts_with("6: n1 is down"));
}

#[test]
fn a_malformed_command_gets_its_usage() {
    assert_eq!(command_error("settle now"), "usage: settle");
    assert_eq!(command_error("crash n1 leave=all"), "usage: crash n1 [keep=none|all|2]");
    assert!(command_error("propose n1").starts_with("usage: propose"));
    assert!(command_error("run 10").starts_with("`10` is not a duration"));
    assert!(command_error("change n1").starts_with("usage: change"));
    assert!(command_error("change n1 n4").starts_with("`n4` is not a membership edit"));
    assert!(command_error("change n1 n4!256").starts_with("`256` is over 255"));
    assert!(command_error("transfer n1 n2 n3").starts_with("usage: transfer"));
    assert!(command_error("inject n1 -> n2 Hello").starts_with("unknown message `Hello`"));
    let field = command_error("inject n1 -> n2 Heartbeat colour=1");
    assert_eq!(field, "Heartbeat has no field `colour`");
}

#[test]
fn rewriting_changes_only_the_output() {
    let text = format!("{HEADER}> cluster 3\nold\n\n# Next.\n> status n1\n> log n1\n");
    let script = Script::parse(&text).expect("the script can be read");
    let printed = [Vec::new(), vec!["new".to_owned()], Vec::new()];
    let rewritten = script.rewritten(&printed);
    let expected = format!("{HEADER}> cluster 3\n\n# Next.\n> status n1\nnew\n\n> log n1\n");
    assert_eq!(rewritten, expected);
    let again = Script::parse(&rewritten).expect("the rewritten script can be read");
    assert_eq!(again.rewritten(&printed), rewritten);
}

#[test]
fn a_difference_keeps_the_common_lines() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(diff(&lines("a b c"), &lines("a x c d")), ["  a", "- b", "+ x", "  c", "+ d"]);
}
