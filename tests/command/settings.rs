//! What the command says of a command line, a variable or a file that is wrong.

use std::fs;

use crate::told::{Told, command, quorate_in};

/// What `serve` says of a file of this text.
fn serve(text: &str) -> Told {
    let root = tempfile::tempdir().expect("there is room");
    fs::write(root.path().join("quorate.toml"), text).expect("there is room");
    let told = quorate_in(root.path(), ["serve", "--config", "quorate.toml"]);
    assert!(!root.path().join("d1").exists(), "nothing was made: {told:?}");
    told
}

#[test]
fn a_mistake_in_a_file_is_named_with_its_line() {
    let rest = "data-dir = \"d1\"\nid = 1\n";
    let members = "members = [\"1=127.0.0.1:1\"]\n";
    for (text, said) in [
        ("data-dri = \"d1\"\n", "quorate.toml:1: unknown field `data-dri`"),
        ("id = 1\n\nid = 2\n", "quorate.toml:3: duplicate key"),
        ("id = 1\nmembers = [\"1=here\"]\n", "quorate.toml:2: `1=here`: no address"),
        ("segment-size = \"16MB\"\n", "quorate.toml:1: `16MB` is no size like"),
        ("id = 0\ndata-dir = \"d1\"\n", "quorate.toml:1: id: "),
        (
            &format!("{rest}members = [\"2=127.0.0.1:1\"]\n"),
            "quorate.toml:3: members: n1 is none of the members listed",
        ),
        (
            &format!("{rest}{members}# slow\nheartbeat = \"1s\"\nelection-timeout = \"2s\"\n"),
            "quorate.toml:6: election-timeout: ",
        ),
        (&format!("{rest}{members}segment-size = \"5000\"\n"), "quorate.toml:4: segment-size: "),
        (&format!("{rest}{members}listen = \"0.0.0.0:1\"\n"), "quorate.toml:4: listen: "),
        (&format!("{rest}{members}join = [\"2=127.0.0.1:2\"]\n"), "quorate.toml:4: join: "),
        (rest, "say --members or --join"),
        ("", "--data-dir is missing"),
    ] {
        serve(text).refused(2, said);
    }
    let told = quorate_in(std::env::temp_dir().as_path(), ["serve", "--config", "no-such-file"]);
    told.refused(2, "no-such-file: No such file");
}

#[test]
fn a_flag_goes_before_a_variable_and_both_before_the_file() {
    let root = tempfile::tempdir().expect("there is room");
    let file = root.path().join("quorate.toml");
    let text = "data-dir = \"d1\"\nid = 3\nmembers = [\"9=127.0.0.1:1\"]\n";
    fs::write(&file, text).expect("there is room");
    let mut with = command();
    with.current_dir(root.path()).args(["serve", "--config", "quorate.toml"]);
    Told::of(&mut with).refused(2, "quorate.toml:3: members: n3 is none");
    Told::of(with.env("QUORATE_ID", "4")).refused(2, "quorate.toml:3: members: n4 is none");
    Told::of(with.args(["--id", "5"])).refused(2, "quorate.toml:3: members: n5 is none");
    let members = ["--members", "7=127.0.0.1:1"];
    Told::of(with.args(members)).refused(2, "error: --members: n5 is none");
}

#[test]
fn a_node_founds_or_joins_as_whatever_goes_first_says() {
    let root = tempfile::tempdir().expect("there is room");
    let file = root.path().join("quorate.toml");
    fs::write(&file, "members = [\"9=127.0.0.1:1\"]\n").expect("there is room");
    let serve = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.current_dir(root.path()).envs(variables.iter().copied());
        Told::of(command.args(["serve", "--id", "5", "--data-dir", "d5"]).args(words))
    };
    let (members, join) = (["--members", "7=127.0.0.1:1"], ["--join", "7=127.0.0.1:1"]);
    let (founds, joins) = ("n5 is none of the members listed", "--listen is missing");
    let both = "a node is a founder, or joins";
    serve(&join, &[("QUORATE_MEMBERS", "9=127.0.0.1:1")]).refused(2, joins);
    serve(&members, &[("QUORATE_JOIN", "9=127.0.0.1:1")]).refused(2, founds);
    serve(&[&join[..], &["--config", "quorate.toml"]].concat(), &[]).refused(2, joins);
    let file = ("QUORATE_CONFIG", "quorate.toml");
    serve(&[], &[file, ("QUORATE_JOIN", "9=127.0.0.1:1")]).refused(2, joins);
    serve(&[&join[..], &members[..]].concat(), &[]).refused(2, both);
    let variables = [("QUORATE_MEMBERS", "9=127.0.0.1:1"), ("QUORATE_JOIN", "9=127.0.0.1:1")];
    serve(&[], &variables).refused(2, both);
    for (listed, said) in [
        ("5=127.0.0.1:5", "--join: n5 is this node: list members of the cluster"),
        ("1=127.0.0.1:1,1=127.0.0.1:2", "--join: n1 is listed twice"),
        ("1=127.0.0.1:1,5=127.0.0.1:1", "--join: 127.0.0.1:1 is n1's"),
    ] {
        serve(&["--join", listed], &[]).refused(2, said);
    }
    serve(&["--join", "1=127.0.0.1:1", "--listen", "127.0.0.1:1"], &[]).refused(2, "is n1's");
}

#[test]
fn a_wrong_command_line_says_what_is_right() {
    let root = std::env::temp_dir();
    quorate_in(&root, ["srve"]).refused(2, "serve");
    quorate_in(&root, ["serve", "--id", "x"]).refused(2, "invalid value 'x' for '--id <N>'");
    quorate_in(&root, ["serve", "--members", "1"]).refused(2, "`1` is not ID=ADDRESS:PORT");
    let told = quorate_in(&root, ["--json", "serve"]);
    let error: serde_json::Value = serde_json::from_str(&told.err).expect("it is JSON");
    assert_eq!((told.code, error["exit"].as_i64()), (2, Some(2)));
}

#[test]
fn help_has_examples_and_exit_codes_and_shells_are_helped() {
    let root = std::env::temp_dir();
    let help = quorate_in(&root, ["--help"]).ok();
    assert!(help.contains("Exit codes:") && help.contains("unknown: it may have happened"));
    for order in ["serve", "inspect", "recover", "backup", "restore"] {
        let help = quorate_in(&root, [order, "--help"]).ok();
        assert!(help.contains(&format!("quorate {order} ")), "{help}");
    }
    let bash = quorate_in(&root, ["completions", "bash"]).ok();
    assert!(bash.contains("--data-dir"));
}
