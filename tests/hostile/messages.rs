//! Messages of Byzantine peers, near the expected ones and far beyond.

use std::time::Duration;

use quorate::raft::{Raft, Status};
use quorate::types::{
    AppendOutcome, Body, BootstrapPeer, Change, Entry, EntryId, Heartbeat, Incarnation, Index,
    MachineVersion, Member, Membership, MembershipSource, Message, NodeId, Payload,
    PendingTransition, Readiness, SnapshotMeta, Term,
};

use super::bytes::Bytes;

/// The state of the node that a Byzantine peer may know.
pub(crate) struct Known<'a> {
    pub(crate) raft: &'a Raft,
    /// The last heartbeat round of the node.
    pub(crate) round: u64,
    /// The start_id and the ticket of the node's last read index request; a request for the log end
    /// since then replaces the start_id.
    pub(crate) read_index: (u64, u64),
    /// The start_id in the last bootstrap probe of the node.
    pub(crate) start_id: u64,
}

impl Known<'_> {
    fn status(&self) -> Status {
        self.raft.status()
    }

    /// Returns a random message.
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
        match bytes.below(20) {
            0..=3 => self.append(bytes, term),
            4 => self.snapshot(bytes),
            5 => Body::PreVote {
                next_term: if bytes.chance(40) { self.term(bytes) } else { after(term) },
                last: self.id(bytes),
            },
            6 => {
                let next_term = Term(self.status().term.0.wrapping_add(bytes.below(3).into()));
                Body::PreVoteReply {
                    next_term,
                    granted: bytes.chance(128),
                    committed: self.committed(bytes),
                }
            }
            7 if bytes.chance(32) => Body::TimeoutNow,
            7 if bytes.chance(16) => Body::TakeoverAllowed,
            7 if bytes.chance(16) => Body::LogRolledBack,
            8 if bytes.chance(16) => Body::LogIsComplete,
            14 if bytes.chance(64) => Body::RequestLogEnd { start_id: self.number(bytes, 7) },
            19 if bytes.chance(64) => Body::LogEnd {
                start_id: self.number(bytes, self.read_index.0),
                last: self.index(bytes),
            },
            18 => self.repair(bytes, term),
            7 => Body::RequestVote { last: self.id(bytes), transfer: bytes.chance(64) },
            8 => Body::RequestVoteReply {
                granted: bytes.chance(128),
                committed: self.committed(bytes),
            },
            9 | 10 => self.outcome(bytes),
            11 => self.heartbeat(bytes),
            12 | 13 => self.heartbeat_reply(bytes),
            14 => {
                let (start_id, ticket) = (self.number(bytes, 7), self.number(bytes, 1));
                Body::ReadIndex { start_id, ticket }
            }
            15 => Body::BootstrapProbe { seen: bootstrap_peers(bytes) },
            16 => {
                let membership = match bytes.byte() {
                    0..=127 => Membership::new([1, 2, 3].map(NodeId)),
                    _ => self.membership(bytes),
                };
                let source = match bytes.byte() {
                    0..=127 => MembershipSource::Reply,
                    128..=191 => MembershipSource::Log,
                    _ => MembershipSource::Snapshot,
                };
                Body::Bootstrapped {
                    start_id: self.number(bytes, self.start_id),
                    membership,
                    source,
                }
            }
            17 => Body::UnknownIncarnation,
            _ => {
                let start_id = self.number(bytes, self.read_index.0);
                let ticket = self.number(bytes, self.read_index.1);
                Body::ReadIndexReply { start_id, ticket, index: self.index(bytes) }
            }
        }
    }

    fn heartbeat_reply(&self, bytes: &mut Bytes<'_>) -> Body {
        let (round, verified) = (self.number(bytes, self.round), self.index(bytes));
        let matched = if bytes.chance(100) { self.index(bytes) } else { verified };
        let durable = if bytes.chance(100) { self.index(bytes) } else { matched };
        let ready = Readiness {
            wants_read_lease: bytes.chance(64),
            may_lead: !bytes.chance(64),
            is_uncertain: bytes.chance(24),
            version_max: MachineVersion::FIRST,
        };
        let is_silent = ready.is_uncertain && !bytes.chance(16);
        let matched = if is_silent { Index::ZERO } else { matched };
        Body::HeartbeatReply { round, verified, matched, durable, ready }
    }

    /// Returns a commit index, most often one that the node knows.
    fn committed(&self, bytes: &mut Bytes<'_>) -> Index {
        if bytes.chance(8) { self.index(bytes) } else { self.status().committed }
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
        Body::AppendEntries { prev, entries: entries.into(), committed: self.index(bytes) }
    }

    /// Returns a message about damaged entries, most often entries that the node has.
    fn repair(&self, bytes: &mut Bytes<'_>, term: Term) -> Body {
        if bytes.chance(100) {
            let first = self.id(bytes);
            let last = Index(first.index.0.wrapping_add(bytes.below(6).into()));
            return Body::RequestEntries { first, last };
        }
        let Body::AppendEntries { entries, .. } = self.append(bytes, term) else {
            unreachable!("an append was made")
        };
        let Body::InstallSnapshot { meta } = self.snapshot(bytes) else {
            unreachable!("an offer was made")
        };
        let snapshot = bytes.chance(60).then(|| Box::new(meta));
        Body::RequestEntriesReply { entries, snapshot }
    }

    fn heartbeat(&self, bytes: &mut Bytes<'_>) -> Body {
        let mut span = || match bytes.byte() {
            0..=127 => Duration::ZERO,
            hours @ 128..=131 => Duration::from_secs(u64::from(hours - 128) * 3600),
            millis => Duration::from_millis(u64::from(millis) * 5),
        };
        let (vote_lease, read_lease) = (span(), span());
        let heartbeat = Heartbeat::new(self.number(bytes, 1), self.index(bytes));
        let (confirmed, echo) = (self.number(bytes, 0), self.number(bytes, 0));
        Body::Heartbeat(Heartbeat { confirmed, echo, vote_lease, read_lease, ..heartbeat })
    }

    fn outcome(&self, bytes: &mut Bytes<'_>) -> Body {
        let index = self.index(bytes);
        Body::AppendEntriesReply(match bytes.byte() {
            156.. => AppendOutcome::Rejected { prev: index, hint: self.id(bytes) },
            148..156 => AppendOutcome::NoSpace { verified: index },
            140..148 => AppendOutcome::Stored { verified: index },
            120..140 => return Body::InstallSnapshotReply { matched: index },
            _ => AppendOutcome::Accepted { matched: index },
        })
    }

    /// Returns the offer of a snapshot, most often one that the node has or could install.
    fn snapshot(&self, bytes: &mut Bytes<'_>) -> Body {
        let membership = self.membership(bytes);
        let mut last = self.id(bytes);
        last.index.0 = last.index.0.wrapping_add(bytes.below(3).into());
        Body::InstallSnapshot { meta: SnapshotMeta::empty(last, membership) }
    }

    /// Returns a membership: most often the node's own, or one that may follow it, or any, or an
    /// invalid one.
    fn membership(&self, bytes: &mut Bytes<'_>) -> Membership {
        let own = self.raft.membership();
        match bytes.byte() {
            0..=129 => own.clone(),
            130..=169 => match (own.is_staged(), own.is_joint()) {
                (true, _) if bytes.chance(100) => own.cancelled(),
                (true, _) => own.enter_joint(some(bytes).first().copied()),
                (_, true) => own.leave_joint(),
                _ => own.changed(&change(bytes)).unwrap_or_else(|_| own.clone()),
            },
            170..=199 => Membership::new(some(bytes)).with_learners(some(bytes)),
            200..=229 => {
                let joint = Membership::new(some(bytes)).joint_with(some(bytes));
                joint.with_learners(some(bytes))
            }
            _ => invalid(bytes),
        }
    }

    /// Returns a term: most often the node's, or near it, or an extreme.
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

    /// Returns an index: most often near one in the node's status, or an extreme.
    fn index(&self, bytes: &mut Bytes<'_>) -> Index {
        let status = self.status();
        let indices =
            [status.last.index, status.committed, status.durable, status.applied, status.snapshot];
        let Index(index) = bytes.one_of(&indices);
        Index(match bytes.byte() {
            0..=139 => index,
            140..=179 => index.wrapping_add(1),
            180..=209 => index.saturating_sub(1),
            210..=229 => bytes.below(24).into(),
            230..=239 => 0,
            240..=244 => Index::MAX.0,
            245..=249 => Index::MAX.0 + 1,
            _ => u64::MAX,
        })
    }

    /// Returns the id of an entry: most often one in the node's log.
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

/// Returns bootstrap peers and their incarnations, most often as the node expects them.
fn bootstrap_peers(bytes: &mut Bytes<'_>) -> Vec<BootstrapPeer> {
    let peer = |bytes: &mut Bytes<'_>, id| match bytes.byte() {
        0..=159 => known_bootstrap_peer(NodeId(id)),
        160..=199 => BootstrapPeer::unknown(NodeId(id)),
        _ => BootstrapPeer { incarnation: Incarnation(99), ..known_bootstrap_peer(NodeId(id)) },
    };
    let mut peers: Vec<BootstrapPeer> = (1..=3).map(|id| peer(bytes, id)).collect();
    match bytes.byte() {
        0..=199 => {}
        200..=219 => peers.truncate(2),
        220..=239 => peers.swap(0, 1),
        _ => peers[2].id = NodeId(4),
    }
    peers
}

/// Returns a bootstrap peer as an honest one reports it, with one disk and one start.
pub(crate) fn known_bootstrap_peer(id: NodeId) -> BootstrapPeer {
    BootstrapPeer { id, incarnation: Incarnation(id.0.into()), start_id: 1 }
}

/// Returns some of the nodes from 1 to 6.
fn some(bytes: &mut Bytes<'_>) -> Vec<NodeId> {
    let bits = bytes.byte();
    (0..6).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit + 1)).collect()
}

/// Returns a change of the nodes from 1 to 6, which may be invalid.
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

/// Returns an invalid membership.
fn invalid(bytes: &mut Bytes<'_>) -> Membership {
    let of = |ids: &[u64]| Membership::new(ids.iter().copied().map(NodeId));
    let with = |membership: Membership, id: u64, pending: PendingTransition| {
        membership.with_member(Member { pending, ..Member::new(NodeId(id)) })
    };
    let staged = || of(&[1, 2]).changed(&Change::new().remove(NodeId(2))).expect("1 remains");
    match bytes.below(10) {
        0 => Membership::default(),
        1 => Membership::default().with_learners([NodeId(1)]),
        2 => Membership::new((1..=65).map(NodeId)),
        3 => of(&[1]).with_learners((2..=133).map(NodeId)),
        4 => of(&[0, 1, 2]),
        5 => staged().joint_with([NodeId(3)]),
        6 => with(of(&[1, 2, 3]), 2, PendingTransition::Remove),
        7 => with(of(&[1, 2, 3]), 2, PendingTransition::Promote),
        8 => with(of(&[1]).with_learners([NodeId(2)]), 2, PendingTransition::Remove),
        _ => with(staged(), 1, PendingTransition::Promote),
    }
}

/// Returns true if the membership is invalid, by an independent definition.
fn is_invalid(membership: &Membership) -> bool {
    let sets = [membership.incoming(), membership.outgoing(), membership.target()];
    let [incoming, outgoing, target] = sets;
    let after = if target.is_empty() { incoming } else { target };
    let before = if target.is_empty() { outgoing } else { incoming };
    let members = membership.members();
    incoming.is_empty()
        || sets.iter().any(|set| set.len() > 64)
        || members.iter().map(|member| 27 + member.address.as_str().len()).sum::<usize>() > 3582
        || (!outgoing.is_empty() && !target.is_empty())
        || members.iter().any(|Member { id, pending, .. }| {
            let stays = after.contains(id);
            id.0 == 0 || (stays && *pending != PendingTransition::None) || {
                *pending == PendingTransition::Remove && !before.contains(id)
            }
        })
}

fn after(term: Term) -> Term {
    Term(term.0.wrapping_add(1))
}

/// Returns true if a node sends such messages before the first election, by an independent
/// definition.
fn precedes_elections(body: &Body) -> bool {
    let names =
        ["PreVote", "PreVoteReply", "BootstrapProbe", "Bootstrapped", "RequestEntriesReply"];
    names.contains(&body.name())
}

/// Returns true if no log of a node in `term` has these entries after `prev`, or anywhere if
/// `prev` is not known.
fn cannot_follow(prev: Option<EntryId>, entries: &[Entry], term: Term) -> bool {
    let ids = || entries.iter().map(|entry| entry.id);
    let mut pairs = prev.into_iter().chain(ids()).zip(ids().skip(usize::from(prev.is_none())));
    pairs.any(|(one, next)| one.index.0.wrapping_add(1) != next.index.0 || next.term < one.term)
        || ids().any(|id| {
            id.term > term || id.index > Index::MAX || id.term == Term::ZERO || id.index.0 == 0
        })
        || entries.iter().any(|entry| match &entry.payload {
            Payload::Membership(membership) => is_invalid(membership),
            Payload::Noop | Payload::Command(_) => false,
        })
}

/// Returns true if no correct node sends this message to `node`: it must be rejected and counted.
pub(crate) fn is_impossible(message: &Message, node: NodeId) -> bool {
    let term = message.term;
    let beyond = |index: Index| index > Index::MAX;
    let ahead = |id: EntryId| id.term > term || beyond(id.index);
    let half_zero = |id: EntryId| (id.index.0 == 0) != (id.term.0 == 0);
    message.to != node
        || message.from == node
        || term > Term::MAX
        || (term == Term::ZERO && !precedes_elections(&message.body))
        || match &message.body {
            Body::PreVote { next_term, last } => {
                *next_term != after(term) || last.term > *next_term || beyond(last.index)
            }
            Body::PreVoteReply { next_term, committed, .. } => {
                next_term.0 == 0 || *next_term > Term::MAX || beyond(*committed)
            }
            Body::RequestVoteReply { committed, .. } => beyond(*committed),
            Body::RequestVote { last, .. } => ahead(*last),
            Body::AppendEntries { prev, entries, committed } => {
                ahead(*prev) || half_zero(*prev) || beyond(*committed) || {
                    cannot_follow(Some(*prev), entries, term)
                }
            }
            Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) => {
                beyond(*prev) || ahead(*hint) || half_zero(*hint)
            }
            Body::Heartbeat(Heartbeat {
                round,
                committed,
                confirmed,
                echo,
                vote_lease,
                read_lease,
            }) => {
                beyond(*committed)
                    || round <= confirmed.max(echo)
                    || *vote_lease > Duration::from_secs(3600)
                    || read_lease > vote_lease
            }
            Body::HeartbeatReply { verified, matched, durable, ready, .. } => {
                matched > verified || matched > durable || beyond(*durable) || {
                    ready.is_uncertain && matched.0 > 0
                }
            }
            Body::ReadIndexReply { index, .. } => beyond(*index),
            Body::InstallSnapshot { meta } => {
                let SnapshotMeta { last, membership, .. } = meta;
                ahead(*last) || half_zero(*last) || last.index.0 == 0 || {
                    last.index.0 > Index::MAX.0 / 2 || is_invalid(membership)
                }
            }
            Body::BootstrapProbe { seen } => seen.windows(2).any(|pair| pair[0].id >= pair[1].id),
            Body::Bootstrapped { membership, .. } => is_invalid(membership),
            body => is_impossible_about_logs(body, message, node),
        }
}

/// Returns true if no correct node sends this body about damaged or uncertain logs; false for a
/// body of another kind, which may have any content.
fn is_impossible_about_logs(body: &Body, message: &Message, node: NodeId) -> bool {
    let term = message.term;
    let beyond = |index: Index| index > Index::MAX;
    match body {
        Body::RequestEntries { first, last } => {
            let half_zero = (first.index.0 == 0) != (first.term.0 == 0);
            first.term > term || half_zero || first.index.0 == 0 || {
                beyond(first.index) || *last < first.index || beyond(*last)
            }
        }
        Body::RequestEntriesReply { entries, snapshot } => {
            cannot_follow(None, entries, term) || is_impossible_offer(snapshot, message, node)
        }
        Body::LogEnd { last, .. } => beyond(*last),
        _ => false,
    }
}

/// Returns true if no correct node offers the snapshot in such a message.
fn is_impossible_offer(
    snapshot: &Option<Box<SnapshotMeta>>,
    message: &Message,
    node: NodeId,
) -> bool {
    snapshot.as_deref().is_some_and(|meta| {
        let body = Body::InstallSnapshot { meta: meta.clone() };
        is_impossible(&Message { body, ..*message }, node)
    })
}

/// Returns the last index in the message.
pub(crate) fn message_end(message: &Message) -> Index {
    match &message.body {
        Body::AppendEntries { prev, entries, .. } => {
            entries.last().map_or(prev.index, |entry| entry.id.index)
        }
        Body::Heartbeat(Heartbeat { committed, .. }) => *committed,
        Body::InstallSnapshot { meta } => meta.last.index,
        _ => Index::ZERO,
    }
}
