//! Values that can no longer be read, and the operations that overwrote them.

use std::collections::VecDeque;

use crate::history::OpId;
use crate::value::ValueId;
use crate::zones::Call;

/// The maximum number of values that are kept.
const KEPT_MAX: usize = 4_096;

/// The latest of the values that can no longer be read, with operations that prove it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetiredValues {
    kept: VecDeque<(usize, ValueId, Proof)>,
    has_forgotten: bool,
}

/// The operations that prove that a value can no longer be read: the writer and the first and last
/// operation of the value, and the same three of the value that overwrote it.
pub(crate) type Proof = [Option<(OpId, Call)>; 6];

impl RetiredValues {
    /// Adds `value` of a register, which can no longer be read, with its proof.
    pub(crate) fn push(&mut self, register: usize, value: ValueId, proof: Proof) {
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
            self.has_forgotten = true;
        }
        self.kept.push_back((register, value, proof));
    }

    /// Returns the proof that `value` can no longer be read.
    pub(crate) fn of(&self, register: usize, value: ValueId) -> Option<Vec<(OpId, Call)>> {
        let mut latest = self.kept.iter().rev();
        let (.., proof) = latest.find(|(of, kept, _)| (*of, *kept) == (register, value))?;
        Some(proof.iter().flatten().copied().collect())
    }

    /// Returns true if no retired value was ever dropped.
    pub(crate) fn is_complete(&self) -> bool {
        !self.has_forgotten
    }
}
