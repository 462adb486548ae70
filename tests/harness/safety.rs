//! Safety checks: election safety, log matching and state machine safety (Raft, figure 3), one vote
//! of each node in a term, and terms and commit indices that never go back.

use std::collections::BTreeMap;

use quorate::raft::RoleName;
use quorate::types::{Body, Entry, Index, Message, NodeId, Term};

use super::node::Node;

#[derive(Default)]
pub(crate) struct Safety {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
    /// The highest durable term of each node, over all its starts.
    terms: BTreeMap<NodeId, Term>,
    /// The commit index of each node since its start.
    committed: BTreeMap<NodeId, Index>,
    applied: BTreeMap<Index, Entry>,
    applied_checked: BTreeMap<NodeId, usize>,
}

impl Safety {
    /// Drops the state that a node loses by a crash.
    pub(crate) fn crashed(&mut self, id: NodeId) {
        self.committed.remove(&id);
        self.applied_checked.remove(&id);
    }

    /// Checks a node after a step.
    pub(crate) fn observe(&mut self, id: NodeId, node: &Node) {
        let status = node.status();
        assert_eq!(status.id, id, "the node reports its own id");
        let durable = self.terms.entry(id).or_default();
        assert!(*durable <= status.term, "{id} went back from {durable} to {}", status.term);
        assert!(node.disk.hard_state().term >= *durable, "{id} forgot {durable}");
        *durable = node.disk.hard_state().term;

        let committed = self.committed.entry(id).or_default();
        assert!(*committed <= status.committed, "the commit index of {id} went back");
        *committed = status.committed;
        assert!(status.applied <= status.committed, "{id} applies only committed entries");
        assert!(status.committed <= status.last.index, "{id} commits only entries in its log");

        if status.role == RoleName::Leader {
            let leader = *self.leaders.entry(status.term).or_insert(id);
            assert_eq!(leader, id, "election safety: two leaders in {}", status.term);
        }
        self.observe_applied(id, node.applied());
    }

    /// Checks state machine safety: at each index, all nodes apply the same entry.
    fn observe_applied(&mut self, id: NodeId, applied: &[Entry]) {
        let checked = self.applied_checked.entry(id).or_default();
        for entry in &applied[*checked..] {
            let first = self.applied.entry(entry.id.index).or_insert_with(|| entry.clone());
            assert_eq!(first, entry, "state machine safety: {id} applied another entry");
        }
        *checked = applied.len();
    }

    /// Checks a sent message: no node votes twice in one term.
    pub(crate) fn observe_sent(&mut self, message: &Message) {
        let vote = match message.body {
            Body::RequestVote { .. } => message.from,
            Body::RequestVoteReply { granted: true, .. } => message.to,
            _ => return,
        };
        let first = *self.votes.entry((message.term, message.from)).or_insert(vote);
        assert_eq!(first, vote, "{} voted twice in {}", message.from, message.term);
    }

    /// Checks log matching (Raft §5.3): logs with an entry of the same id are equal up to it.
    pub(crate) fn check_logs(&self, nodes: &BTreeMap<NodeId, Node>) {
        let logs: Vec<(NodeId, Vec<Entry>)> =
            nodes.iter().map(|(id, node)| (*id, node.log())).collect();
        for (at, (a, ours)) in logs.iter().enumerate() {
            for (b, theirs) in &logs[..at] {
                let agreed = ours.iter().zip(theirs).rposition(|(x, y)| x.id == y.id);
                let length = agreed.map_or(0, |last| last + 1);
                assert_eq!(ours[..length], theirs[..length], "log matching: {a} and {b} differ");
            }
        }
    }
}
