//! Every entry that any node held, by term and index: each id has one content and one prefix (S8).

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate::types::{Entry, EntryId, Membership, NodeId, Payload, Term};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S8};
use crate::values::digest;
use crate::workload::request::PayloadOrigin;

/// All entries seen so far. Most indices see entries of one term only, so the first entry seen at
/// an index is stored in a plain list, and only the others in a map.
#[derive(Clone, Debug)]
pub(super) struct Entries {
    /// The ids of all nodes of the world.
    nodes: Vec<NodeId>,
    /// The electorates of the membership entries.
    electorates: BTreeMap<EntryId, Arc<Electorate>>,
    first: Vec<Option<(Term, KnownEntry)>>,
    others: BTreeMap<EntryId, KnownEntry>,
}

/// The known facts about one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KnownEntry {
    /// The term of the entry before it in the log.
    before: Term,
    /// The hash of the entry's payload.
    payload: u64,
    /// The size in bytes of all entries of the log that ends with this entry.
    bytes: u64,
    /// The client operation that its payload belongs to.
    origin: PayloadOrigin,
    /// The node that was first seen to hold the entry.
    holder: NodeId,
}

impl Entries {
    /// Creates an empty set of entries for a world of these nodes.
    pub(super) fn new(nodes: Vec<NodeId>) -> Entries {
        let (electorates, others) = (BTreeMap::new(), BTreeMap::new());
        Entries { nodes, electorates, first: Vec::new(), others }
    }

    /// The electorate of the membership entry `id`.
    pub(super) fn electorate(&mut self, id: EntryId, membership: &Membership) -> Arc<Electorate> {
        let new = || Arc::new(Electorate::new(&self.nodes, membership));
        Arc::clone(self.electorates.entry(id).or_insert_with(new))
    }

    /// The electorate of a membership that may be in no entry.
    pub(super) fn electorate_of(&self, membership: &Membership) -> Arc<Electorate> {
        Arc::new(Electorate::new(&self.nodes, membership))
    }

    /// Adds an entry that node `by` holds directly after entry `before`. An id has one content and
    /// one predecessor, and so, by induction, one log up to it (Raft §5.3, Log Matching).
    pub(super) fn admit(&mut self, by: NodeId, before: EntryId, entry: &Entry) -> CheckResult {
        let (id, payload) = (entry.id, hash_of(&entry.payload));
        if let Some(known) = self.get(id) {
            let difference = match known {
                known if known.payload != payload => "different content",
                known if known.before != before.term => "a different prefix",
                _ => return Ok(()),
            };
            let other = known.holder;
            return S8.violated(format!("{by} holds entry {id} with {difference} than {other}"));
        }
        let bytes = self.bytes_to(before) + entry.bytes() as u64;
        let origin = PayloadOrigin::of(&entry.payload);
        let new = KnownEntry { before: before.term, payload, bytes, origin, holder: by };
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

    /// The size in bytes of all entries of the log that ends with `id`.
    pub(super) fn bytes_to(&self, id: EntryId) -> u64 {
        self.get(id).map_or(0, |known| known.bytes)
    }

    /// Whether `entry` has the content that is known for its id.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.get(entry.id).is_some_and(|known| known.payload == hash_of(&entry.payload))
    }

    /// The client operation that the entry's payload belongs to; `None` if no node held the entry.
    pub(super) fn origin(&self, id: EntryId) -> Option<PayloadOrigin> {
        Some(self.get(id)?.origin)
    }

    fn get(&self, id: EntryId) -> Option<&KnownEntry> {
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
