//! Values that nobody can see any more, and who overwrote them.

use std::collections::VecDeque;

use crate::history::OpId;
use crate::value::Value;
use crate::zones::Call;

/// How many values it keeps.
const KEPT_MAX: usize = 4_096;

/// The latest of the values that nobody can see any more, with operations that prove it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retired {
    kept: VecDeque<(usize, Value, Proof)>,
    has_forgotten: bool,
}

/// Operations that prove that a value cannot be seen any more: the first and the last of the value
/// and of another, and both writers.
pub(crate) type Proof = [Option<(OpId, Call)>; 6];

impl Retired {
    /// `value` of `cell` cannot be seen any more, as `proof` shows.
    pub(crate) fn push(&mut self, cell: usize, value: Value, proof: Proof) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
            self.has_forgotten = true;
        }
        self.kept.push_back((cell, value, proof));
    }

    /// What proves that `value` cannot be seen any more.
    pub(crate) fn of(&self, cell: usize, value: Value) -> Option<Vec<(OpId, Call)>> {
        let mut latest = self.kept.iter().rev();
        let (.., proof) = latest.find(|(of, kept, _)| (*of, *kept) == (cell, value))?;
        Some(proof.iter().flatten().copied().collect())
    }

    /// Whether a value that it does not have was never there.
    pub(crate) fn is_complete(&self) -> bool {
        !self.has_forgotten
    }
}
