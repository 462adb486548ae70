//! Runs every command of `docs/OPERATIONS.md`, in order.

use std::collections::BTreeMap;

use crate::addresses::free_address;
use crate::cli::CommandOutput;
use crate::nodes::{Processes, eventually};

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");

/// A step of the page.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Run(&'a str),
    Stop(&'a str),
    Reload(&'a str),
    /// Asserts that the last command has printed this text.
    Prints(&'a str),
    /// Waits until the node in this directory has logged this text.
    Logs(&'a str, &'a str),
    /// Expects that the next command ends with this exit code and prints this text.
    Fails(i32, &'a str),
}

/// Returns the lines of the page's shell blocks, and the hidden steps between them.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut within = false;
    for line in page.lines() {
        let hidden = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        match line {
            "```sh" => within = true,
            "```" => within = false,
            _ if within => steps.push(Step::Run(line)),
            _ => steps.extend(hidden.map(hidden_step)),
        }
    }
    steps
}

fn hidden_step(text: &str) -> Step<'_> {
    let (verb, rest) =
        text.split_once(' ').unwrap_or_else(|| panic!("{text}: the argument is missing"));
    let two =
        || rest.split_once(' ').unwrap_or_else(|| panic!("{text}: the second argument is missing"));
    match verb {
        "stop" => Step::Stop(rest),
        "reload" => Step::Reload(rest),
        "prints" => Step::Prints(rest),
        "logs" => Step::Logs(two().0, two().1),
        "fails" => Step::Fails(two().0.parse().expect("an exit code"), two().1),
        _ => panic!("{text}: unknown step"),
    }
}

/// Replaces each address of the page with a free one.
fn at_free_ports(words: &str, ports: &mut BTreeMap<String, String>) -> String {
    let mut output = String::new();
    let mut rest = words;
    while let Some(place) = rest.find("127.0.0.1:") {
        let (before, address) = rest.split_at(place);
        let digits = address["127.0.0.1:".len()..].bytes().take_while(u8::is_ascii_digit).count();
        let (address, after) = address.split_at("127.0.0.1:".len() + digits);
        let free = ports.entry(address.to_owned()).or_insert_with(|| free_address().to_string());
        output += before;
        output += free;
        rest = after;
    }
    output + rest
}

/// Executes the steps of the page in order.
struct PageRunner {
    nodes: Processes,
    root: tempfile::TempDir,
    ports: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
    /// The output of the last command.
    printed: String,
    /// The exit code and the text with which the next command must fail.
    fails: Option<(i32, String)>,
}

impl PageRunner {
    fn follow(&mut self, step: &Step<'_>) {
        match step {
            Step::Stop(directory) => {
                self.nodes.signal(directory, "TERM");
                let status = self.nodes.ended(directory);
                assert!(status.success(), "{directory}: {status}");
            }
            Step::Reload(directory) => {
                self.nodes.signal(directory, "HUP");
                // These nodes run without TLS, and have no certificates to reload.
                self.logs(directory, "SIGHUP ignored");
            }
            Step::Prints(text) => {
                let text = at_free_ports(text, &mut self.ports);
                assert!(self.printed.contains(&text), "{text} is not in {}", self.printed);
            }
            Step::Logs(directory, text) => self.logs(directory, text),
            Step::Fails(code, text) => self.fails = Some((*code, (*text).to_owned())),
            Step::Run(line) => {
                let line = at_free_ports(line, &mut self.ports);
                self.run(&line);
            }
        }
    }

    fn logs(&self, directory: &str, text: &str) {
        eventually(text, || self.nodes.words(directory).contains(text));
    }

    fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').map(|word| word.trim_matches('\'')).collect();
        match words.as_slice() {
            ["export", variable] => {
                let (name, value) = variable.split_once('=').expect("export sets a variable");
                self.variables.insert(name.to_owned(), value.to_owned());
            }
            ["unset", name] => drop(self.variables.remove(*name).expect("the variable is set")),
            ["rm", file] => {
                std::fs::remove_file(self.root.path().join(file)).expect("the file exists");
            }
            ["quorate", "serve", rest @ ..] => self.serve(rest),
            ["quorate", rest @ ..] => {
                let mut command = crate::cli::command();
                command.current_dir(self.root.path()).envs(&self.variables).args(rest);
                if rest.first() == Some(&"status") {
                    // A node that was just started may not be reachable yet.
                    eventually("every member answers", || {
                        CommandOutput::run(&mut command).code == 0
                    });
                }
                let output = CommandOutput::run(&mut command);
                self.printed = match self.fails.take() {
                    None => output.ok(),
                    Some((code, text)) => {
                        output.fails_with(code, &text);
                        output.out
                    }
                };
            }
            _ => panic!("not a command: {line}"),
        }
    }

    fn serve(&mut self, words: &[&str]) {
        let place = words.iter().position(|word| *word == "--data-dir");
        let directory = words[place.expect("a node has a directory") + 1];
        let log = self.root.path().join(directory.replace('/', "-") + ".log");
        let mut command = crate::cli::command();
        command.current_dir(self.root.path()).envs(&self.variables).arg("serve").args(words);
        // The default segment size would fill a small disk.
        command.args(["--segment-size", "16MiB", "--spare-segments", "1"]);
        // Every start of a node has a log of its own.
        let _ = std::fs::remove_file(&log);
        self.nodes.spawn(directory, &mut command, &log);
        match self.fails.take() {
            None => self.logs(directory, " is listening on "),
            Some((code, text)) => {
                let status = self.nodes.ended(directory);
                let words = std::fs::read_to_string(&log).expect("it was written");
                assert_eq!(status.code(), Some(code), "{words}");
                assert!(words.contains(&text), "{text:?} is not in {words}");
            }
        }
    }
}

#[test]
fn every_command_of_operations_md_works() {
    let mut runner = PageRunner {
        nodes: Processes::default(),
        root: tempfile::tempdir().expect("a temporary file can be created"),
        ports: BTreeMap::new(),
        variables: BTreeMap::new(),
        printed: String::new(),
        fails: None,
    };
    let steps = steps(PAGE);
    steps.iter().for_each(|step| runner.follow(step));
    let run = steps.iter().filter(|step| matches!(step, Step::Run(_))).count();
    assert!(run > 40, "only {run} commands were found on the page");
}

#[test]
fn the_steps_of_a_page_are_parsed() {
    let page =
        "text\n```sh\na b\nc\n```\n<!-- stop d1 -->\n```rust\nno\n```\n<!-- fails 3 no, no -->\n";
    let read = [Step::Run("a b"), Step::Run("c"), Step::Stop("d1"), Step::Fails(3, "no, no")];
    assert_eq!(steps(page), read);
    let mut ports = BTreeMap::from([("127.0.0.1:7".to_owned(), "x:1".to_owned())]);
    assert_eq!(at_free_ports("1=127.0.0.1:7,2 b", &mut ports), "1=x:1,2 b");
}
