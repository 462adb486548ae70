//! A state machine that was restored from a snapshot, and follows the log for a while beside the
//! nodes: the part of S26 about what a snapshot leaves out.

use quorate::machine::{Machine, Outcome};
use quorate::types::{Entry, EntryId, Index, NodeId};

use crate::check::finding::{S26, Verdict};
use crate::check::states::States;
use crate::subject::Subject;
use crate::workload::{AnyWorkload, Workload};

/// The restored machine.
#[derive(Clone, Debug)]
pub(super) struct Shadow {
    machine: Machine<Subject>,
    /// The snapshot: whose it was, and where it ended.
    from: (NodeId, EntryId),
}

/// So many entries are followed.
const ENTRIES_MAX: u64 = 256;

impl Shadow {
    /// A fresh machine that starts from the snapshot.
    pub(super) fn restore(
        workload: &AnyWorkload,
        id: NodeId,
        last: EntryId,
        mut bytes: &[u8],
    ) -> Verdict<Shadow> {
        let mut machine = Machine::new(Subject::new(workload.machine()));
        match machine.restore(last, &mut bytes) {
            Ok(()) => Ok(Shadow { machine, from: (id, last) }),
            Err(error) => S26
                .broken(format!("nothing can start from the snapshot of {id} to {last}: {error}")),
        }
    }

    /// A node has applied entries. Tells whether the shadow has followed for long enough.
    pub(super) fn follow<'o>(
        &mut self,
        entries: &[Entry],
        states: &States,
        outcome_at: impl Fn(Index) -> Option<&'o Outcome>,
    ) -> Verdict<bool> {
        let (id, last) = self.from;
        for entry in entries {
            if entry.id.index != self.machine.applied().index.next() {
                continue;
            }
            let outcomes = self.machine.apply(std::slice::from_ref(entry));
            let (found, expected) =
                (outcomes.first().map(|(_, found)| found), outcome_at(entry.id.index));
            if !states.agree(found, expected) {
                let at = entry.id;
                return S26.broken(format!(
                    "restored from the snapshot of {id} to {last}, {at} leads to {found:?}, and \
                     not to {expected:?}"
                ));
            }
        }
        Ok(self.machine.applied().index.0 >= last.index.0 + ENTRIES_MAX)
    }
}
