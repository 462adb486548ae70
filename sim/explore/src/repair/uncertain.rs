//! Uncertain nodes (R3), and how a node becomes one when an older copy replaces its disk.
//!
//! Where disks are rolled back, a vote that is counted late matters, because its voter may have
//! forgotten it, so an election is three kinds of events here, not one: a campaign, votes, and a
//! victory.

use crate::repair::omissions::Omission;
use crate::repair::protocol::Unflushed;
use crate::repair::state::{Cluster, Node, OldDisk, Role};

impl Cluster {
    /// A node becomes a candidate, with its own vote.
    pub(crate) fn campaign(&mut self, place: usize) -> bool {
        if self.nodes[place].leader().is_some() || !self.may_vote(place) {
            return false;
        }
        self.follow(place, self.nodes[place].term + 1);
        self.nodes[place].role = Role::Candidate(1 << place);
        true
    }

    /// A node that has not entered the candidate's term votes for it.
    pub(crate) fn vote(&mut self, place: usize, voter: usize) -> bool {
        let term = self.nodes[place].term;
        let Role::Candidate(votes) = self.nodes[place].role else { return false };
        if self.nodes[voter].term >= term || !self.would_vote(voter, place) {
            return false;
        }
        self.follow(voter, term);
        self.nodes[place].role = Role::Candidate(votes | 1 << voter);
        true
    }

    /// A candidate counts a quorum of votes.
    pub(crate) fn win(&mut self, place: usize) -> bool {
        match self.nodes[place].role {
            Role::Candidate(votes) if self.is_quorum(votes) => {
                self.lead(place);
                true
            }
            _ => false,
        }
    }

    /// An operator copies the disk of a node.
    pub(crate) fn copy_disk(&mut self, place: usize) -> bool {
        let node = &mut self.nodes[place];
        node.old_disk = Some(OldDisk { term: node.term, log: node.log });
        true
    }

    /// A node starts with the copy in place of its disk, marked as uncertain.
    pub(crate) fn roll_back(&mut self, place: usize) -> bool {
        let Some(OldDisk { term, log }) = self.nodes[place].old_disk.take() else { return false };
        self.crash(place, Unflushed::Kept);
        let node = &mut self.nodes[place];
        (node.term, node.log, node.is_certain) = (term, log, false);
        true
    }

    /// A leader receives the request of an uncertain node, and appends an entry.
    pub(crate) fn request_log_end(&mut self, place: usize, asking: usize) -> bool {
        let (leader, node) = (&self.nodes[place], &self.nodes[asking]);
        let is_current = leader.term >= node.term;
        let is_answered = node.goal.is_some_and(|(term, _)| term == leader.term);
        let is_new = leader.leader().is_some_and(|memory| memory.requests[asking] == 0);
        if is_answered || node.is_certain || !is_current || !is_new || !self.propose(place) {
            return false;
        }
        self.follow(asking, self.nodes[place].term);
        let entry = self.nodes[place].log.last();
        self.leader_mut(place).expect("it leads").requests[asking] = entry;
        true
    }

    /// A leader replies with its last index to an uncertain node, once the entry that it appended
    /// after the request is on the disks of a quorum of certain nodes.
    pub(crate) fn answer_uncertain(&mut self, place: usize, asking: usize) -> bool {
        let (leader, node) = (&self.nodes[place], &self.nodes[asking]);
        let is_current = leader.term >= node.term;
        let Some(memory) = leader.leader() else { return false };
        let is_stored = memory.requests[asking] <= self.acknowledged(leader, &memory.counted);
        let is_due = memory.requests[asking] > 0 && is_stored
            || self.omits(Omission::AnswersAtOnce)
            || self.omits(Omission::AnswersByRound) && self.has_confirmed_round(leader);
        if node.is_certain || !is_current || !is_due {
            return false;
        }
        let (term, last) = (leader.term, leader.log.last());
        self.follow(asking, term);
        self.leader_mut(place).expect("it leads").requests[asking] = 0;
        self.nodes[asking].goal = Some((term, last));
        self.become_certain(asking);
        true
    }

    /// Whether a quorum of certain nodes replies to a heartbeat of the leader now.
    fn has_confirmed_round(&self, leader: &Node) -> bool {
        let replies = self.set(|node| node.is_certain && node.term <= leader.term);
        self.is_quorum(replies)
    }
}
