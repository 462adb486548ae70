//! Reads at a node without a leader (S75): a node that campaigns keeps no read that waits for a
//! leader, and a follower rejects these reads once its election timeout has passed.

use quorate::raft::{RoleName, Status};
use quorate::types::{Instant, MessageClass, MessageKind};

use crate::check::finding::{CheckResult, S75};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// For each node, when its election timeout began, and when it first took a step after the end of
/// the timeout.
#[derive(Clone, Debug)]
pub(super) struct LeaderlessReads {
    nodes: Vec<Node>,
}

/// The times of a node since its start, by its own clock.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// When it last changed its role, or took an input that may restart its election timeout.
    renewed: Option<Instant>,
    /// When it took its first step with waiting reads after the longest possible election timeout.
    overdue: Option<Instant>,
}

impl Rule for LeaderlessReads {
    fn new(known: &Known) -> LeaderlessReads {
        LeaderlessReads { nodes: vec![Node::default(); known.model.nodes.len()] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.nodes[known.model.slot(status.id).0] = Node::default();
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let node = &mut self.nodes[known.model.slot(status.id).0];
        let Status { id, role, term, reads_waiting, .. } = *status;
        // A read with a known read index waits for the state machine, which needs no leader.
        let waits_for_leader = reads_waiting > 0 && status.applied == status.committed;
        if waits_for_leader && matches!(role, RoleName::PreCandidate | RoleName::Candidate) {
            return S75.violated(format!(
                "{id} is a {role} in term {term} and has applied every committed entry, but still \
                 has reads that wait for a leader: {reads_waiting}"
            ));
        }
        let is_over = node.is_timeout_over(known, status);
        if !is_over || !waits_for_leader || role != RoleName::Follower || !known.shows_messages {
            node.overdue = None;
            return Ok(());
        }
        // A node that was paused may take the messages that it missed before its timer.
        let config = &known.bounds.config;
        let since = *node.overdue.get_or_insert(known.own_time);
        if known.own_time < since.after(config.election_timeout_min) {
            return Ok(());
        }
        let silence =
            node.renewed.map_or(known.own_time.since(since), |at| known.own_time.since(at));
        S75.violated(format!(
            "{id} is a follower in term {term} that has heard from no leader and given no vote for \
             {silence:?}, but still has reads that wait for a leader: {reads_waiting}; the longest \
             election timeout is {:?}",
            config.election_timeout_max
        ))
    }
}

impl Node {
    /// Notes a step that may restart the election timeout, and returns whether twice
    /// `Config::election_timeout_max` has passed since: voters of a higher priority can delay the
    /// timeout to almost that.
    fn is_timeout_over(&mut self, known: &Known, status: &Status) -> bool {
        let before = known.status_before(status);
        let has_new_role = before.is_none_or(|before| before.role != status.role);
        let restarts = known.message.is_some_and(|message| {
            message.kind == MessageKind::RequestVote
                || message.kind.class() == MessageClass::LeaderRequest
        });
        if has_new_role || restarts || known.is_fault_input || self.renewed.is_none() {
            self.renewed = Some(known.own_time);
        }
        let longest = known.bounds.config.election_timeout_max * 2;
        self.renewed.is_some_and(|at| known.own_time >= at.after(longest))
    }
}
