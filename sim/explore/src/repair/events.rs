//! The events of a cluster, and their encoding in few bits.

use std::fmt;

use crate::repair::protocol::Unflushed;
use crate::repair::state::{Cluster, NODES_MAX, Role, Slot};

/// One event. Nodes are numbered from 0, indices from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) place: usize,
    /// The other node; the voters of an election as bits; the term of a late message; or 1 if all
    /// nodes start again after [`EventKind::DamageMany`].
    pub(crate) other: usize,
    /// An index; the damaged entries of [`EventKind::DamageMany`] as bits.
    pub(crate) index: u16,
}

/// The kinds of events, in the order of their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventKind {
    Elect,
    Propose,
    Flush,
    Commit,
    Append,
    AppendLate,
    RequestLogEnd,
    AnswerUncertain,
    Repair,
    Ask,
    Install,
    TakeSnapshot,
    StepDown,
    Crash,
    LeaderLosesUnflushed,
    LeaderDamagesUnflushed,
    Damage,
    Erase,
    LoseEnd,
    /// A node starts with the log that it had before its last truncation, up to an index.
    LoseTruncation,
    Campaign,
    Vote,
    Win,
    CopyDisk,
    RollBack,
    /// Bit `MASK_ENTRIES * place + index - 1` of [`Event::index`] is a damaged entry.
    DamageMany,
}

/// Every kind and its line in a trace: `{n}` and `{m}` are the place and the other node.
const KINDS: [(EventKind, &str); 26] = [
    (EventKind::Elect, "n{n} campaigns, with the votes of {voters}"),
    (EventKind::Propose, "n{n} appends an entry"),
    (EventKind::Flush, "n{n} flushes its entries"),
    (EventKind::Commit, "n{n} counts acknowledgements"),
    (EventKind::Append, "n{n} sends its log up to {index} to n{m}"),
    (EventKind::AppendLate, "n{n} receives the log of term {other} up to {index}, late"),
    (EventKind::RequestLogEnd, "n{n} appends an entry for the request of n{m}"),
    (EventKind::AnswerUncertain, "n{n} sends its last index to n{m}"),
    (EventKind::Repair, "n{n} repairs entry {index} from n{m}"),
    (EventKind::Ask, "n{n} asks n{m} for its damaged entry"),
    (EventKind::Install, "n{n} installs its snapshot on n{m}"),
    (EventKind::TakeSnapshot, "n{n} takes a snapshot"),
    (EventKind::StepDown, "n{n} steps down"),
    (EventKind::Crash, "n{n} crashes and starts again"),
    (EventKind::LeaderLosesUnflushed, "n{n} crashes without its unflushed entries"),
    (EventKind::LeaderDamagesUnflushed, "n{n} crashes with torn unflushed entries"),
    (EventKind::Damage, "the body of entry {index} of n{n} is damaged"),
    (EventKind::Erase, "both records of entry {index} of n{n} are damaged"),
    (EventKind::LoseEnd, "n{n} starts with a log that is uncertain after {index}"),
    (EventKind::LoseTruncation, "n{n} starts without its last truncation, uncertain after {index}"),
    (EventKind::Campaign, "n{n} campaigns"),
    (EventKind::Vote, "n{m} votes for n{n}"),
    (EventKind::Win, "n{n} wins its election"),
    (EventKind::CopyDisk, "the disk of n{n} is copied"),
    (EventKind::RollBack, "n{n} starts with the copy, uncertain"),
    (EventKind::DamageMany, "entries are damaged: {mask}"),
];

/// The nodes and entries of the corruption masks.
pub(crate) const MASK_NODES: usize = 3;
pub(crate) const MASK_ENTRIES: usize = 4;

impl Event {
    pub(crate) fn new(kind: EventKind, place: usize, other: usize, index: u16) -> Event {
        Event { kind, place, other, index }
    }

    pub(crate) fn code(self) -> u32 {
        let small = |value: usize| u32::try_from(value).expect("nodes and terms are few");
        (self.kind as u32) << 24
            | small(self.place) << 21
            | small(self.other) << 16
            | u32::from(self.index)
    }

    pub(crate) fn of(code: u32) -> Event {
        Event {
            kind: KINDS[(code >> 24) as usize].0,
            place: (code >> 21 & 7) as usize,
            other: (code >> 16 & 31) as usize,
            index: (code & 0xffff) as u16,
        }
    }

    /// The event with the nodes at their places in `order`: place `i` stands for `order[i]`.
    pub(crate) fn reordered(self, order: &[usize]) -> Event {
        let place = order.get(self.place).copied().unwrap_or(self.place);
        let other = match self.kind {
            EventKind::Elect => {
                let voters = (0..order.len()).filter(|voter| self.other >> voter & 1 == 1);
                voters.fold(0, |set, voter| set | 1 << order[voter])
            }
            EventKind::Append
            | EventKind::RequestLogEnd
            | EventKind::AnswerUncertain
            | EventKind::Vote
            | EventKind::Repair
            | EventKind::Ask
            | EventKind::Install => order[self.other],
            _ => self.other,
        };
        Event { place, other, ..self }
    }

    /// Applies the event. Returns false if it cannot happen.
    pub(crate) fn apply(self, cluster: &mut Cluster) -> bool {
        let Event { kind, place, other, .. } = self;
        let index = u8::try_from(self.index).unwrap_or(u8::MAX);
        match kind {
            EventKind::Elect => cluster.elect(place, u8::try_from(other).unwrap_or(0)),
            EventKind::Propose => cluster.propose(place),
            EventKind::Flush => cluster.flush(place),
            EventKind::Commit => cluster.commit(place),
            EventKind::Append => cluster.append(place, other, index),
            EventKind::AppendLate => {
                cluster.append_late(u8::try_from(other).unwrap_or(0), place, index)
            }
            EventKind::RequestLogEnd => cluster.request_log_end(place, other),
            EventKind::AnswerUncertain => cluster.answer_uncertain(place, other),
            EventKind::Repair => cluster.repair(place, index, other),
            EventKind::Ask => cluster.ask(place, other),
            EventKind::Install => cluster.install(place, other),
            EventKind::TakeSnapshot => cluster.take_snapshot(place),
            EventKind::StepDown => cluster.step_down(place),
            EventKind::Crash => cluster.crash(place, Unflushed::Kept),
            EventKind::LeaderLosesUnflushed => cluster.crash(place, Unflushed::Missing),
            EventKind::LeaderDamagesUnflushed => cluster.crash(place, Unflushed::Faulty),
            EventKind::Damage => cluster.damage(place, index),
            EventKind::Erase => cluster.erase(place, index),
            EventKind::LoseEnd => cluster.lose_end(place, index, false),
            EventKind::LoseTruncation => cluster.lose_end(place, index, true),
            EventKind::Campaign => cluster.campaign(place),
            EventKind::Vote => cluster.vote(place, other),
            EventKind::Win => cluster.win(place),
            EventKind::CopyDisk => cluster.copy_disk(place),
            EventKind::RollBack => cluster.roll_back(place),
            EventKind::DamageMany => {
                damage_many(cluster, self.index, other == 1);
                true
            }
        }
    }
}

fn damage_many(cluster: &mut Cluster, mask: u16, restarts: bool) {
    for place in 0..MASK_NODES {
        for index in 1..=MASK_ENTRIES {
            if mask >> (MASK_ENTRIES * place + index - 1) & 1 == 1 {
                cluster.damage(place, u8::try_from(index).expect("the entries are few"));
            }
        }
        if restarts {
            cluster.crash(place, Unflushed::Kept);
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let voters = (0..NODES_MAX).filter(|voter| self.other >> voter & 1 == 1);
        let voters: Vec<_> = voters.map(|voter| format!("n{}", voter + 1)).collect();
        let (_, line) = KINDS[self.kind as usize];
        let line = line.replace("{n}", &(self.place + 1).to_string());
        let line = line.replace("{m}", &(self.other + 1).to_string());
        let line = line.replace("{voters}", &voters.join(", "));
        let line = line.replace("{other}", &self.other.to_string());
        let line = line.replace("{mask}", &format!("{:012b}", self.index));
        f.write_str(&line.replace("{index}", &self.index.to_string()))
    }
}

/// Formats one node: term, role, log and commit index. `1!` is a damaged entry of term 1, `?` one
/// without a readable record, `s` one that the snapshot covers.
pub(crate) fn describe(cluster: &Cluster, place: usize) -> String {
    let node = &cluster.nodes[place];
    let slots = (1..=node.log.last()).map(|index| match node.log.slot(index) {
        _ if index <= node.snapshot => "s".to_owned(),
        Slot::Intact(id) => id.to_string(),
        Slot::Faulty(id) => format!("{id}!"),
        Slot::Lost(_) => "?".to_owned(),
        Slot::Absent => "-".to_owned(),
    });
    let slots: Vec<_> = slots.collect();
    let role = match node.role {
        Role::Follower => "",
        Role::Candidate(_) => " campaigns",
        Role::Leader(_) => " leads",
    };
    let certain = if node.is_certain { "" } else { " uncertain" };
    let (term, commit, log) = (node.term, node.commit, slots.join(" "));
    format!("n{}: term {term}{role}{certain}, log [{log}], commit {commit}", place + 1)
}
