//! The observer of a run, which drives the checks, the coverage marks, the counts and the trace.
//!
//! The world reports every event to the observer, and asks it only what to report and whether the
//! run may continue.

mod abstract_states;
mod assumptions;
mod cores;
mod fault_combinations;
pub(crate) mod guided;
mod reads;
mod recording;
mod traced;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, RejectReason, RoleName, Status};
use quorate::replica::{OpenError, Output};
use quorate::storage::{DiskError, FileAction, StorageError};
use quorate::types::{
    Body, Comparison, Entry, Index, Membership, Message, NodeId, PendingTransition, ReadLevel,
    SnapshotMeta, SnapshotTransfer, SnapshotTransferBody, Tag, Term,
};

use crate::check::{Bounds, Checks};
use crate::faults::Fault;
use crate::observe::coverage::{MARKS, MarkId, Spot};
use crate::observe::outcome::Tally;
use crate::observe::{CoreSink, TraceSink};
use crate::observe::{Observation, Violation};
use crate::observer::fault_combinations::FaultCombinations;
use crate::observer::guided::AbstractStates;
use crate::observer::reads::Reads;
use crate::record::Recorder;
use crate::settings::Settings;
use crate::values::time::SimTime;
use crate::workload::{AnyWorkload, HistoryResult};

/// The observer of one run.
pub(crate) struct Observer {
    checks: Option<Checks>,
    violation: Option<Violation>,
    trace: Option<TraceSink>,
    cores: Option<CoreSink>,
    recorder: Option<Box<Recorder>>,
    config: Config,
    voters: u8,
    marks: Vec<u32>,
    faults: [u64; Fault::ALL.len()],
    tally: Tally,
    last_leader: Option<NodeId>,
    /// The current leaders with their terms.
    leaders: BTreeMap<NodeId, Term>,
    /// The last candidate and its term.
    candidate: Option<(NodeId, Term)>,
    committed: Index,
    /// The start number and term of each node at its last start; messages of earlier terms are from
    /// before that start.
    started_in: BTreeMap<NodeId, (u32, Term)>,
    /// The number of entries that the last fetch requested.
    fetch_asked: u64,
    reads: Reads,
    combinations: FaultCombinations,
    /// The time of the last observation.
    now: SimTime,
    /// The abstract states seen so far and the last of them; `None` if they are not recorded.
    abstract_states: Option<(AbstractStates, u64)>,
}

impl Observer {
    /// Creates the observer of a run with `settings`, with checks of its workload if `checks` is
    /// given. A recorded run ends where its recording ends.
    pub(crate) fn new(
        settings: &Settings,
        checks: Option<&AnyWorkload>,
        trace: Option<TraceSink>,
        recorder: Option<Recorder>,
    ) -> Observer {
        let membership: Membership = settings.formatted();
        let nodes: Vec<NodeId> = (1..=settings.nodes()).map(|id| NodeId(id.into())).collect();
        let drift_ppm = settings.clocks.drift_ppm_max.max(settings.clocks.error_ppm_max);
        let bounds = Bounds {
            drift_ppm,
            machine_is_durable: settings.machine_checkpoint_every.is_some(),
            gather: settings.gather,
            replica: settings.replica(NodeId(1)),
            ..Bounds::of(&settings.config, settings.costs())
        };
        let mut observer = Observer {
            checks: checks.map(|workload| Checks::new(&nodes, &membership, bounds, workload)),
            violation: None,
            trace,
            cores: None,
            recorder: recorder.map(Box::new),
            config: settings.config.clone(),
            voters: settings.voters,
            marks: vec![0; MARKS.len()],
            faults: [0; Fault::ALL.len()],
            tally: Tally::default(),
            last_leader: None,
            leaders: BTreeMap::new(),
            candidate: None,
            committed: Index::ZERO,
            started_in: BTreeMap::new(),
            fetch_asked: 0,
            reads: Reads::default(),
            combinations: FaultCombinations::new(settings.config.election_timeout_max * 2),
            now: SimTime::default(),
            abstract_states: None,
        };
        observer.reach_options(settings);
        observer
    }

    fn reach_options(&mut self, settings: &Settings) {
        if let Some(size) = Spot::size(settings.voters) {
            self.reach(size);
        }
        let Config { pre_vote, check_quorum, stickiness, .. } = settings.config;
        let options = [
            (pre_vote, Spot::WithoutPreVote),
            (check_quorum, Spot::WithoutCheckQuorum),
            (stickiness, Spot::WithoutStickiness),
        ];
        for (_, without) in options.into_iter().filter(|(on, _)| !on) {
            self.reach(without);
        }
    }

    /// Whether no check is violated and the recording, if there is one, includes the time `next`.
    pub(crate) fn may_continue(&self, next: SimTime) -> bool {
        let full = self.recorder.as_ref().is_some_and(|recorder| recorder.is_full(next));
        self.violation.is_none() && !full
    }

    /// The first violation, if there is one.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Reports a violation that the world found by itself. Only the first violation is kept.
    pub(crate) fn fail(&mut self, violation: Violation) {
        self.record_failure(violation.at, &violation);
        self.violation.get_or_insert(violation);
    }

    /// Reports the next observation.
    pub(crate) fn observe(&mut self, now: SimTime, observation: Observation<'_>) {
        self.now = now;
        self.count(&observation);
        self.combinations.observe(now, &observation);
        if let Some(trace) = &self.trace
            && let Some(event) = traced::event(&observation)
        {
            trace(&format!("{now:>10}  {event}"));
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.observe(now, &observation);
        }
        if self.violation.is_none()
            && let Some(checks) = &mut self.checks
            && let Err(violation) = checks.observe(now, observation)
        {
            self.record_failure(now, &violation);
            self.violation = Some(violation);
        }
        if let (Observation::Ended, Some(checks)) = (observation, &self.checks) {
            let Some(HistoryResult { is_decided, is_streamed, .. }) =
                checks.history_outcome().cloned()
            else {
                return;
            };
            let decided = if is_decided { Spot::HistoryDecided } else { Spot::HistoryUndecided };
            self.reach(decided);
            self.reach_if(is_streamed, Spot::HistoryStreamed);
        }
    }

    fn count(&mut self, observation: &Observation<'_>) {
        match observation {
            Observation::Sent { message } => {
                self.tally.messages += 1;
                if let Body::AppendEntries { entries, .. } = &message.body {
                    self.reach_batch(entries);
                } else if let Body::Heartbeat(heartbeat) = &message.body
                    && !heartbeat.read_lease.is_zero()
                {
                    self.reach(Spot::ReadLeaseGranted);
                    self.reads.grant_lease(self.now, message, heartbeat);
                }
            }
            Observation::Replied { .. } => {
                self.tally.commands_committed += 1;
                self.tally.operations_checked += 1;
            }
            Observation::Rejected { reason: RejectReason::Unverified, .. } => {
                self.reach(Spot::ReadUnverified);
            }
            Observation::SnapshotTaken { .. } => self.reach(Spot::SnapshotTaken),
            Observation::Restored { .. } => self.reach(Spot::SnapshotInstalled),
            Observation::ReadServed { .. } => self.tally.operations_checked += 1,
            _ => {}
        }
    }

    fn reach_batch(&mut self, entries: &[Entry]) {
        self.reach_if(entries.len() == self.config.message_entries_max, Spot::BatchFull);
        if let [first, .., last] = entries {
            self.reach_if(first.id.term != last.id.term, Spot::BatchOfTerms);
        }
    }

    /// Counts a reached coverage mark.
    pub(crate) fn reach(&mut self, mark: impl Into<MarkId>) {
        let MarkId(place) = mark.into();
        self.marks[place] = self.marks[place].saturating_add(1);
    }

    pub(crate) fn reach_if(&mut self, reached: bool, spot: Spot) {
        if reached {
            self.reach(spot);
        }
    }

    /// Counts a fault on a node in `role`; `None` if no running node is affected.
    pub(crate) fn fault(&mut self, fault: Fault, role: Option<RoleName>) {
        self.faults[fault as usize] += 1;
        if let Some(role) = role {
            self.reach(MarkId::fault(fault, role));
        }
        self.combinations.strike(self.now, fault, role.into_iter());
    }

    /// Counts a fault that affects several nodes at once.
    pub(crate) fn fault_of_many(&mut self, fault: Fault, roles: impl Iterator<Item = RoleName>) {
        self.faults[fault as usize] += 1;
        let roles: Vec<RoleName> = roles.collect();
        roles.iter().for_each(|role| self.reach(MarkId::fault(fault, *role)));
        self.combinations.strike(self.now, fault, roles.into_iter());
    }

    /// Marks the kind of a node's start, by the entries in its log and those kept in memory.
    pub(crate) fn started(
        &mut self,
        status: &Status,
        log: u64,
        tail: u64,
        start_number: u32,
        downtime: Duration,
    ) {
        self.started_in.insert(status.id, (start_number, status.term));
        if start_number == 1 {
            return;
        }
        let (snapshot, base) = (status.snapshot, Index(status.last.index.0 - log));
        self.reach_if(snapshot > Index::ZERO, Spot::RestartWithSnapshot);
        self.reach_if(base < snapshot, Spot::RestartTrailing);
        self.reach_if(log > 0, Spot::RestartWithLog);
        self.reach_if(log > 0 && tail == 0, Spot::RestartEmptyTail);
        self.reach_if(0 < tail && tail < log, Spot::RestartPartTail);
        self.reach_if(downtime < self.config.election_timeout_min, Spot::RestartQuick);
        self.reach_if(downtime > self.config.election_timeout_max * 2, Spot::RestartLate);
        self.reach_if(start_number >= 5, Spot::RestartOften);
    }

    /// Marks the kind of a crash: `parts` is the number of sectors and name changes that were not
    /// durable, including those of the submitted operations, and `kept` of them survive.
    pub(crate) fn crashed(
        &mut self,
        status: &Status,
        parts: usize,
        kept: usize,
        unreported: bool,
        applying: bool,
    ) {
        self.leaders.remove(&status.id);
        self.record_crash(status.id, parts, kept);
        self.reach_if(parts > 0 && kept == 0, Spot::CrashBeforeFlush);
        self.reach_if(0 < kept && kept < parts, Spot::CrashPartKept);
        self.reach_if(parts > 0 && kept == parts, Spot::CrashAllKept);
        self.reach_if(unreported, Spot::CrashBeforeReport);
        self.reach_if(parts == 0 && !unreported, Spot::CrashAtRest);
        self.reach_if(applying, Spot::CrashWhileApplying);
        let uncommitted = status.committed < status.last.index;
        self.reach_if(status.role == RoleName::Leader && uncommitted, Spot::CrashUncommitted);
        self.reach_if(status.applied > status.durable, Spot::CrashAppliedFirst);
    }

    /// Marks the kind of a message that a running node receives.
    pub(crate) fn received(&mut self, message: &Message, status: &Status) {
        self.reach(MarkId::received(message.body.kind()));
        self.reach_if(message.term < status.term, Spot::FromEarlierTerm);
        let sender = self.started_in.get(&message.from);
        let earlier = sender.is_some_and(|(start, term)| *start > 1 && message.term < *term);
        self.reach_if(earlier, Spot::FromEarlierStart);
    }

    /// Marks the changes of a node's status in one input.
    pub(crate) fn stepped(&mut self, before: &Status, after: &Status) {
        if before.role != after.role || before.term != after.term {
            self.role_changed(before, after);
        }
        if after.committed > self.committed {
            self.committed = after.committed;
        }
        if after.committed > before.committed {
            self.reach_if(after.committed.0 > before.committed.0 + 1, Spot::CommitMany);
        }
        let applies = after.applied > before.applied && after.applied > after.durable;
        self.reach_if(applies && after.role == RoleName::Leader, Spot::AppliedFirst);
    }

    fn role_changed(&mut self, before: &Status, after: &Status) {
        let (id, was, is) = (after.id, before.role, after.role);
        if was == RoleName::Leader {
            self.leaders.remove(&id);
            self.while_read_lease_granted(id, Spot::ReadLeaseAtStepDown);
            let same_term = before.term == after.term;
            self.reach(if same_term { Spot::LeaderLosesQuorum } else { Spot::LeaderDeposed });
        }
        match is {
            RoleName::Leader => self.elected(before, after),
            RoleName::Candidate => {
                self.reach_if(was == RoleName::Candidate, Spot::CandidateAgain);
                let two =
                    self.candidate.is_some_and(|(other, term)| other != id && term == after.term);
                self.reach_if(two, Spot::CandidatesTwo);
                self.candidate = Some((id, after.term));
            }
            RoleName::Follower => {
                self.reach_if(was == RoleName::Candidate, Spot::CandidateLoses);
                let returns = was == RoleName::PreCandidate && after.leader.is_some();
                self.reach_if(returns, Spot::PreCandidateFindsLeader);
            }
            RoleName::PreCandidate => {}
        }
    }

    fn elected(&mut self, before: &Status, after: &Status) {
        let id = after.id;
        self.tally.elections += 1;
        self.reach(Spot::LeaderElected);
        if self.last_leader.is_some_and(|last| last != id) {
            self.tally.leader_changes += 1;
            self.reach(Spot::LeaderOther);
        }
        self.reach_if(self.last_leader == Some(id), Spot::LeaderAgain);
        self.last_leader = Some(id);
        self.reach_if(before.last.index > before.committed, Spot::LeaderInherits);
        self.reach_if(!self.leaders.is_empty(), Spot::LeadersTwo);
        self.reach_if(self.voters == 1, Spot::LeaderOfOneVoter);
        self.leaders.insert(id, after.term);
    }

    /// Marks a read that reaches a node. `led_from` is the last index of a leader's log before its
    /// election.
    pub(crate) fn read_requested(
        &mut self,
        status: &Status,
        led_from: Index,
        tag: Tag,
        level: ReadLevel,
    ) {
        self.reads.request(self.now, status, tag, level);
        let leads = status.role == RoleName::Leader;
        self.reach(if leads { Spot::ReadAtLeader } else { Spot::ReadAtFollower });
        self.reach_if(leads && status.committed <= led_from, Spot::ReadBeforeOwnTerm);
        self.reach_if(leads && status.applied < status.committed, Spot::ReadWaitsForApply);
    }

    /// Records that the node has taken the read.
    pub(crate) fn read_taken(&mut self) {
        self.reads.taken();
    }

    /// Marks `spot` if the leader has granted read leases that have not expired.
    pub(crate) fn while_read_lease_granted(&mut self, leader: NodeId, spot: Spot) {
        self.reach_if(self.reads.has_granted_lease(self.now, leader), spot);
    }

    /// Marks a truncation of this many entries of a node's log.
    pub(crate) fn truncates(&mut self, node: NodeId, entries: u64) {
        self.reach(Spot::LogTruncated);
        self.reach_if(self.reads.has_lease(self.now, node), Spot::ReadLeaseAtTruncation);
        self.reach_if(entries >= 3, Spot::LogTruncatedDeep);
    }

    /// Marks a fetch of `count` entries from the disk of a node that has started `start_number`
    /// times.
    pub(crate) fn fetches(&mut self, consumer: Consumer, count: u64, start_number: u32) {
        self.reach(match consumer {
            Consumer::Apply => Spot::FetchForApply,
            Consumer::Peer(_) => Spot::FetchForPeer,
            Consumer::Repair { .. } => Spot::FetchForRepair,
        });
        self.fetch_asked = count;
        self.reach_if(start_number == 1, Spot::FetchEvicted);
    }

    /// Marks the result of a fetch with `count` entries.
    pub(crate) fn fetched(&mut self, count: usize) {
        self.reach_if(0 < count && (count as u64) < self.fetch_asked, Spot::FetchShort);
    }

    /// Marks and traces a snapshot transfer between two nodes.
    pub(crate) fn snapshot_transfer(&mut self, now: SimTime, transfer: &SnapshotTransfer) {
        match transfer.body {
            SnapshotTransferBody::Request(_) => {}
            SnapshotTransferBody::Bytes(..) => self.reach(Spot::SnapshotPart),
            SnapshotTransferBody::Gone => self.reach(Spot::SnapshotGone),
        }
        self.note(now, transfer.from, &format_args!("-> {} {transfer}", transfer.to));
        self.observe(now, Observation::TransferSent { transfer });
    }

    /// Traces a state comparison request or reply between two nodes.
    pub(crate) fn comparison_sent(&mut self, now: SimTime, comparison: &Comparison) {
        self.observe(now, Observation::ComparisonSent { comparison });
        self.note(now, comparison.from, &format_args!("-> {} {comparison}", comparison.to));
    }

    /// Marks and traces a completely received snapshot.
    pub(crate) fn received_snapshot(&mut self, now: SimTime, node: NodeId, meta: &SnapshotMeta) {
        self.reach(Spot::SnapshotReceived);
        self.note(now, node, &format_args!("received the snapshot up to {}", meta.last));
    }

    /// Records and traces a failed disk operation.
    pub(crate) fn disk_failed(
        &mut self,
        now: SimTime,
        node: NodeId,
        action: &FileAction,
        error: &DiskError,
    ) {
        self.record_disk_failure(now, node, action, error);
        self.note(now, node, &format_args!("disk: {action:?}: {error}"));
    }

    /// Reports a node that stopped by itself.
    pub(crate) fn stopped(
        &mut self,
        now: SimTime,
        node: NodeId,
        failure: &StorageError,
        justified: bool,
    ) {
        self.reach(Spot::DiskStopped);
        self.note(now, node, &format_args!("stops: {failure}"));
        self.observe(now, Observation::Stopped { node, justified, reason: &failure.to_string() });
    }

    /// Reports a node that refuses to start from its disk, which is usually damaged.
    pub(crate) fn start_refused(&mut self, now: SimTime, node: NodeId, error: &OpenError) {
        self.reach(Spot::DiskRefused);
        self.note(now, node, &format_args!("refuses to start from its disk: {error}"));
    }

    /// Reports a node that cannot start yet, because its disk is full or a disk call fails.
    pub(crate) fn start_deferred(&mut self, now: SimTime, node: NodeId, error: &OpenError) {
        self.reach(Spot::DiskRefusedForNow);
        self.note(now, node, &format_args!("cannot start for now: {error}"));
    }

    fn note(&self, now: SimTime, node: NodeId, event: &dyn Display) {
        if let Some(trace) = &self.trace {
            trace(&format!("{now:>10}  {node} {event}"));
        }
    }

    /// Marks a full window, given the number of in-flight `entries` to each peer of a leader.
    pub(crate) fn inflight_windows(&mut self, mut entries: impl Iterator<Item = usize>) {
        let max = self.config.inflight_entries_max;
        self.reach_if(entries.any(|entries| entries >= max), Spot::WindowFull);
    }

    /// Marks and traces an action that a node carries out.
    pub(crate) fn action(&mut self, now: SimTime, status: &Status, action: &Action) {
        match action {
            Action::MessageRejected { from, message, reason } => {
                self.reach(MarkId::message_rejected(*reason));
                self.message_rejected(now, status.id, *from, message, *reason);
            }
            Action::ReadReady { tag, freshness, .. } => {
                let mark = self.reads.ready(*tag, *freshness, self.voters == 1);
                mark.into_iter().for_each(|mark| self.reach(mark));
            }
            Action::UnknownIncarnation { .. } => self.reach(Spot::UnknownIncarnation),
            Action::Rejected { tag, reason } => {
                self.reads.rejected(*tag);
                if let Some(mark) = MarkId::request_rejected(*reason) {
                    self.reach(mark);
                }
                self.reach_if(self.waits_for_apply(status, *reason), Spot::BusyUnapplied);
            }
            _ => {}
        }
        if self.trace.is_some() {
            self.trace_line(now, status, action);
        }
    }

    /// Whether a leader rejects a proposal only because of its own unapplied entries.
    fn waits_for_apply(&self, status: &Status, reason: RejectReason) -> bool {
        reason == RejectReason::Busy
            && status.role == RoleName::Leader
            && status.reads_waiting < self.config.reads_max
            && status.applied < status.committed
            && status.committed == status.last.index
    }

    /// Marks a leader's membership change; `inherited` if an earlier leader wrote `was`.
    pub(crate) fn membership_changed(
        &mut self,
        leader: NodeId,
        was: &Membership,
        is: &Membership,
        inherited: bool,
    ) {
        self.while_read_lease_granted(leader, Spot::ReadLeaseAtChange);
        if was.is_joint() && is.is_settled() {
            self.reach(if inherited { Spot::JointLeftByAnother } else { Spot::JointLeft });
        }
        let joins = is.is_joint() && is.incoming().iter().any(|id| !was.is_voter(*id));
        self.reach_if(joins, Spot::LearnerPromoted);
        let hands_on = is.is_joint() && is.incoming()[..] == is.outgoing()[..];
        self.reach_if(hands_on, Spot::CastingTakenOver);
        let pending_of = |of: &Membership, id| of.member(id).map(|member| member.pending);
        for id in was.ids() {
            let (before, after) = (pending_of(was, id), pending_of(is, id));
            let suspended = after == Some(PendingTransition::Promote);
            self.reach_if(suspended && before != after, Spot::VoterSuspended);
            let back = before == Some(PendingTransition::Promote)
                && after == Some(PendingTransition::None);
            self.reach_if(back && !is.is_settled(), Spot::VoterReadmitted);
        }
    }

    /// Marks a node's reply to an operator's request.
    pub(crate) fn operator_reply(&mut self, now: SimTime, node: NodeId, output: &Output) {
        match *output {
            Output::MembershipChangeCommitted { id, .. } => {
                self.reach(Spot::ChangeCompleted);
                self.observe(now, Observation::MembershipChangeCommitted { node, id });
            }
            Output::LeadershipTransferred { .. } => self.reach(Spot::TransferDone),
            Output::Unknown { .. } => self.reach(Spot::ChangeUnknown),
            Output::Rejected { reason, .. } => match reason {
                RejectReason::MembershipChangeInFlight => self.reach(Spot::ChangeInFlight),
                RejectReason::ChangeCancelled => self.reach(Spot::ChangeCancelled),
                RejectReason::NoTransferTarget => self.reach(Spot::TransferRejected),
                RejectReason::TransferAborted => self.reach(Spot::TransferAborted),
                _ => {}
            },
            _ => {}
        }
    }

    /// Traces an input; `status` is the node's status after it.
    pub(crate) fn input(&mut self, now: SimTime, status: &Status, input: &str) {
        self.trace_line(now, status, &input);
    }

    /// Marks the state of the cluster at the start of the stabilization phase.
    pub(crate) fn stabilized(&mut self, spots: &[(bool, Spot)]) {
        spots.iter().for_each(|(reached, spot)| self.reach_if(*reached, *spot));
    }

    /// Ends the run at `now`, after `events` events.
    pub(crate) fn finish(&mut self, now: SimTime, events: u64) {
        self.tally.events = events;
        self.tally.simulated = now.since(SimTime::default());
        self.tally.entries_committed = self.committed.0;
        let count = |fault: Fault| (fault.name(), self.faults[fault as usize]);
        self.tally.faults =
            Fault::ALL.into_iter().map(count).filter(|(_, times)| *times > 0).collect();
        self.tally.combinations = self.combinations.reached().clone();
    }

    /// The counts, and how often each mark was reached.
    pub(crate) fn results(&self) -> (Tally, Vec<u32>) {
        (self.tally.clone(), self.marks.clone())
    }

    fn trace_line(&self, now: SimTime, status: &Status, event: &dyn Display) {
        if let Some(trace) = &self.trace {
            trace(&format!("{now:>10}  {status}  {event}"));
        }
    }
}
