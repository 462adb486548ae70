//! Answers to clients. A node gives none while its state machine is not usable: a comparison has
//! shown that no majority of the voters has the state of this node, the node has no state, or its
//! build is too old for the log. While the state machine is unverified, the node answers no reads
//! until a comparison finds it consistent, or until a bounded time without a different digest is
//! over.

use crate::raft;
use crate::replica::node::Node;
use crate::replica::output::{Output, Work};
use crate::types::{EntryId, Freshness, Index, ReadLevel, RejectReason, Tag};

impl Node {
    /// Whether the state machine may answer reads now.
    pub(super) fn may_serve_reads(&self) -> bool {
        self.validation.may_serve_reads(self.now, self.raft.membership())
    }

    /// Handles a client's read.
    pub(super) fn on_read(&mut self, tag: Tag, level: ReadLevel, query: Vec<u8>) {
        if !self.may_serve_reads() {
            return self.reject_unverified(tag);
        }
        let log = self.raft.log();
        let conflict = match level {
            ReadLevel::Replica if self.raft.has_read_lease(self.now) => {
                self.read_conflicts.last(self.now, log, &query)
            }
            // Without a read lease the algorithm ignores this index. It is the safe choice: a read
            // that used it would wait for the whole log.
            ReadLevel::Replica => log.last().index,
            _ => Index::ZERO,
        };
        assert!(conflict <= log.last().index, "a read waits for entries of the log");
        self.requests.read(tag, query);
        self.inputs.push_back(raft::Input::Read { tag, level, conflict });
    }

    /// Passes the query of a read that may be answered now to the worker.
    pub(super) fn on_read_ready(&mut self, tag: Tag, index: Index, freshness: Freshness) {
        if !self.may_serve_reads() {
            self.requests.end(tag);
            return self.reject_unverified(tag);
        }
        assert!(index <= self.raft.log().applied(), "a read waits until its index is applied");
        let query = self.requests.ready(tag, index, freshness);
        self.outputs.push(Output::Work(Work::Query { tag, query }));
    }

    /// Passes on the worker's answer to a read.
    pub(super) fn on_answered(&mut self, tag: Tag, applied: Index, answer: Vec<u8>) {
        let (index, freshness) = self.requests.answered(tag);
        if !self.may_serve_reads() {
            return self.reject_unverified(tag);
        }
        assert!(index <= applied, "an answer has the effects of every entry up to its read index");
        self.outputs.push(Output::Answered { tag, freshness, index, applied, answer });
    }

    /// Handles the commit of a proposal. A state machine that is not usable does not apply it, so
    /// its outcome is unknown on this node.
    pub(super) fn on_committed(&mut self, tag: Tag, id: EntryId) {
        assert!(id.index <= self.raft.log().committed(), "a committed proposal stays in the log");
        if self.validation.is_usable() {
            self.outputs.extend(self.requests.committed(tag, id));
        } else {
            self.requests.end_at(tag, id.index);
            self.outputs.push(Output::Unknown { tag });
        }
    }

    fn reject_unverified(&mut self, tag: Tag) {
        self.outputs.push(Output::Rejected { tag, reason: RejectReason::Unverified });
    }
}
