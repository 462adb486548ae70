//! The record of a shrunk run in the summary of a sweep.

use serde::{Deserialize, Serialize};

/// The JSON record of a shrunk run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ShrunkRecord {
    /// The check by id and name, or the kind of failure if no check failed.
    pub(crate) check: String,
    /// The violation that the check observed in the shrunk run.
    pub(crate) detail: String,
    /// The fingerprint of the failure, equal before and after.
    pub(crate) fingerprint: String,
    /// The number of scenario lines of the original run.
    pub(crate) lines_before: usize,
    /// The number of scenario lines of the shrunk run.
    pub(crate) lines: usize,
    /// The number of nodes of the shrunk run.
    pub(crate) nodes: u8,
    /// The number of operations in the plan of the shrunk run: faults and scripted requests.
    pub(crate) faults: usize,
    /// The number of client operations of the shrunk run.
    pub(crate) operations: u64,
    /// The number of runs that shrinking took.
    pub(crate) runs: u64,
    /// The wall-clock time that shrinking took.
    pub(crate) seconds: f64,
    /// Whether shrinking ended by itself, and not at the limit of runs or of time, or by Ctrl-C.
    pub(crate) is_minimal: bool,
    /// The lines of the shrunk scenario.
    pub(crate) scenario: Vec<String>,
}
