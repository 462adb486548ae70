//! Acknowledgements, and the durable index that a node reports: S6, S17 and S45.

use quorate::raft::Action;
use quorate::types::Index;

use crate::check::{S6, S17, S45};
use crate::recordings::checks::known::KnownNode;
use crate::recordings::checks::ledger::Ledger;
use crate::recordings::event::CoreState;

/// Why the durable index is not known.
const INHERITED: &str = "writes from before the recording may be pending";

/// The rule for acknowledgements and reported durable indices; it has no state of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Disks;

impl Disks {
    /// Checks an acknowledgement: its entries are durable on the sender's disk.
    pub(super) fn action(
        self,
        ledger: &mut Ledger,
        node: &KnownNode,
        state: CoreState<'_>,
        action: &Action,
    ) {
        let Action::Send(message) = action else { return };
        let matched = message.body.acknowledged();
        if matched == Index::ZERO {
            return;
        }
        let (id, to, term, durable) = (node.id, message.to, message.term, node.durable());
        let text = || {
            format!(
                "{id} acknowledges index {matched} to {to} in term {term}, but its recorded writes \
                 are durable only up to index {durable}"
            )
        };
        match node.has_inherited_writes() {
            true => ledger.undecided(&S6, INHERITED),
            false => ledger.decide(&S6, (matched > durable).then(text)),
        }
        let current = state.status.term;
        let text = || {
            format!("{id} acknowledges index {matched} in term {term}, but is in term {current}")
        };
        ledger.decide(&S45, (term < current).then(text));
    }

    /// Checks the durable index that a node reports.
    pub(super) fn stepped(self, ledger: &mut Ledger, node: &KnownNode, state: CoreState<'_>) {
        if node.has_inherited_writes() {
            return ledger.undecided(&S17, INHERITED);
        }
        let (id, believed, durable) = (node.id, state.status.durable, node.durable());
        let text = || {
            format!(
                "{id} reports that its log is durable up to index {believed}, but its recorded \
                 writes are durable only up to index {durable}"
            )
        };
        ledger.decide(&S17, (believed > durable).then(text));
    }
}
