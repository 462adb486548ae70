//! The events of a cluster, and their encoding in few bits.

use std::fmt;

use crate::repair::protocol::Unflushed;
use crate::repair::state::{Cluster, Slot};

/// One event. Nodes are numbered from 0, indices from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) kind: EventKind,
    pub(crate) place: usize,
    /// The other node; the voters of an election as bits; the term of a late message.
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
    /// Bit `ENTRIES * place + index - 1` is a damaged entry. The nodes then start, if `other` is 1.
    DamageMany,
}

const KINDS: [EventKind; 19] = [
    EventKind::Elect,
    EventKind::Propose,
    EventKind::Flush,
    EventKind::Commit,
    EventKind::Append,
    EventKind::AppendLate,
    EventKind::AnswerUncertain,
    EventKind::Repair,
    EventKind::Ask,
    EventKind::Install,
    EventKind::TakeSnapshot,
    EventKind::StepDown,
    EventKind::Crash,
    EventKind::LeaderLosesUnflushed,
    EventKind::LeaderDamagesUnflushed,
    EventKind::Damage,
    EventKind::Erase,
    EventKind::LoseEnd,
    EventKind::DamageMany,
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
            kind: KINDS[(code >> 24) as usize],
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
            | EventKind::AnswerUncertain
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
            EventKind::LoseEnd => cluster.lose_end(place, index, other == 1),
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
        let (at, with, index) = (self.place + 1, self.other + 1, self.index);
        match self.kind {
            EventKind::Elect => {
                let voters = (0..8).filter(|voter| self.other >> voter & 1 == 1);
                let voters: Vec<_> = voters.map(|voter| format!("n{}", voter + 1)).collect();
                write!(f, "n{at} campaigns; votes of {}", voters.join(", "))
            }
            EventKind::Propose => write!(f, "n{at} appends an entry"),
            EventKind::Flush => write!(f, "n{at} flushes its entries"),
            EventKind::Commit => write!(f, "n{at} counts acknowledgements"),
            EventKind::Append => write!(f, "n{at} sends its log up to {index} to n{with}"),
            EventKind::AppendLate => {
                write!(f, "n{at} receives the log of term {} up to {index}, late", self.other)
            }
            EventKind::AnswerUncertain => write!(f, "n{at} sends its last index to n{with}"),
            EventKind::Repair => write!(f, "n{at} repairs entry {index} from n{with}"),
            EventKind::Ask => write!(f, "n{at} asks n{with} for its damaged entry"),
            EventKind::Install => write!(f, "n{at} installs its snapshot on n{with}"),
            EventKind::TakeSnapshot => write!(f, "n{at} takes a snapshot"),
            EventKind::StepDown => write!(f, "n{at} steps down"),
            EventKind::Crash => write!(f, "n{at} crashes and starts again"),
            EventKind::LeaderLosesUnflushed => {
                write!(f, "n{at} crashes without its unflushed entries, and starts again")
            }
            EventKind::LeaderDamagesUnflushed => {
                write!(f, "n{at} crashes with torn unflushed entries, and starts again")
            }
            EventKind::Damage => write!(f, "the body of entry {index} of n{at} is damaged"),
            EventKind::Erase => write!(f, "both records of entry {index} of n{at} are damaged"),
            EventKind::LoseEnd if self.other == 1 => {
                write!(f, "n{at} starts with its log of before a truncation, uncertain at {index}")
            }
            EventKind::LoseEnd => write!(f, "n{at} starts with a log that is uncertain at {index}"),
            EventKind::DamageMany => write!(f, "damage with the mask {index:012b}"),
        }
    }
}

/// Formats one node: term, role, log and marks. `!` is a damaged entry, `?` one without an id.
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
    let role = node.leader().map_or("", |_| " leads");
    let certain = if node.is_certain { "" } else { " uncertain" };
    let (term, commit, log) = (node.term, node.commit, slots.join(" "));
    format!("n{}: term {term}{role}{certain}, log [{log}], commit {commit}", place + 1)
}
