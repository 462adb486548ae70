//! Errors of the command line, of environment variables and of the settings file.

use std::fs;

use crate::cli::{CommandOutput, command, quorate_in};

/// Runs `serve` with a settings file of this text, and returns its output.
fn serve(text: &str) -> CommandOutput {
    let root = tempfile::tempdir().expect("a temporary file can be created");
    fs::write(root.path().join("quorate.toml"), text).expect("the disk has space");
    let output = quorate_in(root.path(), ["serve", "--config", "quorate.toml"]);
    assert!(!root.path().join("d1").exists(), "no directory was created: {output:?}");
    output
}

#[test]
fn an_error_in_the_settings_file_names_its_line() {
    let rest = "data-dir = \"d1\"\nid = 1\n";
    let members = "members = [\"1=127.0.0.1:1\"]\n";
    for (text, expected) in [
        ("data-dri = \"d1\"\n", "quorate.toml:1: unknown field `data-dri`"),
        ("id = 1\n\nid = 2\n", "quorate.toml:3: duplicate key"),
        ("id = 1\nmembers = [\"1=here\"]\n", "quorate.toml:2: `1=here`: the address"),
        ("segment-size = \"16MB\"\n", "quorate.toml:1: `16MB` is not a size like"),
        ("id = 0\ndata-dir = \"d1\"\n", "quorate.toml:1: id: "),
        (
            &format!("{rest}members = [\"2=127.0.0.1:1\"]\n"),
            "quorate.toml:3: members: n1 is not in the member list",
        ),
        (
            &format!("{rest}{members}# slow\nheartbeat = \"1s\"\nelection-timeout = \"2s\"\n"),
            "quorate.toml:6: election-timeout: ",
        ),
        (&format!("{rest}{members}segment-size = \"5000\"\n"), "quorate.toml:4: segment-size: "),
        (&format!("{rest}{members}listen = \"0.0.0.0:1\"\n"), "quorate.toml:4: listen: "),
        (&format!("{rest}{members}join = [\"2=127.0.0.1:2\"]\n"), "quorate.toml:4: join: "),
        (
            &format!("{rest}{members}election-timeout = \"0s\"\n"),
            "quorate.toml:4: election-timeout: ",
        ),
        (
            &format!("{rest}{members}election-timeout = \"2h\"\n"),
            "quorate.toml:4: election-timeout: ",
        ),
        (&format!("{rest}{members}heartbeat = \"0s\"\n"), "quorate.toml:4: heartbeat: "),
        (&format!("{rest}{members}heartbeat = \"1s\"\n"), "quorate.toml:4: heartbeat: "),
        (&format!("{rest}{members}scrub-period = \"0s\"\n"), "quorate.toml:4: scrub-period: "),
        (&format!("{rest}{members}snapshot-entries = 0\n"), "quorate.toml:4: snapshot-entries: "),
        (&format!("{rest}{members}spare-segments = 0\n"), "quorate.toml:4: spare-segments: "),
        (&format!("{rest}{members}connections-max = 0\n"), "quorate.toml:4: connections-max: "),
        (rest, "--members or --join is missing"),
        ("", "--data-dir (or QUORATE_DATA_DIR) is missing"),
    ] {
        serve(text).fails_with(2, expected);
    }
    let output = quorate_in(std::env::temp_dir().as_path(), ["serve", "--config", "no-such-file"]);
    output.fails_with(2, "no-such-file: No such file");
}

#[test]
fn a_flag_overrides_a_variable_and_both_override_the_file() {
    let root = tempfile::tempdir().expect("a temporary file can be created");
    let file = root.path().join("quorate.toml");
    let text = "data-dir = \"d1\"\nid = 3\nmembers = [\"9=127.0.0.1:1\"]\n";
    fs::write(&file, text).expect("the disk has space");
    let mut with = command();
    with.current_dir(root.path()).args(["serve", "--config", "quorate.toml"]);
    CommandOutput::run(&mut with)
        .fails_with(2, "quorate.toml:3: members: n3 is not in the member list");
    CommandOutput::run(with.env("QUORATE_ID", "4"))
        .fails_with(2, "quorate.toml:3: members: n4 is not in the member list");
    CommandOutput::run(with.args(["--id", "5"]))
        .fails_with(2, "quorate.toml:3: members: n5 is not in the member list");
    let members = ["--members", "7=127.0.0.1:1"];
    CommandOutput::run(with.args(members))
        .fails_with(2, "error: --members: n5 is not in the member list");
}

#[test]
fn flags_override_bootstrap_or_join_settings() {
    let root = tempfile::tempdir().expect("a temporary file can be created");
    let file = root.path().join("quorate.toml");
    fs::write(&file, "members = [\"9=127.0.0.1:1\"]\n").expect("the disk has space");
    let serve = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = command();
        command.current_dir(root.path()).envs(variables.iter().copied());
        CommandOutput::run(command.args(["serve", "--id", "5", "--data-dir", "d5"]).args(words))
    };
    let (members, join) = (["--members", "7=127.0.0.1:1"], ["--join", "7=127.0.0.1:1"]);
    let (bootstraps, joins) = ("n5 is not in the member list", "--listen is missing");
    let both = "a node either bootstraps the cluster or joins it";
    serve(&join, &[("QUORATE_MEMBERS", "9=127.0.0.1:1")]).fails_with(2, joins);
    serve(&members, &[("QUORATE_JOIN", "9=127.0.0.1:1")]).fails_with(2, bootstraps);
    serve(&[&join[..], &["--config", "quorate.toml"]].concat(), &[]).fails_with(2, joins);
    let file = ("QUORATE_CONFIG", "quorate.toml");
    serve(&[], &[file, ("QUORATE_JOIN", "9=127.0.0.1:1")]).fails_with(2, joins);
    serve(&[&join[..], &members[..]].concat(), &[]).fails_with(2, both);
    let variables = [("QUORATE_MEMBERS", "9=127.0.0.1:1"), ("QUORATE_JOIN", "9=127.0.0.1:1")];
    serve(&[], &variables).fails_with(2, both);
    for (listed, expected) in [
        ("5=127.0.0.1:5", "--join: n5 is this node itself: list members of the cluster"),
        ("1=127.0.0.1:1,1=127.0.0.1:2", "--join: n1 is listed twice"),
        ("1=127.0.0.1:1,5=127.0.0.1:1", "--join: 127.0.0.1:1 is the address of n1"),
    ] {
        serve(&["--join", listed], &[]).fails_with(2, expected);
    }
    serve(&["--join", "1=127.0.0.1:1", "--listen", "127.0.0.1:1"], &[])
        .fails_with(2, "is the address of n1");
}

#[test]
fn an_invalid_command_line_suggests_a_correction() {
    let root = std::env::temp_dir();
    quorate_in(&root, ["srve"]).fails_with(2, "serve");
    quorate_in(&root, ["serve", "--id", "x"]).fails_with(2, "invalid value 'x' for '--id <N>'");
    quorate_in(&root, ["serve", "--members", "1"])
        .fails_with(2, "`1` has no id of a node: write ID=ADDRESS:PORT");
    let output = quorate_in(&root, ["--json", "serve"]);
    let error: serde_json::Value = serde_json::from_str(&output.err).expect("the text is JSON");
    assert_eq!((output.code, error["exit"].as_i64()), (2, Some(2)));
}

#[test]
fn help_has_examples_and_exit_codes() {
    let root = std::env::temp_dir();
    let help = quorate_in(&root, ["--help"]).ok();
    assert!(
        help.contains("Exit codes:")
            && help.contains("unknown: the command may have been executed")
    );
    for command in ["serve", "inspect", "recover", "backup", "restore"] {
        let help = quorate_in(&root, [command, "--help"]).ok();
        assert!(help.contains(&format!("quorate {command} ")), "{help}");
    }
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = quorate_in(&root, ["completions", shell]).ok();
        assert!(script.contains("data-dir") && script.contains("quorate"), "{shell}");
    }
}
