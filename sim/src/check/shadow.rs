//! A shadow machine: a state machine that the checks restore from a node's snapshot, and that then
//! applies the log for a while. This file has the part of S26 about state that a snapshot lacks.

use quorate::machine::{Machine, Outcome};
use quorate::types::{Entry, EntryId, NodeId};

use crate::check::finding::{CheckResult, S26};
use crate::check::known::Known;
use crate::machine::SimMachine;
use crate::workload::Workload;

/// A state machine restored from a snapshot.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    machine: Machine<SimMachine>,
    /// The node that took the snapshot, and the last entry of the snapshot.
    from: (NodeId, EntryId),
}

/// The number of entries after the snapshot that the restored machine applies.
const ENTRIES_MAX: u64 = 256;

impl Shadow {
    /// Restores a new state machine from the snapshot `bytes` of node `id`.
    pub(super) fn restore(
        known: &Known,
        id: NodeId,
        last: EntryId,
        mut bytes: &[u8],
    ) -> CheckResult<Shadow> {
        let machine = SimMachine::new(known.workload.machine()).of_build(u32::MAX);
        let mut machine = Machine::new(machine);
        match machine.restore(last, &mut bytes) {
            Ok(()) => Ok(Shadow { machine, from: (id, last) }),
            Err(error) => S26.violated(format!(
                "a state machine cannot start from {id}'s snapshot up to {last}: {error}"
            )),
        }
    }

    /// Applies entries that a node has applied, and compares their results with the expected ones.
    /// Returns true once [`ENTRIES_MAX`] entries after the snapshot are applied.
    pub(super) fn follow(&mut self, known: &Known, entries: &[Entry]) -> CheckResult<bool> {
        let (id, last) = self.from;
        for entry in entries {
            if entry.id.index != self.machine.applied().index.next() {
                continue;
            }
            let outcomes = self.machine.apply(std::slice::from_ref(entry));
            let found = outcomes.first().map(|(_, found)| found);
            let expected = known.expected.outcome_at(entry.id.index);
            if !known.expected.outcomes_agree(found, expected) {
                let at = entry.id;
                let text = |outcome: Option<&Outcome>| {
                    outcome.map_or("nothing".to_owned(), |outcome| format!("{outcome:?}"))
                };
                let (found, expected) = (text(found), text(expected));
                return S26.violated(format!(
                    "a state machine restored from {id}'s snapshot up to {last} applies entry \
                     {at} with the result {found}, but the expected result is {expected}"
                ));
            }
        }
        Ok(self.machine.applied().index.0 >= last.index.0 + ENTRIES_MAX)
    }
}
