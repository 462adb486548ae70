//! Verdicts of a check, with the counterexample or the exhausted budget.

use crate::history::OpId;

/// The verdict of a check on a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some order of the operations explains all responses.
    Linearizable,
    /// No order of the operations explains all responses.
    NotLinearizable(Counterexample),
    /// The budget was exhausted before the check reached a verdict.
    Unknown(BudgetExhausted),
}

/// Operations that prove that a history is not linearizable: it would not be linearizable even if
/// the outcomes of all other operations were unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The operations of the counterexample, in the order of invocation.
    pub operations: Vec<OpId>,
    /// The reason in one sentence: `read 7 returned 4, although …`. Operations are named by their
    /// numbers.
    pub reason: String,
    /// Whether every operation is needed: with any one of the outcomes unknown, the others prove
    /// nothing.
    pub minimal: bool,
}

/// The resource that a check exhausted, and the progress of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetExhausted {
    /// The resource that was exhausted.
    pub resource: Resource,
    /// The key of the operations on which the resource was exhausted.
    pub key: Option<u64>,
    /// The number of operations that returned and that the longest order found contains, and the
    /// number of operations that were to be ordered.
    pub ordered: (usize, usize),
    /// The largest number of configurations that the search kept at one response, and the operation
    /// that responded: it made the search wide.
    pub widest: Option<(usize, OpId)>,
}

/// A resource that [`crate::budget::Budget`] limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The limit [`crate::budget::Budget::bytes_max`].
    Memory,
    /// The limit [`crate::search::SLOTS_MAX`] of the operations of one key that are pending at the
    /// same time, which no budget raises.
    PendingOperations,
    /// The limit [`crate::budget::Budget::configurations_max`].
    Configurations,
    /// The caller's [`crate::budget::Budget::stop`] returned true.
    Stopped,
}
