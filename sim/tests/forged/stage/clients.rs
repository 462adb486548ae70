//! What clients ask for and are told.

use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::raft::RejectReason;
use quorate::types::{EntryId, Freshness, Index, NodeId, ReadLevel, Tag};
use quorate_sim::observe::{OpId, Seen};
use quorate_sim::request::mark;

use crate::stage::Stage;

impl Stage {
    /// A client proposes a command.
    pub(crate) fn proposes(&mut self) -> OpId {
        self.proposes_in(None)
    }

    /// A client proposes a request of a session.
    pub(crate) fn requests(&mut self, session: u64, sequence: u64) -> OpId {
        self.proposes_in(Some((SessionId(Index(session)), Sequence(sequence))))
    }

    fn proposes_in(&mut self, session: Option<(SessionId, Sequence)>) -> OpId {
        let op = self.next_op();
        let command = &mark(b"x".to_vec(), op, 0)[..];
        self.sees(Seen::ProposeInvoked { op, command, session });
        op
    }

    /// A client asks to read.
    pub(crate) fn asks(&mut self) -> OpId {
        self.asks_for(ReadLevel::Linearizable)
    }

    /// A client asks to read, at this level.
    pub(crate) fn asks_for(&mut self, level: ReadLevel) -> OpId {
        let op = self.next_op();
        self.sees(Seen::ReadInvoked { op, level, query: b"how many" });
        op
    }

    fn next_op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op - 1)
    }

    /// A client hears what came of its command: this node's machine tells.
    pub(crate) fn confirms(&mut self, op: OpId, id: EntryId) {
        self.tells(op, id, &Outcome::Reply(b"x".as_slice().into()));
    }

    /// A client hears that this came of its command.
    pub(crate) fn tells(&mut self, op: OpId, id: EntryId, outcome: &Outcome) {
        self.sees(Seen::Replied { op, node: NodeId(1), id, outcome });
    }

    /// A client hears that nothing happened.
    pub(crate) fn rejects(&mut self, op: OpId) {
        self.sees(Seen::Rejected { op, reason: RejectReason::Busy });
    }

    /// A client's read is answered by the node's state machine.
    pub(crate) fn serves(&mut self, op: OpId, node: u64, index: u64) {
        self.serves_but(op, node, index, |_, _| {});
    }

    /// A client's read is answered by the node's state machine, and is said to be so fresh.
    pub(crate) fn serves_as(&mut self, op: OpId, node: u64, index: u64, freshness: Freshness) {
        let machine = &self.actor(node).machine;
        let (answer, state) = (machine.query(b"how many"), machine.results());
        let (node, index, applied) = (NodeId(node), Index(index), machine.applied().index);
        let answer = &answer[..];
        self.sees(Seen::ReadServed { op, node, freshness, index, applied, state, answer });
    }

    /// A client's read is answered by the node's state machine, changed like this.
    pub(crate) fn serves_but(
        &mut self,
        op: OpId,
        node: u64,
        index: u64,
        change: impl FnOnce(&mut Option<Digest>, &mut Vec<u8>),
    ) {
        let machine = &self.actor(node).machine;
        let (mut answer, mut state) = (machine.query(b"how many"), machine.results());
        let (node, index, applied) = (NodeId(node), Index(index), machine.applied().index);
        change(&mut state, &mut answer);
        let (answer, freshness) = (&answer[..], Freshness::Linearizable);
        self.sees(Seen::ReadServed { op, node, freshness, index, applied, state, answer });
    }

    /// A request reaches the node.
    pub(crate) fn is_asked(&mut self, node: u64, tag: u64) {
        self.sees(Seen::Asked { node: NodeId(node), tag: Tag(tag) });
    }

    /// A request reaches the node that is to be answered once every live voter has it.
    pub(crate) fn is_asked_for_all_live(&mut self, node: u64, tag: u64) {
        self.is_asked(node, tag);
        self.sees(Seen::ForAllLive { tag: Tag(tag) });
    }

    /// The node has answered a request.
    pub(crate) fn has_answered(&mut self, tag: u64) {
        self.sees(Seen::Answered { tag: Tag(tag) });
    }
}
