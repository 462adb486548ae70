//! What liars say: messages around what the node would expect, and far beyond it.

use std::time::Duration;

use quorate::raft::{Raft, Status};
use quorate::types::{
    AppendOutcome, Beat, Body, Bringer, Change, Entry, EntryId, Fate, Founder, Incarnation, Index,
    Member, Membership, Message, NodeId, Payload, Readiness, SnapshotMeta, Term,
};

use crate::bytes::Bytes;

/// What a liar may know of the node.
pub(crate) struct Known<'a> {
    pub(crate) raft: &'a Raft,
    /// The last round of heartbeats the node sent.
    pub(crate) round: u64,
    /// The last forwarded read of the node: its start, and its ticket.
    pub(crate) asked: (u64, u64),
    /// Which start it said to be when it told whom it has met.
    pub(crate) boot: u64,
}

impl Known<'_> {
    fn status(&self) -> Status {
        self.raft.status()
    }

    /// Makes up a message.
    pub(crate) fn message(&self, bytes: &mut Bytes<'_>) -> Message {
        let id = self.status().id;
        let from = match bytes.byte() {
            0..=249 => NodeId(u64::from(bytes.below(6))),
            250..=252 => id,
            _ => NodeId(u64::MAX),
        };
        let to = if bytes.chance(6) { NodeId(u64::from(bytes.below(6))) } else { id };
        let term = self.term(bytes);
        let named = self.raft.membership().member(from).map(|member| member.incarnation);
        let other = Incarnation(bytes.below(16).into());
        let incarnation = named.filter(|_| other.0 > 1).unwrap_or(other);
        Message { from, incarnation, to, term, body: self.body(bytes, term) }
    }

    fn body(&self, bytes: &mut Bytes<'_>, term: Term) -> Body {
        match bytes.below(19) {
            0..=3 => self.append(bytes, term),
            4 => self.snapshot(bytes),
            5 => Body::PreVote {
                next_term: if bytes.chance(40) { self.term(bytes) } else { after(term) },
                last: self.id(bytes),
            },
            6 => {
                let next_term = Term(self.status().term.0.wrapping_add(bytes.below(3).into()));
                Body::PreVoteReply { next_term, granted: bytes.chance(128) }
            }
            7 if bytes.chance(32) => Body::TimeoutNow,
            7 if bytes.chance(16) => Body::Counted,
            8 if bytes.chance(16) => Body::Vouch,
            7 => Body::RequestVote { last: self.id(bytes), transfer: bytes.chance(64) },
            8 => Body::RequestVoteReply { granted: bytes.chance(128) },
            9 | 10 => self.outcome(bytes),
            11 => self.beat(bytes),
            12 | 13 => {
                let (round, verified) = (self.number(bytes, self.round), self.index(bytes));
                let matched = if bytes.chance(100) { self.index(bytes) } else { verified };
                let durable = if bytes.chance(100) { self.index(bytes) } else { matched };
                let ready = Readiness { borrows: bytes.chance(64), leads: !bytes.chance(64) };
                Body::HeartbeatReply { round, verified, matched, durable, ready }
            }
            14 => {
                let (boot, ticket) = (self.number(bytes, 7), self.number(bytes, 1));
                Body::ReadIndex { boot, ticket }
            }
            15 => Body::Meet { met: met(bytes) },
            16 => {
                let membership = match bytes.byte() {
                    0..=127 => Membership::new([1, 2, 3].map(NodeId)),
                    _ => self.membership(bytes),
                };
                let bringer = match bytes.byte() {
                    0..=127 => Bringer::Answer,
                    128..=191 => Bringer::Log,
                    _ => Bringer::Snapshot,
                };
                Body::Founded { boot: self.number(bytes, self.boot), membership, bringer }
            }
            17 => Body::Stranger,
            _ => {
                let boot = self.number(bytes, self.asked.0);
                let ticket = self.number(bytes, self.asked.1);
                Body::ReadIndexReply { boot, ticket, index: self.index(bytes) }
            }
        }
    }

    fn append(&self, bytes: &mut Bytes<'_>, term: Term) -> Body {
        let prev = self.id(bytes);
        let count = if bytes.chance(4) { 200 } else { usize::from(bytes.below(6)) };
        let mut entries: Vec<Entry> = Vec::new();
        let mut before = prev;
        for _ in 0..count {
            let index = Index(before.index.0.wrapping_add(1));
            let own = self.raft.log().term_at(index).filter(|_| bytes.chance(128));
            let entry_term = match bytes.byte() {
                0..=159 => own.unwrap_or(before.term.max(Term(1))),
                160..=249 => term,
                _ => self.term(bytes),
            };
            let index = if bytes.chance(2) { self.index(bytes) } else { index };
            let payload = match bytes.below(5) {
                0 => Payload::Noop,
                4 => Payload::Membership(self.membership(bytes)),
                size => Payload::Command(vec![size; usize::from(size) * 9].into()),
            };
            before = EntryId::new(entry_term, index);
            entries.push(Entry { id: before, payload });
        }
        Body::AppendEntries { prev, entries, committed: self.index(bytes) }
    }

    fn beat(&self, bytes: &mut Bytes<'_>) -> Body {
        let mut span = || match bytes.byte() {
            0..=127 => Duration::ZERO,
            hours @ 128..=131 => Duration::from_secs(u64::from(hours - 128) * 3600),
            millis => Duration::from_millis(u64::from(millis) * 5),
        };
        let (promise, loan) = (span(), span());
        let beat = Beat::new(self.number(bytes, 1), self.index(bytes));
        let (confirmed, echo) = (self.number(bytes, 0), self.number(bytes, 0));
        Body::Heartbeat(Beat { confirmed, echo, promise, loan, ..beat })
    }

    fn outcome(&self, bytes: &mut Bytes<'_>) -> Body {
        let index = self.index(bytes);
        Body::AppendEntriesReply(match bytes.byte() {
            156.. => AppendOutcome::Rejected { prev: index, hint: self.id(bytes) },
            140..156 => AppendOutcome::NoSpace { verified: index },
            120..140 => return Body::InstallSnapshotReply { matched: index },
            _ => AppendOutcome::Accepted { matched: index },
        })
    }

    /// The offer of a snapshot, most often of one that the node has or could install.
    fn snapshot(&self, bytes: &mut Bytes<'_>) -> Body {
        let membership = self.membership(bytes);
        let mut last = self.id(bytes);
        last.index.0 = last.index.0.wrapping_add(bytes.below(3).into());
        Body::InstallSnapshot { meta: SnapshotMeta::empty(last, membership) }
    }

    /// A membership: the node's own most often, or what could follow it, or any at all, or one that
    /// no node may have.
    fn membership(&self, bytes: &mut Bytes<'_>) -> Membership {
        let own = self.raft.membership();
        match bytes.byte() {
            0..=129 => own.clone(),
            130..=169 => match (own.is_staged(), own.is_joint()) {
                (true, _) if bytes.chance(100) => own.given_up(),
                (true, _) => own.entered(some(bytes).first().copied()),
                (_, true) => own.left(),
                _ => own.changed(&change(bytes)).unwrap_or_else(|_| own.clone()),
            },
            170..=199 => Membership::new(some(bytes)).with_learners(some(bytes)),
            200..=229 => {
                let joint = Membership::new(some(bytes)).joint_with(some(bytes));
                joint.with_learners(some(bytes))
            }
            _ => flawed(bytes),
        }
    }

    /// A term: the node's most often, or near it, or as far away as can be.
    fn term(&self, bytes: &mut Bytes<'_>) -> Term {
        let Term(current) = self.status().term;
        Term(match bytes.byte() {
            0..=169 => current,
            170..=199 => current.wrapping_add(1),
            200..=219 => current.saturating_sub(1),
            220..=229 => current.wrapping_add(bytes.below(8).into()),
            230..=239 => self.status().last.term.0,
            240..=246 => 0,
            247..=249 if bytes.chance(32) => Term::MAX.0,
            247..=249 => current,
            250..=252 => Term::MAX.0 + 1,
            _ => u64::MAX,
        })
    }

    /// An index: near a rung of the node's ladder most often, or as far away as can be.
    fn index(&self, bytes: &mut Bytes<'_>) -> Index {
        let status = self.status();
        let rungs =
            [status.last.index, status.committed, status.durable, status.applied, status.snapshot];
        let Index(rung) = bytes.one_of(&rungs);
        Index(match bytes.byte() {
            0..=139 => rung,
            140..=179 => rung.wrapping_add(1),
            180..=209 => rung.saturating_sub(1),
            210..=229 => bytes.below(24).into(),
            230..=239 => 0,
            240..=244 => Index::MAX.0,
            245..=249 => Index::MAX.0 + 1,
            _ => u64::MAX,
        })
    }

    /// The id of an entry: one of the node's own most often.
    fn id(&self, bytes: &mut Bytes<'_>) -> EntryId {
        let index = self.index(bytes);
        let own = self.raft.log().term_at(index).filter(|_| !bytes.chance(60));
        EntryId::new(own.unwrap_or_else(|| self.term(bytes)), index)
    }

    fn number(&self, bytes: &mut Bytes<'_>, expected: u64) -> u64 {
        match bytes.byte() {
            0..=179 => expected,
            180..=199 => expected.wrapping_add(1),
            200..=219 => expected.wrapping_sub(1),
            220..=239 => bytes.byte().into(),
            _ => u64::MAX,
        }
    }
}

/// Founders and their disks, most often as the node expects them.
fn met(bytes: &mut Bytes<'_>) -> Vec<Founder> {
    let founder = |bytes: &mut Bytes<'_>, id| match bytes.byte() {
        0..=159 => known_founder(NodeId(id)),
        160..=199 => Founder::unknown(NodeId(id)),
        _ => Founder { incarnation: Incarnation(99), ..known_founder(NodeId(id)) },
    };
    let mut met: Vec<Founder> = (1..=3).map(|id| founder(bytes, id)).collect();
    match bytes.byte() {
        0..=199 => {}
        200..=219 => met.truncate(2),
        220..=239 => met.swap(0, 1),
        _ => met[2].id = NodeId(4),
    }
    met
}

/// A founder as an honest one has met it, who has one disk and never starts again.
pub(crate) fn known_founder(id: NodeId) -> Founder {
    Founder { id, incarnation: Incarnation(id.0.into()), boot: 1 }
}

/// Some of the nodes from 1 to 6.
fn some(bytes: &mut Bytes<'_>) -> Vec<NodeId> {
    let bits = bytes.byte();
    (0..6).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
}

/// Some change of the nodes from 1 to 6, which may not be possible.
pub(crate) fn change(bytes: &mut Bytes<'_>) -> Change {
    let mut change = Change::new();
    for _ in 0..=bytes.below(3) {
        let id = NodeId(1 + u64::from(bytes.below(6)));
        change = match bytes.below(8) {
            0..=2 => change.voter(id),
            3 => change.learner(id),
            4 => change.remove(id),
            5 => change.suspend(id),
            6 => change.casting(Some(id)),
            _ => change.priority(id, bytes.byte()),
        };
    }
    change
}

/// A membership with which no node has anything to do.
fn flawed(bytes: &mut Bytes<'_>) -> Membership {
    let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
    let with = |membership: Membership, id: u64, fate: Fate| {
        membership.with_member(Member { fate, ..Member::new(NodeId(id)) })
    };
    let staged = || of(&[1, 2]).changed(&Change::new().remove(NodeId(2))).expect("1 remains");
    match bytes.below(10) {
        0 => Membership::default(),
        1 => Membership::default().with_learners([NodeId(1)]),
        2 => Membership::new((1..=65).map(NodeId)),
        3 => of(&[1]).with_learners((2..=133).map(NodeId)),
        4 => of(&[0, 1, 2]),
        5 => staged().joint_with([NodeId(3)]),
        6 => with(of(&[1, 2, 3]), 2, Fate::Leaves),
        7 => with(of(&[1, 2, 3]), 2, Fate::Returns),
        8 => with(of(&[1]).with_learners([NodeId(2)]), 2, Fate::Leaves),
        _ => with(staged(), 1, Fate::Returns),
    }
}

/// Whether no node of the protocol would ever have this membership.
fn is_flawed(membership: &Membership) -> bool {
    let sets = [membership.incoming(), membership.outgoing(), membership.wanted()];
    let [incoming, outgoing, wanted] = sets;
    let after = if wanted.is_empty() { incoming } else { wanted };
    let before = if wanted.is_empty() { outgoing } else { incoming };
    let members = membership.members();
    incoming.is_empty()
        || sets.iter().any(|set| set.len() > 64)
        || members.iter().map(|member| 27 + member.address.as_str().len()).sum::<usize>() > 3582
        || (!outgoing.is_empty() && !wanted.is_empty())
        || members.iter().any(|Member { id, fate, .. }| {
            let stays = after.contains(id);
            id.0 == 0 || (stays && *fate != Fate::Stays) || {
                *fate == Fate::Leaves && !before.contains(id)
            }
        })
}

fn after(term: Term) -> Term {
    Term(term.0.wrapping_add(1))
}

/// Whether no node of the protocol would say this to `node`: it must be dropped and counted.
pub(crate) fn is_impossible(message: &Message, node: NodeId) -> bool {
    let term = message.term;
    let beyond = |index: Index| index > Index::MAX;
    let ahead = |id: EntryId| id.term > term || beyond(id.index);
    let half_zero = |id: EntryId| (id.index.0 == 0) != (id.term.0 == 0);
    let canvass = matches!(
        message.body,
        Body::PreVote { .. } | Body::PreVoteReply { .. } | Body::Meet { .. } | Body::Founded { .. }
    );
    message.to != node
        || message.from == node
        || term > Term::MAX
        || (term == Term::ZERO && !canvass)
        || match &message.body {
            Body::PreVote { next_term, last } => {
                *next_term != after(term) || last.term > *next_term || beyond(last.index)
            }
            Body::PreVoteReply { next_term, .. } => next_term.0 == 0 || *next_term > Term::MAX,
            Body::RequestVote { last, .. } => ahead(*last),
            Body::AppendEntries { prev, entries, committed } => {
                ahead(*prev) || half_zero(*prev) || beyond(*committed) || {
                    let ids = || entries.iter().map(|entry| entry.id);
                    let mut pairs = std::iter::once(*prev).chain(ids()).zip(ids());
                    pairs.any(|(one, next)| {
                        one.index.0.wrapping_add(1) != next.index.0 || next.term < one.term
                    }) || ids().any(|id| ahead(id) || id.term == Term::ZERO)
                        || entries.iter().any(|entry| match &entry.payload {
                            Payload::Membership(membership) => is_flawed(membership),
                            Payload::Noop | Payload::Command(_) => false,
                        })
                }
            }
            Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) => {
                beyond(*prev) || ahead(*hint) || half_zero(*hint)
            }
            Body::Heartbeat(Beat { round, committed, confirmed, echo, promise, loan }) => {
                beyond(*committed)
                    || round <= confirmed.max(echo)
                    || *promise > Duration::from_secs(3600)
                    || loan > promise
            }
            Body::HeartbeatReply { verified, matched, durable, .. } => {
                matched > verified || matched > durable || beyond(*durable)
            }
            Body::ReadIndexReply { index, .. } => beyond(*index),
            Body::InstallSnapshot { meta } => {
                let SnapshotMeta { last, membership, .. } = meta;
                ahead(*last) || half_zero(*last) || last.index.0 == 0 || {
                    last.index.0 > Index::MAX.0 / 2 || is_flawed(membership)
                }
            }
            Body::Meet { met } => met.windows(2).any(|pair| pair[0].id >= pair[1].id),
            Body::Founded { membership, .. } => is_flawed(membership),
            _ => false,
        }
}
