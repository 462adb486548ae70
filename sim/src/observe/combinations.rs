//! Combinations of faults with one another and with the activities of the cluster: a measure of how
//! much of the space of schedules a sweep has reached.

use quorate::raft::RoleName;

use crate::faults::{Fault, Faults};

/// An activity of the cluster that lasts for some time. Several may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// A node campaigns, or no node leads.
    Election,
    /// The membership of a node is staged or joint.
    Change,
    /// A leader has asked another node to take over.
    Transfer,
    /// A node writes a snapshot of its own state.
    Snapshot,
    /// A leader has offered a snapshot to a node, which has not installed it yet.
    Install,
    /// A node has damaged entries or is uncertain.
    Repair,
}

impl Phase {
    /// Every phase, in the order of declaration.
    pub(crate) const ALL: [Phase; 6] = [
        Phase::Election,
        Phase::Change,
        Phase::Transfer,
        Phase::Snapshot,
        Phase::Install,
        Phase::Repair,
    ];
}

const ROLES: usize = RoleName::ALL.len();
const PHASES: usize = Phase::ALL.len();
const FAULTS: usize = Fault::ALL.len();
const IN_PHASES: usize = FAULTS * ROLES * PHASES;
const WORDS: usize = (IN_PHASES + FAULTS * FAULTS).div_ceil(64);

/// The set of combinations that a run, or a sweep, has reached: a fault at a node in a role during
/// a phase of the cluster, and a planned fault soon after another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Combinations(Option<Box<[u64; WORDS]>>);

impl Combinations {
    /// The number of combinations of fault, role and phase. Not every one of them is possible.
    pub const IN_PHASES_MAX: usize = IN_PHASES;
    /// The number of ordered pairs of planned faults. Not every one of them is possible.
    pub const PAIRS_MAX: usize = Faults::PLANNED.len() * Faults::PLANNED.len();

    /// Adds a fault at a node in this role during a phase.
    pub(crate) fn insert(&mut self, fault: Fault, role: RoleName, phase: Phase) {
        self.set((fault as usize * ROLES + role as usize) * PHASES + phase as usize);
    }

    /// Adds a planned fault that follows another one.
    pub(crate) fn insert_pair(&mut self, first: Fault, second: Fault) {
        self.set(IN_PHASES + first as usize * FAULTS + second as usize);
    }

    /// Returns the number of combinations of fault, role and phase in the set.
    #[must_use]
    pub fn in_phases(&self) -> usize {
        (0..IN_PHASES).filter(|place| self.has(*place)).count()
    }

    /// Returns the number of pairs of faults in the set.
    #[must_use]
    pub fn pairs(&self) -> usize {
        (IN_PHASES..WORDS * 64).filter(|place| self.has(*place)).count()
    }

    /// Adds the combinations of another set.
    pub fn extend(&mut self, other: &Combinations) {
        let Some(more) = &other.0 else { return };
        let words = self.0.get_or_insert_with(|| Box::new([0; WORDS]));
        words.iter_mut().zip(more.iter()).for_each(|(word, more)| *word |= more);
    }

    /// Returns the set as words of 64 bits, for a file; no words if it is empty.
    #[cfg(feature = "cli")]
    pub(crate) fn to_words(&self) -> Vec<u64> {
        self.0.as_ref().map_or(Vec::new(), |words| words.to_vec())
    }

    /// Returns the set with these words, or `None` if they are not those of a set.
    #[cfg(feature = "cli")]
    pub(crate) fn from_words(words: &[u64]) -> Option<Combinations> {
        if words.is_empty() {
            return Some(Combinations::default());
        }
        Some(Combinations(Some(Box::new(words.try_into().ok()?))))
    }

    fn set(&mut self, place: usize) {
        let words = self.0.get_or_insert_with(|| Box::new([0; WORDS]));
        words[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0.as_ref().is_some_and(|words| words[place / 64] >> (place % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_combination_counts_once() {
        let mut set = Combinations::default();
        assert_eq!((set.in_phases(), set.pairs()), (0, 0));
        for fault in Fault::ALL {
            for role in RoleName::ALL {
                Phase::ALL.into_iter().for_each(|phase| set.insert(fault, role, phase));
            }
        }
        assert_eq!((set.in_phases(), set.pairs()), (Combinations::IN_PHASES_MAX, 0));
        for (first, second) in Fault::ALL.into_iter().flat_map(|a| Fault::ALL.map(|b| (a, b))) {
            let is_planned = Faults::PLANNED.has(first) && Faults::PLANNED.has(second);
            (0..2).filter(|_| is_planned).for_each(|_| set.insert_pair(first, second));
        }
        assert_eq!(set.pairs(), Combinations::PAIRS_MAX);
    }

    #[test]
    fn sets_add_up() {
        let (mut one, mut other) = (Combinations::default(), Combinations::default());
        one.insert(Fault::Crash, RoleName::Leader, Phase::Change);
        other.insert(Fault::Crash, RoleName::Leader, Phase::Repair);
        other.insert_pair(Fault::Crash, Fault::Stop);
        one.extend(&other);
        one.extend(&Combinations::default());
        assert_eq!((one.in_phases(), one.pairs()), (2, 1));
    }
}
