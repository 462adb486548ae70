//! What nodes say to one another. Requests and replies are named after the paper's calls.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::types::entry::{Entry, Listed};
use crate::types::id::{EntryId, Index, NodeId, Term};
use crate::types::membership::{Founder, Incarnation, Membership};
use crate::types::write::SnapshotMeta;

/// One message from one node to another. It may be lost, repeated, delayed or overtaken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The node that said it.
    pub from: NodeId,
    /// The life of its disk; zero where nobody tells one from another.
    pub incarnation: Incarnation,
    /// The node it is meant for.
    pub to: NodeId,
    /// The sender's current term when it was said.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// "Would you vote for me, if I started an election?" (thesis §9.6) Changes nothing at the
    /// receiver.
    PreVote {
        /// The term the sender would campaign in.
        next_term: Term,
        /// The last entry of the sender's log.
        last: EntryId,
    },
    /// The answer to a [`Body::PreVote`].
    PreVoteReply {
        /// The term that was asked about.
        next_term: Term,
        /// Whether the vote would be given.
        granted: bool,
    },
    /// A candidate asks for a vote in the message's term (Raft §5.2).
    RequestVote {
        /// The last entry of the candidate's log.
        last: EntryId,
        /// The leader itself asked for the campaign: that it was heard from lately is no reason
        /// to refuse (thesis §4.2.3).
        transfer: bool,
    },
    /// The answer to a [`Body::RequestVote`] of the same term.
    RequestVoteReply {
        /// Whether the vote is given.
        granted: bool,
    },
    /// The leader's entries after `prev` (Raft §5.3); none at all only spreads the commit index.
    AppendEntries {
        /// The entry that precedes `entries` in the leader's log.
        prev: EntryId,
        /// Entries with consecutive indices from `prev.index + 1` on.
        entries: Vec<Entry>,
        /// The leader's commit index.
        committed: Index,
    },
    /// The answer to a [`Body::AppendEntries`].
    AppendEntriesReply(AppendOutcome),
    /// The leader is alive; also a round of confirmation that it still leads (thesis §6.4).
    Heartbeat(Beat),
    /// The answer to a [`Body::Heartbeat`].
    HeartbeatReply {
        /// The round that is answered.
        round: u64,
        /// How far the follower's log is known to equal this leader's: what it accepted in this
        /// term, durable or not. Shows the leader which appends were lost on the way.
        verified: Index,
        /// How far it is also durable; at most `verified`. Makes up for acknowledgements that were
        /// lost on the way.
        matched: Index,
        /// Where the log on its disk ends, whoever it is from, or will end once an installed
        /// snapshot is there: a disk that has less than it acknowledged before is an older image
        /// of itself.
        durable: Index,
        /// What the follower is ready for.
        ready: Readiness,
    },
    /// The leader no longer has the entries that the follower needs next: here is what to get in
    /// their place (Raft §7). The snapshot's bytes go another way.
    InstallSnapshot {
        /// The leader's last snapshot.
        meta: SnapshotMeta,
    },
    /// The follower's log equals the leader's as far as an offered snapshot reaches.
    InstallSnapshotReply {
        /// The index of the snapshot's last entry, durable; 0 from a later term.
        matched: Index,
    },
    /// A follower asks for an index at which its waiting reads are linearizable (thesis §6.4.1).
    ReadIndex {
        /// Tells one start of the asking node from another, so that an answer to an earlier
        /// start is not taken for one to this.
        boot: u64,
        /// Covers every read the asking node numbered up to here.
        ticket: u64,
    },
    /// The answer to a [`Body::ReadIndex`].
    ReadIndexReply {
        /// As asked.
        boot: u64,
        /// As asked.
        ticket: u64,
        /// Reads covered by the ticket are linearizable once this index is applied.
        index: Index,
    },
    /// The leader wants the receiver to campaign at once (thesis §3.10).
    TimeoutNow,
    /// The leader commits nothing any more that the receiver's disk does not have
    /// (`Config::survivor`).
    Counted,
    /// With a vote of this term: the voter counted all the time, so that its log has everything
    /// that was acknowledged (`Config::survivor`).
    Vouch,
    /// A founder of the cluster has no membership yet, and has met these.
    Meet {
        /// Every founder, by ascending id; the sender among them.
        met: Vec<Founder>,
    },
    /// The answer to a [`Body::Meet`] of a node that has a membership.
    Founded {
        /// Which start of the asking node's is answered.
        boot: u64,
        /// The first membership of all if it names the asking node's disk, or else who counts, as
        /// far as the sender knows.
        membership: Membership,
        /// What brings the asking node the membership from which its log goes on.
        bringer: Bringer,
    },
    /// The leader does not count on the receiver's disk: it is another one than the membership
    /// names, or an older image of it.
    Stranger,
}

/// What brings a founder that comes late the membership from which its log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bringer {
    /// The answer itself: it is the first membership.
    Answer,
    /// The log, whose entries have one that names the founder's disk.
    Log,
    /// A snapshot: the first membership is no entry, and the sender has forgotten it.
    Snapshot,
}

/// What a leader says with a heartbeat. Spans are of its own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Beat {
    /// Numbers the leader's rounds within its term, from 1.
    pub round: u64,
    /// The leader's commit index.
    pub committed: Index,
    /// The last round that a quorum has answered: when it began, nobody else led.
    pub confirmed: u64,
    /// The last round that the receiver has answered, as far as the leader heard; 0 from a leader
    /// that has committed nothing of its own term, and may not know what was complete before.
    pub echo: u64,
    /// For how long from now on the receiver is to vote for nobody else; zero where the leader
    /// holds no leases.
    pub promise: Duration,
    /// For how long the receiver may answer reads by itself, counted from when its answer to the
    /// round `echo` left; zero where it may not.
    pub loan: Duration,
}

impl Beat {
    /// The heartbeat of a leader that confirms nothing yet and holds no lease.
    #[must_use]
    pub const fn new(round: u64, committed: Index) -> Beat {
        let (promise, loan) = (Duration::ZERO, Duration::ZERO);
        Beat { round, committed, confirmed: 0, echo: 0, promise, loan }
    }
}

/// What a follower is ready for beside taking entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Readiness {
    /// It wants a loan of the leader's lease, to answer reads by itself.
    pub borrows: bool,
    /// It would lead if it was asked to: its disk takes writes, and its state machine is not known
    /// to be wrong.
    pub leads: bool,
}

impl Default for Readiness {
    /// That of a node of which nothing is known.
    fn default() -> Readiness {
        Readiness { borrows: false, leads: true }
    }
}

impl fmt::Display for Readiness {
    /// What is not to be taken for granted, after a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.borrows { " borrows" } else { "" })?;
        f.write_str(if self.leads { "" } else { " unfit to lead" })
    }
}

/// What became of an [`Body::AppendEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendOutcome {
    /// The follower's log equals the leader's up to `matched`, durably.
    Accepted {
        /// The index of the last entry that the request proved equal.
        matched: Index,
    },
    /// The follower's log has no such `prev` entry.
    Rejected {
        /// The index of the `prev` that was not found.
        prev: Index,
        /// The follower's last entry at or before `prev` whose term is not later: the logs can
        /// only be equal there or before. Lets the leader go back a term at a time.
        hint: EntryId,
    },
    /// The follower lacks entries of the request and has no space for them: it took none.
    NoSpace {
        /// How far its log is known to equal the leader's, durable or not.
        verified: Index,
    },
}

impl Body {
    /// Whether it answers another message, to whose sender alone it matters.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        matches!(
            self,
            Body::PreVoteReply { .. }
                | Body::RequestVoteReply { .. }
                | Body::AppendEntriesReply(_)
                | Body::HeartbeatReply { .. }
                | Body::InstallSnapshotReply { .. }
                | Body::ReadIndexReply { .. }
                | Body::Vouch
                | Body::Founded { .. }
        )
    }

    /// Whether it matters which disk the sender has: it tells what that disk has promised, or is to
    /// count as a sign of life.
    #[must_use]
    pub fn counts(&self) -> bool {
        matches!(
            self,
            Body::PreVoteReply { .. }
                | Body::RequestVoteReply { .. }
                | Body::AppendEntriesReply(_)
                | Body::HeartbeatReply { .. }
                | Body::InstallSnapshotReply { .. }
                | Body::ReadIndex { .. }
        )
    }

    /// Up to where the sender says its log equals the leader's, durably; 0 if it says no such
    /// thing.
    #[must_use]
    pub fn acknowledged(&self) -> Index {
        match self {
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched })
            | Body::HeartbeatReply { matched, .. }
            | Body::InstallSnapshotReply { matched } => *matched,
            _ => Index::ZERO,
        }
    }

    /// The name of the message, as traces print it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Body::PreVote { .. } => "PreVote",
            Body::PreVoteReply { .. } => "PreVoteReply",
            Body::RequestVote { .. } => "RequestVote",
            Body::RequestVoteReply { .. } => "RequestVoteReply",
            Body::AppendEntries { .. } => "AppendEntries",
            Body::AppendEntriesReply(_) => "AppendEntriesReply",
            Body::Heartbeat(_) => "Heartbeat",
            Body::HeartbeatReply { .. } => "HeartbeatReply",
            Body::InstallSnapshot { .. } => "InstallSnapshot",
            Body::InstallSnapshotReply { .. } => "InstallSnapshotReply",
            Body::ReadIndex { .. } => "ReadIndex",
            Body::ReadIndexReply { .. } => "ReadIndexReply",
            Body::TimeoutNow => "TimeoutNow",
            Body::Counted => "Counted",
            Body::Vouch => "Vouch",
            Body::Meet { .. } => "Meet",
            Body::Founded { .. } => "Founded",
            Body::Stranger => "Stranger",
        }
    }
}

impl fmt::Display for Message {
    /// What is said and in which term, without the addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.body.name(), self.term, Fields(&self.body))
    }
}

impl fmt::Display for Beat {
    /// Each field after a space; those of leases only where there are any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Beat { round, committed, confirmed, echo, promise, loan } = self;
        write!(f, " round={round} committed={committed}")?;
        if !promise.is_zero() {
            write!(f, " confirmed={confirmed} promise={promise:?}")?;
        }
        if !loan.is_zero() {
            write!(f, " echo={echo} loan={loan:?}")?;
        }
        Ok(())
    }
}

/// The fields of a message, each after a space.
struct Fields<'a>(&'a Body);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = |granted: bool| if granted { "granted" } else { "refused" };
        match self.0 {
            Body::PreVote { next_term, last } => write!(f, " next={next_term} last={last}"),
            Body::PreVoteReply { next_term, granted } => {
                write!(f, " next={next_term} {}", answer(*granted))
            }
            Body::RequestVote { last, transfer: false } => write!(f, " last={last}"),
            Body::RequestVote { last, transfer: true } => write!(f, " last={last} transfer"),
            Body::RequestVoteReply { granted } => write!(f, " {}", answer(*granted)),
            Body::AppendEntries { prev, entries, committed } => {
                write!(f, " prev={prev} entries={} committed={committed}", Listed(entries))
            }
            Body::AppendEntriesReply(AppendOutcome::Accepted { matched }) => {
                write!(f, " matched={matched}")
            }
            Body::AppendEntriesReply(AppendOutcome::Rejected { prev, hint }) => {
                write!(f, " rejected prev={prev} hint={hint}")
            }
            Body::AppendEntriesReply(AppendOutcome::NoSpace { verified }) => {
                write!(f, " no space verified={verified}")
            }
            Body::Heartbeat(beat) => beat.fmt(f),
            Body::HeartbeatReply { round, verified, matched, ready, .. } => {
                write!(f, " round={round} verified={verified} matched={matched}{ready}")
            }
            Body::InstallSnapshot { meta } => write!(f, " last={}", meta.last),
            Body::InstallSnapshotReply { matched } => write!(f, " matched={matched}"),
            Body::ReadIndex { boot, ticket } => write!(f, " boot={boot:x} ticket={ticket}"),
            Body::ReadIndexReply { boot, ticket, index } => {
                write!(f, " boot={boot:x} ticket={ticket} index={index}")
            }
            Body::TimeoutNow | Body::Stranger | Body::Counted | Body::Vouch => Ok(()),
            Body::Meet { met } => {
                let known = met.iter().filter(|founder| founder.is_known()).count();
                write!(f, " met={known}/{}", met.len())
            }
            Body::Founded { membership, bringer, .. } => {
                write!(f, " {membership} by={bringer:?}")
            }
        }
    }
}
