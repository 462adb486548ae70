//! The messages between nodes. Requests and replies carry the names of the paper's RPCs.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::types::entries::Entries;
use crate::types::entry::EntryList;
use crate::types::heartbeat::{Heartbeat, Readiness};
use crate::types::id::{EntryId, Index, NodeId, Term};
use crate::types::membership::{BootstrapPeer, Incarnation, Membership};
use crate::types::text::texts;
use crate::types::write::SnapshotMeta;

/// One message from one node to another. The network may lose, duplicate, delay or reorder it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Message {
    /// The node that sent it.
    pub from: NodeId,
    /// The incarnation of the sender's disk; zero if incarnations are not checked.
    pub incarnation: Incarnation,
    /// The node that it is for.
    pub to: NodeId,
    /// The sender's current term when it created the message.
    pub term: Term,
    /// The content of the message.
    pub body: Body,
}

/// The content of a message. New variants go last, because their positions are on the wire
/// (`tests/wire/golden.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Body {
    /// Asks whether the receiver would vote for the sender in an election (thesis §9.6). It changes
    /// no state at the receiver.
    PreVote {
        /// The term the sender would campaign in.
        next_term: Term,
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The reply to a [`Body::PreVote`].
    PreVoteReply {
        /// The `next_term` of the request.
        next_term: Term,
        /// Whether the receiver would grant the vote.
        granted: bool,
        /// The commit index of the sender's log.
        committed: Index,
    },
    /// A candidate requests a vote in the message's term (Raft §5.2).
    RequestVote {
        /// The last entry of the candidate's log.
        last: EntryId,
        /// Whether the leader itself started this election with [`Body::TimeoutNow`]. Even a
        /// receiver that recently heard from a leader, or that withholds its vote, may then grant
        /// it (thesis §4.2.3).
        transfer: bool,
    },
    /// The reply to a [`Body::RequestVote`] of the same term, or the rejection of one of an earlier
    /// term.
    RequestVoteReply {
        /// Whether the receiver granted its vote.
        granted: bool,
        /// The commit index of the sender's log; 0 in a reply of a later term.
        committed: Index,
    },
    /// The leader's entries after `prev` (Raft §5.3). Without entries it probes whether the logs
    /// match at `prev`, or only spreads the commit index; the receiver need not answer it if it has
    /// acknowledged `prev` to this leader before (docs/COST.md).
    AppendEntries {
        /// The entry that precedes `entries` in the leader's log.
        prev: EntryId,
        /// Entries with consecutive indices from `prev.index + 1` on.
        #[cfg_attr(
            feature = "std",
            serde(with = "crate::types::serial::List::<{ Body::ENTRIES_MAX }>")
        )]
        entries: Entries,
        /// The leader's commit index.
        committed: Index,
    },
    /// The reply to a [`Body::AppendEntries`].
    AppendEntriesReply(AppendOutcome),
    /// Shows that the leader is alive. A heartbeat also begins a round that confirms the leadership
    /// (thesis §6.4).
    Heartbeat(Heartbeat),
    /// The reply to a [`Body::Heartbeat`].
    HeartbeatReply {
        /// The `round` of the heartbeat that this answers; 0 in a reply of a later term.
        round: u64,
        /// The last index at which the follower's log is known to equal this leader's: the follower
        /// accepted the entries in this term, durable or not. The leader learns from it which
        /// appends were lost.
        verified: Index,
        /// The last such index up to which the entries are also durable and intact; 0 from an
        /// uncertain node. It makes up for lost acknowledgements.
        matched: Index,
        /// The last index of the log on the follower's disk, whichever leader its entries came
        /// from; the base of the log while the install of a snapshot is pending. A disk with less
        /// than the follower acknowledged before was rolled back.
        durable: Index,
        /// The follower's report about itself, such as its ability to lead and its wish for a read
        /// lease.
        ready: Readiness,
    },
    /// A follower requests a read index, at which its pending reads are linearizable (thesis §6.4).
    ReadIndex {
        /// A number that differs between two starts of the requesting node, so that the node
        /// recognizes a late reply to an earlier start.
        start_id: u64,
        /// The reads that the request covers: all that the requesting node numbered up to this
        /// ticket.
        ticket: u64,
    },
    /// The reply to a [`Body::ReadIndex`].
    ReadIndexReply {
        /// The `start_id` of the request.
        start_id: u64,
        /// The `ticket` of the request.
        ticket: u64,
        /// The index after whose application the covered reads are linearizable.
        index: Index,
    },
    /// The leader cannot provide the entries that the follower needs next, and offers a snapshot in
    /// their place (Raft §7). The snapshot's bytes travel as [`crate::types::SnapshotTransfer`]s.
    InstallSnapshot {
        /// The leader's last snapshot.
        meta: SnapshotMeta,
    },
    /// The follower's log equals the leader's up to the end of an offered snapshot.
    InstallSnapshotReply {
        /// The index of the snapshot's last entry, once that entry is durable. If an entry up to
        /// there is damaged, the index before the first such entry; 0 in a reply of a later term.
        matched: Index,
    },
    /// The leader asks the receiver to start an election at once (thesis §3.10).
    TimeoutNow,
    /// A bootstrap peer has no membership yet and names the bootstrap peers that it has seen.
    BootstrapProbe {
        /// Every bootstrap peer, by ascending id, the sender included.
        #[cfg_attr(
            feature = "std",
            serde(with = "crate::types::serial::List::<{ Membership::MEMBERS_MAX }>")
        )]
        seen: Vec<BootstrapPeer>,
    },
    /// The reply to a [`Body::BootstrapProbe`] from a node that has a membership.
    Bootstrapped {
        /// The `start_id` of the requesting node in the probe that this answers.
        start_id: u64,
        /// The first membership of the cluster, if the sender still has it and it names the
        /// requesting node's disk. Otherwise the sender's active membership.
        membership: Membership,
        /// The source of the membership from which the requesting node's log continues.
        source: MembershipSource,
    },
    /// The leader rejects the receiver's disk: the membership names another incarnation of the
    /// receiver.
    UnknownIncarnation,
    /// From now on the leader commits no entry that is missing on the receiver's disk, so that the
    /// receiver may take over as the last survivor (`Config::survivor`).
    TakeoverAllowed,
    /// Accompanies a vote of this term: the voter may take over as the last survivor, because its
    /// log has every committed entry (`Config::survivor`).
    LogIsComplete,
    /// The sender's disk lost the contents of entries, and the sender asks the receiver for them.
    /// It is valid in any term, because an entry's term and index identify its content
    /// (docs/REPAIR.md, R5).
    RequestEntries {
        /// The first entry whose content is lost.
        first: EntryId,
        /// The index of the last such entry; the sender has lost the contents of all entries
        /// between the two.
        last: Index,
    },
    /// The reply to a [`Body::RequestEntries`]. It has no entries if the sender's log has no
    /// entry or another one at the first index, or if its disk, too, has lost all of the contents.
    RequestEntriesReply {
        /// The requested entries from the first one whose content the sender has, as many as one
        /// message holds.
        #[cfg_attr(
            feature = "std",
            serde(with = "crate::types::serial::List::<{ Body::ENTRIES_MAX }>")
        )]
        entries: Entries,
        /// The sender's snapshot, if the reply lacks the first requested entry and the snapshot
        /// covers it.
        snapshot: Option<Box<SnapshotMeta>>,
    },
    /// The sender's log may lack entries that it acknowledged: it asks the leader for the index up
    /// to which its log must match the leader's before it is certain again (docs/REPAIR.md, R3).
    RequestLogEnd {
        /// A number that differs between two starts of the requesting node: a reply to an earlier
        /// start says nothing about entries lost since.
        start_id: u64,
    },
    /// The reply to a [`Body::RequestLogEnd`]. The leader sends it once an entry that it appended
    /// after the request is on the disks of a quorum without any uncertain node.
    LogEnd {
        /// The `start_id` of the request.
        start_id: u64,
        /// The last index of the leader's log.
        last: Index,
    },
    /// The receiver's log lacks entries that the receiver acknowledged to this leader: its disk was
    /// rolled back to an older image. The receiver is uncertain from now on.
    LogRolledBack,
}

/// The source of the membership from which a late bootstrap peer's log continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum MembershipSource {
    /// The reply itself, which carries the first membership.
    Reply,
    /// The log, which has an entry whose membership names the receiver's disk.
    Log,
    /// A snapshot: the first membership is not a log entry, and the sender no longer has it.
    Snapshot,
}

/// The result of an [`Body::AppendEntries`] at the follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum AppendOutcome {
    /// The follower's log durably equals the leader's up to `matched`.
    Accepted {
        /// The index of the request's last entry, or of `prev` without entries; that of the
        /// snapshot's last entry if `prev` is compacted. If an entry up to there is damaged, the
        /// index before the first such entry.
        matched: Index,
    },
    /// The follower's log has no entry equal to `prev`, or the request is of an earlier term.
    Rejected {
        /// The index of the request's `prev`.
        prev: Index,
        /// The follower's last entry at or before `prev` whose term is not later than that of
        /// `prev`; zero in a reply of a later term. The logs can be equal only up to this entry, so
        /// the leader goes back one term at a time.
        hint: EntryId,
    },
    /// The follower has no space for entries of the request that it lacks: it took none.
    NoSpace {
        /// The last index at which its log is known to equal the leader's, durable or not.
        verified: Index,
    },
    /// The follower has the entries, but acknowledges nothing, because it is uncertain.
    Stored {
        /// The last index at which its log durably equals the leader's.
        verified: Index,
    },
}

/// Defines [`MessageKind`] and the [`Properties`] of each kind from the table of messages.
macro_rules! messages {
    ($($number:literal $name:ident: $class:ident, $topic:ident $(, $property:ident)*;)*) => {
        /// The kind of a message: its [`Body`] without the fields. Its number is on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum MessageKind {$(
            #[doc = concat!("The kind of a [`Body::", stringify!($name), "`].")]
            $name = $number,
        )*}

        impl MessageKind {
            /// Every kind, by ascending number.
            pub const ALL: &[MessageKind] = &[$(MessageKind::$name),*];

            /// Returns the name of the message as traces print it.
            #[must_use]
            #[inline]
            pub const fn name(self) -> &'static str {
                match self {$(MessageKind::$name => stringify!($name),)*}
            }

            /// Returns the class of the messages of this kind.
            #[must_use]
            #[inline]
            pub const fn class(self) -> MessageClass {
                self.properties().class
            }

            const fn properties(self) -> Properties {
                match self {$(
                    MessageKind::$name => Properties {
                        $($property: true,)*
                        ..Properties::of(MessageClass::$class, MessageTopic::$topic)
                    },
                )*}
            }
        }

        impl Body {
            /// Returns the kind of the message.
            #[must_use]
            #[inline]
            pub const fn kind(&self) -> MessageKind {
                match self {$(Body::$name { .. } => MessageKind::$name,)*}
            }
        }
    };
}

// The table of messages: number on the wire, name, class and topic; then the properties that hold.
// Fields of traces are in `Fields`. A new message takes the next number.
messages! {
     0 PreVote: Request, Election, before_first_term;
     1 PreVoteReply: Reply, Election, before_first_term, known_disk;
     2 RequestVote: Request, Election;
     3 RequestVoteReply: Reply, Election, known_disk;
     4 AppendEntries: LeaderRequest, Append, bulk;
     5 AppendEntriesReply: LeaderReply, Append, known_disk;
     6 Heartbeat: LeaderRequest, Heartbeat;
     7 HeartbeatReply: LeaderReply, Heartbeat, known_disk;
     8 ReadIndex: Request, Read, known_disk;
     9 ReadIndexReply: Reply, Read;
    10 InstallSnapshot: LeaderRequest, Snapshot;
    11 InstallSnapshotReply: LeaderReply, Snapshot, known_disk, after_entries;
    12 TimeoutNow: LeaderNotice, Election;
    13 BootstrapProbe: Request, Participation, before_first_term;
    14 Bootstrapped: Reply, Participation, before_first_term, after_entries;
    15 UnknownIncarnation: Request, Participation;
    16 TakeoverAllowed: LeaderNotice, Participation;
    17 LogIsComplete: Reply, Participation, known_disk;
    18 RequestEntries: Request, Append;
    19 RequestEntriesReply: Reply, Append, before_first_term, bulk;
    20 RequestLogEnd: Request, Participation, known_disk;
    21 LogEnd: Reply, Participation;
    22 LogRolledBack: LeaderNotice, Participation;
}

// The properties of the messages agree with one another.
const _: () = {
    let mut place = 0;
    while place < MessageKind::ALL.len() {
        let kind = MessageKind::ALL[place];
        assert!(kind as usize == place, "the numbers on the wire have no gap");
        let of = kind.properties();
        let is_reply = matches!(of.class, MessageClass::Reply | MessageClass::LeaderReply);
        assert!(is_reply || !of.after_entries, "only a reply acknowledges entries");
        let counts = matches!(of.class, MessageClass::LeaderReply);
        assert!(of.known_disk || !counts, "a leader counts replies of known disks only");
        let is_leaders =
            matches!(of.class, MessageClass::LeaderRequest | MessageClass::LeaderNotice);
        assert!(!(is_leaders && of.known_disk), "a leader's disk need not be known");
        let has_leader = !matches!(of.class, MessageClass::Request | MessageClass::Reply);
        assert!(!(has_leader && of.before_first_term), "term zero has no leader");
        let is_append = matches!(of.topic, MessageTopic::Append);
        assert!(is_append || !of.bulk, "only appends carry entries");
        place += 1;
    }
};

/// The class of a message: which nodes send it, and whether it answers another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageClass {
    /// Only the leader of the message's term sends it, and its receiver follows that leader.
    LeaderRequest,
    /// The reply to a [`MessageClass::LeaderRequest`].
    LeaderReply,
    /// Only the leader of the message's term sends it, and it has no reply.
    LeaderNotice,
    /// A request or a notice of any node.
    Request,
    /// A reply to any other message.
    Reply,
}

/// The topic of a message: the part of the protocol that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageTopic {
    /// Elections and leadership transfers.
    Election,
    /// The replication of the log.
    Append,
    /// Heartbeats of the leader.
    Heartbeat,
    /// Snapshots for followers that lag.
    Snapshot,
    /// Read indices for linearizable reads.
    Read,
    /// The nodes and disks that take part: bootstrap, unknown incarnations, uncertain nodes and the
    /// last survivor.
    Participation,
}

/// The properties of a kind of message; each `bool` is documented at a method of [`Body`].
struct Properties {
    class: MessageClass,
    topic: MessageTopic,
    before_first_term: bool,
    known_disk: bool,
    after_entries: bool,
    bulk: bool,
}

impl Properties {
    /// Returns the properties of a message that has none of the special ones.
    const fn of(class: MessageClass, topic: MessageTopic) -> Properties {
        let (before_first_term, known_disk, after_entries, bulk) = (false, false, false, false);
        Properties { class, topic, before_first_term, known_disk, after_entries, bulk }
    }
}

impl Body {
    /// The maximum number of entries in one message.
    pub const ENTRIES_MAX: usize = 4096;

    /// Returns the name of the message as traces print it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// Returns the class of the message.
    #[must_use]
    #[inline]
    pub const fn class(&self) -> MessageClass {
        self.kind().class()
    }

    /// Returns the topic of the message.
    #[must_use]
    pub const fn topic(&self) -> MessageTopic {
        self.kind().properties().topic
    }

    /// Returns true if this is a reply, which only matters to the node that sent the request.
    #[must_use]
    #[inline]
    pub fn is_reply(&self) -> bool {
        match self.class() {
            MessageClass::LeaderReply | MessageClass::Reply => true,
            MessageClass::LeaderRequest | MessageClass::LeaderNotice | MessageClass::Request => {
                false
            }
        }
    }

    /// Returns true if the receiver must know the sender's disk, because the message reports
    /// entries or a vote on that disk, or because it counts as a sign of life.
    #[must_use]
    #[inline]
    pub fn requires_known_disk(&self) -> bool {
        self.kind().properties().known_disk
    }

    /// Returns true if nodes send the message even before the first election, in term zero.
    #[must_use]
    #[inline]
    pub fn is_sent_before_first_term(&self) -> bool {
        self.kind().properties().before_first_term
    }

    /// Returns true if the message carries entries of the log, and so may be long: it has its own
    /// kind of frame, and a lane in which it delays no short message.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        self.kind().properties().bulk
    }

    /// Returns true if, because of the message, the receiver relies on the sender to keep entries.
    /// The message then leaves only once they are durable; every other message waits for the term
    /// and the vote only.
    #[must_use]
    #[inline]
    pub fn reveals_entries(&self) -> bool {
        if let Body::AppendEntriesReply(outcome) = self {
            return matches!(
                outcome,
                AppendOutcome::Accepted { .. } | AppendOutcome::Stored { .. }
            );
        }
        self.kind().properties().after_entries
    }

    /// Returns the index up to which the sender acknowledges that its log durably equals the
    /// leader's; 0 in a message that acknowledges nothing.
    #[must_use]
    pub fn acknowledged(&self) -> Index {
        match self {
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            | Body::HeartbeatReply { matched, .. }
            | Body::InstallSnapshotReply { matched } => *matched,
            Body::AppendEntriesReply(
                AppendOutcome::Rejected { .. }
                | AppendOutcome::NoSpace { .. }
                | AppendOutcome::Stored { .. },
            )
            | Body::PreVote { .. }
            | Body::PreVoteReply { .. }
            | Body::RequestVote { .. }
            | Body::RequestVoteReply { .. }
            | Body::AppendEntries { .. }
            | Body::Heartbeat(_)
            | Body::ReadIndex { .. }
            | Body::ReadIndexReply { .. }
            | Body::InstallSnapshot { .. }
            | Body::TimeoutNow
            | Body::BootstrapProbe { .. }
            | Body::Bootstrapped { .. }
            | Body::UnknownIncarnation
            | Body::TakeoverAllowed
            | Body::LogIsComplete
            | Body::RequestEntries { .. }
            | Body::RequestEntriesReply { .. }
            | Body::RequestLogEnd { .. }
            | Body::LogEnd { .. }
            | Body::LogRolledBack => Index::ZERO,
        }
    }

    /// Limits the acknowledgement in the message, if it has one, to the entries up to `last`.
    pub(crate) fn acknowledge_at_most(&mut self, last: Index) {
        if let Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
        | Body::HeartbeatReply { matched, .. }
        | Body::InstallSnapshotReply { matched } = self
        {
            *matched = last.min(*matched);
        }
        assert!(self.acknowledged() <= last, "every acknowledgement is limited");
    }
}

texts! {
    /// Writes name, term and fields, without the addresses.
    Message:
    Self { term, body, .. } => "{} {term}{}", body.name(), Fields(body);
}

/// Writes the fields of a message, each after a space.
struct Fields<'a>(&'a Body);

texts! { Fields<'_>:
    Self(Body::PreVote { next_term, last }) => " next={next_term} last={last}";
    Self(Body::PreVoteReply { next_term, granted, committed: Index::ZERO }) =>
        " next={next_term} {}", vote(*granted);
    Self(Body::PreVoteReply { next_term, granted, committed }) =>
        " next={next_term} {} committed={committed}", vote(*granted);
    Self(Body::RequestVote { last, transfer: false }) => " last={last}";
    Self(Body::RequestVote { last, transfer: true }) => " last={last} transfer";
    Self(Body::RequestVoteReply { granted, committed: Index::ZERO }) => " {}", vote(*granted);
    Self(Body::RequestVoteReply { granted, committed }) =>
        " {} committed={committed}", vote(*granted);
    Self(Body::AppendEntries { prev, entries, committed }) =>
        " prev={prev} entries={} committed={committed}", EntryList(entries);
    Self(Body::AppendEntriesReply(AppendOutcome::Accepted { matched })) => " matched={matched}";
    Self(Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint })) =>
        " rejected prev={prev} hint={hint}";
    Self(Body::AppendEntriesReply(AppendOutcome::NoSpace { verified })) =>
        " no space verified={verified}";
    Self(Body::AppendEntriesReply(AppendOutcome::Stored { verified })) =>
        " stored verified={verified}";
    Self(Body::Heartbeat(heartbeat)) => "{heartbeat}";
    Self(Body::HeartbeatReply { round, verified, matched, ready, .. }) =>
        " round={round} verified={verified} matched={matched}{ready}";
    Self(Body::InstallSnapshot { meta }) => " last={}", meta.last;
    Self(Body::InstallSnapshotReply { matched }) => " matched={matched}";
    Self(Body::ReadIndex { start_id, ticket }) => " start_id={start_id:x} ticket={ticket}";
    Self(Body::ReadIndexReply { start_id, ticket, index }) =>
        " start_id={start_id:x} ticket={ticket} index={index}";
    Self(
        Body::TimeoutNow | Body::UnknownIncarnation | Body::TakeoverAllowed | Body::LogIsComplete
        | Body::LogRolledBack
    ) => "";
    Self(Body::RequestLogEnd { start_id }) => " start_id={start_id:x}";
    Self(Body::LogEnd { start_id, last }) => " start_id={start_id:x} last={last}";
    Self(Body::BootstrapProbe { seen }) =>
        " seen={}/{}", seen.iter().filter(|peer| peer.is_known()).count(), seen.len();
    Self(Body::RequestEntries { first, last }) => " first={first} last={last}";
    Self(Body::RequestEntriesReply { entries, snapshot: None }) =>
        " entries={}", EntryList(entries);
    Self(Body::RequestEntriesReply { entries, snapshot: Some(meta) }) if entries.is_empty() =>
        " snapshot={}", meta.last;
    Self(Body::RequestEntriesReply { entries, snapshot: Some(meta) }) =>
        " entries={} snapshot={}", EntryList(entries), meta.last;
    Self(Body::Bootstrapped { membership, source, .. }) => " {membership} source={source:?}";
}

fn vote(granted: bool) -> &'static str {
    if granted { "granted" } else { "rejected" }
}
