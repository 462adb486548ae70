//! The state machines' states: S26, and what S20 and S25 hold reads and snapshots against.

use std::collections::BTreeMap;

use quorate::machine::Digest;
use quorate::types::{Index, NodeId, Root, SnapshotMeta};

use crate::check::finding::{S25, S26, Verdict};
use crate::check::model::Model;

/// The state after every index, as the first node to get there had it.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    /// By index; the first is the empty state.
    after: Vec<Option<Digest>>,
    /// What the snapshots that end at an index hold, as the first was.
    snapshots: BTreeMap<Index, (Root, NodeId)>,
}

impl States {
    /// A node's state machine has applied the log up to `index`.
    pub(super) fn reached(&mut self, id: NodeId, index: Index, state: Option<Digest>) -> Verdict {
        let place = usize::try_from(index.0).expect("a log fits into memory");
        if place >= self.after.len() {
            self.after.resize(place + 1, None);
        }
        match (&mut self.after[place], state) {
            (known @ None, _) => *known = state,
            (Some(known), Some(state)) if *known != state => {
                return S26.broken(format!(
                    "{id} is in another state after {index} than the first node that got there"
                ));
            }
            (Some(_), _) => {}
        }
        Ok(())
    }

    /// Whether `state` is the one after `index`. A machine that cannot know says nothing.
    pub(super) fn is_at(&self, index: Index, state: Option<Digest>) -> bool {
        let known = usize::try_from(index.0).ok().and_then(|place| self.after.get(place).copied());
        index == Index::ZERO || state.is_none() || known.is_some_and(|known| known == state)
    }

    /// A node took a snapshot.
    pub(super) fn taken(&mut self, model: &Model, id: NodeId, meta: &SnapshotMeta) -> Verdict {
        let last = meta.last;
        if model.committed.id_at(last.index) != Some(last) {
            return S25.broken(format!(
                "{id} has a snapshot that ends with {last}, which is not committed"
            ));
        }
        let (root, first) = *self.snapshots.entry(last.index).or_insert((meta.root, id));
        if root != meta.root {
            return S25
                .broken(format!("the snapshots of {id} and {first} that end with {last} differ"));
        }
        Ok(())
    }
}
