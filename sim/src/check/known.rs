//! The knowledge of the checks about a run: everything that more than one of them reads. It is
//! updated here and nowhere else, once for each observation. The parts of S31 about answers of
//! nodes with a state that is quarantined or not compared are here, too.

use std::collections::{BTreeMap, BTreeSet};

use quorate::machine::{Digest, Outcome};
use quorate::raft::{RoleName, Status};
use quorate::replica::ComparisonResult as Found;
use quorate::types::{Body, Index, Instant, Membership, Message, MessageKind, NodeId, Term};

use crate::check::bounds::Bounds;
use crate::check::decided::extend_committed;
use crate::check::expected::Expected;
use crate::check::finding::{CheckResult, Finding, S20, S21, S31, S55};
use crate::check::model::Model;
use crate::check::nodes::{Nodes, Slot};
use crate::check::operations::{OpOutcome, Operations, Read};
use crate::machine::taint::Taint;
use crate::observe::Observation::{
    self, Applied, ClockBoundExceeded, Crashed, Delivered, DiskCopied, DiskFailed, Durable,
    EntriesDamaged, EntriesRepaired, FaultInput, Idle, MachineFault, OutputDelayed, ProposeInvoked,
    ReadInvoked, ReadServed, Rejected, Replied, Restored, RolledBack, SnapshotFrozen,
    SnapshotTaken, Stabilized, Started, StateCompared, Stepped, Submitted, Unknown, Wiped,
};
use crate::values::time::SimTime;
use crate::workload::AnyWorkload;

/// The message that a node takes in a step, without its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct TakenMessage {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) term: Term,
    pub(super) kind: MessageKind,
    /// The index that the sender acknowledges to its leader; 0 if it acknowledges nothing.
    pub(super) acknowledged: Index,
    /// Whether the receiver may reject the message without looking at its term: it has no
    /// membership yet, it does not count the sender's disk, or it has a snapshot and the message
    /// carries the start of the log.
    pub(super) may_be_rejected: bool,
    /// Whether the receiver may ignore the message and its term: it may reject it, or may withhold
    /// its vote.
    pub(super) may_be_ignored: bool,
}

/// The knowledge of all checks.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The time of the observation that is checked.
    pub(super) now: SimTime,
    /// Whether the observed output comes from an earlier step than the node's last one, because its
    /// driver lags.
    pub(super) is_late: bool,
    /// For a step: whether it changes the node's status. Other observations leave the value as it
    /// is.
    pub(super) changes_status: bool,
    /// The earlier status of the node whose status changed last: the one before its step, or the
    /// one with which it started.
    pub(super) before: Option<Status>,
    /// The time of the last step, by the clock of the node that took it.
    pub(super) own_time: Instant,
    /// Whether the input of the last step came from a fault, as in `Observation::FaultInput`.
    /// `fault_input_next` is the node whose next input comes from a fault.
    pub(super) is_fault_input: bool,
    fault_input_next: Option<NodeId>,
    /// The message that the last step took, if it took one, and the one that the next step takes.
    pub(super) message: Option<TakenMessage>,
    pub(super) next_message: Option<TakenMessage>,
    /// Whether the run shows the messages that nodes take. Forged events may leave them out.
    pub(super) shows_messages: bool,
    pub(super) bounds: Bounds,
    pub(super) workload: AnyWorkload,
    pub(super) model: Model,
    /// The latest term that any node has won.
    pub(super) won: Term,
    pub(super) operations: Operations,
    pub(super) expected: Expected,
    /// The state machines that may be wrong. Their output is not checked until they start from, or
    /// restore, a state that is correct.
    pub(super) taint: Taint,
    /// The nodes that have quarantined their state and must not answer clients.
    pub(super) quarantined: BTreeSet<NodeId>,
    /// The nodes that have not found their state consistent since they restored it or started
    /// with it.
    unverified: BTreeMap<NodeId, Unverified>,
    /// The nodes whose state machines have forgotten replies to commands that they applied.
    forgetful: BTreeSet<NodeId>,
    /// The core of the stabilization phase, once the phase has begun.
    pub(super) core: Option<Nodes>,
    /// The core, once the cluster receives no more requests.
    pub(super) idle_core: Option<Nodes>,
    /// The size of the largest snapshot so far, in bytes.
    pub(super) snapshot_bytes: u64,
    /// The first clock that exceeded the drift bound of the leases, and the time.
    clock_fault: Option<(NodeId, SimTime)>,
}

/// A state that its node has not yet found to be consistent.
#[derive(Clone, Copy, Debug, Default)]
struct Unverified {
    /// The last entry that the state had when the node restored it, or started with it.
    index: Index,
    /// The time since which the node knows that it has the state, by its own clock; `None` before
    /// that.
    since: Option<Instant>,
    /// Whether a comparison since then has found other states and no majority.
    is_undecided: bool,
    /// Whether such a comparison has ended. `is_undecided` follows with the node's next step,
    /// because the node may have decided the other outputs of this step before it knew the result.
    becomes_undecided: bool,
}

/// The number of validation timeouts for which a node with an unverified state answers no read, and
/// offers that state to no other node (`Validation::may_serve_reads`).
const UNVERIFIED_TIMEOUTS: u32 = 8;

impl TakenMessage {
    fn new(model: &Model, node: NodeId, message: &Message) -> TakenMessage {
        let Message { from, to, term, incarnation, ref body } = *message;
        let (receiver, membership) =
            (model.of(node).reported(), &model.electorate(model.slot(node)).membership);
        let other_disk =
            membership.member(from).is_some_and(|member| !member.accepts_incarnation(incarnation));
        // A bootstrap peer that installed a snapshot may still reject the start of the log.
        let is_from_start =
            matches!(body, Body::AppendEntries { prev, .. } if prev.index == Index::ZERO);
        let has_snapshot = receiver.is_some_and(|status| status.snapshot > Index::ZERO);
        let relies_on_vote =
            |status: Status| status.leader.is_some() || !status.vote_lease.is_zero();
        let may_withhold = matches!(body, Body::RequestVote { transfer: false, .. })
            && receiver.is_none_or(relies_on_vote);
        let may_be_rejected = membership.is_empty()
            || (other_disk && body.requires_known_disk())
            || (is_from_start && has_snapshot);
        TakenMessage {
            from,
            to,
            term,
            kind: body.kind(),
            acknowledged: body.acknowledged(),
            may_be_rejected,
            may_be_ignored: may_be_rejected || may_withhold,
        }
    }
}

/// The ids of the nodes, for a finding.
pub(super) fn names(model: &Model, nodes: Nodes) -> String {
    let named = model.slots().filter(|slot| nodes.contains(*slot));
    named.map(|slot| model.node(slot).id.to_string()).collect::<Vec<_>>().join(", ")
}

impl Known {
    pub(super) fn new(
        nodes: &[NodeId],
        membership: &Membership,
        bounds: Bounds,
        workload: &AnyWorkload,
    ) -> Known {
        Known {
            now: SimTime::default(),
            is_late: false,
            changes_status: false,
            before: None,
            own_time: Instant::ZERO,
            is_fault_input: false,
            fault_input_next: None,
            message: None,
            next_message: None,
            shows_messages: false,
            model: Model::new(nodes, membership, bounds.config.survivor.is_some()),
            bounds,
            workload: workload.clone(),
            won: Term::ZERO,
            operations: Operations::default(),
            expected: Expected::new(workload),
            taint: Taint::default(),
            quarantined: BTreeSet::new(),
            unverified: BTreeMap::new(),
            forgetful: BTreeSet::new(),
            core: None,
            idle_core: None,
            snapshot_bytes: 0,
            clock_fault: None,
        }
    }

    /// Begins an observation at `now`, and returns whether the checks may rely on it. An answer
    /// from a state machine that may be wrong counts as an unknown outcome of the operation; it is
    /// ignored if the operation already has an outcome, or if the answer declines the command. A
    /// quarantined node must not answer (S31).
    #[inline]
    pub(super) fn begin(&mut self, now: SimTime, seen: &mut Observation<'_>) -> CheckResult<bool> {
        self.now = now;
        match *seen {
            Delivered { node, message } => {
                self.next_message = Some(TakenMessage::new(&self.model, node, message));
                self.shows_messages = true;
            }
            FaultInput { node } => self.fault_input_next = Some(node),
            OutputDelayed { .. } => self.is_late = true,
            Stepped { node, own_time, status, .. } => {
                self.is_late = false;
                self.changes_status = self.model.of(node).status.as_ref() != Some(status);
                self.own_time = own_time;
                self.is_fault_input = self.fault_input_next.take() == Some(node);
                self.message = self.next_message.take();
            }
            _ => {}
        }
        let (Replied { op, node, .. } | ReadServed { op, node, .. }) = *seen else {
            return Ok(true);
        };
        if self.quarantined.contains(&node) {
            return S31
                .violated(format!("{node} answers a client although its state is quarantined"));
        }
        // If the driver lags, the answer may come from an earlier step, when the node may have been
        // the only voter.
        if matches!(seen, ReadServed { .. }) && !self.is_late {
            self.check_verified(node, "answers a read")?;
        }
        if !self.taint.has(node) {
            return Ok(true);
        }
        let declines = matches!(seen, Replied { outcome, .. }
            if !matches!(outcome, Outcome::Reply(_)));
        *seen = Unknown { op };
        Ok(!declines && self.operations.is_pending(op))
    }

    /// Updates the knowledge with an observation. Fails if the observation contradicts it.
    #[inline]
    pub(super) fn update(&mut self, observation: &Observation<'_>) -> CheckResult {
        let (now, model, operations) = (self.now, &mut self.model, &mut self.operations);
        match *observation {
            Started { node, membership, status, log, state, damaged, quarantined, own_time } => {
                model.start(model.slot(node), status, log, damaged)?;
                if damaged {
                    model.lose_commit_hint(model.slot(node), status.committed);
                }
                model.set_membership(model.slot(node), membership);
                self.started(status, quarantined, own_time);
                self.note_states(node, &[state]);
            }
            Stepped { status, membership, .. } => self.stepped(status, membership)?,
            Submitted { node, write } => model.submit(model.slot(node), write)?,
            Durable { node, write } => {
                let slot = model.slot(node);
                model.nodes[slot.0].persisted_at = now;
                model.persist(slot, write)?;
            }
            EntriesDamaged { node, entries } => model.damage(model.slot(node), entries),
            EntriesRepaired { node, entries, .. } => model.repair(model.slot(node), entries),
            Crashed { node } => model.crash(model.slot(node)),
            Wiped { node, incarnation } => model.wipe(model.slot(node), incarnation),
            DiskCopied { node, copy } => model.copy_disk(model.slot(node), copy),
            RolledBack { node, copy } => model.roll_back(model.slot(node), copy),
            DiskFailed { node } => model.disk_failed(model.slot(node)),
            Applied { node, entries, executed, states } => {
                self.expected.follow(entries)?;
                let mut commands = executed.iter().map(|command| command.index);
                commands
                    .try_for_each(|index| operations.executed(index, model.origin_at(index)))?;
                self.note_states(node, states);
            }
            Restored { node, index, state } => {
                self.taint.restored(node, index);
                self.unverified.insert(node, Unverified { index, ..Unverified::default() });
                self.note_states(node, &[state]);
            }
            MachineFault { node } => self.taint.add_fault(node),
            SnapshotTaken { meta, .. } => {
                self.snapshot_bytes = self.snapshot_bytes.max(meta.bytes);
            }
            SnapshotFrozen { node, last, .. } => self.taint.note_snapshot(node, last.index),
            StateCompared { node, result } => self.compared(node, result),
            ClockBoundExceeded { node } => _ = self.clock_fault.get_or_insert((node, now)),
            Stabilized { core } => {
                self.core = Some(core.iter().map(|id| model.slot(*id)).collect());
            }
            Idle => self.idle_core = self.core,
            ProposeInvoked { op, session, .. } => operations.invoked(op, Some(session), None),
            ReadInvoked { op, level, query } => {
                let (floor, committed) = (operations.floor(), model.committed.last());
                let (query, won) = (query.to_vec(), self.won);
                let read = Read { query, level, floor, since: now, won, committed };
                operations.invoked(op, None, Some(read));
            }
            Replied { op, id, outcome, .. } => operations.replied(op, id, outcome, now)?,
            ReadServed { op, freshness, applied, .. } => {
                operations.served(op, freshness, applied, now)?;
            }
            Rejected { op, .. } => operations.end(op, OpOutcome::Rejected)?,
            Unknown { op } => operations.end(op, OpOutcome::Unknown)?,
            _ => {}
        }
        Ok(())
    }

    /// Records how far the state machine of a node that starts can be relied on.
    fn started(&mut self, status: &Status, quarantined: bool, own_time: Instant) {
        let node = status.id;
        self.taint.started(node, status.snapshot);
        match quarantined {
            true => _ = self.quarantined.insert(node),
            false => _ = self.quarantined.remove(&node),
        }
        match status.applied {
            Index::ZERO => _ = self.unverified.remove(&node),
            index => {
                let restored = Unverified { index, since: Some(own_time), ..Unverified::default() };
                self.unverified.insert(node, restored);
            }
        }
    }

    /// Records a node's status and membership after an input. Extends the committed log if the node
    /// commits further.
    fn stepped(&mut self, status: &Status, membership: &Membership) -> CheckResult {
        let slot = self.model.slot(status.id);
        if self.changes_status {
            if status.committed > self.model.committed.last() {
                extend_committed(&mut self.model, slot, status.committed, membership)?;
            }
            if status.role == RoleName::Leader {
                self.won = self.won.max(status.term);
            }
            let node = &mut self.model.nodes[slot.0];
            self.before = node.status.replace(*status).or(node.started_as);
        }
        self.model.set_membership(slot, membership);
        let mut state = self.unverified.get_mut(&status.id);
        if let Some(state) = &mut state {
            state.is_undecided |= state.becomes_undecided;
        }
        if let Some(state) = state.filter(|state| status.applied >= state.index) {
            state.since.get_or_insert(self.own_time);
        }
        Ok(())
    }

    /// Checks a read that the node answers, or an offer of its state to a node that rebuilds its
    /// own. A node that has not found its state consistent, and has found a different one, does not
    /// know which of them is wrong: it answers no read until a comparison decides
    /// (`Validation::may_serve_reads`), unless it is the only voter. Without any result, it waits
    /// for a bounded time.
    pub(super) fn check_verified(&self, node: NodeId, does: &str) -> CheckResult {
        let slot = self.model.slot(node);
        let mut voters = self.model.electorate(slot).membership.voters();
        let Some(state) = self.unverified.get(&node) else { return Ok(()) };
        if voters.all(|voter| voter == node) {
            return Ok(());
        }
        if state.is_undecided {
            return S31.violated(format!(
                "{node} {does}, although a comparison found other states and no majority, and no \
                 later comparison has found its state consistent"
            ));
        }
        let wait = self.bounds.replica.validation_timeout.saturating_mul(UNVERIFIED_TIMEOUTS);
        if state.since.is_none_or(|since| self.own_time >= since.after(wait)) {
            return Ok(());
        }
        S31.violated(format!(
            "{node} {does}, although it has not compared its state since it restored it, nor \
             waited for {wait:?}"
        ))
    }

    /// Records the result of comparing a node's state with other nodes. If the driver lags, it may
    /// report the result after the node has restored another state.
    fn compared(&mut self, node: NodeId, result: Found) {
        match result {
            Found::Consistent { .. } => _ = self.unverified.remove(&node),
            Found::Inconclusive { .. } if !self.is_late => {
                self.unverified.entry(node).and_modify(|state| state.becomes_undecided = true);
            }
            _ => {}
        }
        match result {
            Found::Diverged { .. } | Found::NoMajority { .. } => _ = self.quarantined.insert(node),
            Found::Rebuilt { .. } => _ = self.quarantined.remove(&node),
            Found::Consistent { .. } | Found::Unavailable { .. } | Found::Inconclusive { .. } => {}
        }
    }

    /// Records whether the state machine of `node` has forgotten replies.
    fn note_states(&mut self, node: NodeId, states: &[Option<Digest>]) {
        let forgets = states.iter().any(Option::is_none);
        self.expected.replies_forgotten |= forgets && !self.taint.has(node);
        match states.last() {
            Some(None) => _ = self.forgetful.insert(node),
            Some(Some(_)) => _ = self.forgetful.remove(&node),
            None => {}
        }
    }

    /// Whether the node's state machine has forgotten replies to commands that it applied.
    pub(super) fn is_forgetful(&self, node: NodeId) -> bool {
        self.forgetful.contains(&node)
    }

    /// Whether a step that changed a node's status to `status` made the node leader of its term.
    pub(super) fn is_elected(&self, status: &Status) -> bool {
        let led = |before: Status| before.role == RoleName::Leader && before.term == status.term;
        status.role == RoleName::Leader && !self.before.is_some_and(led)
    }

    /// Whether a message that the node sends now was decided in its last step: the message is not
    /// late, and did not wait for a write.
    pub(super) fn is_prompt(&self, slot: Slot) -> bool {
        !self.is_late && self.model.node(slot).persisted_at != self.now
    }

    /// The status before the last step, whether that step changed it or not.
    pub(super) fn status_before(&self, status: &Status) -> Option<Status> {
        if self.changes_status { self.before } else { Some(*status) }
    }

    /// The nodes of the core that are still members, once the cluster receives no more requests. A
    /// node that is no longer a member receives nothing, so its state is not checked.
    pub(super) fn members_at_rest(&self) -> impl Iterator<Item = Slot> {
        let core = self.idle_core.unwrap_or_default();
        self.model.slots().filter(move |slot| core.contains(*slot) && self.is_member(*slot))
    }

    /// Whether the committed membership names the node.
    pub(super) fn is_member(&self, slot: Slot) -> bool {
        self.model.committed.electorate().membership.is_member(self.model.node(slot).id)
    }

    /// Whether the node is in the core of the stabilization phase.
    pub(super) fn is_in_core(&self, slot: Slot) -> bool {
        self.core.is_some_and(|core| core.contains(slot))
    }

    /// Whether a clock has exceeded the drift bound of the leases.
    pub(super) fn exceeds_clock_bound(&self) -> bool {
        self.clock_fault.is_some()
    }

    /// If a clock has exceeded the drift bound of the leases, adds this cause to a finding about
    /// leases or about the reads that rely on them. S57 then reports no violation.
    pub(super) fn add_clock_cause(&self, finding: Finding) -> Finding {
        match self.clock_fault {
            Some((node, at)) if [&S20, &S21, &S55].into_iter().any(|it| finding.is(it)) => finding
                .with_detail(&format!(
                    "; the clock of {node} exceeded the drift bound of the leases at {at} s, so \
                     leases may not hold"
                )),
            _ => finding,
        }
    }
}
