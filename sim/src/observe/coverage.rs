//! Coverage marks: named situations in a run. A large sweep must reach the required ones, because a
//! sweep that misses them proves little.

use quorate::raft::{MessageRejectReason, RejectReason, RoleName};
use quorate::types::MessageKind;

use crate::faults::Fault;

/// A named situation that a sweep can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The unique name of the mark: `message-rejected/stale-term`, `crash/before-submit`.
    pub name: &'static str,
    /// Whether a default sweep of 1,000 seeds fails unless one of its seeds reaches the mark.
    pub required: bool,
}

/// The index of a mark in [`MARKS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MarkId(pub(crate) usize);

macro_rules! spots {
    ($($(#[$about:meta])* $spot:ident $name:literal $required:literal)*) => {
        /// A mark outside the families of message rejections, request rejections, received messages
        /// and faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Spot { $($(#[$about])* $spot),* }

        const SPOTS: &[Mark] = &[$(Mark { name: $name, required: $required }),*];
    };
}

spots! {
    /// A node crashes just before it submits a write to its disk.
    CrashBeforeSubmit "crash/before-submit" true
    /// A crash loses every submitted, unflushed write.
    CrashBeforeFlush "crash/before-flush" true
    /// A crash keeps a part of the unflushed writes.
    CrashPartKept "crash/part-kept" true
    /// A crash keeps all writes that were not durable yet.
    CrashAllKept "crash/all-kept" true
    /// A node crashes after a disk operation, mostly a flush, and before it is notified of it.
    CrashBeforeReport "crash/before-report" true
    /// A node crashes with no write on its way to the disk.
    CrashAtRest "crash/no-pending-write" true
    /// A node crashes between two actions of one step.
    CrashBetweenActions "crash/between-actions" true
    /// A node crashes while its state machine applies a batch, restores a snapshot or answers a
    /// query.
    CrashWhileApplying "crash/while-applying" true
    /// A node crashes after it has applied entries that its disk lacks.
    CrashAppliedFirst "crash/applied-before-durable" true
    /// A leader crashes with uncommitted entries.
    CrashUncommitted "crash/leader-with-uncommitted" true
    /// A crash keeps some unflushed sectors of a segment and loses others (a torn write).
    CrashTornFlush "crash/torn-flush" true
    /// A crash tears a write, and loses sectors in both zones of segments.
    CrashBothZones "crash/torn-in-both-zones" true
    /// A crash loses the creation, renaming or removal of a file.
    CrashLostName "crash/lost-name" true
    /// A node restarts with a log.
    RestartWithLog "restart/with-log" true
    /// A node restarts with a log, and none of it in memory.
    RestartEmptyTail "restart/empty-tail" true
    /// A node restarts with a part of its log in memory.
    RestartPartTail "restart/part-of-tail" true
    /// A node restarts before its peers can notice its absence.
    RestartQuick "restart/quick" true
    /// A node restarts after its peers held an election, or could have held one.
    RestartLate "restart/late" true
    /// A node restarts after a clean shutdown.
    RestartClean "restart/clean" true
    /// A node restarts with a durable state machine that is ahead of its snapshot.
    RestartMachineAhead "restart/machine-ahead" true
    /// A node starts for at least the fifth time.
    RestartOften "restart/often" true
    /// A node restarts with entries whose contents its disk lost.
    RestartDamaged "restart/with-damaged-entries" true
    /// A node restarts without the end of its log, which it had acknowledged.
    RestartLostEnd "restart/lost-end" true
    /// A node restarts uncertain, on an older copy of its disk or of its log.
    RestartRolledBack "restart/rolled-back" true
    /// An uncertain node becomes certain again.
    CertainAgain "repair/certain-again" true
    /// A running node finds entries whose contents its disk lost.
    DamageKnown "repair/damage-found-while-running" true
    /// A running node finds that a snapshot that it keeps is damaged.
    SnapshotDamageKnown "snapshot/damage-found-while-running" false
    /// A node has repaired entries.
    EntriesRepaired "repair/entries" true
    /// A leader has repaired entries of its own log.
    LeaderRepaired "repair/by-leader" true
    /// A node adopts a snapshot in place of damaged entries.
    SnapshotAdopted "repair/snapshot-adopted" false
    /// The core contains a node whose disk has damaged sectors.
    DamagedInCore "stabilization/damaged-in-core" true
    /// The core contains a node that is uncertain because its disk was rolled back.
    UncertainInCore "stabilization/uncertain-in-core" true
    /// A node becomes leader.
    LeaderElected "leader/elected" true
    /// The last leader becomes leader again.
    LeaderAgain "leader/same-again" true
    /// A node other than the last leader becomes leader.
    LeaderOther "leader/other" true
    /// A node becomes leader with uncommitted entries of earlier terms.
    LeaderInherits "leader/inherits-uncommitted" true
    /// A leader steps down because of a later term.
    LeaderDeposed "leader/deposed" true
    /// A leader steps down in its own term, for example because it hears from no quorum.
    LeaderLosesQuorum "leader/loses-quorum" true
    /// Two nodes lead at the same time, in different terms.
    LeadersTwo "leader/two-at-once" true
    /// A node becomes leader in a cluster that started with one voter.
    LeaderOfOneVoter "leader/single-voter" true
    /// A candidate starts another election.
    CandidateAgain "candidate/again" true
    /// A candidate becomes a follower.
    CandidateLoses "candidate/loses" true
    /// Two nodes are candidates in the same term.
    CandidatesTwo "candidate/two-in-a-term" true
    /// A pre-candidate hears from a leader.
    PreCandidateFindsLeader "pre-candidate/finds-leader" true
    /// A write replaces entries of the log.
    LogTruncated "log/truncated" true
    /// A write replaces at least three entries of the log.
    LogTruncatedDeep "log/truncated-deep" true
    /// A node reads entries from its disk for its own state machine.
    FetchForApply "fetch/for-apply" true
    /// A node reads entries from its disk for a peer.
    FetchForPeer "fetch/for-peer" true
    /// A node reads entries from its disk for a peer whose disk lost them.
    FetchForRepair "fetch/for-repair" true
    /// The disk returns fewer entries than the node asked for.
    FetchShort "fetch/short" true
    /// A node in its first start reads entries that were in its memory before.
    FetchEvicted "fetch/evicted" true
    /// An AppendEntries message carries as many entries as it may.
    BatchFull "append/batch-full" true
    /// An AppendEntries message carries entries of several terms.
    BatchOfTerms "append/several-terms" true
    /// A leader sends no more entries to a peer because the in-flight window is full.
    WindowFull "append/window-full" true
    /// One commit covers entries of earlier terms together with an entry of the leader's term.
    CommitInherited "commit/of-earlier-terms" true
    /// The commit index rises by several entries at once.
    CommitMany "commit/several" true
    /// A leader applies an entry that its own disk lacks.
    AppliedFirst "apply/before-own-disk" true
    /// A snapshot waits until the disk has its last entry.
    SnapshotWaits "snapshot/waits-for-disk" true
    /// One flush covers several writes.
    GroupFlush "disk/group-flush" true
    /// A client reads at a leader.
    ReadAtLeader "read/at-leader" true
    /// A client reads at a node that is not the leader.
    ReadAtFollower "read/at-follower" true
    /// A client reads at a leader that has committed no entry of its own term yet.
    ReadBeforeOwnTerm "read/before-own-term" true
    /// A read waits for the state machine to reach its read index.
    ReadWaitsForApply "read/waits-for-apply" true
    /// A linearizable read is answered after a heartbeat round.
    ReadByHeartbeatRound "read/by-heartbeat-round" true
    /// A leader answers a read from its leader lease, without a heartbeat round.
    ReadByLease "read/by-lease" true
    /// A follower answers a read from its read lease, without asking the leader.
    ReadByReadLease "read/by-read-lease" true
    /// A read at lease level is answered after a heartbeat round.
    LeaseFallsBack "read/lease-falls-back" true
    /// A read at replica level is answered after a heartbeat round.
    ReadLeaseFallsBack "read/read-lease-falls-back" true
    /// A bounded read is answered with a state that may be old, within its bound.
    ReadWithin "read/within-bound" true
    /// A bounded read is answered with the newest state.
    BoundedFallsBack "read/bound-falls-back" true
    /// A read is answered from the local state.
    ReadLocal "read/local" true
    /// A leader grants a read lease.
    ReadLeaseGranted "read-lease/granted" true
    /// The membership changes while a read lease is valid.
    ReadLeaseAtChange "read-lease/valid-at-change" true
    /// A leader steps down while a read lease that it granted is valid.
    ReadLeaseAtStepDown "read-lease/valid-at-step-down" true
    /// The operator requests a transfer from a node that granted a read lease which is still valid.
    ReadLeaseAtTransfer "read-lease/valid-at-transfer" true
    /// A node truncates its log while it holds a read lease.
    ReadLeaseAtTruncation "read-lease/held-at-truncation" false
    /// A leader rejects a proposal although its whole log is committed: too little of it is
    /// applied.
    BusyUnapplied "request-rejected/busy-unapplied" true
    /// The outcome of a proposal is unknown, for example because its leader stepped down.
    UnknownByStepDown "outcome/unknown-step-down" true
    /// The outcome of a request is unknown because its node crashed.
    UnknownByCrash "outcome/unknown-crash" true
    /// The outcome of an operation is unknown because of the client's request timeout.
    UnknownByTimeout "outcome/unknown-timeout" true
    /// An outcome arrives after the client's request timeout.
    OutcomeTooLate "outcome/too-late" true
    /// A request reaches a node that is down.
    RejectedByDownNode "outcome/node-down" true
    /// A message arrives with an earlier term than the term in which its sender restarted.
    FromEarlierStart "network/from-earlier-start" true
    /// A message arrives with an earlier term than its receiver's.
    FromEarlierTerm "network/from-earlier-term" true
    /// A proposal is answered once every live voter has it.
    AnsweredByAllLive "outcome/all-live" true
    /// A proposal is answered before it is committed, so it may be lost.
    AnsweredByLeaderOnly "outcome/may-be-lost" true
    /// A client sends a request of its session, for the first time or again.
    SessionCall "session/call" true
    /// A driver gives several proposals to a node at once.
    ProposedTogether "propose/together" true
    /// A request in a session is answered.
    SessionReply "session/reply" true
    /// A client gets a reply that it had before.
    SessionRepeated "session/answered-again" true
    /// A session expires before its client has finished with it.
    SessionOver "session/over" true
    /// A request of a hostile client exceeds a bound, or is for administrators.
    HostileRejected "hostile/rejected" false
    /// A request of a hostile client is in a session of another principal, or in one that expired.
    HostileExpired "hostile/session-expired" false
    /// The client history is found linearizable without knowledge of the log.
    HistoryDecided "history/decided" true
    /// A part of the client history is checked during the run.
    HistoryStreamed "history/streamed" true
    /// The check of the client history exceeds its budget.
    HistoryUndecided "history/undecided" false
    /// A node takes a snapshot of its state machine.
    SnapshotTaken "snapshot/taken" true
    /// A node sends a part of a snapshot.
    SnapshotPart "snapshot/part-sent" true
    /// A peer asks for a part of a snapshot that its sender no longer has.
    SnapshotGone "snapshot/part-unavailable" true
    /// A node has received a whole snapshot.
    SnapshotReceived "snapshot/received" true
    /// A state machine restores a received snapshot.
    SnapshotInstalled "snapshot/installed" true
    /// A node restarts from a snapshot.
    RestartWithSnapshot "restart/with-snapshot" true
    /// A node restarts with entries before its snapshot.
    RestartTrailing "restart/with-trailing-entries" true
    /// A node stops because of a storage error.
    DiskStopped "disk/node-stopped" true
    /// A running node reads damaged data, and stops.
    DiskDamageRead "disk/damage-read-while-running" true
    /// A node refuses to start because its disk is damaged.
    DiskRefused "disk/node-refuses-to-start" true
    /// A node cannot start while its disk is full, or because a disk call fails.
    DiskRefusedForNow "disk/node-cannot-start-yet" true
    /// A node outside the core is up in the stabilization phase.
    OutsideCoreUp "stabilization/outside-core-up" true
    /// A node outside the core is down in the stabilization phase.
    OutsideCoreDown "stabilization/outside-core-down" true
    /// A learner is in the core.
    LearnerInCore "stabilization/learner-in-core" true
    /// A membership change is complete.
    ChangeCompleted "change/completed" true
    /// A membership change is cancelled before its joint membership is in the log.
    ChangeCancelled "change/cancelled" true
    /// A second membership change is rejected while another is in progress.
    ChangeInFlight "change/second-rejected" true
    /// The outcome of a membership change, or of a raise of the version, is unknown to the
    /// operator.
    ChangeUnknown "change/unknown" true
    /// A leader leaves a joint membership that it entered.
    JointLeft "change/joint-left" true
    /// A leader leaves a joint membership that an earlier leader entered.
    JointLeftByAnother "change/joint-left-by-another" true
    /// A learner becomes a voter.
    LearnerPromoted "change/learner-promoted" true
    /// A node truncates a membership from its log.
    MembershipTruncated "change/truncated" true
    /// A leader that is no longer a voter steps down.
    LeaderRemoved "change/leader-removed" true
    /// A leader suspends a silent voter.
    VoterSuspended "change/suspended" true
    /// A leader readmits a suspended voter that is back.
    VoterReadmitted "change/readmitted" true
    /// A leader takes over the casting vote.
    CastingTakenOver "casting/taken-over" true
    /// Half of the voters commit, with the casting vote.
    CommitByCasting "casting/commits" true
    /// A leader transfers the leadership on request.
    TransferDone "transfer/done" true
    /// A leader resumes because the transfer target did not take over in time.
    TransferAborted "transfer/aborted" true
    /// A leader rejects a transfer to a node that could not lead.
    TransferRejected "transfer/no-target" true
    /// A leader transfers the leadership without a request: to a node of higher priority, or
    /// because it should not lead any more.
    PriorityTransfer "transfer/to-higher-priority" true
    /// The core is half of the voters, with the casting vote.
    CoreIsHalf "stabilization/half-of-the-voters" true
    /// A node that is not a member is up in the stabilization phase.
    NonMemberUp "stabilization/non-member-up" true
    /// The operator cancels a membership change in the stabilization phase because nodes
    /// are missing.
    CoreCancelsChange "stabilization/change-cancelled" true
    /// The cluster is not bootstrapped by the end of the fault phase.
    NotBootstrapped "stabilization/not-bootstrapped" false
    /// At the end of the fault phase all nodes die except one that may take over alone.
    LastSurvivor "stabilization/last-survivor" false
    /// A bootstrap peer has the first membership durably.
    Bootstrapped "bootstrap/done" true
    /// A node learns that the cluster does not know the incarnation of its disk.
    UnknownIncarnation "identity/unknown-incarnation" true
    /// A node that lost its disk becomes a voter again.
    NewDiskVotes "identity/new-disk-votes" true
    /// A majority has the same results as the node that compares them.
    ResultsAgreed "validation/agreed" true
    /// Too few nodes have the results to compare.
    ResultsUnavailable "validation/unavailable" true
    /// Results differ, and no majority of equal results shows which node is wrong.
    ResultsInconclusive "validation/inconclusive" false
    /// A node finds that its state machine has diverged.
    NodeQuarantined "validation/quarantined" false
    /// A leader finds that its state machine has diverged.
    LeaderQuarantined "validation/leader-quarantined" false
    /// A node has rebuilt its state from another node's snapshot.
    NodeRebuilt "validation/rebuilt" false
    /// A node rejects a read because its state may be wrong.
    ReadUnverified "validation/read-rejected" true
    /// The hash chain in an AppendEntries message is compared with the log's.
    ChainCompared "validation/chain-compared" true
    /// The hash chain in an AppendEntries message cannot be compared with the log's.
    ChainUnavailable "validation/chain-unavailable" true
    /// The operator has raised the version of the rules.
    VersionRaised "version/raised" false
    /// A leader rejects a request to raise the version, because a member's build may not have it.
    RaiseRefused "version/raise-refused" false
    /// A node finds that its build is too old for its log or for a snapshot.
    BuildTooOld "version/build-too-old" false
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
    /// The run has pre-vote off.
    WithoutPreVote "option/no-pre-vote" true
    /// The run has check-quorum off.
    WithoutCheckQuorum "option/no-check-quorum" true
    /// The run has stickiness off.
    WithoutStickiness "option/no-stickiness" true
}

const fn required(name: &'static str) -> Mark {
    Mark { name, required: true }
}

const fn optional(name: &'static str) -> Mark {
    Mark { name, required: false }
}

const MESSAGE_REJECTED: [Mark; MessageRejectReason::ALL.len()] = [
    required("message-rejected/misaddressed"),
    required("message-rejected/malformed"),
    required("message-rejected/not-member"),
    required("message-rejected/not-voter"),
    required("message-rejected/stale-term"),
    required("message-rejected/leader-heard"),
    optional("message-rejected/vote-withheld"),
    required("message-rejected/already-voted"),
    required("message-rejected/log-behind"),
    optional("message-rejected/lacks-committed"),
    required("message-rejected/wrong-role"),
    required("message-rejected/stale-reply"),
    required("message-rejected/prev-mismatch"),
    required("message-rejected/conflicts-with-committed"),
    required("message-rejected/second-leader"),
    required("message-rejected/impossible-match"),
    required("message-rejected/leader-not-ready"),
    required("message-rejected/outbox-full"),
    required("message-rejected/disk-full"),
    required("message-rejected/no-membership"),
    optional("message-rejected/other-bootstrap-peers"),
    required("message-rejected/unknown-incarnation"),
    optional("message-rejected/rolled-back-disk"),
    required("message-rejected/log-uncertain"),
];

const REQUEST_REJECTED: [Mark; 6] = [
    required("request-rejected/ask-the-leader"),
    required("request-rejected/no-leader-known"),
    required("request-rejected/busy"),
    required("request-rejected/too-large"),
    required("request-rejected/no-leader"),
    required("request-rejected/disk-full"),
];

/// The marks of received messages, in the order of [`MessageKind::ALL`].
const RECEIVED: [Mark; MessageKind::ALL.len()] = [
    required("received/pre-vote"),
    required("received/pre-vote-reply"),
    required("received/request-vote"),
    required("received/request-vote-reply"),
    required("received/append-entries"),
    required("received/append-entries-reply"),
    required("received/heartbeat"),
    required("received/heartbeat-reply"),
    required("received/read-index"),
    required("received/read-index-reply"),
    required("received/install-snapshot"),
    required("received/install-snapshot-reply"),
    required("received/timeout-now"),
    required("received/bootstrap-probe"),
    required("received/bootstrapped"),
    required("received/unknown-incarnation"),
    optional("received/takeover-allowed"),
    optional("received/log-is-complete"),
    required("received/request-entries"),
    required("received/request-entries-reply"),
    optional("received/request-log-end"),
    optional("received/log-end"),
    optional("received/log-rolled-back"),
];

const MESSAGE_REJECTED_FROM: usize = SPOTS.len();
const REQUEST_REJECTED_FROM: usize = MESSAGE_REJECTED_FROM + MESSAGE_REJECTED.len();
const RECEIVED_FROM: usize = REQUEST_REJECTED_FROM + REQUEST_REJECTED.len();
const FAULTS_FROM: usize = RECEIVED_FROM + RECEIVED.len();
const COUNT: usize = FAULTS_FROM + Fault::ALL.len() * RoleName::ALL.len();

/// Every mark, in the order of `Outcome::marks`.
pub static MARKS: &[Mark] = &all();

const fn all() -> [Mark; COUNT] {
    let mut marks = [optional(""); COUNT];
    let mut at = 0;
    while at < COUNT {
        marks[at] = if at < MESSAGE_REJECTED_FROM {
            SPOTS[at]
        } else if at < REQUEST_REJECTED_FROM {
            MESSAGE_REJECTED[at - MESSAGE_REJECTED_FROM]
        } else if at < RECEIVED_FROM {
            REQUEST_REJECTED[at - REQUEST_REJECTED_FROM]
        } else if at < FAULTS_FROM {
            RECEIVED[at - RECEIVED_FROM]
        } else {
            let place = at - FAULTS_FROM;
            let (names, required) = Fault::ALL[place / RoleName::ALL.len()].marks();
            let role = place % RoleName::ALL.len();
            Mark { name: names[role], required: required[role] }
        };
        at += 1;
    }
    marks
}

impl MarkId {
    /// Returns the mark of a message that a node rejects for `reason`.
    pub(crate) fn message_rejected(reason: MessageRejectReason) -> MarkId {
        MarkId(MESSAGE_REJECTED_FROM + reason as usize)
    }

    /// Returns the mark of a proposal or read that is rejected for `reason`, if there is one.
    pub(crate) fn request_rejected(reason: RejectReason) -> Option<MarkId> {
        let place = match reason {
            RejectReason::NotLeader { leader: Some(_) } => 0,
            RejectReason::NotLeader { leader: None } => 1,
            RejectReason::Busy => 2,
            RejectReason::TooLarge => 3,
            RejectReason::NoLeader => 4,
            RejectReason::DiskFull => 5,
            _ => return None,
        };
        Some(MarkId(REQUEST_REJECTED_FROM + place))
    }

    /// Returns the mark of a message that a node receives.
    pub(crate) fn received(kind: MessageKind) -> MarkId {
        MarkId(RECEIVED_FROM + kind as usize)
    }

    /// Returns the mark of `fault` at a node in `role`.
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
    /// Returns the mark of a cluster with this many voters, from 1 to 7.
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
    fn mark_names_are_unique() {
        let mut names: Vec<&str> = MARKS.iter().map(|mark| mark.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), MARKS.len());
        assert!(MARKS.len() >= 60);
    }

    #[test]
    fn each_family_of_marks_has_the_order_of_its_kinds() {
        for fault in Fault::ALL {
            for role in RoleName::ALL {
                let name = MARKS[MarkId::fault(fault, role).0].name;
                assert_eq!(name, format!("fault/{fault}/{role}"));
            }
        }
        for reason in MessageRejectReason::ALL {
            assert!(
                MARKS[MarkId::message_rejected(reason).0].name.starts_with("message-rejected/")
            );
        }
        let last = MarkId::message_rejected(MessageRejectReason::DiskFull);
        assert_eq!(MARKS[last.0].name, "message-rejected/disk-full");
        let spot = MarkId::from(Spot::WithoutStickiness);
        assert_eq!(MARKS[spot.0].name, "option/no-stickiness");
        let busy = MarkId::request_rejected(RejectReason::Busy);
        assert_eq!(busy.map(|mark| MARKS[mark.0].name), Some("request-rejected/busy"));
    }
}
