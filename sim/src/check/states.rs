//! The state machines' states: S26, and what S20 and S25 hold reads and snapshots against.

use std::collections::BTreeMap;

use quorate::machine::{Digest, Outcome};
use quorate::types::{Index, NodeId, Root, SnapshotMeta};

use crate::check::finding::{S25, S26, Verdict};
use crate::check::model::Model;

/// The state after every index, as a machine has it that meets no fault.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    /// By index, from the empty state on.
    after: Vec<Option<Digest>>,
    /// What the snapshots that end at an index hold, as the first was.
    snapshots: BTreeMap<Index, (Root, NodeId)>,
    /// Whether some machine did not know the replies to all it had applied.
    forgotten: bool,
}

impl States {
    /// The log leads to this state after `index`.
    pub(super) fn learn(&mut self, index: Index, state: Option<Digest>) {
        let place = usize::try_from(index.0).expect("a log fits into memory");
        assert_eq!(place, self.after.len(), "each index has its state, in order");
        self.after.push(state);
    }

    /// A node's state machine has applied the log up to `index`.
    pub(super) fn reached(&mut self, id: NodeId, index: Index, state: Option<Digest>) -> Verdict {
        let Some(known) = self.known(index) else {
            let reached = self.after.len() - 1;
            return S25.broken(format!(
                "{id} has a state after {index}, though no node has applied more than {reached}"
            ));
        };
        self.forgotten |= state.is_none();
        if known.is_some() && state.is_some() && known != state {
            return S26
                .broken(format!("{id} is in another state after {index} than the log leads to"));
        }
        Ok(())
    }

    /// Whether what came of an entry is what the log leads to. A machine that was durable by itself
    /// may have forgotten a reply, and the session with it.
    pub(super) fn agree(&self, found: Option<&Outcome>, expected: Option<&Outcome>) -> bool {
        let reply = matches!(expected, Some(Outcome::Reply(_)));
        let expired = matches!(found, Some(Outcome::SessionExpired));
        found == expected || self.forgotten && expired && reply
    }

    /// Whether `state` is the one after `index`. A machine that cannot know says nothing.
    pub(super) fn is_at(&self, index: Index, state: Option<Digest>) -> bool {
        state.is_none() || self.known(index) == Some(state)
    }

    fn known(&self, index: Index) -> Option<Option<Digest>> {
        self.after.get(usize::try_from(index.0).ok()?).copied()
    }

    /// A node took a snapshot.
    pub(super) fn taken(&mut self, model: &Model, id: NodeId, meta: &SnapshotMeta) -> Verdict {
        let last = meta.last;
        if !model.committed.has(last) {
            return S25.broken(format!(
                "{id} has a snapshot that ends with {last}, which is not committed"
            ));
        }
        let (root, first) = *self.snapshots.entry(last.index).or_insert((meta.root, id));
        // One of the two may know less of the replies.
        if root != meta.root && !self.forgotten {
            return S25
                .broken(format!("the snapshots of {id} and {first} that end with {last} differ"));
        }
        Ok(())
    }
}
