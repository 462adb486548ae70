//! Terms, votes and leaders: S1 to S5, S7, and the part of S8 about where entries come from.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, HardState, Membership, Message, NodeId, Term, Write};

use crate::check::electorate::Decision;
use crate::check::finding::{S1, S2, S3, S4, S5, S7, S8, S23, S24, Verdict};
use crate::check::model::{Model, Node, Which};
use crate::check::nodes::Slot;
use crate::time::SimTime;

/// Who voted and who led, over the whole run.
#[derive(Clone, Debug)]
pub(super) struct Election {
    /// For each node every vote it ever made durable, by ascending term.
    votes: Vec<Vec<(Term, NodeId)>>,
    /// For each node the votes on the disks it lost, in the order in which it did.
    lost: Vec<Vec<Vec<(Term, NodeId)>>>,
    leaderships: BTreeMap<Term, Leadership>,
}

/// One node's leadership of one term.
#[derive(Clone, Copy, Debug)]
struct Leadership {
    slot: Slot,
    /// Which of the node's starts it was: a restarted node does not lead on.
    start: u64,
    at: SimTime,
}

impl Election {
    pub(super) fn new(model: &Model) -> Election {
        let (votes, lost) = (vec![Vec::new(); model.nodes.len()], vec![]);
        let mut election = Election { votes, lost, leaderships: BTreeMap::new() };
        election.lost.resize(model.nodes.len(), Vec::new());
        election
    }

    /// A node lost its disk, and with it what that had promised.
    pub(super) fn wiped(&mut self, slot: Slot) {
        let votes = std::mem::take(&mut self.votes[slot.0]);
        self.lost[slot.0].push(votes);
    }

    /// A hard state is durable; called before the model takes it.
    pub(super) fn persisted(&mut self, model: &Model, slot: Slot, hard: HardState) -> Verdict {
        let node = model.node(slot);
        let (id, before) = (node.id, node.disk.hard_state.term);
        if hard.term < before {
            return S7
                .broken(format!("the term on {id}'s disk falls from {before} to {}", hard.term));
        }
        let Some(vote) = hard.vote else { return Ok(()) };
        match self.vote(slot, hard.term) {
            None => self.votes[slot.0].push((hard.term, vote)),
            Some(earlier) if earlier == vote => {}
            Some(earlier) => {
                let term = hard.term;
                return S3.broken(format!(
                    "{id} makes a vote for {vote} in {term} durable after one for {earlier}"
                ));
            }
        }
        Ok(())
    }

    /// The vote the node ever made durable in the term.
    fn vote(&self, slot: Slot, term: Term) -> Option<NodeId> {
        vote_in(&self.votes[slot.0], term)
    }

    /// The vote in the term on that disk of the node which the membership counts on.
    fn vote_by(&self, node: &Node, slot: Slot, term: Term, by: &Membership) -> Option<NodeId> {
        match node.named_by(by)? {
            Which::Present => self.vote(slot, term),
            Which::Lost(place) => vote_in(&self.lost[slot.0][place], term),
        }
    }

    /// Whether this step made the node the leader of its term.
    pub(super) fn stepped(
        &mut self,
        model: &Model,
        slot: Slot,
        status: &Status,
        now: SimTime,
    ) -> Verdict<bool> {
        let node = model.node(slot);
        let (id, term) = (node.id, status.term);
        let before = node.status.map_or(term, |before| before.term);
        if term < before {
            return S7.broken(format!("{id}'s term falls from {before} to {term}"));
        }
        let durable = node.disk.hard_state.term;
        if term < durable {
            return S7.broken(format!("{id} is in {term} though its disk has {durable}"));
        }
        if status.role != RoleName::Leader || node.leads(term) {
            return Ok(false);
        }
        if let Some(other) = self.leaderships.get(&term) {
            let (first, since) = (model.node(other.slot).id, other.at);
            return S1.broken(format!(
                "two leaders in {term}: {first} (elected {since}s), {id} (elected {now}s)"
            ));
        }
        self.certify(model, slot, term)?;
        self.leaderships.insert(term, Leadership { slot, start: node.starts, at: now });
        Ok(true)
    }

    fn certify(&self, model: &Model, leader: Slot, term: Term) -> Verdict {
        let id = model.node(leader).id;
        let electorate = model.electorate(leader);
        if electorate.is_voter(leader) && self.vote(leader, term) != Some(id) {
            return S4.broken(format!("{id} leads {term} before its vote for itself is durable"));
        }
        if model.survives {
            // Who is dead is not asked, and who is, each leader tells by its own clock: a voter
            // that has just started is dead to some, and not to others. S1 and S10 watch what
            // comes of it.
            return Ok(());
        }
        let membership = &electorate.membership;
        let counts =
            |slot: &Slot| self.vote_by(model.node(*slot), *slot, term, membership) == Some(id);
        let voted = |slot: &Slot| self.vote(*slot, term) == Some(id);
        let check = match electorate.decision(model.slots().filter(counts).collect()) {
            Decision::Made => return Ok(()),
            _ if electorate.decision(model.slots().filter(voted).collect()) == Decision::Made => {
                &S24
            }
            Decision::ByStrangers => &S23,
            Decision::None => &S2,
        };
        let names: Vec<String> =
            model.slots().filter(voted).map(|slot| model.node(slot).id.to_string()).collect();
        let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
        check.broken(format!(
            "{id} leads {term} with durable votes of {names}, which is no quorum of {membership}"
        ))
    }

    /// A node gave a write to its disk; called after the model took it. Whatever a node adds to its
    /// log it has from the leader of its term.
    pub(super) fn submitted(&self, model: &Model, slot: Slot, write: &Write) -> Verdict {
        let Some(last) = write.entries.last().map(|entry| entry.id) else { return Ok(()) };
        let node = model.node(slot);
        let (id, term) = (node.id, node.memory.hard_state.term);
        let Some(leadership) = self.leaderships.get(&term) else {
            return S8.broken(format!("{id} writes {last} in {term}, in which nobody leads"));
        };
        let leader = model.node(leadership.slot);
        let has = leader.memory.log.id_at(last.index).filter(|_| leader.leads(term));
        let Some(has) = has.filter(|has| *has != last) else { return Ok(()) };
        let leader = leader.id;
        S8.broken(format!("{id} writes {last} in {term}, of which the leader, {leader}, has {has}"))
    }

    /// The latest term that anybody has won.
    pub(super) fn latest(&self) -> Term {
        self.leaderships.last_key_value().map_or(Term::ZERO, |(term, _)| *term)
    }

    pub(super) fn sent(&self, model: &Model, from: Slot, message: &Message) -> Verdict {
        match &message.body {
            Body::RequestVote { .. } => self.asks_for_votes(model, from, message.term),
            Body::AppendEntries { .. }
            | Body::Heartbeat { .. }
            | Body::InstallSnapshot { .. }
            | Body::TimeoutNow
            | Body::Counted => self.speaks_as_leader(model, from, message.term),
            Body::RequestVoteReply { granted: true } => {
                self.grants(model, from, message)?;
                knows_who_counts(model, from, message)?;
                replies(model, from, message)
            }
            Body::PreVoteReply { granted: true, .. } => {
                knows_who_counts(model, from, message)?;
                replies(model, from, message)
            }
            Body::RequestVoteReply { granted: false }
            | Body::PreVoteReply { .. }
            | Body::AppendEntriesReply(_)
            | Body::HeartbeatReply { .. }
            | Body::InstallSnapshotReply { .. }
            | Body::ReadIndexReply { .. }
            | Body::Vouch => replies(model, from, message),
            Body::PreVote { .. }
            | Body::ReadIndex { .. }
            | Body::Meet { .. }
            | Body::Founded { .. }
            | Body::Stranger => Ok(()),
        }
    }

    fn asks_for_votes(&self, model: &Model, from: Slot, term: Term) -> Verdict {
        let id = model.node(from).id;
        match self.vote(from, term) {
            Some(vote) if vote == id => Ok(()),
            Some(vote) => S3.broken(format!(
                "{id} stands for election in {term}, in which it voted for {vote}"
            )),
            None => S4.broken(format!(
                "{id} asks for votes in {term} before its vote for itself is durable"
            )),
        }
    }

    fn grants(&self, model: &Model, from: Slot, message: &Message) -> Verdict {
        let (id, to, term) = (model.node(from).id, message.to, message.term);
        match self.vote(from, term) {
            Some(vote) if vote == to => Ok(()),
            Some(vote) => {
                S3.broken(format!("{id} sends {to} its vote in {term}, which it gave to {vote}"))
            }
            None => {
                S4.broken(format!("{id} sends {to} its vote in {term} before the vote is durable"))
            }
        }
    }

    fn speaks_as_leader(&self, model: &Model, from: Slot, term: Term) -> Verdict {
        let node = model.node(from);
        if node.leads(term) {
            return Ok(());
        }
        match self.leaderships.get(&term) {
            Some(leader) if leader.slot == from && leader.start == node.starts => Ok(()),
            Some(leader) => {
                let (id, leader) = (node.id, model.node(leader.slot).id);
                S1.broken(format!("{id} speaks as the leader of {term}, which {leader} won"))
            }
            None => {
                let id = node.id;
                S1.broken(format!("{id} speaks as the leader of {term}, which nobody won"))
            }
        }
    }
}

fn vote_in(votes: &[(Term, NodeId)], term: Term) -> Option<NodeId> {
    let place = votes.binary_search_by_key(&term, |(term, _)| *term).ok()?;
    Some(votes[place].1)
}

/// Who knows of no membership has an empty disk, perhaps in the place of one that promised.
fn knows_who_counts(model: &Model, from: Slot, message: &Message) -> Verdict {
    let node = model.node(from);
    if !node.memory.log.electorate().membership.is_nobody() {
        return Ok(());
    }
    let (id, to, name) = (node.id, message.to, message.body.name());
    S24.broken(format!("{id} grants {to} its {name}, and knows no membership"))
}

fn replies(model: &Model, from: Slot, message: &Message) -> Verdict {
    let node = model.node(from);
    let durable = node.disk.hard_state.term;
    if message.term <= durable {
        return Ok(());
    }
    let (id, to, term, name) = (node.id, message.to, message.term, message.body.name());
    S5.broken(format!("{id} sends {to} {name} in {term} while its disk has {durable}"))
}
