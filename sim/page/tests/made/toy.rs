//! One node of a generated run. It resembles a Raft node but implements no consensus.

use std::collections::BTreeMap;

use quorate_page::document::{Condition, Entry, LogChange, Role, State, Topic};

use super::{change, topic};

/// The contents of a message.
#[derive(Clone, Debug)]
pub(super) enum Contents {
    Vote,
    Granted,
    Entries(Vec<Entry>, u64),
    Has(u64),
}

impl Contents {
    pub(super) fn describe(&self, term: u64) -> (Topic, String) {
        let text = match self {
            Contents::Vote => format!("RequestVote t{term}"),
            Contents::Granted => format!("RequestVoteReply t{term} granted"),
            Contents::Entries(log, committed) => {
                format!("AppendEntries t{term} last={}@t{term} committed={committed}", log.len())
            }
            Contents::Has(last) => format!("AppendEntriesReply t{term} matched={last}"),
        };
        (topic(self), text)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Toy {
    pub(super) condition: Condition,
    pub(super) role: Role,
    pub(super) term: u64,
    pub(super) voted: u64,
    pub(super) leader: Option<u16>,
    pub(super) heard: u64,
    pub(super) life: u64,
    pub(super) log: Vec<Entry>,
    pub(super) durable: u64,
    pub(super) committed: u64,
    pub(super) applied: u64,
    pub(super) votes: Vec<u16>,
    pub(super) matched: BTreeMap<u16, u64>,
    pub(super) writes: Vec<(usize, u64)>,
    pub(super) before: Option<u32>,
    pub(super) changed: Option<LogChange>,
}

impl Toy {
    pub(super) fn last(&self) -> u64 {
        self.log.len() as u64
    }

    pub(super) fn append(&mut self, text: &str) -> u64 {
        self.log.push(Entry { term: self.term, text: text.to_owned() });
        self.changed = change(self.last() - 1, &self.log[self.log.len() - 1..]);
        self.last()
    }

    /// Replaces the entries after the common prefix by those of `log`. Returns true if anything
    /// changed.
    pub(super) fn accept_entries(&mut self, log: &[Entry]) -> bool {
        let equal = self.log.iter().zip(log).take_while(|(one, two)| one.term == two.term).count();
        if equal == log.len() {
            return false;
        }
        self.log.truncate(equal);
        self.log.extend_from_slice(&log[equal..]);
        self.changed = change(equal as u64, &self.log[equal..]);
        true
    }

    /// Returns true if the node has not voted in this term or a later one, and votes in it.
    pub(super) fn grants_vote(&mut self, term: u64) -> bool {
        let grants = self.voted < term;
        self.voted = self.voted.max(term);
        grants
    }

    pub(super) fn crash(&mut self) {
        (self.condition, self.role, self.leader) = (Condition::Down, Role::Follower, None);
        self.life += 1;
        let kept = self.durable.max(self.committed).min(self.last());
        self.log.truncate(kept as usize);
        self.changed = change(kept, &[]);
    }

    pub(super) fn state(&self) -> State {
        State {
            condition: self.condition,
            role: self.role,
            term: self.term,
            leader: self.leader,
            base: 0,
            snapshot: 0,
            applied: self.applied,
            committed: self.committed,
            durable: self.durable.min(self.last()),
            last: self.last(),
            detail: format!("voted in t{}", self.voted),
        }
    }
}
