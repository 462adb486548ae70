//! Terms, votes and leaders: S1 to S5, S7, S56, the part of S8 about the source of entries, and the
//! parts of S23 and S24 about elections.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{
    Body, HardState, Incarnation, Membership, Message, MessageClass, MessageKind, NodeId, Term,
    Write,
};

use crate::check::electorate::Decision;
use crate::check::finding::{CheckResult, S1, S2, S3, S4, S5, S7, S8, S23, S24, S56};
use crate::check::known::{Known, names};
use crate::check::model::{DiskRef, Model, Node, REPLACED_DISK_RULE};
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The votes and leaderships of the whole run.
#[derive(Clone, Debug)]
pub(super) struct Election {
    /// For each node, every vote that its current disk made durable and has not lost since, by
    /// ascending term.
    votes: Vec<Vec<(Term, NodeId)>>,
    /// For each node, the votes that its current disk has lost and that may still count.
    forgotten: Vec<Vec<(Term, NodeId)>>,
    /// For each node, the votes on each disk that it lost, in the order of the losses.
    lost: Vec<Vec<Vec<(Term, NodeId)>>>,
    /// For each node, whether its disk was rolled back since the node's last start.
    rolled_back: Vec<bool>,
    leaderships: BTreeMap<Term, Leadership>,
}

/// One node's leadership of one term.
#[derive(Clone, Copy, Debug)]
struct Leadership {
    slot: Slot,
    /// The number of times that the node had started when it won the term; a restarted node must
    /// win again.
    start: u64,
    at: SimTime,
}

impl Rule for Election {
    fn new(known: &Known) -> Election {
        let nodes = known.model.nodes.len();
        let (votes, lost) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        let (forgotten, rolled_back) = (votes.clone(), vec![false; nodes]);
        Election { votes, forgotten, lost, rolled_back, leaderships: BTreeMap::new() }
    }

    fn before_started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        if std::mem::take(&mut self.rolled_back[slot.0]) {
            self.forget(slot, status.hard_state());
        }
        self.persisted(&known.model, status.id, status.hard_state())
    }

    /// Checks a node's term, and its election if the node became the leader of its term.
    fn before_status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let (model, now, id, term) = (&known.model, known.now, status.id, status.term);
        let (slot, node) = (model.slot(id), model.of(id));
        let before = node.status.map_or(term, |before| before.term);
        if term < before {
            return S7.violated(format!("{id}'s term decreases from {before} to {term}"));
        }
        let durable = node.disk.hard_state.term;
        if term < durable {
            return S7.violated(format!(
                "{id} reports term {term}, but its disk holds the later term {durable}"
            ));
        }
        if status.role != RoleName::Leader || node.leads(term) {
            return self.check_known_leader(known, status);
        }
        if let Some(other) = self.leaderships.get(&term) {
            let (first, since) = (model.node(other.slot).id, other.at);
            return S1.violated(format!(
                "term {term} has two leaders: {first}, elected at {since} s, and {id}, elected at \
                 {now} s"
            ));
        }
        self.check_election_quorum(model, slot, term)?;
        self.leaderships.insert(term, Leadership { slot, start: node.starts, at: now });
        Ok(())
    }

    fn before_durable(&mut self, known: &Known, node: NodeId, write: &Write) -> CheckResult {
        let Some(hard) = write.hard_state else { return Ok(()) };
        let (model, slot) = (&known.model, known.model.slot(node));
        if model.node(slot).is_uncertain() && !hard.is_uncertain {
            // From now on, no candidate of a later term wins with a vote that the node has
            // forgotten (docs/REPAIR.md, the first step of the argument for R3).
            self.forgotten[slot.0].retain(|(term, _)| *term <= hard.term);
        }
        self.persisted(model, node, hard)
    }

    fn rolled_back(&mut self, known: &Known, node: NodeId) -> CheckResult {
        self.rolled_back[known.model.slot(node).0] = true;
        Ok(())
    }

    // The node lost its disk together with the votes on it.
    fn wiped(&mut self, known: &Known, node: NodeId) -> CheckResult {
        let slot = known.model.slot(node).0;
        let mut votes = std::mem::take(&mut self.votes[slot]);
        votes.append(&mut self.forgotten[slot]);
        self.lost[slot].push(votes);
        self.rolled_back[slot] = false;
        Ok(())
    }

    /// Checks a write after the model applied it: every entry that a node writes comes from the
    /// leader of the node's term.
    fn submitted(&mut self, known: &Known, node: NodeId, write: &Write) -> CheckResult {
        let Some(last) = write.entries.last().map(|entry| entry.id) else { return Ok(()) };
        let (model, node) = (&known.model, known.model.of(node));
        let (id, term) = (node.id, node.memory.hard_state.term);
        let Some(leadership) = self.leaderships.get(&term) else {
            return S8.violated(format!(
                "{id} writes entry {last} in term {term}, but term {term} has no leader"
            ));
        };
        let leader = model.node(leadership.slot);
        let has = leader.memory.log.id_at(last.index).filter(|_| leader.leads(term));
        let Some(has) = has.filter(|has| *has != last) else { return Ok(()) };
        let leader = leader.id;
        S8.violated(format!(
            "{id} writes entry {last} in term {term}, but {leader}, the leader of that term, \
             holds entry {has} at that index"
        ))
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (model, from) = (&known.model, known.model.slot(message.from));
        if let Body::RequestVoteReply { granted: true, .. } = message.body {
            self.check_vote_grant(model, from, message)?;
        }
        if let Body::RequestVoteReply { granted: true, .. }
        | Body::PreVoteReply { granted: true, .. } = message.body
        {
            check_knows_membership(model, from, message)?;
        }
        match message.body.class() {
            MessageClass::LeaderRequest | MessageClass::LeaderNotice => {
                self.check_leader_message(model, from, message.term)
            }
            MessageClass::LeaderReply | MessageClass::Reply => {
                check_reply_term(model, from, message)
            }
            MessageClass::Request if message.body.kind() == MessageKind::RequestVote => {
                self.check_vote_request(model, from, message.term)
            }
            MessageClass::Request => Ok(()),
        }
    }
}

impl Election {
    /// Checks that a node that begins to name a leader names the winner of its term. A node may
    /// name another one if a fault made up its input.
    fn check_known_leader(&self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, term, leader: Some(named), .. } = *status else { return Ok(()) };
        let (model, is_same) =
            (&known.model, |it: Status| (it.term, it.leader) == (term, Some(named)));
        if known.is_fault_input || model.of(id).status.is_some_and(is_same) {
            return Ok(());
        }
        let winner = self.leaderships.get(&term).map(|leadership| model.node(leadership.slot).id);
        if winner == Some(named) {
            return Ok(());
        }
        let winner = winner.map_or_else(|| "no node".to_owned(), |winner| winner.to_string());
        S56.violated(format!(
            "{id} names {named} as the leader of term {term}, but {winner} has won that term"
        ))
    }

    /// Checks a durable hard state before the model records it.
    fn persisted(&mut self, model: &Model, id: NodeId, hard: HardState) -> CheckResult {
        let (slot, before) = (model.slot(id), model.of(id).disk.hard_state.term);
        if hard.term < before {
            return S7.violated(format!(
                "the term on {id}'s disk decreases from {before} to {}",
                hard.term,
            ));
        }
        let Some(vote) = hard.vote else { return Ok(()) };
        match self.vote(slot, hard.term) {
            None => self.votes[slot.0].push((hard.term, vote)),
            Some(earlier) if earlier == vote => {}
            Some(earlier) => {
                let term = hard.term;
                return S3.violated(format!(
                    "{id} makes a vote for {vote} in term {term} durable, but it already made a \
                     vote for {earlier} in that term durable"
                ));
            }
        }
        Ok(())
    }

    /// Forgets the votes that a rolled-back disk with this hard state does not have: the node may
    /// vote a second time in the terms of these votes. It may have sent the first votes, so they
    /// still count.
    fn forget(&mut self, slot: Slot, hard: HardState) {
        let votes = &mut self.votes[slot.0];
        let is_kept = |(term, vote): &(Term, NodeId)| {
            *term < hard.term || *term == hard.term && hard.vote == Some(*vote)
        };
        self.forgotten[slot.0].extend(votes.iter().filter(|vote| !is_kept(vote)));
        votes.retain(is_kept);
    }

    /// The vote in the term that the node's current disk made durable and has not forgotten.
    fn vote(&self, slot: Slot, term: Term) -> Option<NodeId> {
        let votes = &self.votes[slot.0];
        let place = votes.binary_search_by_key(&term, |(term, _)| *term).ok()?;
        Some(votes[place].1)
    }

    /// Whether `node` voted for the candidate in `term`, on the disk that the membership `by` names
    /// for this node.
    fn has_vote(
        &self,
        node: &Node,
        slot: Slot,
        term: Term,
        candidate: NodeId,
        by: &Membership,
    ) -> bool {
        let vote = (term, candidate);
        match node.disk_named_by(by) {
            None => false,
            Some(DiskRef::Current) => {
                self.vote(slot, term) == Some(candidate) || self.forgotten[slot.0].contains(&vote)
            }
            Some(DiskRef::Lost(place)) => self.lost[slot.0][place].contains(&vote),
        }
    }

    fn check_election_quorum(&self, model: &Model, leader: Slot, term: Term) -> CheckResult {
        let id = model.node(leader).id;
        let electorate = model.electorate(leader);
        if electorate.is_voter(leader) && self.vote(leader, term) != Some(id) {
            return S4.violated(format!(
                "{id} becomes leader of term {term} before its own vote for itself is durable"
            ));
        }
        if model.last_survivor_enabled {
            // A last survivor does not need the votes of dead voters, and each leader decides by
            // its own clock which voters are dead. S1 and S10 check the consequences.
            return Ok(());
        }
        let membership = &electorate.membership;
        let counts = |slot: &Slot| self.has_vote(model.node(*slot), *slot, term, id, membership);
        let voted = |slot: &Slot| self.vote(*slot, term) == Some(id);
        let voters: Nodes = model.slots().filter(voted).collect();
        let check = match electorate.decision(model.slots().filter(counts).collect()) {
            Decision::Quorum => return Ok(()),
            _ if electorate.decision(voters) == Decision::Quorum => &S24,
            Decision::QuorumWithNonVoters => &S23,
            Decision::NoQuorum => &S2,
        };
        let names = names(model, voters);
        let names = if names.is_empty() { "no node" } else { &names };
        let rule = if *check == S24 { REPLACED_DISK_RULE } else { "" };
        check.violated(format!(
            "{id} becomes leader of term {term} with durable votes of {names}, which is not a \
             quorum of {membership}{rule}"
        ))
    }

    fn check_vote_request(&self, model: &Model, from: Slot, term: Term) -> CheckResult {
        let id = model.node(from).id;
        match self.vote(from, term) {
            Some(vote) if vote == id => Ok(()),
            Some(vote) => S3.violated(format!(
                "{id} requests votes for itself in term {term}, but it voted for {vote} in that \
                 term"
            )),
            None => S4.violated(format!(
                "{id} requests votes in term {term} before its own vote for itself is durable"
            )),
        }
    }

    fn check_vote_grant(&self, model: &Model, from: Slot, message: &Message) -> CheckResult {
        let (id, to, term) = (model.node(from).id, message.to, message.term);
        match self.vote(from, term) {
            Some(vote) if vote == to => Ok(()),
            Some(vote) => S3.violated(format!(
                "{id} sends its vote in term {term} to {to}, but it voted for {vote} in that \
                     term"
            )),
            None => S4.violated(format!(
                "{id} sends its vote in term {term} to {to} before that vote is durable"
            )),
        }
    }

    fn check_leader_message(&self, model: &Model, from: Slot, term: Term) -> CheckResult {
        let (node, won) = (model.node(from), self.leaderships.get(&term));
        let is_own = |won: &Leadership| won.slot == from && won.start == node.starts;
        if node.leads(term) || won.is_some_and(is_own) {
            return Ok(());
        }
        let id = node.id;
        let winner = won.map_or("no node".to_owned(), |won| model.node(won.slot).id.to_string());
        S1.violated(format!(
            "{id} sends a message as the leader of term {term}, but {winner} won that term"
        ))
    }
}

/// Checks that a node that grants a vote has a membership or an entry, or that the membership of
/// some node names its disk. Any other disk is an empty one, which may replace a disk that voted
/// for another candidate.
fn check_knows_membership(model: &Model, from: Slot, message: &Message) -> CheckResult {
    let node = model.node(from);
    let log = &node.memory.log;
    // The receiver may lose its disk while the vote becomes durable, so any membership counts.
    let names = |other: &Node| {
        let member = other.memory.log.electorate().membership.member(node.id);
        member.is_some_and(|member| member.incarnation == message.incarnation)
    };
    let is_named = message.incarnation != Incarnation::default() && model.nodes.iter().any(names);
    if is_named || log.last().0 > 0 || !log.electorate().membership.is_empty() {
        return Ok(());
    }
    let (id, to, name) = (node.id, message.to, message.body.name());
    S24.violated(format!(
        "{id} sends {to} a {name} that grants the request, but it has no membership, because its \
         disk is empty"
    ))
}

fn check_reply_term(model: &Model, from: Slot, message: &Message) -> CheckResult {
    let node = model.node(from);
    let durable = node.disk.hard_state.term;
    if message.term <= durable {
        return Ok(());
    }
    let (id, to, term, name) = (node.id, message.to, message.term, message.body.name());
    S5.violated(format!(
        "{id} sends {to} its {name} in term {term}, but the term on {id}'s disk is {durable}"
    ))
}
