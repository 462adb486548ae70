//! The result of a run.

use std::fmt;
use std::time::Duration;

/// The number of last events in the text of a failure.
const LINES_MAX: usize = 30;

/// The summary of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The digest of all events: the connections of quorate and the segments written to them, the
    /// faults, the notes, and the starts, ends and elections of nodes. Equal seeds have equal
    /// digests.
    pub digest: u64,
    /// The number of those events.
    pub events: u64,
    /// The number of facts about the cores of the nodes that the rules of the simulator decided.
    pub core_facts: u64,
    /// The simulated time that the run took.
    pub simulated: Duration,
    /// The faults, as the lines of a scenario.
    pub scenario: String,
}

/// A run that failed. Its text says how, under which faults, and how to repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed of the run.
    pub seed: u64,
    /// The failure in one sentence.
    pub sentence: String,
    /// The simulated time of the failure.
    pub at: Duration,
    /// The faults, as the lines of a scenario.
    pub scenario: String,
    /// The notes and the faults of the run, and the starts, ends and elections of its nodes.
    pub lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, sentence, at, scenario, lines } = self;
        writeln!(f, "seed {seed} fails at {:.3}s: {sentence}", at.as_secs_f64())?;
        writeln!(f, "\nits faults, as a scenario:")?;
        scenario.lines().try_for_each(|line| writeln!(f, "    {line}"))?;
        if !lines.is_empty() {
            writeln!(f, "\nits last events:")?;
        }
        let first = lines.len().saturating_sub(LINES_MAX);
        lines[first..].iter().try_for_each(|line| writeln!(f, "{line}"))?;
        write!(f, "\nrepeat it: {}", replay(*seed))
    }
}

impl std::error::Error for Failure {}

/// Returns the command that repeats the run of a seed in the test of this thread.
pub(crate) fn replay(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or_default();
    format!("QUORATE_SEEDS={seed}..{} cargo test {test}", seed + 1).trim_end().to_owned()
}
