//! The protocol as events of a cluster. Each returns false if it cannot happen.
//!
//! A request and its reply are one event. Acknowledgements stay valid for as long as their leader
//! leads, so it may learn of a commit at any later time. Messages of former leaders arrive late.

use crate::repair::omissions::Omission;
use crate::repair::state::{Cluster, ENTRIES_MAX, Leader, Log, Node, Role, Slot};

/// The fate of entries that a leader has appended and not flushed, when it crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unflushed {
    Kept,
    Missing,
    Faulty,
}

impl Cluster {
    /// The last entry of a node's log, as elections compare it: damaged entries included (R2).
    fn last_id(&self, place: usize) -> (u8, u8) {
        let node = &self.nodes[place];
        let mut last = node.log.last();
        if self.omits(Omission::VotesByIntactEntries) {
            last = node.intact_through(last);
        }
        (node.log.content(last).unwrap_or(0), last)
    }

    pub(crate) fn may_vote(&self, place: usize) -> bool {
        self.nodes[place].is_certain || self.omits(Omission::UncertainVotes)
    }

    /// Whether `voter` would vote for `place` in a term that is new to both.
    pub(crate) fn would_vote(&self, voter: usize, place: usize) -> bool {
        self.may_vote(voter) && self.may_vote(place) && self.last_id(place) >= self.last_id(voter)
    }

    /// The first term that is new to all nodes of the set.
    pub(crate) fn next_term(&self, set: u8) -> u8 {
        let members = self.places().filter(|place| set >> place & 1 == 1);
        1 + members.map(|place| self.nodes[place].term).max().unwrap_or(0)
    }

    /// A node campaigns in a new term and receives exactly these votes, its own among them.
    pub(crate) fn elect(&mut self, place: usize, voters: u8) -> bool {
        let mut all = self.places().filter(|voter| voters >> voter & 1 == 1);
        if self.nodes[place].leader().is_some() || !all.all(|voter| self.would_vote(voter, place)) {
            return false;
        }
        let term = self.next_term(voters);
        for voter in self.places().filter(|voter| voters >> voter & 1 == 1) {
            self.follow(voter, term);
        }
        if self.is_quorum(voters) {
            self.lead(place);
        }
        true
    }

    /// A node whose votes are a quorum leads its term.
    pub(crate) fn lead(&mut self, place: usize) {
        if self.rolls_back {
            self.history.elections[usize::from(self.nodes[place].term)] += 1;
        }
        self.nodes[place].role = Role::Leader(Leader::default());
        self.flush(place);
    }

    /// A node enters a term, if it is new, as a follower.
    pub(crate) fn follow(&mut self, place: usize, term: u8) {
        if self.nodes[place].term < term {
            self.step_down(place);
            self.nodes[place].term = term;
        }
    }

    /// Whether a node leads and may append and send entries: no damaged entry is left that it may
    /// have to truncate (R6).
    pub(crate) fn may_send(&self, place: usize) -> bool {
        let node = &self.nodes[place];
        let is_repaired = node.unresolved().is_none() || self.omits(Omission::SendsBeforeRepair);
        node.leader().is_some() && is_repaired
    }

    pub(crate) fn leader_mut(&mut self, place: usize) -> Option<&mut Leader> {
        match &mut self.nodes[place].role {
            Role::Leader(leader) => Some(leader),
            Role::Follower | Role::Candidate(_) => None,
        }
    }

    /// A leader appends an entry of its term.
    pub(crate) fn propose(&mut self, place: usize) -> bool {
        let next = self.nodes[place].log.last() + 1;
        if !self.may_send(place) || usize::from(next) > ENTRIES_MAX {
            return false;
        }
        let term = self.nodes[place].term;
        self.nodes[place].log.set(next, Slot::Intact(term));
        self.leader_mut(place).expect("it leads").is_open = true;
        true
    }

    /// A leader's entries are durable on its own disk.
    pub(crate) fn flush(&mut self, place: usize) -> bool {
        let last = self.nodes[place].log.last();
        self.nodes[place].leader().is_some() && self.acknowledge(place, place, last)
    }

    /// A leader counts the acknowledgement of a node: only up to its first damaged entry (R4). An
    /// uncertain node stores entries, and acknowledges none (R3).
    fn acknowledge(&mut self, place: usize, from: usize, matched: u8) -> bool {
        if !self.nodes[from].is_certain && !self.omits(Omission::UncertainAcknowledges) {
            return true;
        }
        let intact = self.nodes[from].intact_through(matched);
        let counted = if self.omits(Omission::DamagedCounts) { matched } else { intact };
        if let Some(leader) = self.leader_mut(place) {
            leader.counted[from] = leader.counted[from].max(counted);
            leader.intact[from] = leader.intact[from].max(intact);
        }
        true
    }

    /// A leader commits the entries that a quorum has acknowledged, if the last of them is of its
    /// term.
    pub(crate) fn commit(&mut self, place: usize) -> bool {
        let node = &self.nodes[place];
        let Some(leader) = node.leader() else { return false };
        let commit = self.acknowledged(node, &leader.counted);
        let node = &mut self.nodes[place];
        node.commit = node.commit.max(commit);
        true
    }

    /// The highest index with an entry of the leader's term that a quorum has acknowledged.
    pub(crate) fn acknowledged(&self, node: &Node, by: &[u8]) -> u8 {
        let indices = (1..=node.log.last()).rev();
        let mut own = indices.filter(|index| node.log.content(*index) == Some(node.term));
        let acknowledges = |index: u8, place: &usize| by[*place] >= index;
        let quorum = |index: u8| {
            2 * self.places().filter(|place| acknowledges(index, place)).count() > self.count
        };
        own.find(|index| quorum(*index)).unwrap_or(0)
    }

    /// A leader sends its entries up to an index; the follower stores them and acknowledges.
    pub(crate) fn append(&mut self, from: usize, to: usize, through: u8) -> bool {
        let (leader, node) = (self.nodes[from], &self.nodes[to]);
        let is_sent = self.may_send(from) && node.term <= leader.term && from != to;
        if !is_sent || through > leader.log.last() {
            return false;
        }
        self.leader_mut(from).expect("it leads").is_open = true;
        let matched = self.accept(to, leader.term, &leader.log, leader.snapshot, through);
        let node = &mut self.nodes[to];
        node.commit = node.commit.max(leader.commit.min(matched));
        self.acknowledge(from, to, matched)
    }

    /// A message of a former leader arrives.
    pub(crate) fn append_late(&mut self, term: u8, to: usize, through: u8) -> bool {
        let log = self.history.led[usize::from(term)];
        if self.nodes[to].term > term || through > log.last() {
            return false;
        }
        self.accept(to, term, &log, 0, through);
        true
    }

    /// A node stores the entries of a leader's log up to an index. Returns the index up to which
    /// the two logs have the same entries.
    fn accept(&mut self, to: usize, term: u8, log: &Log, compacted: u8, through: u8) -> u8 {
        self.follow(to, term);
        let node = &mut self.nodes[to];
        if matches!(node.role, Role::Candidate(_)) {
            node.role = Role::Follower;
        }
        let mut index = node.snapshot.min(through);
        while index < through {
            // An entry without an id is compared through the first one after it that has one.
            let next = (index + 1..=node.log.last().max(index + 1))
                .find(|index| node.log.id(*index).is_some() || index > &node.log.last())
                .expect("the last entry of a log has an id");
            let is_sent = |index: u8| index > compacted && log.is_intact(index);
            let is_same = node.log.id(next).is_some() && node.log.id(next) == log.id(next);
            if is_same && next == index + 1 {
                index = next;
            } else if next <= through && (index + 1..=next).all(is_sent) {
                if !is_same && index < node.log.last() {
                    node.shadow = if self.loses_ends { node.log } else { node.shadow };
                    node.log.truncate(index + 1);
                }
                (index + 1..=next).for_each(|at| node.log.set(at, log.slot(at)));
                index = next;
            } else {
                break;
            }
        }
        if !node.is_certain {
            node.matched = (term, index);
        }
        self.become_certain(to);
        index
    }

    pub(crate) fn become_certain(&mut self, place: usize) {
        let keeps = self.omits(Omission::KeepsAnswer);
        let node = &mut self.nodes[place];
        let Some((term, last)) = node.goal.filter(|_| !node.is_certain) else { return };
        if node.matched.0 >= term && node.matched.1 >= last {
            node.is_certain = true;
            node.matched = (0, 0);
            node.goal = node.goal.filter(|_| keeps);
        }
    }

    /// A node has started again: the replies to its earlier requests no longer count.
    fn forget_requests(&mut self, place: usize) {
        for other in self.places() {
            if let Some(leader) = self.leader_mut(other) {
                leader.requests[place] = 0;
            }
        }
    }

    /// A node repairs a damaged entry from the intact copy of another: any that has its id (R5).
    pub(crate) fn repair(&mut self, place: usize, index: u8, from: usize) -> bool {
        let (node, source) = (&self.nodes[place], &self.nodes[from]);
        let (Some(id), Slot::Intact(copy)) = (node.log.id(index), source.log.slot(index)) else {
            return false;
        };
        let is_repaired = index > node.snapshot && !node.log.is_intact(index);
        if !is_repaired || index <= source.snapshot || place == from {
            return false;
        }
        if id != copy && !self.omits(Omission::AnyEntryRepairs) {
            return false;
        }
        self.nodes[place].log.set(index, Slot::Intact(copy));
        self.reset_lacking(place);
        true
    }

    /// Makes a leader ask all nodes again, because its highest unresolved entry may have changed.
    fn reset_lacking(&mut self, place: usize) {
        if let Some(leader) = self.leader_mut(place) {
            leader.lacking = 0;
        }
    }

    /// A leader asks a node for its highest damaged entry that may not be committed (R6).
    pub(crate) fn ask(&mut self, place: usize, of: usize) -> bool {
        let node = &self.nodes[place];
        let (Some(leader), Some(index)) = (node.leader(), node.unresolved()) else { return false };
        let Some(id) = node.log.id(index) else { return false };
        let (is_open, before, term) = (leader.is_open, leader.lacking, node.term);
        if place == of || self.nodes[of].term > term {
            return false;
        }
        if !self.omits(Omission::TermNotEntered) {
            self.follow(of, term);
        }
        let asked = &self.nodes[of];
        let is_covered = asked.snapshot >= index;
        if is_covered && !self.omits(Omission::CoveredIsMissing) {
            self.put_snapshot(of, place);
        } else if asked.log.slot(index) == Slot::Intact(id) && !is_covered {
            self.nodes[place].log.set(index, Slot::Intact(id));
            self.reset_lacking(place);
        } else {
            let is_other = asked.log.id(index).is_some_and(|other| other != id);
            let lacks = asked.log.slot(index) == Slot::Absent || is_other || is_covered;
            let is_certain = asked.is_certain || self.omits(Omission::UncertainIsMissing);
            let counts = lacks && is_certain || !lacks && self.omits(Omission::DamagedIsMissing);
            let lacking = before | u8::from(counts) << of;
            self.leader_mut(place).expect("it leads").lacking = lacking;
            let others = self.set(|_| true) & !lacking;
            let is_decided = !self.is_quorum(others)
                || lacking != 0 && self.omits(Omission::OneReplySuffices)
                || self.omits(Omission::TruncatesUnasked);
            if is_decided && (!is_open || self.omits(Omission::TruncatesAfterSending)) {
                self.truncate_unacknowledged(place, index);
            }
        }
        true
    }

    fn truncate_unacknowledged(&mut self, place: usize, first: u8) {
        let is_volatile = self.omits(Omission::VolatileTruncation);
        let before = self.nodes[place].log;
        if self.late && self.omits(Omission::TruncatesAfterSending) {
            // The entry may have been sent before it was damaged.
            let mut sent = before;
            sent.set(first, before.content(first).map_or(Slot::Absent, Slot::Intact));
            self.history.led[usize::from(self.nodes[place].term)] = sent;
        }
        let node = &mut self.nodes[place];
        node.is_certain &= node.log.truncate(first);
        if is_volatile || self.loses_ends {
            node.shadow = before;
        }
        self.reset_lacking(place);
        let last = self.nodes[place].log.last();
        if let Some(leader) = self.leader_mut(place) {
            leader.counted[place] = leader.counted[place].min(last);
            leader.intact[place] = leader.intact[place].min(last);
        }
        if !self.nodes[place].is_certain {
            self.step_down(place);
        }
    }

    /// A node that needs the snapshot of another installs it. Its entries are committed, so it may
    /// come from any node.
    pub(crate) fn install(&mut self, from: usize, to: usize) -> bool {
        let (source, node) = (&self.nodes[from], &self.nodes[to]);
        if from == to || source.snapshot <= node.snapshot {
            return false;
        }
        let end = source.snapshot;
        let is_needed = node.intact_through(end) < end || node.log.id(end) != source.log.id(end);
        let is_offered = source.leader().is_some() && source.term >= node.term;
        // A leader without the entries of a snapshot does not know that another node leads.
        let is_deposed = node.leader().is_some() && node.log.id(end) != source.log.id(end);
        let is_kept =
            is_joined(node, source) != Some(false) || self.omits(Omission::RemovesUnjoined);
        if !is_needed || !is_offered && (is_deposed || !is_kept) {
            return false;
        }
        let last_term = source.log.content(end).unwrap_or(0);
        self.follow(to, if is_offered { source.term } else { last_term });
        self.put_snapshot(from, to);
        true
    }

    /// Replaces the log up to the end of a snapshot. A node that removes entries after it, and does
    /// not know that they conflict with the snapshot, may have acknowledged committed ones, so it
    /// becomes uncertain.
    fn put_snapshot(&mut self, from: usize, to: usize) {
        let source = self.nodes[from];
        let removes_unjoined = self.omits(Omission::RemovesUnjoined);
        let node = &mut self.nodes[to];
        let end = source.snapshot;
        let conflicts = node.log.id(end).is_some_and(|id| Some(id) != source.log.id(end));
        let is_unjoined = is_joined(node, &source) == Some(false);
        if conflicts || is_unjoined {
            (end + 1..=node.log.last()).rev().for_each(|at| node.log.set(at, Slot::Absent));
            node.is_certain &= conflicts || removes_unjoined;
        }
        let entries = (1..=end).filter_map(|at| Some((at, source.log.content(at)?)));
        entries.for_each(|(at, id)| node.log.set(at, Slot::Intact(id)));
        node.snapshot = end;
        node.commit = node.commit.max(end);
        self.reset_lacking(to);
    }

    /// A node takes a snapshot of everything that it knows to be committed.
    pub(crate) fn take_snapshot(&mut self, place: usize) -> bool {
        let node = &mut self.nodes[place];
        if node.commit <= node.snapshot || node.intact_through(node.commit) < node.commit {
            return false;
        }
        node.snapshot = node.commit;
        true
    }

    /// A leader that hears from no quorum, or cannot decide, steps down.
    pub(crate) fn step_down(&mut self, place: usize) -> bool {
        let node = &mut self.nodes[place];
        if node.leader().is_some() && self.late {
            self.history.led[usize::from(node.term)] = node.log;
        }
        node.role = Role::Follower;
        true
    }

    /// A node crashes and starts again.
    pub(crate) fn crash(&mut self, place: usize, unflushed: Unflushed) -> bool {
        let node = &mut self.nodes[place];
        let flushed = node.leader().map_or(node.log.last(), |leader| leader.counted[place]);
        let own = Slot::Intact(node.term);
        let first = (flushed + 1..=node.log.last()).find(|index| node.log.slot(*index) == own);
        self.step_down(place);
        let node = &mut self.nodes[place];
        match (unflushed, first) {
            (Unflushed::Kept, _) => {}
            (_, None) => return false,
            (Unflushed::Missing, Some(first)) => node.is_certain &= node.log.truncate(first),
            (Unflushed::Faulty, Some(first)) => {
                let last = node.log.last();
                (first..=last).for_each(|index| node.log.set(index, Slot::Faulty(node.term)));
            }
        }
        self.restart(place);
        true
    }

    fn restart(&mut self, place: usize) {
        let truncates = self.omits(Omission::TruncatesAtDamage);
        let keeps = self.omits(Omission::KeepsAnswer);
        let is_volatile = self.omits(Omission::VolatileTruncation);
        let node = &mut self.nodes[place];
        (node.commit, node.matched, node.role) = (node.snapshot, (0, 0), Role::Follower);
        node.goal = node.goal.filter(|_| keeps);
        for index in (node.log.last() + 1..=node.shadow.last()).filter(|_| is_volatile) {
            node.log.set(index, node.shadow.slot(index));
        }
        let through = node.intact_through(node.log.last());
        if truncates && through < node.log.last() {
            node.log.truncate(through + 1);
        }
        if !keeps {
            self.forget_requests(place);
        }
    }

    /// The body of an entry becomes unreadable.
    pub(crate) fn damage(&mut self, place: usize, index: u8) -> bool {
        let node = &mut self.nodes[place];
        let (true, Slot::Intact(id)) = (index > node.snapshot, node.log.slot(index)) else {
            return false;
        };
        node.log.set(index, Slot::Faulty(id));
        self.reset_lacking(place);
        true
    }

    /// Both records of an entry before the last become unreadable, which the next start finds.
    pub(crate) fn erase(&mut self, place: usize, index: u8) -> bool {
        let node = &mut self.nodes[place];
        let is_inside = index > node.snapshot && index < node.log.last();
        let (true, Slot::Intact(id) | Slot::Faulty(id)) = (is_inside, node.log.slot(index)) else {
            return false;
        };
        node.log.set(index, Slot::Lost(id));
        self.crash(place, Unflushed::Kept)
    }

    /// The end of a log after `keep` becomes unreadable, which the next start finds. With it, the
    /// log may lose its last truncation.
    pub(crate) fn lose_end(&mut self, place: usize, keep: u8, with_truncation: bool) -> bool {
        self.crash(place, Unflushed::Kept);
        let node = &mut self.nodes[place];
        if with_truncation {
            node.log = core::mem::take(&mut node.shadow);
        }
        if keep < node.snapshot || keep > node.log.last() || with_truncation && keep == 0 {
            return false;
        }
        (keep + 1..=node.log.last()).rev().for_each(|at| node.log.set(at, Slot::Absent));
        if let Slot::Lost(_) = node.log.slot(keep) {
            node.log.truncate(keep);
        }
        node.is_certain = false;
        true
    }
}

/// Whether a node knows that its entries after the snapshot of another continue that snapshot: it
/// compares its first entry that has an id, from the end of the snapshot on. None if the entry at
/// the end has an id, or if there are no entries after it.
fn is_joined(node: &Node, source: &Node) -> Option<bool> {
    let (end, last) = (source.snapshot, node.log.last());
    if last <= end || node.log.id(end).is_some() {
        return None;
    }
    let named = (end + 1..=last).find(|index| node.log.id(*index).is_some())?;
    Some(node.log.id(named) == source.log.id(named))
}
