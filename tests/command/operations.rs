//! Every command of `docs/OPERATIONS.md`, in the order it stands there.

use std::collections::BTreeMap;

use crate::nodes::{Processes, eventually, free_address};
use crate::told::Told;

const PAGE: &str = include_str!("../../docs/OPERATIONS.md");

/// What a reader of the page does next.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Run(&'a str),
    Stop(&'a str),
    Reload(&'a str),
}

/// The lines of the page's shell blocks, and the signals that are hidden between them.
fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    let mut within = false;
    for line in page.lines() {
        let hidden = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
        let signal = hidden.and_then(|hidden| match hidden.split_once(' ')? {
            ("stop", directory) => Some(Step::Stop(directory)),
            ("reload", directory) => Some(Step::Reload(directory)),
            _ => None,
        });
        match line {
            "```sh" => within = true,
            "```" => within = false,
            _ if within => steps.push(Step::Run(line)),
            _ => steps.extend(signal),
        }
    }
    steps
}

/// The same words with an address of its own for each port of the page.
fn at_free_ports(words: &str, ports: &mut BTreeMap<String, String>) -> String {
    let mut told = String::new();
    let mut rest = words;
    while let Some(place) = rest.find("127.0.0.1:") {
        let (before, address) = rest.split_at(place);
        let digits = address["127.0.0.1:".len()..].bytes().take_while(u8::is_ascii_digit).count();
        let (address, after) = address.split_at("127.0.0.1:".len() + digits);
        let free = ports.entry(address.to_owned()).or_insert_with(|| free_address().to_string());
        told += before;
        told += free;
        rest = after;
    }
    told + rest
}

#[test]
fn every_command_of_the_page_works() {
    let root = tempfile::tempdir().expect("there is room");
    let mut nodes = Processes::default();
    let (mut ports, mut variables) = (BTreeMap::new(), BTreeMap::new());
    let mut run = 0;
    for step in steps(PAGE) {
        let line = match step {
            Step::Stop(directory) => {
                nodes.signal(directory, "TERM");
                let status = nodes.ended(directory);
                assert!(status.success(), "{directory}: {status}");
                continue;
            }
            Step::Reload(directory) => {
                nodes.signal(directory, "HUP");
                eventually("it listens", || nodes.words(directory).contains("certificates are"));
                continue;
            }
            Step::Run(line) => at_free_ports(line, &mut ports),
        };
        run += 1;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["export", variable] => {
                let (name, value) = variable.split_once('=').expect("it sets a variable");
                variables.insert(name.to_owned(), value.to_owned());
            }
            ["quorate", "serve", rest @ ..] => {
                let place = rest.iter().position(|word| *word == "--data-dir");
                let directory = rest[place.expect("a node has a directory") + 1];
                let log = root.path().join(directory.replace('/', "-") + ".log");
                let mut command = crate::told::command();
                command.current_dir(root.path()).arg("serve").args(rest);
                // The page's defaults would fill a small disk.
                command.args(["--segment-size", "16MiB", "--segments-ahead", "1"]);
                nodes.spawn(directory, &mut command, &log);
                eventually("it listens", || nodes.words(directory).contains(" listens at "));
            }
            ["quorate", rest @ ..] => {
                let mut command = crate::told::command();
                command.current_dir(root.path()).envs(&variables).args(rest);
                if rest == ["status"] {
                    // Whoever was started a moment ago may not be heard yet.
                    eventually("all are well", || Told::of(&mut command).code == 0);
                }
                Told::of(&mut command).ok();
            }
            _ => panic!("the page has a line that is no command: {line}"),
        }
    }
    assert!(run > 25, "the page was not found: {run} commands");
}

#[test]
fn a_page_is_read_as_a_person_reads_it() {
    let page = "text\n```sh\na b\nc\n```\n<!-- stop d1 -->\n```rust\nno\n```\n";
    assert_eq!(steps(page), [Step::Run("a b"), Step::Run("c"), Step::Stop("d1")]);
    let mut ports = BTreeMap::from([("127.0.0.1:7".to_owned(), "x:1".to_owned())]);
    assert_eq!(at_free_ports("1=127.0.0.1:7,2 b", &mut ports), "1=x:1,2 b");
}
