//! Every entry that any node ever held, by term and index: one content and one prefix each.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate::types::{Entry, EntryId, Membership, NodeId, Payload, Term};

use crate::check::electorate::Electorate;
use crate::check::finding::{S8, Verdict};
use crate::digest;
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
struct Known {
    /// The term of the entry before it.
    before: Term,
    /// The hash of its payload.
    payload: u64,
    /// The bytes of all entries of the log that ends with it.
    bytes: u64,
    /// What its payload says.
    said: Said,
    /// The node that was first seen to hold it.
    holder: NodeId,
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

    /// Takes an entry that node `by` holds after `before`. One content and one entry before each:
    /// so one log before each, as that was so of the entries before (Raft §5.3, Log Matching).
    pub(super) fn admit(&mut self, by: NodeId, before: EntryId, entry: &Entry) -> Verdict {
        let (id, payload) = (entry.id, hash_of(&entry.payload));
        if let Some(known) = self.get(id) {
            let what = match known {
                known if known.payload != payload => "content",
                known if known.before != before.term => "prefix",
                _ => return Ok(()),
            };
            let other = known.holder;
            return S8.broken(format!("{by} holds {id} with another {what} than {other} did"));
        }
        let bytes = self.bytes_to(before) + entry.bytes() as u64;
        let said = Said::by(&entry.payload);
        let new = Known { before: before.term, payload, bytes, said, holder: by };
        let place = usize::try_from(id.index.0).expect("a log fits into memory");
        if place >= self.first.len() {
            self.first.resize(place + 1, None);
        }
        match &mut self.first[place] {
            empty @ None => *empty = Some((id.term, new)),
            Some(_) => _ = self.others.insert(id, new),
        }
        Ok(())
    }

    /// The bytes of all entries of the log that ends with `id`.
    pub(super) fn bytes_to(&self, id: EntryId) -> u64 {
        self.get(id).map_or(0, |known| known.bytes)
    }

    /// Whether `entry` is the one that nodes hold by its id.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.get(entry.id).is_some_and(|known| known.payload == hash_of(&entry.payload))
    }

    /// What the payload of the entry says, if any node ever held it.
    pub(super) fn said(&self, id: EntryId) -> Option<Said> {
        Some(self.get(id)?.said)
    }

    fn get(&self, id: EntryId) -> Option<&Known> {
        match self.first.get(usize::try_from(id.index.0).ok()?)? {
            Some((term, known)) if *term == id.term => Some(known),
            _ => self.others.get(&id),
        }
    }
}

fn hash_of(payload: &Payload) -> u64 {
    match payload {
        Payload::Noop => 0,
        Payload::Command(command) => digest::of_bytes(command),
        Payload::Membership(membership) => digest::mix(1, digest::of_bytes(&membership.encode())),
    }
}
