//! Events of clients and of their requests on the stage.

use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::raft::RejectReason;
use quorate::types::{EntryId, Freshness, Index, NodeId, ReadLevel, Tag};
use quorate_sim::observe::{Observation, OpId};
use quorate_sim::workload::request::mark;

use crate::stage::Stage;

impl Stage {
    /// A client proposes a command without a session.
    pub(crate) fn proposes(&mut self) -> OpId {
        self.proposes_in(None)
    }

    /// A client proposes a command in a session.
    pub(crate) fn requests(&mut self, session: u64, sequence: u64) -> OpId {
        self.proposes_in(Some((SessionId(Index(session)), Sequence(sequence))))
    }

    fn proposes_in(&mut self, session: Option<(SessionId, Sequence)>) -> OpId {
        let op = self.next_op();
        let command = &mark(b"x".to_vec(), op, 0)[..];
        self.observes(Observation::ProposeInvoked { op, command, session });
        op
    }

    /// A client invokes a linearizable read.
    pub(crate) fn reads(&mut self) -> OpId {
        self.reads_at_level(ReadLevel::Linearizable)
    }

    /// A client invokes a read at this level.
    pub(crate) fn reads_at_level(&mut self, level: ReadLevel) -> OpId {
        let op = self.next_op();
        self.observes(Observation::ReadInvoked { op, level, query: b"how many" });
        op
    }

    fn next_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op - 1)
    }

    /// A client receives the usual reply to its command.
    pub(crate) fn confirms(&mut self, op: OpId, id: EntryId) {
        self.replies(op, id, &Outcome::Reply(b"x".as_slice().into()));
    }

    /// A client receives this outcome of its command.
    pub(crate) fn replies(&mut self, op: OpId, id: EntryId, outcome: &Outcome) {
        self.observes(Observation::Replied { op, node: NodeId(1), id, outcome });
    }

    /// A client receives a rejection of its operation.
    pub(crate) fn rejects(&mut self, op: OpId) {
        self.observes(Observation::Rejected { op, reason: RejectReason::Busy });
    }

    /// The node's state machine answers a client's read.
    pub(crate) fn serves(&mut self, op: OpId, node: u64, index: u64) {
        self.serves_with(op, node, index, |_, _| {});
    }

    /// The node's state machine answers a client's read with this stated freshness.
    pub(crate) fn serves_as(&mut self, op: OpId, node: u64, index: u64, freshness: Freshness) {
        self.serves_changed(op, (node, index), freshness, |_, _| {});
    }

    /// The node's state machine answers a client's read, changed by `change`.
    pub(crate) fn serves_with(
        &mut self,
        op: OpId,
        node: u64,
        index: u64,
        change: impl FnOnce(&mut Option<Digest>, &mut Vec<u8>),
    ) {
        self.serves_changed(op, (node, index), Freshness::Linearizable, change);
    }

    fn serves_changed(
        &mut self,
        op: OpId,
        (node, index): (u64, u64),
        freshness: Freshness,
        change: impl FnOnce(&mut Option<Digest>, &mut Vec<u8>),
    ) {
        let machine = &self.actor(node).machine;
        let (mut answer, mut state) = (machine.query(b"how many"), machine.results());
        let (node, index, applied) = (NodeId(node), Index(index), machine.applied().index);
        change(&mut state, &mut answer);
        let answer = &answer[..];
        self.observes(Observation::ReadServed {
            op,
            node,
            freshness,
            index,
            applied,
            state,
            answer,
        });
    }

    /// A request reaches the node.
    pub(crate) fn receives_request(&mut self, node: u64, tag: u64) {
        self.observes(Observation::RequestReceived { node: NodeId(node), tag: Tag(tag) });
    }

    /// A request reaches the node, which may answer it only once every live voter has the entry.
    pub(crate) fn receives_request_for_all_live(&mut self, node: u64, tag: u64) {
        self.receives_request(node, tag);
        self.observes(Observation::RequestForAllLive { tag: Tag(tag) });
    }

    /// The node answers a request.
    pub(crate) fn has_answered(&mut self, tag: u64) {
        self.observes(Observation::RequestAnswered { tag: Tag(tag), rejected: None });
    }
}
