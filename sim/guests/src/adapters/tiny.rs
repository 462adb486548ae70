//! A complete guest: Raft with elections and replication, and nothing else.
//!
//! It is an example of the trait, and the core into which the tests plant bugs.

use std::collections::BTreeSet;

use crate::disk::{Bytes, Disk, Entry, Write};
use crate::guest::{Effects, Guest, Member, NodeId, Statement, Status};

/// The maximum number of entries of a message.
const BATCH: u64 = 16;

/// A node of the tiny Raft.
#[derive(Debug)]
pub struct Tiny {
    member: Member,
    term: u64,
    vote: Option<NodeId>,
    log: Vec<Entry>,
    commit: u64,
    applied: u64,
    role: Role,
    /// The ticks since the last heartbeat or vote, and the number at which the node acts.
    ticks: u32,
    timeout: u32,
    timeouts: u64,
    /// The writes and messages since the last effects.
    writes: Vec<Write>,
    messages: Vec<(NodeId, Message)>,
}

#[derive(Debug)]
enum Role {
    Follower,
    Candidate {
        votes: BTreeSet<NodeId>,
    },
    /// The next index to send to each peer, and the last one known to be on its disk.
    Leader {
        peers: Vec<(NodeId, u64, u64)>,
    },
}

/// A message of the tiny Raft (Raft, figure 2).
#[derive(Clone, Debug)]
pub struct Message {
    term: u64,
    pub(super) body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    RequestVote { last: u64, last_term: u64 },
    Vote { granted: bool },
    Append { after: u64, after_term: u64, entries: Vec<Entry>, commit: u64 },
    Appended { matched: bool, last: u64 },
}

impl Guest for Tiny {
    type Message = Message;

    fn start(member: &Member, disk: &Disk) -> Tiny {
        let mut node = Tiny {
            member: member.clone(),
            term: disk.term,
            vote: disk.vote,
            log: disk.entries.clone(),
            commit: 0,
            applied: 0,
            role: Role::Follower,
            ticks: 0,
            timeout: 0,
            timeouts: 0,
            writes: Vec::new(),
            messages: Vec::new(),
        };
        node.restart_timer();
        node
    }

    fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks >= self.timeout {
            match self.role {
                Role::Leader { .. } => {
                    self.ticks = 0;
                    self.replicate();
                }
                Role::Follower | Role::Candidate { .. } => self.campaign(),
            }
        }
    }

    fn receive(&mut self, from: NodeId, message: Message) {
        let Message { term, body } = message;
        if term > self.term {
            self.enter(term, None);
            self.role = Role::Follower;
        }
        match body {
            Body::RequestVote { last, last_term } => {
                let is_current = (last_term, last) >= (self.last_term(), self.last());
                let granted =
                    term == self.term && is_current && self.vote.is_none_or(|vote| vote == from);
                if granted {
                    self.enter(term, Some(from));
                    self.restart_timer();
                }
                self.send(from, Body::Vote { granted });
            }
            Body::Vote { granted } if granted && term == self.term => self.count_vote(from),
            Body::Append { after, after_term, entries, commit } => {
                let is_current = term == self.term;
                let matched = is_current && self.append(after, after_term, &entries);
                // Committed entries equal those of the leader, whether the rest matches or not.
                let last = if matched { after + entries.len() as u64 } else { self.commit };
                if is_current {
                    self.role = Role::Follower;
                    self.restart_timer();
                }
                if matched {
                    self.commit = self.commit.max(commit.min(last));
                }
                self.send(from, Body::Appended { matched, last });
            }
            Body::Appended { matched, last } if term == self.term => {
                self.progress(from, matched, last);
            }
            Body::Vote { .. } | Body::Appended { .. } => {}
        }
    }

    fn propose(&mut self, command: &Bytes) -> bool {
        if !matches!(self.role, Role::Leader { .. }) {
            return false;
        }
        self.extend(command.clone());
        true
    }

    /// The disk comes first, then the messages, then the state machine.
    fn take_effects(&mut self, effects: &mut Effects<Message>) {
        if !self.writes.is_empty() {
            self.writes.drain(..).for_each(|write| effects.write(write));
            effects.sync();
        }
        self.messages.drain(..).for_each(|(to, message)| effects.send(to, message));
        while self.applied < self.commit {
            let entry = self.log[self.applied as usize].clone();
            self.applied += 1;
            effects.apply(self.applied, entry);
        }
    }

    fn status(&self) -> Status {
        Status { term: self.term, leads: matches!(self.role, Role::Leader { .. }) }
    }

    fn statement(from: NodeId, to: NodeId, message: &Message) -> Statement {
        let term = Some(message.term);
        match message.body {
            Body::RequestVote { .. } => Statement { term, vote: Some(from), log: None },
            Body::Vote { granted: true } => Statement { term, vote: Some(to), log: None },
            Body::Appended { matched: true, last } => {
                Statement { term, log: Some(last), vote: None }
            }
            _ => Statement { term, ..Statement::default() },
        }
    }
}

impl Tiny {
    fn last(&self) -> u64 {
        self.log.len() as u64
    }

    fn term_at(&self, index: u64) -> u64 {
        index.checked_sub(1).map_or(0, |place| self.log[place as usize].term)
    }

    fn last_term(&self) -> u64 {
        self.term_at(self.last())
    }

    fn send(&mut self, to: NodeId, body: Body) {
        self.messages.push((to, Message { term: self.term, body }));
    }

    fn enter(&mut self, term: u64, vote: Option<NodeId>) {
        (self.term, self.vote) = (term, vote);
        self.writes.push(Write::Term(term, vote));
    }

    /// Restarts the election timer with a new timeout.
    fn restart_timer(&mut self) {
        self.ticks = 0;
        self.timeouts += 1;
        self.timeout = self.member.election_timeout(self.timeouts);
    }

    fn campaign(&mut self) {
        self.enter(self.term + 1, Some(self.member.id));
        self.restart_timer();
        self.role = Role::Candidate { votes: BTreeSet::new() };
        let (last, last_term) = (self.last(), self.last_term());
        for peer in self.member.clone().peers() {
            self.send(peer, Body::RequestVote { last, last_term });
        }
        self.count_vote(self.member.id);
    }

    fn count_vote(&mut self, from: NodeId) {
        let Role::Candidate { votes } = &mut self.role else { return };
        votes.insert(from);
        if votes.len() >= self.member.majority() {
            let next = self.last() + 1;
            let peers = self.member.peers().map(|peer| (peer, next, 0)).collect();
            self.role = Role::Leader { peers };
            (self.ticks, self.timeout) = (0, self.member.heartbeat_ticks);
            self.extend(Bytes::from([]));
        }
    }

    /// Appends a command to the leader's log, and sends it to every peer.
    fn extend(&mut self, command: Bytes) {
        let entry = Entry { term: self.term, command };
        self.writes.push(Write::Append(self.last(), vec![entry.clone()]));
        self.log.push(entry);
        self.advance_commit();
        self.replicate();
    }

    fn replicate(&mut self) {
        for peer in self.member.clone().peers() {
            self.send_entries(peer);
        }
    }

    /// Sends the next entries to a peer, which will report if it lacks those before them.
    fn send_entries(&mut self, to: NodeId) {
        let last = self.last();
        let Role::Leader { peers } = &mut self.role else { return };
        let Some((_, next, _)) = peers.iter_mut().find(|(peer, ..)| *peer == to) else { return };
        let after = *next - 1;
        *next = last.min(after + BATCH) + 1;
        let entries = self.log[after as usize..*next as usize - 1].to_vec();
        let (after_term, commit) = (self.term_at(after), self.commit);
        self.send(to, Body::Append { after, after_term, entries, commit });
    }

    /// Appends a leader's entries, if the log has the entry before them.
    fn append(&mut self, after: u64, after_term: u64, entries: &[Entry]) -> bool {
        if after > self.last() || self.term_at(after) != after_term {
            return false;
        }
        let known = entries.iter().zip(after + 1..);
        let known =
            known.take_while(|(entry, at)| *at <= self.last() && self.term_at(*at) == entry.term);
        let known = known.count();
        if known < entries.len() {
            let at = after + known as u64;
            self.log.truncate(at as usize);
            self.log.extend_from_slice(&entries[known..]);
            self.writes.push(Write::Append(at, entries[known..].to_vec()));
        }
        true
    }

    fn progress(&mut self, from: NodeId, matched: bool, last: u64) {
        let Role::Leader { peers } = &mut self.role else { return };
        let Some((_, next, known)) = peers.iter_mut().find(|(peer, ..)| *peer == from) else {
            return;
        };
        if matched {
            *known = last.max(*known);
            *next = (*next).max(*known + 1);
        } else {
            *next = last.max(*known) + 1;
        }
        // Only the reply to the latest batch asks for the next one, so that duplicated replies do
        // not multiply the entries that are sent.
        let continues = !matched || *next == last + 1;
        self.advance_commit();
        if continues && last < self.last() {
            self.send_entries(from);
        }
    }

    /// Commits the entries that a majority has, if the last of them is of this term (Raft §5.4.2).
    fn advance_commit(&mut self) {
        let Role::Leader { peers } = &self.role else { return };
        let mut known: Vec<u64> = peers.iter().map(|(.., known)| *known).collect();
        known.push(self.last());
        known.sort_unstable_by(|one, other| other.cmp(one));
        let reached = known[self.member.majority() - 1];
        if reached > self.commit && self.term_at(reached) == self.term {
            self.commit = reached;
        }
    }
}
