//! The state machines of the stage, and their snapshots.

use quorate::machine::Digest;
use quorate::types::{Entry, EntryId, Index, NodeId};
use quorate_sim::observe::{Executed, MachineView, Observation};

use crate::stage::Stage;

impl Stage {
    /// The node's state machine applies the next entries up to `index`.
    pub(crate) fn applies(&mut self, node: u64, index: u64) {
        let actor = self.actor(node);
        let applied = actor.status.applied;
        let batch: Vec<Entry> = actor.log[applied.0 as usize..index as usize].to_vec();
        self.applies_these(node, &batch);
        self.changes_status(node, |status| status.applied = Index(index));
    }

    /// The node's state machine applies these entries.
    pub(crate) fn applies_these(&mut self, node: u64, entries: &[Entry]) {
        self.applies_with(node, entries, |_, _| {});
    }

    /// The node's state machine applies these entries, with results changed by `change`.
    pub(crate) fn applies_with(
        &mut self,
        node: u64,
        entries: &[Entry],
        change: impl FnOnce(&mut Vec<Executed>, &mut Vec<Option<Digest>>),
    ) {
        let machine = &mut self.actor(node).machine;
        // A forged entry does not follow the last one, and a correct machine would not apply it.
        let mut next = machine.applied().index.next();
        let mut states = Vec::new();
        for entry in entries {
            if entry.id.index == next && machine.applied().term <= entry.id.term {
                machine.apply(std::slice::from_ref(entry));
                next = next.next();
            }
            states.push(machine.results());
        }
        let mut executed = machine.user().take_executed();
        change(&mut executed, &mut states);
        let (executed, states) = (&executed[..], &states[..]);
        self.observes(Observation::Applied { node: NodeId(node), entries, executed, states });
    }

    /// The world inspects the node's state machine, changed by `change`.
    pub(crate) fn inspects(&mut self, node: u64, change: impl FnOnce(&mut MachineView<'_>)) {
        let machine = self.actor(node).machine.clone();
        let digest = machine.digest().expect("the machine is in memory");
        let (applied, results) = (machine.applied(), machine.results());
        let user = machine.user().as_any_machine();
        let mut view = MachineView { applied, digest, results, machine: &user };
        change(&mut view);
        self.observes(Observation::MachineInspected { node: NodeId(node), view });
    }

    /// The node's state machine writes a snapshot, with bytes changed by `change`.
    pub(crate) fn freezes(&mut self, node: u64, change: impl FnOnce(&mut Vec<u8>)) {
        let mut frozen = self.actor(node).machine.snapshot().expect("the machine is in memory");
        let (last, mut bytes) = (frozen.last(), Vec::new());
        std::io::Read::read_to_end(&mut frozen, &mut bytes).expect("the machine is in memory");
        change(&mut bytes);
        self.observes(Observation::SnapshotFrozen { node: NodeId(node), last, bytes: &bytes });
    }

    /// The node has a snapshot that ends with `last` and has the root `root`.
    pub(crate) fn has_snapshot(&mut self, node: u64, last: EntryId, root: u8) {
        let meta = self.snapshot(last, root);
        self.observes(Observation::SnapshotTaken { node: NodeId(node), meta: &meta });
    }

    /// The node's state machine is replaced by the snapshot of node `from`.
    pub(crate) fn restores(&mut self, node: u64, from: u64) {
        self.actor(node).machine = self.actor(from).machine.clone();
        let machine = &self.actor(node).machine;
        let (index, state) = (machine.applied().index, machine.results());
        self.observes(Observation::Restored { node: NodeId(node), index, state });
    }
}
