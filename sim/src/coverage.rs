//! Coverage marks: named things that a sweep must have exercised, or it proved nothing.

use quorate::raft::{Refusal, RejectReason, RoleName};
use quorate::types::Body;

use crate::fault::Fault;

/// One thing worth reaching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name, unique among the marks: `refused/stale-term`, `crash/before-submit`.
    pub name: &'static str,
    /// Whether a default sweep of 1,000 seeds fails unless some seed reaches it.
    pub must: bool,
}

/// The number of a mark in [`MARKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MarkId(pub(crate) usize);

macro_rules! spots {
    ($($(#[$about:meta])* $spot:ident $name:literal $must:literal)*) => {
        /// A mark that belongs to no family.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Spot { $($(#[$about])* $spot),* }

        const SPOTS: &[Mark] = &[$(Mark { name: $name, must: $must }),*];
    };
}

spots! {
    /// A node crashes when it is about to give a write to its disk.
    CrashBeforeSubmit "crash/before-submit" true
    /// A crash loses every write that was submitted and not flushed.
    CrashBeforeFlush "crash/before-flush" true
    /// A crash keeps a part of the writes that were not flushed.
    CrashPartKept "crash/part-kept" true
    /// A crash keeps writes of whose flush nobody had heard.
    CrashAllKept "crash/all-kept" true
    /// A node crashes after a flush and before it hears of it.
    CrashBeforeReport "crash/before-report" true
    /// A node crashes with nothing on its way to the disk.
    CrashAtRest "crash/at-rest" true
    /// A node crashes between two actions of one step.
    CrashBetweenActions "crash/between-actions" true
    /// A node crashes while its state machine works.
    CrashWhileApplying "crash/while-applying" true
    /// A leader crashes with entries that are not committed.
    CrashUncommitted "crash/leader-with-uncommitted" true
    /// A crash keeps a part of a flush.
    CrashTornFlush "crash/torn-flush" true
    /// A crash loses something in both zones of a segment, and keeps something of it.
    CrashBothZones "crash/torn-in-both-zones" true
    /// A crash loses the making, renaming or removing of a file.
    CrashLostName "crash/lost-name" true
    /// A node starts again with a log.
    RestartWithLog "restart/with-log" true
    /// A node starts again with a log of which it has nothing in hand.
    RestartEmptyTail "restart/empty-tail" true
    /// A node starts again with a part of its log in hand.
    RestartPartTail "restart/part-of-tail" true
    /// A node starts again before its peers can have missed it.
    RestartQuick "restart/quick" true
    /// A node starts again after its peers elected, or could have.
    RestartLate "restart/late" true
    /// A node starts again that has stopped in good order.
    RestartClean "restart/clean" true
    /// A node starts again with a state machine that has kept more than the snapshot has.
    RestartMachineAhead "restart/machine-ahead" true
    /// A node starts for at least the fifth time.
    RestartOften "restart/often" true
    /// A node begins to lead.
    LeaderElected "leader/elected" true
    /// A node begins to lead that led last, too.
    LeaderAgain "leader/same-again" true
    /// Another node than the last begins to lead.
    LeaderOther "leader/other" true
    /// A node begins to lead with entries of earlier terms that are not committed.
    LeaderInherits "leader/inherits-uncommitted" true
    /// A leader steps down because of a later term.
    LeaderDeposed "leader/deposed" true
    /// A leader steps down in its own term, because it hears from no quorum.
    LeaderUnheard "leader/unheard" true
    /// Two nodes lead at the same time, in different terms.
    LeadersTwo "leader/two-at-once" true
    /// A node wins with nobody else to ask.
    LeaderAlone "leader/alone" true
    /// A candidate begins another campaign.
    CandidateAgain "candidate/again" true
    /// A candidate finds that another won.
    CandidateLoses "candidate/loses" true
    /// Two candidates stand in one term.
    CandidatesTwo "candidate/two-in-a-term" true
    /// A pre-candidate finds a leader.
    PreCandidateReturns "pre-candidate/returns" true
    /// A write replaces entries of the log.
    LogCut "log/cut" true
    /// A write replaces at least three entries of the log.
    LogCutDeep "log/cut-deep" true
    /// Entries are read from the disk for the node's own state machine.
    FetchForApply "fetch/for-apply" true
    /// Entries are read from the disk for a peer.
    FetchForPeer "fetch/for-peer" true
    /// The disk gives fewer entries than it was asked for.
    FetchShort "fetch/short" true
    /// A node that never crashed reads entries that it had in memory.
    FetchEvicted "fetch/evicted" true
    /// A message carries as many entries as it may.
    BatchFull "append/batch-full" true
    /// A message carries entries of several terms.
    BatchOfTerms "append/several-terms" true
    /// A peer takes no more because its window is full.
    WindowFull "append/window-full" true
    /// One commit settles entries of earlier terms with one of the leader's own.
    CommitInherited "commit/of-earlier-terms" true
    /// A commit index rises by several entries at once.
    CommitMany "commit/several" true
    /// One flush covers several writes.
    GroupFlush "disk/group-flush" true
    /// A read is asked of a leader.
    ReadAtLeader "read/at-leader" true
    /// A read is asked of a node that does not lead.
    ReadAtFollower "read/at-follower" true
    /// A read is asked of a leader before an entry of its own term is committed.
    ReadBeforeOwnTerm "read/before-own-term" true
    /// A read waits for the state machine.
    ReadWaitsForApply "read/waits-for-apply" true
    /// A read is answered after a round of heartbeats, as asked.
    ReadByRound "read/by-round" true
    /// A leader answers a read without a question, by its lease.
    ReadByLease "read/by-lease" true
    /// A follower answers a read without a question, by a loan of the lease.
    ReadByLoan "read/by-loan" true
    /// A read that a lease would do for is answered after a round.
    LeaseFallsBack "read/lease-falls-back" true
    /// A read that a loan would do for is answered after a round.
    LoanFallsBack "read/loan-falls-back" true
    /// A read is answered with what may be old, but not too old.
    ReadWithin "read/within-bound" true
    /// A read that may be old is answered with what is not.
    BoundedFallsBack "read/bound-falls-back" true
    /// A read is answered with what is there.
    ReadLocal "read/local" true
    /// A leader lends a part of its lease.
    LoanGranted "loan/granted" true
    /// The membership changes while a loan is out.
    LoanAtChange "loan/out-at-change" true
    /// A leader steps down while a loan of its is out.
    LoanAtFall "loan/out-at-fall" true
    /// A leader is to hand over while a loan of its is out.
    LoanAtTransfer "loan/out-at-transfer" true
    /// A node cuts its log while it has a loan.
    LoanAtCut "loan/held-at-cut" false
    /// A leader takes no proposal although all it has is committed: too little of it is applied.
    BusyUnapplied "rejected/busy-unapplied" true
    /// The outcome of a proposal is unknown because its leader stepped down.
    UnknownByStepDown "outcome/unknown-step-down" true
    /// The outcome is unknown because the node crashed.
    UnknownByCrash "outcome/unknown-crash" true
    /// The outcome is unknown because the client gave up.
    UnknownByPatience "outcome/unknown-patience" true
    /// An outcome comes after the client gave up.
    OutcomeTooLate "outcome/too-late" true
    /// A request reaches a node that is down.
    RejectedByDownNode "outcome/node-down" true
    /// A message arrives that an earlier start of its sender sent.
    FromThePast "network/from-earlier-start" true
    /// A message of an earlier term of its receiver's arrives.
    FromEarlierTerm "network/from-earlier-term" true
    /// A proposal is answered that every live voter has.
    AnsweredByAllLive "outcome/all-live" true
    /// A proposal is answered that may be lost.
    AnsweredByLeaderOnly "outcome/may-be-lost" true
    /// A client sends a request of its session, for the first time or again.
    SessionCall "session/call" true
    /// A node is handed several proposals at once.
    ProposedTogether "propose/together" true
    /// A request in a session is answered.
    SessionReply "session/reply" true
    /// An answer comes that the client had before.
    SessionRepeated "session/answered-again" true
    /// A session is over before its client is done with it.
    SessionOver "session/over" true
    /// What the clients saw is found linearizable, without a look at the log.
    HistoryDecided "history/decided" true
    /// What the clients saw is held against some of their object while they see it.
    HistoryStreamed "history/streamed" true
    /// What the clients saw would take too long to decide.
    HistoryUndecided "history/undecided" false
    /// A node takes a snapshot of its state machine.
    SnapshotTaken "snapshot/taken" true
    /// A part of a snapshot travels.
    SnapshotPart "snapshot/part-sent" true
    /// A part of a snapshot is asked for that its sender has no longer.
    SnapshotGone "snapshot/part-gone" true
    /// A node has received a snapshot.
    SnapshotReceived "snapshot/received" true
    /// A state machine starts over from a received snapshot.
    SnapshotInstalled "snapshot/installed" true
    /// A node starts again from a snapshot.
    RestartWithSnapshot "restart/with-snapshot" true
    /// A node starts again with entries before its snapshot.
    RestartTrailing "restart/with-trailing-entries" true
    /// A node is stopped by its disk.
    DiskStopped "disk/node-stopped" true
    /// A node is stopped by damage that it reads at work.
    DiskDamageRead "disk/damage-read-at-work" true
    /// A node refuses to start because its disk is damaged.
    DiskRefused "disk/node-refuses" true
    /// A node cannot start while its disk is full, or because a read fails.
    DiskRefusedForNow "disk/node-cannot-start-yet" true
    /// A node outside the core is up after the storm.
    CalmOutsideUp "calm/outside-up" true
    /// A node outside the core is down after the storm.
    CalmOutsideDown "calm/outside-down" true
    /// A learner is in the core.
    CalmLearner "calm/learner" true
    /// A change of the membership is complete.
    ChangeCompleted "change/completed" true
    /// A change is given up before it is joint.
    ChangeGivenUp "change/given-up" true
    /// A change is asked for while another is under way.
    ChangeInFlight "change/second-refused" true
    /// Whoever asked for a change does not learn what became of it.
    ChangeUnknown "change/unknown" true
    /// A leader leaves a joint membership that it entered.
    JointLeft "change/joint-left" true
    /// A leader leaves a joint membership that an earlier leader entered.
    JointLeftByAnother "change/joint-left-by-another" true
    /// A learner gets its vote.
    LearnerPromoted "change/learner-promoted" true
    /// A node's log loses its last membership again.
    MembershipTakenBack "change/taken-back" true
    /// A leader that has no vote any more hands over and leaves.
    LeaderDismissed "change/leader-removed" true
    /// A leader makes a learner of a voter that is silent.
    VoterSuspended "change/suspended" true
    /// A leader makes a voter again of one that is back.
    VoterReadmitted "change/readmitted" true
    /// A leader takes the casting vote over.
    CastingTakenOver "casting/taken-over" true
    /// Half of the voters commit, with the casting vote.
    CommitByCasting "casting/commits" true
    /// A leader hands over because it was asked to.
    TransferDone "transfer/done" true
    /// A leader leads on because its successor did not take over in time.
    TransferAborted "transfer/aborted" true
    /// A leader asks for leave to hand over to a node that could not lead.
    TransferRefused "transfer/no-successor" true
    /// A leader hands over to a higher priority by itself.
    LeaderDrifts "transfer/drift" true
    /// The core is half of the voters, with the casting vote.
    CalmHalf "calm/half-of-the-voters" true
    /// A node that is no member is up after the storm.
    CalmStranger "calm/no-member-up" true
    /// The operator gives up a change after the storm, for want of nodes.
    CalmGivesUp "calm/change-given-up" true
    /// Nobody has founded the cluster by the end of the storm.
    CalmUnfounded "calm/unfounded" false
    /// All but one that may go on alone die when the storm ends.
    CalmLast "calm/last-survivor" false
    /// A founder has the first membership durably.
    Founded "founding/founded" true
    /// A node is told that the cluster does not count on its disk.
    Stranger "identity/stranger" true
    /// A node that lost its disk gets a vote.
    StrangerVotes "identity/votes-again" true
    /// A majority has the same results as the node that asked.
    ResultsAgreed "validation/agreed" true
    /// Too few could tell what came of the log.
    ResultsUnavailable "validation/unavailable" true
    /// Results differ, and too few could tell who is right.
    ResultsUndecided "validation/undecided" false
    /// A node finds that its state machine is wrong.
    NodeQuarantined "validation/quarantined" false
    /// A leader does.
    LeaderQuarantined "validation/leader-quarantined" false
    /// A node has started over from another's snapshot.
    NodeRebuilt "validation/rebuilt" false
    /// A node rejects a read because its state may be wrong.
    ReadUnverified "validation/read-rejected" true
    /// An append's chain is held against the log's.
    ChainCompared "validation/chain-compared" true
    /// An append's chain cannot be held against the log's.
    ChainUnavailable "validation/chain-unavailable" true
    /// The cluster has one voter.
    Size1 "size/1" true
    /// The cluster has two voters.
    Size2 "size/2" true
    /// The cluster has three voters.
    Size3 "size/3" true
    /// The cluster has four voters.
    Size4 "size/4" true
    /// The cluster has five voters.
    Size5 "size/5" true
    /// The cluster has six voters.
    Size6 "size/6" false
    /// The cluster has seven voters.
    Size7 "size/7" true
    /// The run goes without pre-vote.
    WithoutPreVote "option/no-pre-vote" true
    /// The run goes without check-quorum.
    WithoutCheckQuorum "option/no-check-quorum" true
    /// The run goes without stickiness.
    WithoutStickiness "option/no-stickiness" true
}

const fn must(name: &'static str) -> Mark {
    Mark { name, must: true }
}

const fn may(name: &'static str) -> Mark {
    Mark { name, must: false }
}

const REFUSED: [Mark; Refusal::ALL.len()] = [
    must("refused/misaddressed"),
    must("refused/malformed"),
    must("refused/not-voter"),
    must("refused/stale-term"),
    must("refused/leader-fresh"),
    may("refused/promised"),
    must("refused/already-voted"),
    must("refused/log-behind"),
    must("refused/wrong-role"),
    must("refused/stale-reply"),
    must("refused/prev-mismatch"),
    must("refused/conflicts-with-committed"),
    must("refused/second-leader"),
    must("refused/impossible-match"),
    must("refused/read-not-ready"),
    must("refused/outbox-full"),
    must("refused/disk-full"),
    must("refused/no-membership"),
    may("refused/other-founders"),
    must("refused/other-disk"),
    may("refused/older-image"),
];

const REJECTED: [Mark; 6] = [
    must("rejected/ask-the-leader"),
    must("rejected/no-leader-known"),
    must("rejected/busy"),
    must("rejected/too-large"),
    must("rejected/no-leader"),
    must("rejected/disk-full"),
];

const RECEIVED: [Mark; 18] = [
    must("received/pre-vote"),
    must("received/pre-vote-reply"),
    must("received/request-vote"),
    must("received/request-vote-reply"),
    must("received/append-entries"),
    must("received/append-entries-reply"),
    must("received/heartbeat"),
    must("received/heartbeat-reply"),
    must("received/read-index"),
    must("received/read-index-reply"),
    must("received/install-snapshot"),
    must("received/install-snapshot-reply"),
    must("received/timeout-now"),
    must("received/meet"),
    must("received/founded"),
    must("received/stranger"),
    may("received/counted"),
    may("received/vouch"),
];

/// State machines err, and disks are older images, in one profile each. A pre-candidate asks so
/// little of its disk that faults of disks seldom meet one; what is wanted of a leader is seldom
/// asked of who stands.
macro_rules! by_role {
    ($($kind:literal)*; $($of_disks:literal)*; $($of_members:literal)*; $($rare:literal)*) => {
        [
            $([
                must(concat!("fault/", $kind, "/follower")),
                must(concat!("fault/", $kind, "/pre-candidate")),
                must(concat!("fault/", $kind, "/candidate")),
                must(concat!("fault/", $kind, "/leader")),
            ],)*
            $([
                must(concat!("fault/", $of_disks, "/follower")),
                may(concat!("fault/", $of_disks, "/pre-candidate")),
                must(concat!("fault/", $of_disks, "/candidate")),
                must(concat!("fault/", $of_disks, "/leader")),
            ],)*
            $([
                must(concat!("fault/", $of_members, "/follower")),
                may(concat!("fault/", $of_members, "/pre-candidate")),
                may(concat!("fault/", $of_members, "/candidate")),
                must(concat!("fault/", $of_members, "/leader")),
            ],)*
            $([
                may(concat!("fault/", $rare, "/follower")),
                may(concat!("fault/", $rare, "/pre-candidate")),
                may(concat!("fault/", $rare, "/candidate")),
                may(concat!("fault/", $rare, "/leader")),
            ]),*
        ]
    };
}

/// In the order of [`Fault::ALL`] and of [`RoleName::ALL`].
const FAULTS: [[Mark; RoleName::ALL.len()]; Fault::ALL.len()] = by_role! {
    "loss" "duplicate" "delay" "reorder" "clog" "one-way" "partition" "bridge" "flap" "crash"
    "pause" "drift" "jump" "slow-disk" "slow-apply" "lag" "stray" "replay" "campaign" "stop"
    "surge";
    "failed-flush" "failed-write" "failed-read" "full-disk" "stalled-disk" "rot"
    "misdirected-write" "lost-write";
    "change" "transfer" "wipe";
    "rollback" "slip"
};

const REFUSED_FROM: usize = SPOTS.len();
const REJECTED_FROM: usize = REFUSED_FROM + REFUSED.len();
const RECEIVED_FROM: usize = REJECTED_FROM + REJECTED.len();
const FAULTS_FROM: usize = RECEIVED_FROM + RECEIVED.len();
const COUNT: usize = FAULTS_FROM + Fault::ALL.len() * RoleName::ALL.len();

/// Every mark, in the order of `Outcome::marks`.
pub static MARKS: &[Mark] = &all();

const fn all() -> [Mark; COUNT] {
    let mut marks = [may(""); COUNT];
    let mut at = 0;
    while at < COUNT {
        marks[at] = if at < REFUSED_FROM {
            SPOTS[at]
        } else if at < REJECTED_FROM {
            REFUSED[at - REFUSED_FROM]
        } else if at < RECEIVED_FROM {
            REJECTED[at - REJECTED_FROM]
        } else if at < FAULTS_FROM {
            RECEIVED[at - RECEIVED_FROM]
        } else {
            let place = at - FAULTS_FROM;
            FAULTS[place / RoleName::ALL.len()][place % RoleName::ALL.len()]
        };
        at += 1;
    }
    marks
}

impl MarkId {
    /// A node refuses a message for `reason`.
    pub(crate) fn refused(reason: Refusal) -> MarkId {
        MarkId(REFUSED_FROM + reason as usize)
    }

    /// A proposal or a read is rejected for `reason`, if there is a mark for it.
    pub(crate) fn rejected(reason: RejectReason) -> Option<MarkId> {
        let place = match reason {
            RejectReason::NotLeader { leader: Some(_) } => 0,
            RejectReason::NotLeader { leader: None } => 1,
            RejectReason::Busy => 2,
            RejectReason::TooLarge => 3,
            RejectReason::NoLeader => 4,
            RejectReason::DiskFull => 5,
            _ => return None,
        };
        Some(MarkId(REJECTED_FROM + place))
    }

    /// A node gets a message.
    pub(crate) fn received(body: &Body) -> MarkId {
        let place = match body {
            Body::PreVote { .. } => 0,
            Body::PreVoteReply { .. } => 1,
            Body::RequestVote { .. } => 2,
            Body::RequestVoteReply { .. } => 3,
            Body::AppendEntries { .. } => 4,
            Body::AppendEntriesReply(_) => 5,
            Body::Heartbeat { .. } => 6,
            Body::HeartbeatReply { .. } => 7,
            Body::ReadIndex { .. } => 8,
            Body::ReadIndexReply { .. } => 9,
            Body::InstallSnapshot { .. } => 10,
            Body::InstallSnapshotReply { .. } => 11,
            Body::TimeoutNow => 12,
            Body::Meet { .. } => 13,
            Body::Founded { .. } => 14,
            Body::Stranger => 15,
            Body::Counted => 16,
            Body::Vouch => 17,
        };
        MarkId(RECEIVED_FROM + place)
    }

    /// A node in `role` meets `fault`.
    pub(crate) fn fault(fault: Fault, role: RoleName) -> MarkId {
        MarkId(FAULTS_FROM + fault as usize * RoleName::ALL.len() + role as usize)
    }
}

impl From<Spot> for MarkId {
    fn from(spot: Spot) -> MarkId {
        MarkId(spot as usize)
    }
}

impl Spot {
    /// The cluster has so many voters.
    pub(crate) fn size(voters: u8) -> Option<Spot> {
        Some(match voters {
            1 => Spot::Size1,
            2 => Spot::Size2,
            3 => Spot::Size3,
            4 => Spot::Size4,
            5 => Spot::Size5,
            6 => Spot::Size6,
            7 => Spot::Size7,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_there_are_enough() {
        let mut names: Vec<&str> = MARKS.iter().map(|mark| mark.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MARKS.len());
        assert!(MARKS.len() >= 60);
    }

    #[test]
    fn families_are_numbered_as_their_kinds_are() {
        for fault in Fault::ALL {
            for role in RoleName::ALL {
                let name = MARKS[MarkId::fault(fault, role).0].name;
                assert_eq!(name, format!("fault/{fault}/{role}"));
            }
        }
        for reason in Refusal::ALL {
            assert!(MARKS[MarkId::refused(reason).0].name.starts_with("refused/"));
        }
        let last = MarkId::refused(Refusal::DiskFull);
        assert_eq!(MARKS[last.0].name, "refused/disk-full");
        let spot = MarkId::from(Spot::WithoutStickiness);
        assert_eq!(MARKS[spot.0].name, "option/no-stickiness");
        let busy = MarkId::rejected(RejectReason::Busy);
        assert_eq!(busy.map(|mark| MARKS[mark.0].name), Some("rejected/busy"));
    }
}
