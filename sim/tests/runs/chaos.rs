//! A chaos run of a user's machine that fails: its error has what the command would print.

use std::fs;
use std::io::{self, Read};

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_sim::chaos;
use quorate_sim::observe::OpId;
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::Workload;

/// A counter whose snapshot forgets its last bit.
#[derive(Clone, Default)]
struct Counter(u64);

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        self.0 += 1;
        self.0.to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new((self.0 & !1).to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

#[derive(Clone)]
struct Counting;

impl Workload for Counting {
    type Machine = Counter;

    fn machine(&self) -> Counter {
        Counter::default()
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        b"+1".to_vec()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn describe_command(&self, command: &[u8]) -> String {
        format!("add {}", String::from_utf8_lossy(command))
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_error_of_a_failed_run_says_what_the_command_would() {
    let failure = chaos::run(Counting, 0..100).expect_err("snapshots lose increments");
    let text = failure.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with(&format!("seed {}: S", failure.seed)), "{text}");
    assert!(text.contains("\n  nodes ") && text.contains("\n  expect S"), "{text}");
    assert!(text.contains(": add +1 ("), "in the words of the workload: {text}");
    assert!(text.contains(" explain --scenario "), "{text}");
    let [scenario, page] = failure.files.as_slice() else { panic!("two files: {text}") };
    let written = fs::read_to_string(scenario).expect("it was written");
    let without_comments = written.lines().filter(|line| !line.starts_with('#'));
    assert_eq!(without_comments.collect::<Vec<_>>(), failure.scenario);
    assert!(fs::read_to_string(page).is_ok_and(|page| page.contains("<html")));
    assert!(failure.scenario.len() < 15, "it is shrunk: {text}");
    assert_eq!(failure.trace, Vec::<String>::new());
}
