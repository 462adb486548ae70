//! The safety and liveness checks: invariants that hold at every moment of a run, and the progress
//! of the core in the stabilization phase.
//!
//! The checks observe a run from outside. They model each node's disk and memory from the writes
//! that the node submits, and compare the node's messages and status with that model. The model
//! stores the id of the last entry of each run of equal terms in a log, so the cost of an event
//! grows with the number of elections in a run and hardly with the number of entries.

mod append;
mod apply;
mod bounds;
mod client;
mod commit;
mod core_activity;
mod costs;
mod deadlines;
mod divergences;
mod election;
mod electorate;
mod entries;
mod finding;
mod forwarded;
mod history;
mod leases;
mod log;
mod membership;
mod model;
mod nodes;
mod shadow;
mod states;
mod user;
mod wait_reason;

pub use bounds::Bounds;
pub(crate) use bounds::prevents_disruptive_servers;
pub use costs::Costs;
pub(crate) use finding::L1;
pub use finding::{CHECKS, Check};

use quorate::log::Log;
use quorate::machine::{Digest, Outcome};
use quorate::raft::Status;
use quorate::types::{Entry, Index, Membership, Message, NodeId, Write};

use crate::check::append::Acknowledgements;
use crate::check::apply::Apply;
use crate::check::bounds::SendBudgets;
use crate::check::client::{Clients, Read, ServedRead};
use crate::check::commit::Commit;
use crate::check::core_activity::CoreActivity;
use crate::check::deadlines::Deadlines;
use crate::check::divergences::Divergences;
use crate::check::election::Election;
use crate::check::finding::{CheckResult, S17, S18, S27, S34};
use crate::check::forwarded::Forwarded;
use crate::check::history::History;
use crate::check::leases::Leases;
use crate::check::model::{Model, Node, describe_hard_state};
use crate::check::nodes::{Nodes, Slot};
use crate::check::states::States;
use crate::check::user::UserMachine;
use crate::observe::{Executed, Observation, Violation};
use crate::values::time::SimTime;
use crate::workload::request::{PayloadOrigin, unmark};
use crate::workload::{AnyWorkload, HistoryResult};

/// All checks, fed with the observations of one run.
#[derive(Clone, Debug)]
pub struct Checks {
    bounds: Bounds,
    model: Model,
    election: Election,
    acknowledgements: Acknowledgements,
    commit: Commit,
    apply: Apply,
    clients: Clients,
    history: History,
    leases: Leases,
    states: States,
    divergences: Divergences,
    user_machine: UserMachine,
    forwarded: Forwarded,
    sends: SendBudgets,
    core_activity: CoreActivity,
    deadlines: Deadlines,
}

impl Checks {
    /// Creates the checks for a world of `nodes`, in which the cluster starts with `membership`.
    /// Every node must stay within `bounds` and runs the state machine of `workload`.
    #[must_use]
    pub fn new(
        nodes: &[NodeId],
        membership: &Membership,
        bounds: Bounds,
        workload: &AnyWorkload,
    ) -> Checks {
        let mut model = Model::new(nodes, membership);
        model.last_survivor_enabled = bounds.config.survivor.is_some();
        let (election, commit) = (Election::new(&model), Commit::new(&model));
        let acknowledgements = Acknowledgements::new(&model);
        let forwarded = Forwarded::new(&model);
        let (apply, sends) = (Apply::new(&model), SendBudgets::new(&model, &bounds));
        let (clients, core_activity) = (Clients::default(), CoreActivity::default());
        let mut states = States::default();
        let divergences = Divergences::new(&model);
        let user_machine = UserMachine::new(workload, &mut states);
        let history = History::new(workload, bounds.drift_ppm);
        Checks {
            bounds,
            model,
            election,
            acknowledgements,
            commit,
            apply,
            clients,
            history,
            leases: Leases::new(workload),
            states,
            divergences,
            user_machine,
            forwarded,
            sends,
            core_activity,
            deadlines: Deadlines::default(),
        }
    }

    /// Checks one observation, made at `now`.
    ///
    /// # Errors
    /// The first violated check. Later results of the checks have no meaning.
    pub fn observe(&mut self, now: SimTime, observation: Observation<'_>) -> Result<(), Violation> {
        let verdict = self.dispatch(now, observation);
        let verdict = verdict.and_then(|()| self.deadlines.check(&self.model, &self.bounds, now));
        verdict.map_err(|finding| self.leases.add_clock_cause(finding).at(now))
    }

    /// The result of checking the clients' history, at the end of the run; `None` if the workload
    /// does not name the object that its clients use.
    pub(crate) fn history_outcome(&self) -> Option<&HistoryResult> {
        self.history.outcome()
    }

    fn dispatch(&mut self, now: SimTime, observation: Observation<'_>) -> CheckResult {
        match observation {
            Observation::Started { node, membership, status, log, state } => {
                self.started(node, status, log, state)?;
                let slot = self.model.slot(node);
                self.deadlines.started(&self.model, slot, status.applied, now);
                membership::stepped(&mut self.model, slot, status, membership)
            }
            Observation::StartFailed { damaged: true, .. } => Ok(()),
            Observation::StartFailed { node, reason, .. } => {
                S27.violated(format!("{node} fails to start from an undamaged disk: {reason}"))
            }
            Observation::Stopped { justified: true, .. } => Ok(()),
            Observation::Stopped { node, reason, .. } => {
                S34.violated(format!("{node} stops although no fault justifies it: {reason}"))
            }
            Observation::Stepped { node, status, membership } => {
                self.stepped(now, node, status, membership)
            }
            Observation::MembershipChangeCommitted { node, id } => {
                membership::change_committed(&self.model, node, id)
            }
            Observation::PeerMatched { node, peer, matched } => {
                self.peer_matched(now, node, peer, matched)
            }
            Observation::Submitted { node, write } => self.submitted(node, write),
            Observation::Durable { node, write } => self.durable(node, write),
            Observation::Sent { message } => self.sent(now, message),
            Observation::Applied { node, entries, executed, states } => {
                self.applied(node, entries, executed, states)
            }
            Observation::RequestReceived { .. }
            | Observation::RequestForAllLive { .. }
            | Observation::RequestAnswered { .. }
            | Observation::Crashed { .. }
            | Observation::Wiped { .. }
            | Observation::DiskFailed { .. }
            | Observation::ClockBoundExceeded { .. }
            | Observation::Stabilized { .. }
            | Observation::Idle => {
                self.record(now, observation);
                Ok(())
            }
            Observation::AllLiveAcknowledged { node, id, live } => {
                commit::check_durable_on_all_live(&self.model, node, id, live)
            }
            Observation::SnapshotTaken { .. }
            | Observation::Restored { .. }
            | Observation::MachineFault { .. }
            | Observation::StateCompared { .. }
            | Observation::MachineInspected { .. }
            | Observation::SnapshotFrozen { .. } => self.observe_machine(observation),
            Observation::Ended => self.ended(),
            Observation::ProposeInvoked { .. }
            | Observation::ReadInvoked { .. }
            | Observation::Replied { .. }
            | Observation::ReadServed { .. }
            | Observation::Rejected { .. }
            | Observation::Unknown { .. } => self.observe_client(now, observation),
        }
    }

    /// Checks the index up to which a leader counts a peer's log as matched.
    fn peer_matched(
        &mut self,
        now: SimTime,
        leader: NodeId,
        peer: NodeId,
        matched: Index,
    ) -> CheckResult {
        let (leader, peer) = (self.model.slot(leader), self.model.slot(peer));
        self.deadlines.peer_matched(&self.model, &self.bounds, leader, peer, now);
        self.acknowledgements.check_matched(&self.model, leader, peer, matched)
    }

    /// Checks an observation of a state machine.
    fn observe_machine(&mut self, observation: Observation<'_>) -> CheckResult {
        match observation {
            Observation::SnapshotTaken { node, meta } => {
                self.deadlines.snapshot(meta);
                if self.divergences.taint.has(node) {
                    return Ok(());
                }
                self.states.snapshot_taken(&self.model, node, meta)
            }
            Observation::Restored { node, index, state } => {
                let slot = self.model.slot(node);
                self.apply.starts_at(slot, index);
                self.divergences.restored(node, slot, index);
                self.machine_reached(node, index, state)
            }
            Observation::MachineFault { node } => {
                self.divergences.taint.add_fault(node);
                Ok(())
            }
            Observation::StateCompared { node, result } => {
                self.divergences.compared(node, self.model.slot(node), result)
            }
            Observation::MachineInspected { node, .. } if self.divergences.taint.has(node) => {
                Ok(())
            }
            Observation::MachineInspected { node, view } => self.user_machine.inspected(node, view),
            Observation::SnapshotFrozen { node, last, .. } if self.divergences.taint.has(node) => {
                self.divergences.taint.note_snapshot(node, last.index);
                Ok(())
            }
            Observation::SnapshotFrozen { node, last, bytes } => {
                self.user_machine.snapshot_frozen(node, last, bytes)
            }
            _ => unreachable!("only observations of state machines come here"),
        }
    }

    /// Checks the state of a node's state machine after it applied the log up to `index`.
    fn machine_reached(&mut self, id: NodeId, index: Index, state: Option<Digest>) -> CheckResult {
        let slot = self.model.slot(id);
        if !self.divergences.taint.has(id) {
            return self.states.check_reached(id, index, state);
        }
        if !self.states.is_expected_at(index, state) {
            self.divergences.record_divergence(slot, index);
        }
        Ok(())
    }

    /// Checks that a node that answers a client is not quarantined. If the node's state machine may
    /// be wrong, counts the answer as an unknown outcome and returns true.
    fn discard_tainted_answer(
        &mut self,
        now: SimTime,
        observation: Observation<'_>,
    ) -> CheckResult<bool> {
        let (Observation::Replied { op, node, .. } | Observation::ReadServed { op, node, .. }) =
            observation
        else {
            return Ok(false);
        };
        let slot = self.model.slot(node);
        self.divergences.answered_client(node, slot)?;
        if !self.divergences.taint.has(node) {
            return Ok(false);
        }
        let declined = matches!(observation, Observation::Replied { outcome, .. }
            if !matches!(outcome, Outcome::Reply(_)));
        if !declined && self.clients.is_pending(op) {
            self.history.observe(now, Observation::Unknown { op })?;
            self.clients.unknown(op)?;
        }
        Ok(true)
    }

    /// Records an observation that violates no check by itself.
    fn record(&mut self, now: SimTime, observation: Observation<'_>) {
        match observation {
            Observation::RequestReceived { node, tag } => {
                self.deadlines.requested(self.model.slot(node), tag, now)
            }
            Observation::RequestForAllLive { tag } => self.deadlines.for_all_live(tag),
            Observation::RequestAnswered { tag } => self.deadlines.answered(tag),
            Observation::Crashed { node } => {
                let slot = self.model.slot(node);
                self.model.crash(slot);
                self.deadlines.crashed(slot);
            }
            Observation::Wiped { node, incarnation } => {
                let slot = self.model.slot(node);
                self.election.wiped(slot);
                self.model.wipe(slot, incarnation);
            }
            Observation::Stabilized { core } => {
                let nodes: Nodes = core.iter().map(|id| self.model.slot(*id)).collect();
                self.core_activity.stabilized(&self.model, nodes);
                self.deadlines.stabilized(&self.model, nodes, now);
            }
            Observation::DiskFailed { node } => self.model.disk_failed(self.model.slot(node)),
            Observation::ClockBoundExceeded { node } => {
                self.leases.clock_bound_exceeded(node, now);
            }
            _ => self.core_activity.idle(now),
        }
    }

    /// Checks an observation of a client.
    fn observe_client(&mut self, now: SimTime, observation: Observation<'_>) -> CheckResult {
        if self.discard_tainted_answer(now, observation)? {
            return Ok(());
        }
        match observation {
            Observation::ProposeInvoked { op, session, command } => {
                self.clients.propose_invoked(op, session);
                self.leases.proposed(op, unmark(command).map_or(command, |(command, _)| command));
            }
            Observation::ReadInvoked { op, level, query } => {
                let (query, won) = (query.to_vec(), self.election.latest_won());
                let committed = self.model.committed.last();
                self.clients.read_invoked(op, Read { query, level, since: now, won, committed });
            }
            Observation::Replied { op, id, outcome, .. } => {
                self.clients.replied(&self.model, op, id, outcome, now)?;
                self.user_machine.replied(&self.states, op, id.index, outcome)?;
            }
            Observation::ReadServed { op, node, freshness, index, applied, state, answer } => {
                let served = ServedRead { node, freshness, index, applied, state };
                let drift_ppm = self.bounds.drift_ppm;
                let (model, states) = (&self.model, &self.states);
                let read = self.clients.served(model, states, op, served, now, drift_ppm)?;
                self.leases.served(&self.model, op, &read, &served)?;
                self.user_machine.answered(applied, &read.query, answer)?;
            }
            Observation::Rejected { op, .. } => self.clients.rejected(op)?,
            Observation::Unknown { op } => self.clients.unknown(op)?,
            _ => unreachable!("only observations of clients come here"),
        }
        self.history.observe(now, observation)
    }

    fn started(
        &mut self,
        id: NodeId,
        status: &Status,
        log: &Log,
        state: Option<Digest>,
    ) -> CheckResult {
        let slot = self.model.slot(id);
        let hard_state = status.hard_state();
        self.election.persisted(&self.model, slot, hard_state)?;
        self.model.start(slot, status, log)?;
        self.commit.started(&self.model, slot, status)?;
        self.apply.starts_at(slot, status.applied);
        self.divergences.started(id, slot, status.snapshot);
        self.machine_reached(id, status.applied, state)
    }

    fn stepped(
        &mut self,
        now: SimTime,
        id: NodeId,
        status: &Status,
        membership: &Membership,
    ) -> CheckResult {
        let slot = self.model.slot(id);
        self.sends.stepped(slot);
        if self.model.node(slot).status.as_ref() != Some(status) {
            self.status_changed(now, slot, status, membership)?;
        }
        // Votes and acknowledgements are checked under the membership before this step.
        membership::stepped(&mut self.model, slot, status, membership)
    }

    /// Checks a node's status after the status changed.
    fn status_changed(
        &mut self,
        now: SimTime,
        slot: Slot,
        status: &Status,
        membership: &Membership,
    ) -> CheckResult {
        let elected = self.election.stepped(&self.model, slot, status, now)?;
        append::stepped(&self.model, slot, status)?;
        self.commit.stepped(&mut self.model, slot, status, membership)?;
        self.clients.match_committed(&self.model)?;
        self.bounds.stepped(&self.model, slot, status)?;
        self.deadlines.applied(slot, status.applied);
        self.core_activity.stepped(&self.model, slot, status, &self.bounds)?;
        if elected {
            self.commit.elected(&self.model, slot, status.term)?;
            self.core_activity.elected(slot, status, &self.bounds)?;
        }
        self.model.nodes[slot.0].status = Some(*status);
        Ok(())
    }

    fn submitted(&mut self, id: NodeId, write: &Write) -> CheckResult {
        let slot = self.model.slot(id);
        append::submitted(&self.model, slot, write)?;
        self.model.submit(slot, write)?;
        self.bounds.submitted(&self.model, slot, write)?;
        if let Some(first) = write.entries.first() {
            self.commit.submitted(&self.model, slot, first.id.index)?;
            membership::submitted(&self.model, slot, first.id.index)?;
        }
        self.election.submitted(&self.model, slot, write)
    }

    fn durable(&mut self, id: NodeId, write: &Write) -> CheckResult {
        let slot = self.model.slot(id);
        if let Some(hard_state) = write.hard_state {
            self.election.persisted(&self.model, slot, hard_state)?;
        }
        self.model.persist(slot, write)
    }

    fn sent(&mut self, now: SimTime, message: &Message) -> CheckResult {
        let from = self.model.slot(message.from);
        self.election.sent(&self.model, from, message)?;
        self.acknowledgements.sent(&self.model, from, message)?;
        membership::sent(&self.model, from, message)?;
        let (won, floor) = (self.election.latest_won(), self.clients.floor());
        self.forwarded.sent(&self.model, message, won, floor)?;
        self.bounds.sent(message)?;
        self.sends.sent(&self.model, from)?;
        self.core_activity.sent(&self.model, from, message, &self.bounds, now)
    }

    fn applied(
        &mut self,
        id: NodeId,
        entries: &[Entry],
        executed: &[Executed],
        states: &[Option<Digest>],
    ) -> CheckResult {
        let slot = self.model.slot(id);
        self.apply.applies(&self.model, slot, entries)?;
        self.user_machine.follow(&mut self.states, entries)?;
        for command @ Executed { index, .. } in executed {
            let entry = self.model.committed.id_at(*index).unwrap_or_default();
            let origin = self.model.entries.origin(entry).unwrap_or(PayloadOrigin::NoOperation);
            self.clients.executed(*index, origin)?;
            if !self.divergences.taint.has(id) {
                self.user_machine.executed(id, command)?;
            }
        }
        for (entry, state) in entries.iter().zip(states) {
            self.machine_reached(id, entry.id.index, *state)?;
        }
        self.bounds.applies(&self.model, slot, entries)
    }

    fn ended(&mut self) -> CheckResult {
        let Some(core) = self.core_activity.idle_core() else { return self.history.finish() };
        let acknowledged = self.clients.acknowledged();
        // A node that is no member any more receives nothing, so its state is not checked.
        let members = &self.model.committed.electorate().membership;
        let is_member = |slot: &Slot| members.is_member(self.model.node(*slot).id);
        for slot in self.model.slots().filter(|slot| core.contains(*slot)).filter(is_member) {
            check_at_rest(self.model.node(slot))?;
            self.divergences.ended(self.model.node(slot).id, slot)?;
            let (id, applied) = (self.model.node(slot).id, self.apply.applied(slot));
            if applied < acknowledged {
                return S18.violated(format!(
                    "{id} has applied only index {applied} at the end of the run, but index \
                     {acknowledged} was acknowledged to a client"
                ));
            }
        }
        self.clients.check_all_ended()?;
        self.history.finish()
    }
}

/// Checks that the status of a node without pending writes equals the contents of its disk.
fn check_at_rest(node: &Node) -> CheckResult {
    let Some(status) = node.status.filter(|_| node.has_no_pending_writes()) else { return Ok(()) };
    let (id, last) = (node.id, node.disk.log.last_id());
    let status_hard_state = status.hard_state();
    if status_hard_state == node.disk.hard_state && status.last == last {
        return Ok(());
    }
    let in_memory = describe_hard_state(status_hard_state);
    let (on_disk, ends) = (describe_hard_state(node.disk.hard_state), status.last);
    S17.violated(format!(
        "{id} has no pending write, and its memory holds {in_memory} with a log up to {ends}, but \
         its disk holds {on_disk} with a log up to {last}"
    ))
}
