//! A small cluster of real cores for tests, with a disk, a clock and a network under the test's
//! control. It checks the safety of Raft after every step, and log matching after every exchange of
//! messages.

mod cluster;
mod disk;
mod network;
mod node;
mod safety;

use core::time::Duration;

use quorate::raft::Config;
use quorate::types::{
    Command, Entry, EntryId, HardState, Index, Membership, NodeId, Payload, Restored, SnapshotMeta,
    Term,
};

pub(crate) use cluster::Cluster;
pub(crate) use node::Node;
pub(crate) use quorate::types::MessageKind;
pub(crate) use safety::Safety;

pub(crate) const ONE: NodeId = NodeId(1);
pub(crate) const TWO: NodeId = NodeId(2);
pub(crate) const THREE: NodeId = NodeId(3);
pub(crate) const FOUR: NodeId = NodeId(4);
pub(crate) const FIVE: NodeId = NodeId(5);

/// One heartbeat interval, the unit of timeouts in other implementations.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// The election timeout that the recorded cases assume: from 10 ticks up to twice as many.
pub(crate) const ELECTION_TICKS: u32 = 10;

/// Returns a configuration of the paper's protocol, without pre-vote, check-quorum and stickiness.
pub(crate) fn plain(id: NodeId) -> Config {
    let mut config = Config::new(id);
    config.heartbeat_interval = TICK;
    config.election_timeout_min = TICK * ELECTION_TICKS;
    config.election_timeout_max = TICK * ELECTION_TICKS * 2;
    config.pre_vote = false;
    config.check_quorum = false;
    config.stickiness = false;
    config.casting_vote = false;
    config
}

/// Returns a membership of the voters 1 to `count`.
pub(crate) fn voters(count: u64) -> Membership {
    Membership::new((1..=count).map(NodeId))
}

/// Returns a log whose entry at index i + 1 has the term `terms[i]` and a unique payload.
pub(crate) fn log(terms: &[u64]) -> Vec<Entry> {
    entries_after(EntryId::ZERO, terms)
}

/// Returns entries of the given terms after `prev`; equal ids have equal payloads.
pub(crate) fn entries_after(prev: EntryId, terms: &[u64]) -> Vec<Entry> {
    let indices = prev.index.0 + 1..;
    indices
        .zip(terms)
        .map(|(index, &term)| {
            let id = entry_id(term, index);
            let text = format!("{index}@{term}");
            Entry { id, payload: Payload::Command(Command::from(text.as_str())) }
        })
        .collect()
}

/// Returns the terms of a log, in order.
pub(crate) fn terms(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id.term.0).collect()
}

/// Returns the id of an entry from plain numbers.
pub(crate) fn entry_id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

/// Returns the disk of a node that ran in a cluster of `membership`.
pub(crate) fn stored(
    membership: Membership,
    term: u64,
    vote: Option<NodeId>,
    committed: u64,
    entries: Vec<Entry>,
) -> Restored {
    let hard_state = HardState::new(Term(term), vote);
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    Restored::with_log(hard_state, Index(committed), snapshot, entries)
}
