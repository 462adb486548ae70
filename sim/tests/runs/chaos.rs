//! A chaos run of a user's machine that fails: its error says what `cargo sim` would print.

use std::fs;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate::machine::StateMachine;
use quorate::types::Index;
use quorate_sim::chaos;
use quorate_sim::observe::OpId;
use quorate_sim::record::RecordUntil;
use quorate_sim::run::{RunOptions, record};
use quorate_sim::values::choice::Draw;
use quorate_sim::workload::{AnyWorkload, Workload};

/// A counter whose snapshot forgets its last bit.
#[derive(Clone)]
struct Counter {
    value: u64,
    limit: u64,
}

impl StateMachine for Counter {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        assert!(self.value < self.limit, "the counter is full");
        self.value += 1;
        self.value.to_le_bytes().to_vec()
    }

    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.value.to_le_bytes().to_vec()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new((self.value & !1).to_le_bytes()))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut bytes = [0; 8];
        snapshot.read_exact(&mut bytes)?;
        self.value = u64::from_le_bytes(bytes);
        Ok(())
    }
}

/// Clients that count up to `limit`.
#[derive(Clone, Default)]
struct Counting {
    limit: u64,
    /// The number of commands that were described.
    described: Arc<AtomicU64>,
}

impl Workload for Counting {
    type Machine = Counter;

    fn machine(&self) -> Counter {
        Counter { value: 0, limit: self.limit }
    }

    fn command(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        b"+1".to_vec()
    }

    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        Vec::new()
    }

    fn describe_command(&self, command: &[u8]) -> String {
        self.described.fetch_add(1, Ordering::Relaxed);
        format!("add {}", String::from_utf8_lossy(command))
    }
}

#[test]
fn a_recording_describes_only_the_command_at_which_the_machine_panics() {
    for (limit, described_max) in [(u64::MAX, 0), (3, 1)] {
        let counting = Counting { limit, ..Counting::default() };
        let workload = AnyWorkload::new(counting.clone());
        let options = RunOptions { workload, ..RunOptions::default() };
        let recording = record(0, &options, RecordUntil::End);
        assert!(!recording.record.events.is_empty());
        assert_eq!(counting.described.load(Ordering::Relaxed), described_max);
    }
}

#[test]
#[cfg(feature = "cli")]
fn the_error_of_a_failed_run_says_what_the_command_would() {
    let failure = chaos::run(Counting { limit: u64::MAX, ..Counting::default() }, 0..100)
        .expect_err("snapshots lose increments");
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

#[test]
#[cfg(feature = "cli")]
fn the_panic_of_a_machine_names_its_node_its_command_and_its_message() {
    let failure = chaos::run(Counting { limit: 3, ..Counting::default() }, 0..1)
        .expect_err("the counter overflows");
    let parts = [
        "'s state machine panics while it applies entry ",
        ", `add +1`, with the message \"the counter is full\"",
    ];
    assert!(parts.iter().all(|part| failure.cause.contains(part)), "{failure}");
    assert!(failure.to_string().contains(&failure.cause), "{failure}");
}
