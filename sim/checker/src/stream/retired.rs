//! Values that nobody can see any more, and who overwrote them.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history::OpId;
use crate::value::Value;
use crate::zones::Call;

/// How many values it keeps.
const KEPT_MAX: usize = 4_096;

/// The latest of the values that nobody can see any more, with operations that prove it.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    kept: HashMap<(usize, Value), (u64, Vec<(OpId, Call)>), FixedState>,
    order: VecDeque<(usize, Value, u64)>,
    count: u64,
    has_forgotten: bool,
}

impl Retired {
    /// `value` of `cell` cannot be seen any more, as `proof` shows.
    pub(crate) fn push(&mut self, cell: usize, value: Value, proof: Vec<(OpId, Call)>) {
        self.count += 1;
        self.kept.insert((cell, value), (self.count, proof));
        self.order.push_back((cell, value, self.count));
        if self.order.len() > KEPT_MAX
            && let Some((cell, value, number)) = self.order.pop_front()
            && self.kept.get(&(cell, value)).is_some_and(|(kept, _)| *kept == number)
        {
            self.kept.remove(&(cell, value));
            self.has_forgotten = true;
        }
    }

    /// `value` is written again.
    pub(crate) fn forget(&mut self, cell: usize, value: Value) {
        if self.kept.remove(&(cell, value)).is_some() {
            self.has_forgotten = true;
        }
    }

    /// What proves that `value` cannot be seen any more.
    pub(crate) fn of(&self, cell: usize, value: Value) -> Option<Vec<(OpId, Call)>> {
        self.kept.get(&(cell, value)).map(|(_, proof)| proof.clone())
    }

    /// Whether a value that it does not have was never there.
    pub(crate) fn is_complete(&self) -> bool {
        !self.has_forgotten
    }
}
