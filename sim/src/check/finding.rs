//! The table of checks with their ids and names, and the finding that a violated check reports.

use std::panic::Location;

use crate::observe::{Violation, in_one_line};
use crate::values::time::SimTime;

/// One check: its id, its name, and the invariant that it verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The check's id: `S` and a number for safety, `L` and a number for liveness, or `U1` for the
    /// user's own workload.
    pub id: &'static str,
    /// The check's name in words and hyphens, for example `election-safety`.
    pub name: &'static str,
    /// The invariant that must hold, in one sentence.
    pub invariant: &'static str,
}

/// A violated check and the evidence, in one sentence.
#[derive(Debug)]
pub(crate) struct Finding {
    check: &'static Check,
    text: String,
    /// The source position that reports the violation.
    place: &'static Location<'static>,
}

/// The result of one check: `Ok`, or the finding of the violated check.
pub(crate) type CheckResult<T = ()> = Result<T, Finding>;

impl Check {
    const fn new(id: &'static str, name: &'static str, invariant: &'static str) -> Check {
        Check { id, name, invariant }
    }

    /// Returns an error with the finding `text` and the source position of the caller.
    #[track_caller]
    pub(crate) fn violated<T>(&'static self, text: String) -> CheckResult<T> {
        Err(Finding { check: self, text, place: Location::caller() })
    }

    /// Returns the check with this id, if there is one.
    #[must_use]
    pub fn by_id(id: &str) -> Option<&'static Check> {
        CHECKS.iter().find(|check| check.id == id)
    }

    /// Returns a violation that was found outside the observed event stream, with the source
    /// position of the caller.
    #[track_caller]
    #[must_use]
    pub fn violation_at(&'static self, text: String, at: SimTime) -> Violation {
        self.violation_from(text, at, Location::caller())
    }

    /// Returns a violation that the code at `place` found.
    pub(crate) fn violation_from(
        &self,
        text: String,
        at: SimTime,
        place: &Location<'_>,
    ) -> Violation {
        let place = format!("{}:{}", place.file(), place.line());
        // A user's state machine may report an error of several lines.
        let text = in_one_line(&text);
        Violation { id: self.id, check: self.name, finding: text, at, place }
    }
}

impl Finding {
    /// Whether the finding belongs to `check`.
    pub(crate) fn is(&self, check: &'static Check) -> bool {
        *self.check == *check
    }

    /// Returns the finding with `more` appended to its text.
    pub(crate) fn with_detail(mut self, more: &str) -> Finding {
        self.text.push_str(more);
        self
    }

    pub(crate) fn at(self, at: SimTime) -> Violation {
        self.check.violation_from(self.text, at, self.place)
    }
}

macro_rules! checks {
    ($($id:ident $name:literal $holds:literal)*) => {
        // The list below repeats the values and names no static: a check that no code reports is
        // then dead code, which does not compile.
        $(#[deny(dead_code)]
        pub(crate) static $id: Check = Check::new(stringify!($id), $name, $holds);)*

        /// Every check, in the order of declaration.
        pub static CHECKS: &[Check] = &[$(Check::new(stringify!($id), $name, $holds)),*];
    };
}

checks! {
    S1 "election-safety"
        "A term has at most one leader during the whole run."
    S2 "election-quorum"
        "A node becomes the leader of a term only with durable votes from a quorum in that term."
    S3 "one-vote-per-term"
        "No node makes durable, or sends, votes for two candidates in the same term."
    S4 "vote-before-grant"
        "A vote is durable before the node sends it, counts it or requests other nodes' votes."
    S5 "term-before-reply"
        "The term of a reply is durable on the sender's disk before the sender sends the reply."
    S6 "append-before-ack"
        "Acknowledged entries are durable on the sender's disk and equal to the leader's log."
    S7 "term-monotonic"
        "A node's term never decreases, in memory or on disk, and is never behind its disk's term."
    S8 "log-matching"
        "Entries with the same id have the same content and prefix, and come from the leader."
    S9 "leader-append-only"
        "A leader never truncates or overwrites its own log."
    S10 "leader-completeness"
        "Every leader's log contains all entries that were committed in earlier terms."
    S11 "state-machine-safety"
        "No two nodes commit or apply different entries at the same index."
    S12 "commit-is-durable"
        "An entry is durable on a quorum of disks when a node first commits it."
    S13 "own-term-commit"
        "Only entries of the leader's current term are committed by counting replicas."
    S14 "commit-monotonic"
        "A node's commit index never decreases while the node runs."
    S15 "applied-in-order"
        "Each node applies every committed entry once, in index order, after its commit."
    S16 "commit-after-restart"
        "After a restart, a node's commit index is not below the one stored on its disk."
    S17 "memory-equals-disk"
        "A node's view of its disk is correct, and equals the disk once all writes are durable."
    S18 "no-lost-writes"
        "An acknowledged command stays committed at the index that its client received."
    S19 "exactly-once"
        "A command is executed at most once, and has one outcome and one reply."
    S20 "linearizable"
        "Reads and writes are linearizable; a stale read is at most as old as it states."
    S21 "lease-safety"
        "A read served under a lease sees every committed command that may change its answer."
    S22 "membership-steps"
        "A node uses the last membership in its log; each membership is one safe step from \
         the one before it."
    S23 "only-voters-count"
        "Elections and commits count only the nodes that have a vote."
    S24 "replaced-disk"
        "A disk that replaces a lost disk counts in no quorum before the membership admits it."
    S25 "snapshot-consistent"
        "A snapshot covers committed entries; snapshots with the same last entry are equal."
    S26 "state-equality"
        "Nodes that apply the same log have the same replies, query answers and states."
    S27 "restart-succeeds"
        "A node starts from its disk unless a fault damaged that disk."
    S28 "fail-stop"
        "After its disk fails, a node treats no further write as durable."
    S29 "bounded"
        "No queue and no message exceeds its configured bound."
    S30 "idle-cluster"
        "A cluster without requests sends few messages, writes little and elects no leader."
    S31 "state-validation"
        "A node is quarantined only for a wrong state, and then serves nothing; no node leads with \
         a build that is too old for its log."
    S33 "all-live"
        "An entry acknowledged as durable on every live voter is on the disk of each of them."
    S34 "no-unexpected-stop"
        "A node stops by itself only because of a failed or damaged disk or a diverged log."
    S35 "damaged-entries"
        "No node acknowledges a damaged entry or a later one, or counts its own copy for a commit."
    S36 "repair-is-durable"
        "A node regards a damaged entry as repaired only once its disk holds the entry again."
    S37 "no-state-ahead-of-log"
        "No snapshot and no durable state of a state machine is ahead of the log on its disk."
    S38 "uncertain-node"
        "An uncertain node counts in no quorum until a leader has confirmed its log."
    S39 "entries-in-memory"
        "The entries in memory are a suffix of the log, evicted only to keep a bound or by a \
         snapshot."
    S40 "established-rounds"
        "A leader relies only on heartbeat rounds that began after its first commit in its term."
    S41 "entries-sent-once"
        "A leader sends or probes for an entry again only once a reply shows the peer lacks it."
    S42 "peer-progress"
        "A leader's matched index for a peer never falls in a term while the peer keeps its disk."
    S43 "requested-parts"
        "A part of a snapshot is sent only to a node that requested it, and once for each request."
    S44 "log-compaction"
        "Once a node has two snapshots, its log drops the entries that both cover, except for \
         trailing ones."
    S45 "current-term"
        "A node acknowledges nothing in an earlier term than its own."
    S46 "heartbeat-pace"
        "A leader begins a heartbeat round only once the last one is confirmed or an interval old."
    S47 "snapshot-needed"
        "A leader offers a snapshot only if its log lacks entries that the peer needs, and again \
         only after a reply to a later round."
    S48 "confirmed-rounds"
        "A leader relies on a heartbeat round only after replies to it from a quorum."
    S49 "justified-campaign"
        "A node requests votes only after a quorum's pre-votes, or at its leader's request."
    S50 "eligible-candidate"
        "A node grants a pre-vote only for a later term, and a vote or pre-vote only to a \
         candidate whose log is not behind the node's log or the commit index that it knows."
    S51 "sent-entries"
        "A node acknowledges to a leader only entries that this leader sent it."
    S52 "transfer-target"
        "A leader asks a node to campaign only if that node could win and lead, except when the \
         leader steps down."
    S53 "snapshot-contents"
        "The sessions and the versions in a snapshot are those that result from the log."
    S54 "read-round"
        "A leader answers a read only after a quorum replied to a round that began after the read."
    S55 "vote-lease"
        "Until the leases that a node granted end, it neither votes for another node nor enters a \
         later term to vote or to campaign, except in a leadership transfer."
    S56 "known-leader"
        "A node names as the leader of its term only the node that won that term."
    S57 "exclusive-lease"
        "No node holds a leader lease or a read lease once another node leads a later term."
    S58 "message-term"
        "Pre-votes, bootstrap and repair aside, a node adopts the later term of a message that it \
         accepts, and a message of an earlier term changes nothing."
    S59 "received-entries"
        "A follower acknowledges and commits only entries from snapshots or messages of its term."
    S60 "counted-replies"
        "A leader and a candidate count only replies of their own term that they have received."
    S61 "answered-read"
        "A follower answers a read with a read index that it requested after the read began."
    S62 "written-entries"
        "A follower writes only the entries of its leader's message that its log lacks."
    S63 "append-effect"
        "A node follows its leader, and stores, acknowledges and commits the entries it takes."
    S64 "due-vote"
        "A node grants its vote, or pre-vote, to each candidate that no rule excludes."
    S65 "heard-leader"
        "A node that hears its leader grants no vote or pre-vote for a later term, except in a \
         transfer."
    S66 "election-timeout"
        "A node campaigns by itself only after an election timeout without a leader or a vote."
    S67 "prompt-commit"
        "A leader commits an entry of its term as soon as a quorum has acknowledged it."
    S68 "prompt-election"
        "A candidate wins, and a pre-candidate starts its election, as soon as a quorum has \
         granted its request; either gives up as soon as, and only if, no quorum can grant it any \
         more."
    S69 "quorum-contact"
        "A healthy leader steps down if, and only if, it has not heard from a quorum in time."
    S70 "reported-state"
        "A node reports the hard state and the log that it wrote, and what its machine applied."
    S71 "sent-state"
        "A message names only entries, a commit index and a log end that its sender has."
    S72 "spread-commit"
        "Within the commit delay, a leader sends a new commit index to each peer that has its \
         whole log."
    S73 "departed-peer"
        "A leader sends heartbeats to a removed node for a bounded time only."
    S74 "shared-read-request"
        "A follower requests a read index again only after a reply or a heartbeat interval."
    S75 "leaderless-reads"
        "A node that hears from no leader rejects, within a bound, the reads that wait for one."
    S76 "bootstrap-disks"
        "A bootstrap peer that has seen two disks of another peer restarts its bootstrap."
    S77 "rebuild-source"
        "A node that rebuilds its state requests a newer snapshot from the other voters in turn."
    S78 "lease-request"
        "A node that starts, or loses or regains certainty, asks for no read lease in that term."
    S79 "disaster-recovery"
        "A recovery from the disks of some nodes keeps their log, and states what else may be lost."
    S80 "prompt-messages"
        "A node holds a message back only until its disk has what the message reveals."
    S81 "next-after-rejection"
        "After a rejection, a leader continues with the last entry up to which the logs may match."
    S82 "requests-in-turn"
        "A node that lacks a part of its log asks one member after the other, at a bounded rate."
    S83 "snapshot-pace"
        "A node takes snapshots, and requests and sends their parts, only as often as configured."
    S84 "comparison-pace"
        "A node compares its state again only after enough entries or time."
    S85 "heartbeat-receivers"
        "Each heartbeat round goes to every other member, and for a time to a removed one."
    S86 "prompt-entries"
        "A leader sends a new entry at once to each peer that has all entries before it."
    S87 "rejected-request"
        "A node rejects a request only if it does not lead, has a full disk or has work pending."
    L1 "progress"
        "In the stabilization phase, the core elects a leader, agrees and answers every request."
    U1 "user-model"
        "The user's workload accepts every reply, every query answer and every state."
    L2 "request-answered"
        "In the stabilization phase, a core node answers every request within a time bound."
    L3 "election-churn"
        "In the stabilization phase, core nodes win only a bounded number of elections."
    L4 "disruptive-node"
        "In the stabilization phase, no node outside the core raises the core's term."
    L5 "catch-up"
        "In the stabilization phase, a core node applies all committed entries within a bound."
    L6 "non-voter-campaign"
        "A node that knows that it has no vote does not campaign."
    L7 "round-confirmed"
        "In an idle cluster, the leader's heartbeat rounds are confirmed within a time bound."
    L8 "state-compared"
        "In the stabilization phase, a core node that applies entries compares its state in time."
    L9 "snapshot-taken"
        "In the stabilization phase, a core node takes a snapshot in time when one is due."
    L10 "leader-after-transfer"
        "In the stabilization phase, a core node leads again in time after a leadership transfer."
    L11 "membership-settled"
        "In the stabilization phase, a core leader takes each step of a membership change in time."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_of_several_lines_becomes_one_line() {
        let seen = U1.violation_at("not what it was\r\n  - 1\n\n  + 2\r".to_owned(), SimTime(0));
        assert_eq!(seen.finding, "not what it was; - 1; + 2");
    }
}
