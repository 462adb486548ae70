//! The lines of a trace so far, and the facts about the nodes that later lines depend on.

use std::collections::{BTreeMap, BTreeSet};

use quorate::log::Log;
use quorate::raft::{RoleName, Status};
use quorate::types::{Index, NodeId, Term};

use crate::tla::knowledge::Knowledge;
use crate::tla::line::{number, truth, tuple};
use crate::tla::memberships::Memberships;

/// The lines so far, and the facts that later lines depend on.
#[derive(Clone, Debug, Default)]
pub(super) struct TraceState {
    pub(super) lines: Vec<String>,
    pub(super) nodes: BTreeMap<NodeId, Knowledge>,
    pub(super) memberships: Memberships,
    /// The indices at which some log had a membership.
    pub(super) membership_indices: BTreeSet<Index>,
    /// The last round of each term that the spec has ended.
    pub(super) ended: BTreeMap<Term, u64>,
    /// The reads that have begun, by their names.
    pub(super) reads: BTreeSet<String>,
    pub(super) round_max: u64,
}

impl TraceState {
    /// The knowledge about a node; the first call for a node creates it.
    pub(super) fn known(&mut self, node: NodeId) -> &mut Knowledge {
        self.nodes.entry(node).or_default()
    }
}

/// The state that a node shows: term, vote, vote lease, role, commit index, last index and term,
/// and the last durable index.
pub(super) fn shown(status: &Status, log: &Log) -> String {
    let role = match status.role {
        RoleName::Follower => "Follower",
        RoleName::PreCandidate => "PreCandidate",
        RoleName::Candidate => "Candidate",
        RoleName::Leader => "Leader",
    };
    tuple([
        status.term.0.to_string(),
        number(status.vote).to_string(),
        truth(!status.vote_lease.is_zero()).to_owned(),
        format!("\"{role}\""),
        status.committed.0.to_string(),
        log.last().index.0.to_string(),
        log.last().term.0.to_string(),
        status.durable.0.to_string(),
    ])
}
