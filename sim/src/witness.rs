//! Whoever watches a run: the checks, the coverage marks, the counts and the trace.
//!
//! The world tells a witness all that happens and asks it nothing but whether to stop.

mod reads;
mod recording;
mod shapes;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use quorate::raft::{Action, Config, Consumer, RejectReason, RoleName, Status};
use quorate::replica::{OpenError, Output};
use quorate::storage::{DiskError, Failure, FileAction};
use quorate::types::{
    Body, Comparison, Entry, Fate, Index, Membership, Message, NodeId, ReadLevel, SnapshotMeta,
    Tag, Term, Transfer, TransferBody,
};

use crate::check::{Bounds, Checks};
use crate::coverage::{MARKS, MarkId, Spot};
use crate::fault::Fault;
use crate::guided::Shapes;
use crate::observe::{Seen, Violation};
use crate::outcome::Tally;
use crate::record::Recorder;
use crate::settings::Settings;
use crate::time::SimTime;
use crate::trace::TraceSink;
use crate::workload::{AnyWorkload, Ended};

/// What watches one run.
pub(crate) struct Witness {
    checks: Option<Checks>,
    violation: Option<Violation>,
    trace: Option<TraceSink>,
    recorder: Option<Box<Recorder>>,
    config: Config,
    voters: u8,
    marks: Vec<u32>,
    faults: [u64; Fault::ALL.len()],
    tally: Tally,
    last_leader: Option<NodeId>,
    /// The nodes that lead, with their terms.
    leaders: BTreeMap<NodeId, Term>,
    /// The last candidate, and its term.
    candidate: Option<(NodeId, Term)>,
    committed: Index,
    /// The term of each node at its last start: what is older was sent by an earlier one.
    started_in: BTreeMap<NodeId, (u16, Term)>,
    /// How many entries the last fetch asked for.
    fetch_asked: u64,
    /// The reads that nodes have and did not answer, and the one that is asked just now.
    reads: BTreeMap<Tag, Asked>,
    asking: Option<Tag>,
    /// Who may answer reads by itself.
    loans: BTreeMap<NodeId, Loan>,
    /// When what happened last did.
    now: SimTime,
    /// The abstract states so far, if they are wanted, and the last of them.
    shapes: Option<(Shapes, u64)>,
}

/// A read, and whom it was asked of.
#[derive(Clone, Copy)]
struct Asked {
    level: ReadLevel,
    leads: bool,
    /// If it is not answered at once, then because a round has to confirm it.
    waits_for_round: bool,
}

/// A loan on its way to a node, or there.
#[derive(Clone, Copy)]
struct Loan {
    by: NodeId,
    until: SimTime,
}

impl Witness {
    /// Who watches a run of `settings`, with checks of its workload if there is one. A run that is
    /// recorded ends where the recording does.
    pub(crate) fn new(
        settings: &Settings,
        checks: Option<&AnyWorkload>,
        trace: Option<TraceSink>,
        recorder: Option<Recorder>,
    ) -> Witness {
        let membership: Membership = settings.formatted();
        let nodes: Vec<NodeId> = (1..=settings.nodes()).map(|id| NodeId(id.into())).collect();
        let drift_ppm = settings.clocks.drift_ppm_max.max(settings.clocks.usual_ppm_max);
        let bounds = Bounds { drift_ppm, ..Bounds::of(&settings.config, settings.costs()) };
        let mut witness = Witness {
            checks: checks.map(|workload| Checks::new(&nodes, &membership, bounds, workload)),
            violation: None,
            trace,
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
            reads: BTreeMap::new(),
            asking: None,
            loans: BTreeMap::new(),
            now: SimTime::default(),
            shapes: None,
        };
        witness.reach_options(settings);
        witness
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

    /// From now on nothing holds that the checks could watch.
    pub(crate) fn lets_go(&mut self) {
        self.checks = None;
    }

    /// Whether the checks watch.
    pub(crate) fn checks(&self) -> bool {
        self.checks.is_some()
    }

    /// Whether nothing is wrong so far, and it wants to see what happens at `next`.
    pub(crate) fn is_content(&self, next: SimTime) -> bool {
        let full = self.recorder.as_ref().is_some_and(|recorder| recorder.is_full(next));
        self.violation.is_none() && !full
    }

    /// What is wrong, if anything is.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// Something is wrong that the world saw by itself. The first thing counts.
    pub(crate) fn fail(&mut self, violation: Violation) {
        self.record_failure(violation.at, &violation);
        self.violation.get_or_insert(violation);
    }

    /// The next thing happened.
    pub(crate) fn see(&mut self, now: SimTime, seen: Seen<'_>) {
        self.now = now;
        self.count(&seen);
        if self.trace.is_some() {
            self.trace_seen(now, &seen);
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.see(now, &seen);
        }
        if self.violation.is_none()
            && let Some(checks) = &mut self.checks
            && let Err(violation) = checks.see(now, seen)
        {
            self.record_failure(now, &violation);
            self.violation = Some(violation);
        }
        if let (Seen::Ended, Some(checks)) = (seen, &self.checks) {
            let Some(Ended { is_decided, is_streamed, .. }) = checks.history().cloned() else {
                return;
            };
            let decided = if is_decided { Spot::HistoryDecided } else { Spot::HistoryUndecided };
            self.reach(decided);
            self.reach_if(is_streamed, Spot::HistoryStreamed);
        }
    }

    fn count(&mut self, seen: &Seen<'_>) {
        match seen {
            Seen::Sent { message } => {
                self.tally.messages += 1;
                match &message.body {
                    Body::AppendEntries { entries, .. } => self.reach_batch(entries),
                    Body::Heartbeat(beat) => self.lends(message, beat),
                    _ => {}
                }
            }
            Seen::Replied { .. } => {
                self.tally.commands_committed += 1;
                self.tally.operations_checked += 1;
            }
            Seen::Rejected { reason: RejectReason::Unverified, .. } => {
                self.reach(Spot::ReadUnverified);
            }
            Seen::SnapshotTaken { .. } => self.reach(Spot::SnapshotTaken),
            Seen::Restored { .. } => self.reach(Spot::SnapshotInstalled),
            Seen::ReadServed { .. } => self.tally.operations_checked += 1,
            _ => {}
        }
    }

    fn reach_batch(&mut self, entries: &[Entry]) {
        self.reach_if(entries.len() == self.config.message_entries_max, Spot::BatchFull);
        if let [first, .., last] = entries {
            self.reach_if(first.id.term != last.id.term, Spot::BatchOfTerms);
        }
    }

    /// A coverage mark is reached.
    pub(crate) fn reach(&mut self, mark: impl Into<MarkId>) {
        let MarkId(place) = mark.into();
        self.marks[place] = self.marks[place].saturating_add(1);
    }

    pub(crate) fn reach_if(&mut self, reached: bool, spot: Spot) {
        if reached {
            self.reach(spot);
        }
    }

    /// A fault lands on a node in `role`, or where no node runs.
    pub(crate) fn fault(&mut self, fault: Fault, role: Option<RoleName>) {
        self.faults[fault as usize] += 1;
        if let Some(role) = role {
            self.reach(MarkId::fault(fault, role));
        }
    }

    /// A fault lands on several nodes at once.
    pub(crate) fn fault_of_many(&mut self, fault: Fault, roles: impl Iterator<Item = RoleName>) {
        self.faults[fault as usize] += 1;
        roles.for_each(|role| self.reach(MarkId::fault(fault, role)));
    }

    /// A node started, with so many entries in its log and so many of them in memory.
    pub(crate) fn started(
        &mut self,
        status: &Status,
        (log, tail): (u64, u64),
        incarnation: u16,
        downtime: Duration,
    ) {
        self.started_in.insert(status.id, (incarnation, status.term));
        if incarnation == 1 {
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
        self.reach_if(incarnation >= 5, Spot::RestartOften);
    }

    /// A node crashes: so many things on its disk are not durable, so many of them survive.
    pub(crate) fn crashed(
        &mut self,
        status: &Status,
        parts: usize,
        kept: usize,
        unreported: bool,
        applying: bool,
    ) {
        self.leaders.remove(&status.id);
        self.record_stakes(status.id, parts, kept);
        self.reach_if(parts > 0 && kept == 0, Spot::CrashBeforeFlush);
        self.reach_if(0 < kept && kept < parts, Spot::CrashPartKept);
        self.reach_if(parts > 0 && kept == parts, Spot::CrashAllKept);
        self.reach_if(unreported, Spot::CrashBeforeReport);
        self.reach_if(parts == 0 && !unreported, Spot::CrashAtRest);
        self.reach_if(applying, Spot::CrashWhileApplying);
        let uncommitted = status.committed < status.last.index;
        self.reach_if(status.role == RoleName::Leader && uncommitted, Spot::CrashUncommitted);
    }

    /// A message reaches a running node.
    pub(crate) fn received(&mut self, message: &Message, status: &Status) {
        self.reach(MarkId::received(&message.body));
        self.reach_if(message.term < status.term, Spot::FromEarlierTerm);
        let sender = self.started_in.get(&message.from);
        let earlier = sender.is_some_and(|(start, term)| *start > 1 && message.term < *term);
        self.reach_if(earlier, Spot::FromThePast);
    }

    /// A node took an input: what changed.
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
    }

    fn role_changed(&mut self, before: &Status, after: &Status) {
        let (id, was, is) = (after.id, before.role, after.role);
        if was == RoleName::Leader {
            self.leaders.remove(&id);
            self.while_lent(id, Spot::LoanAtFall);
            let same_term = before.term == after.term;
            self.reach(if same_term { Spot::LeaderUnheard } else { Spot::LeaderDeposed });
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
                self.reach_if(returns, Spot::PreCandidateReturns);
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
        self.reach_if(self.voters == 1, Spot::LeaderAlone);
        self.leaders.insert(id, after.term);
    }

    /// A write of a node's replaces so many entries.
    pub(crate) fn truncates(&mut self, node: NodeId, entries: u64) {
        self.reach(Spot::LogCut);
        let lent = self.loans.get(&node).is_some_and(|loan| self.now < loan.until);
        self.reach_if(lent, Spot::LoanAtCut);
        self.reach_if(entries >= 3, Spot::LogCutDeep);
    }

    /// So many entries are to be read from the disk of a node in its start `incarnation`.
    pub(crate) fn fetches(&mut self, consumer: Consumer, count: u64, incarnation: u16) {
        self.reach(match consumer {
            Consumer::Apply => Spot::FetchForApply,
            Consumer::Peer(_) => Spot::FetchForPeer,
        });
        self.fetch_asked = count;
        self.reach_if(incarnation == 1, Spot::FetchEvicted);
    }

    /// So many came.
    pub(crate) fn fetched(&mut self, count: usize) {
        self.reach_if(0 < count && (count as u64) < self.fetch_asked, Spot::FetchShort);
    }

    /// A snapshot travels from node to node.
    pub(crate) fn transfer(&mut self, now: SimTime, transfer: &Transfer) {
        match transfer.body {
            TransferBody::Request(_) => {}
            TransferBody::Bytes(..) => self.reach(Spot::SnapshotPart),
            TransferBody::Gone => self.reach(Spot::SnapshotGone),
        }
        self.note(now, transfer.from, &format_args!("-> {} {transfer}", transfer.to));
    }

    /// A node asks another about its state machine, or answers.
    pub(crate) fn compares(&mut self, now: SimTime, comparison: &Comparison) {
        self.note(now, comparison.from, &format_args!("-> {} {comparison}", comparison.to));
    }

    /// A node has received a snapshot.
    pub(crate) fn received_snapshot(&mut self, now: SimTime, node: NodeId, meta: &SnapshotMeta) {
        self.reach(Spot::SnapshotReceived);
        self.note(now, node, &format_args!("has received the snapshot to {}", meta.last));
    }

    /// A node's disk does not do what it was asked for.
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

    /// A node has stopped by itself.
    pub(crate) fn stopped(&mut self, now: SimTime, node: NodeId, failure: &Failure, excused: bool) {
        self.reach(Spot::DiskStopped);
        self.note(now, node, &format_args!("stops: {failure}"));
        self.see(now, Seen::Stopped { node, excused, why: &failure.to_string() });
    }

    /// A node refuses to start from a damaged disk.
    pub(crate) fn refuses(&mut self, now: SimTime, node: NodeId, error: &OpenError) {
        self.reach(Spot::DiskRefused);
        self.note(now, node, &format_args!("refuses to start: {error}"));
    }

    /// A node cannot start from its disk as it is for now.
    pub(crate) fn refuses_for_now(&mut self, now: SimTime, node: NodeId, error: &OpenError) {
        self.reach(Spot::DiskRefusedForNow);
        self.note(now, node, &format_args!("cannot start yet: {error}"));
    }

    fn note(&self, now: SimTime, node: NodeId, event: &dyn Display) {
        if let Some(trace) = &self.trace {
            trace(&format!("{now:>10}  {node} {event}"));
        }
    }

    /// A leader has so many entries on their way to each of its peers.
    pub(crate) fn windows(&mut self, mut entries: impl Iterator<Item = usize>) {
        let max = self.config.inflight_entries_max;
        self.reach_if(entries.any(|entries| entries >= max), Spot::WindowFull);
    }

    /// A node carries out an action.
    pub(crate) fn action(&mut self, now: SimTime, status: &Status, action: &Action) {
        match action {
            Action::Refused { from, message, reason } => {
                self.reach(MarkId::refused(*reason));
                self.refuses_message(now, status.id, (*from, message), *reason);
            }
            Action::ReadReady { tag, freshness, .. } => self.read_ready(*tag, *freshness),
            Action::Stranger { .. } => self.reach(Spot::Stranger),
            Action::Rejected { tag, reason } => {
                self.reads.remove(tag);
                if let Some(mark) = MarkId::rejected(*reason) {
                    self.reach(mark);
                }
                self.reach_if(self.waits_for_apply(status, *reason), Spot::BusyUnapplied);
            }
            _ => {}
        }
        if self.trace.is_some() {
            self.line(now, status, action);
        }
    }

    /// Whether a leader declines, for what it has not applied, a proposal that waits for nothing
    /// else.
    fn waits_for_apply(&self, status: &Status, reason: RejectReason) -> bool {
        reason == RejectReason::Busy
            && status.role == RoleName::Leader
            && status.reads_waiting < self.config.reads_max
            && status.applied < status.committed
            && status.committed == status.last.index
    }

    /// A leader's membership becomes another; an earlier leader wrote the first, if `inherited`.
    pub(crate) fn membership_step(
        &mut self,
        leader: NodeId,
        (was, is): (&Membership, &Membership),
        inherited: bool,
    ) {
        self.while_lent(leader, Spot::LoanAtChange);
        if was.is_joint() && is.is_settled() {
            self.reach(if inherited { Spot::JointLeftByAnother } else { Spot::JointLeft });
        }
        let joins = is.is_joint() && is.incoming().iter().any(|id| !was.is_voter(*id));
        self.reach_if(joins, Spot::LearnerPromoted);
        let hands_on = is.is_joint() && is.incoming()[..] == is.outgoing()[..];
        self.reach_if(hands_on, Spot::CastingTakenOver);
        let fate = |of: &Membership, id| of.member(id).map(|member| member.fate);
        for id in was.ids() {
            let (before, after) = (fate(was, id), fate(is, id));
            let suspended = after == Some(Fate::Returns);
            self.reach_if(suspended && before != after, Spot::VoterSuspended);
            let back = before == Some(Fate::Returns) && after == Some(Fate::Stays);
            self.reach_if(back && !is.is_settled(), Spot::VoterReadmitted);
        }
    }

    /// The operator hears from a node what came of an order.
    pub(crate) fn operator_hears(&mut self, now: SimTime, node: NodeId, output: &Output) {
        match *output {
            Output::Changed { id, .. } => {
                self.reach(Spot::ChangeCompleted);
                self.see(now, Seen::Changed { node, id });
            }
            Output::Resigned { .. } => self.reach(Spot::TransferDone),
            Output::Unknown { .. } => self.reach(Spot::ChangeUnknown),
            Output::Rejected { reason, .. } => match reason {
                RejectReason::MembershipChangeInFlight => self.reach(Spot::ChangeInFlight),
                RejectReason::GivenUp => self.reach(Spot::ChangeGivenUp),
                RejectReason::NoSuccessor => self.reach(Spot::TransferRefused),
                RejectReason::TransferAborted => self.reach(Spot::TransferAborted),
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether the run is traced.
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// A node took `input`, as a trace says it, and is as `status` says since.
    pub(crate) fn input(&mut self, now: SimTime, status: &Status, input: &str) {
        self.line(now, status, &input);
    }

    /// The storm is over.
    pub(crate) fn calm(&mut self, spots: &[(bool, Spot)]) {
        spots.iter().for_each(|(reached, spot)| self.reach_if(*reached, *spot));
    }

    /// The run is over, at `now`, after so many events.
    pub(crate) fn finish(&mut self, now: SimTime, events: u64) {
        self.tally.events = events;
        self.tally.simulated = now.since(SimTime::default());
        self.tally.entries_committed = self.committed.0;
        self.tally.faults = Fault::ALL
            .into_iter()
            .filter(|fault| self.faults[*fault as usize] > 0)
            .map(|fault| (fault.name(), self.faults[fault as usize]))
            .collect();
    }

    /// What was counted, and how often each mark was reached.
    pub(crate) fn results(&self) -> (Tally, Vec<u32>) {
        (self.tally.clone(), self.marks.clone())
    }

    fn line(&self, now: SimTime, status: &Status, event: &dyn Display) {
        if let Some(trace) = &self.trace {
            trace(&format!("{now:>10}  {status}  {event}"));
        }
    }

    /// What happens beside the nodes' own inputs and actions, as a line without columns.
    fn trace_seen(&self, now: SimTime, seen: &Seen<'_>) {
        let event = match seen {
            Seen::Started { node, log, .. } => {
                format!("{node} starts with entries after {} to {}", log.base(), log.last())
            }
            Seen::Crashed { node } => format!("{node} crashes"),
            Seen::Wiped { node, incarnation } => format!("{node} has an empty disk, {incarnation}"),
            Seen::Durable { node, write } => {
                format!("{node} disk: {} is durable", write.id)
            }
            Seen::Calm { core } => format!("calm: the core is {core:?}"),
            Seen::Changed { node, id } => format!("{node} completed a change with {id}"),
            Seen::Slipped { node } => format!("{node} errs with its next command"),
            Seen::Judged { node, verdict } => format!("{node} finds itself {verdict:?}"),
            Seen::Idle => "idle".to_owned(),
            Seen::Ended => "end".to_owned(),
            _ => return,
        };
        if let Some(trace) = &self.trace {
            trace(&format!("{now:>10}  {event}"));
        }
    }
}
