//! Every entry that any node ever held, by term and index: one content and one prefix each.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate::types::{EntryId, Membership, NodeId, Term};

use crate::check::electorate::Electorate;
use crate::request::Said;

/// The entries that were ever seen. Most indices only ever see one term: the first seen at an
/// index lies in a plain list, and only the others are searched for.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// Every node of the world.
    nodes: Vec<NodeId>,
    /// The memberships among the entries.
    electorates: BTreeMap<EntryId, Arc<Electorate>>,
    first: Vec<Option<(Term, Known)>>,
    others: BTreeMap<EntryId, Known>,
}

/// What there is to know of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The chain of the log that ends with it.
    pub(super) chain: u64,
    /// The hash of its payload.
    pub(super) payload: u64,
    /// What its payload says.
    pub(super) said: Said,
    /// The node that was first seen to hold it.
    pub(super) holder: NodeId,
}

impl Entries {
    /// None so far, in a world of these nodes.
    pub(super) fn new(nodes: Vec<NodeId>) -> Entries {
        let (electorates, others) = (BTreeMap::new(), BTreeMap::new());
        Entries { nodes, electorates, first: Vec::new(), others }
    }

    /// Who decides under the membership of the entry `id`.
    pub(super) fn electorate(&mut self, id: EntryId, membership: &Membership) -> Arc<Electorate> {
        let new = || Arc::new(Electorate::new(&self.nodes, membership));
        Arc::clone(self.electorates.entry(id).or_insert_with(new))
    }

    /// Who decides under the first membership of a log.
    pub(super) fn first(&self, membership: &Membership) -> Arc<Electorate> {
        Arc::new(Electorate::new(&self.nodes, membership))
    }

    /// Takes an entry that a node holds. Answers with what was known, if that differs.
    pub(super) fn admit(&mut self, id: EntryId, entry: Known) -> Result<(), Known> {
        let place = usize::try_from(id.index.0).expect("a log fits into memory");
        if place >= self.first.len() {
            self.first.resize(place + 1, None);
        }
        let known = match &mut self.first[place] {
            Some((term, known)) if *term == id.term => known,
            Some(_) => self.others.entry(id).or_insert(entry),
            empty => &mut empty.insert((id.term, entry)).1,
        };
        if known.chain == entry.chain { Ok(()) } else { Err(*known) }
    }

    /// The entry, if any node ever held it.
    pub(super) fn get(&self, id: EntryId) -> Option<Known> {
        match self.first.get(usize::try_from(id.index.0).ok()?)? {
            Some((term, known)) if *term == id.term => Some(*known),
            _ => self.others.get(&id).copied(),
        }
    }
}
