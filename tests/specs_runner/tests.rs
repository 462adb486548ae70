//! The runner refuses what it cannot carry out, and says where.

use super::command::Command;
use super::diff::diff;
use super::report::run;
use super::script::{Script, ScriptError};

const HEADER: &str = "# Shows nothing.\n# fails under: nothing\n\n";

fn refused(text: &str) -> String {
    let ScriptError { line, what } = Script::parse(text).expect_err("the script is wrong");
    format!("{line}: {what}")
}

fn broken(commands: &str) -> String {
    let script = Script::parse(&format!("{HEADER}{commands}")).expect("the script can be read");
    let ScriptError { line, what } = run(&script).expect_err("a command is wrong");
    format!("{line}: {what}")
}

fn misread(command: &str) -> String {
    Command::parse(command).expect_err("the command is wrong")
}

#[test]
fn a_script_without_intent_is_refused() {
    assert!(refused("> cluster 3\n").starts_with("1: a script begins with"));
    assert!(refused("\n# Late.\n> cluster 3\n").starts_with("1: a script begins with"));
    assert!(refused("# Why.\n\n> cluster 3\n").starts_with("1: the first comment names a bug"));
    assert!(refused("# fails under: it\n# Why.\n").starts_with("1: the first line says"));
    assert!(refused(HEADER).starts_with("1: the script has no command"));
}

#[test]
fn stray_lines_are_refused_with_their_number() {
    assert!(refused(&format!("{HEADER}cluster 3\n")).starts_with("4: neither"));
    assert!(refused(&format!("{HEADER}> cluster 3 \n")).starts_with("4: spaces at the end"));
}

#[test]
fn a_wrong_command_is_named_with_its_line() {
    assert!(broken("> campaign n1\n").starts_with("4: the first command is `cluster`"));
    assert!(broken("> cluster 3\n> campain n1\n").starts_with("5: `campain` is no command: "));
    assert!(broken("> cluster 3 pre_vote=maybe\n").starts_with("4: `maybe` is neither"));
    assert!(broken("> cluster 3 colour=red\n").starts_with("4: `colour` is no option"));
    assert!(broken("> cluster 3 casting=n4\n").starts_with("4: n4 has no vote"));
    assert!(broken("> cluster 3 priorities=n4!9\n").starts_with("4: n4 is no member"));
    assert!(broken("> cluster 3 spares=n3\n").starts_with("4: n3 is a member"));
    assert!(broken("> cluster 3 check_quorum=off\n").starts_with("4: stickiness without"));
    assert!(broken("> cluster 3\n> campaign n4\n").starts_with("5: n4 is not in the cluster"));
    assert!(broken("> cluster 3\n> deliver\n").starts_with("5: no such message is in flight"));
    assert!(broken("> cluster 3\n> flush n1\n").starts_with("5: n1 has no write under way"));
    assert!(broken("> cluster 3\n> crash n1\n> read n1\n").starts_with("6: n1 is down"));
}

#[test]
fn a_command_of_the_wrong_form_gets_the_right_form() {
    assert_eq!(misread("settle now"), "say: settle");
    assert_eq!(misread("crash n1 leave=all"), "say: crash n1 [keep=none|all|2]");
    assert!(misread("propose n1").starts_with("say: propose"));
    assert!(misread("run 10").starts_with("`10` is no duration"));
    assert!(misread("change n1").starts_with("say: change"));
    assert!(misread("change n1 n4").starts_with("`n4` changes nothing"));
    assert!(misread("change n1 n4!256").starts_with("`256` is over 255"));
    assert!(misread("transfer n1 n2 n3").starts_with("say: transfer"));
    assert!(misread("inject n1 -> n2 Hello").starts_with("`Hello` is no message"));
    let field = misread("inject n1 -> n2 Heartbeat colour=1");
    assert_eq!(field, "Heartbeat has no field `colour`");
}

#[test]
fn rewriting_changes_the_output_alone() {
    let text = format!("{HEADER}> cluster 3\nold\n\n# Next.\n> status n1\n> log n1\n");
    let script = Script::parse(&text).expect("the script can be read");
    let printed = [Vec::new(), vec!["new".to_owned()], Vec::new()];
    let rewritten = script.rewritten(&printed);
    let expected = format!("{HEADER}> cluster 3\n\n# Next.\n> status n1\nnew\n\n> log n1\n");
    assert_eq!(rewritten, expected);
    let again = Script::parse(&rewritten).expect("what is written can be read");
    assert_eq!(again.rewritten(&printed), rewritten);
}

#[test]
fn a_difference_keeps_what_is_common() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(diff(&lines("a b c"), &lines("a x c d")), ["  a", "- b", "+ x", "  c", "+ d"]);
}
