//! The checks: what must hold at every moment of a run, whatever happens to the cluster.
//!
//! They watch from outside: each node's disk and memory are modelled from the writes it gives to
//! its disk, and what it says is held against that model. Logs are known by the ids of their
//! entries, so that what an event costs grows with the elections of a run, and hardly with its
//! length.

mod append;
mod apply;
mod bounds;
mod client;
mod commit;
mod costs;
mod due;
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
mod quiet;
mod shadow;
mod states;
mod suspects;
mod user;
mod waits;

pub use bounds::Bounds;
pub(crate) use bounds::keeps_outsiders_out;
pub use costs::Costs;
pub(crate) use finding::L1;
pub use finding::{CHECKS, Check};

use quorate::log::Log;
use quorate::machine::{Digest, Outcome};
use quorate::raft::Status;
use quorate::types::{Entry, Index, Membership, Message, NodeId, Write};

use crate::check::append::Acknowledgements;
use crate::check::apply::Apply;
use crate::check::bounds::Sends;
use crate::check::client::{Answer, Clients, Read};
use crate::check::commit::Commit;
use crate::check::due::Due;
use crate::check::election::Election;
use crate::check::finding::{S17, S18, S27, S34, Verdict};
use crate::check::forwarded::Forwarded;
use crate::check::history::History;
use crate::check::leases::Leases;
use crate::check::model::{Model, Node, shown};
use crate::check::nodes::{Nodes, Slot};
use crate::check::quiet::Quiet;
use crate::check::states::States;
use crate::check::suspects::Suspects;
use crate::check::user::User;
use crate::observe::{Executed, Seen, Violation};
use crate::request::{Said, unmark};
use crate::time::SimTime;
use crate::workload::{AnyWorkload, Ended};

/// Every check at once, fed with what the world shows.
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
    suspects: Suspects,
    user: User,
    forwarded: Forwarded,
    sends: Sends,
    quiet: Quiet,
    due: Due,
}

impl Checks {
    /// Checks for a cluster that starts with `membership` in a world of `nodes`, every node within
    /// `bounds`, each with the machine of `workload`.
    #[must_use]
    pub fn new(
        nodes: &[NodeId],
        membership: &Membership,
        bounds: Bounds,
        workload: &AnyWorkload,
    ) -> Checks {
        let mut model = Model::new(nodes, membership);
        model.survives = bounds.config.survivor.is_some();
        let (election, commit) = (Election::new(&model), Commit::new(&model));
        let acknowledgements = Acknowledgements::new(&model);
        let forwarded = Forwarded::new(&model);
        let (apply, sends) = (Apply::new(&model), Sends::new(&model, &bounds));
        let (clients, quiet) = (Clients::default(), Quiet::default());
        let mut states = States::default();
        let suspects = Suspects::new(&model);
        let user = User::new(workload, &mut states);
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
            suspects,
            user,
            forwarded,
            sends,
            quiet,
            due: Due::default(),
        }
    }

    /// Takes the next thing that happened, at `now`.
    ///
    /// # Errors
    /// The first check that is broken by it. What the checks say afterwards means nothing.
    pub fn see(&mut self, now: SimTime, seen: Seen<'_>) -> Result<(), Violation> {
        let verdict = self.take(now, seen);
        let verdict = verdict.and_then(|()| self.due.look(&self.model, &self.bounds, now));
        verdict.map_err(|finding| self.leases.explain(finding).at(now))
    }

    /// What became of the clients' history by the end of the run; none if the workload does not say
    /// what its clients use.
    pub(crate) fn history(&self) -> Option<&Ended> {
        self.history.what_ended()
    }

    fn take(&mut self, now: SimTime, seen: Seen<'_>) -> Verdict {
        match seen {
            Seen::Started { node, membership, status, log, state } => {
                self.started(node, status, log, state)?;
                let slot = self.model.slot(node);
                self.due.started(&self.model, slot, status.applied, now);
                membership::stepped(&mut self.model, slot, status, membership)
            }
            Seen::Refused { damaged: true, .. } => Ok(()),
            Seen::Refused { node, why, .. } => S27.broken(format!("{node} does not start: {why}")),
            Seen::Stopped { excused: true, .. } => Ok(()),
            Seen::Stopped { node, why, .. } => S34.broken(format!("{node} stops: {why}")),
            Seen::Crashed { node } => {
                let slot = self.model.slot(node);
                self.model.crash(slot);
                self.due.crashed(slot);
                Ok(())
            }
            Seen::Wiped { node, incarnation } => {
                let slot = self.model.slot(node);
                self.election.wiped(slot);
                self.model.wipe(slot, incarnation);
                Ok(())
            }
            Seen::Stepped { node, status, membership } => {
                self.stepped(now, node, status, membership)
            }
            Seen::Changed { node, id } => membership::changed(&self.model, node, id),
            Seen::Counted { node, peer, matched } => self.counted(now, (node, peer), matched),
            Seen::Submitted { node, write } => self.submitted(node, write),
            Seen::Durable { node, write } => self.durable(node, write),
            Seen::Sent { message } => self.sent(now, message),
            Seen::Applied { node, entries, executed, states } => {
                self.applied(node, entries, executed, states)
            }
            Seen::Asked { .. } | Seen::ForAllLive { .. } | Seen::Answered { .. } | Seen::Idle => {
                self.note(now, seen);
                Ok(())
            }
            Seen::OnAllLive { node, id, live } => commit::on_all_live(&self.model, node, id, live),
            Seen::SnapshotTaken { .. }
            | Seen::Restored { .. }
            | Seen::Slipped { .. }
            | Seen::Judged { .. }
            | Seen::Looked { .. }
            | Seen::Frozen { .. } => self.machine(seen),
            Seen::DiskFailed { node } => {
                self.model.disk_failed(self.model.slot(node));
                Ok(())
            }
            Seen::Astray { node } => {
                self.leases.astray(node, now);
                Ok(())
            }
            Seen::Calm { core } => {
                let nodes: Nodes = core.iter().map(|id| self.model.slot(*id)).collect();
                self.quiet.calm(&self.model, nodes);
                self.due.calm(&self.model, nodes, now);
                Ok(())
            }
            Seen::Ended => self.ended(),
            Seen::ProposeInvoked { .. }
            | Seen::ReadInvoked { .. }
            | Seen::Replied { .. }
            | Seen::ReadServed { .. }
            | Seen::Rejected { .. }
            | Seen::Unknown { .. } => self.client(now, seen),
        }
    }

    /// Takes that a leader counts on what a peer has.
    fn counted(
        &mut self,
        now: SimTime,
        (leader, peer): (NodeId, NodeId),
        matched: Index,
    ) -> Verdict {
        let (leader, peer) = (self.model.slot(leader), self.model.slot(peer));
        self.due.counted(&self.model, &self.bounds, (leader, peer), now);
        self.acknowledgements.counted(&self.model, leader, peer, matched)
    }

    /// Takes what happened to a state machine.
    fn machine(&mut self, seen: Seen<'_>) -> Verdict {
        match seen {
            Seen::SnapshotTaken { node, meta } => {
                self.due.snapshot(meta);
                if self.suspects.taint.has(node) {
                    return Ok(());
                }
                self.states.taken(&self.model, node, meta)
            }
            Seen::Restored { node, index, state } => {
                let slot = self.model.slot(node);
                self.apply.starts_at(slot, index);
                self.suspects.restored(node, slot, index);
                self.reached(node, index, state)
            }
            Seen::Slipped { node } => {
                self.suspects.taint.slipped(node);
                Ok(())
            }
            Seen::Judged { node, verdict } => {
                self.suspects.judged(node, self.model.slot(node), verdict)
            }
            Seen::Looked { node, .. } if self.suspects.taint.has(node) => Ok(()),
            Seen::Looked { node, look } => self.user.looked(node, look),
            Seen::Frozen { node, last, .. } if self.suspects.taint.has(node) => {
                self.suspects.taint.frozen(node, last.index);
                Ok(())
            }
            Seen::Frozen { node, last, bytes } => self.user.frozen(node, last, bytes),
            _ => unreachable!("only what happens to state machines comes here"),
        }
    }

    /// A node's state machine has applied the log up to `index`.
    fn reached(&mut self, id: NodeId, index: Index, state: Option<Digest>) -> Verdict {
        let slot = self.model.slot(id);
        if !self.suspects.taint.has(id) {
            return self.states.reached(id, index, state);
        }
        if !self.states.is_at(index, state) {
            self.suspects.is_wrong(slot, index);
        }
        Ok(())
    }

    /// Takes what a client was told, if it may be wrong: then it was told nothing.
    fn misled(&mut self, now: SimTime, seen: Seen<'_>) -> Verdict<bool> {
        let (Seen::Replied { op, node, .. } | Seen::ReadServed { op, node, .. }) = seen else {
            return Ok(false);
        };
        let slot = self.model.slot(node);
        self.suspects.told(node, slot)?;
        if !self.suspects.taint.has(node) {
            return Ok(false);
        }
        let declined = matches!(seen, Seen::Replied { outcome, .. }
            if !matches!(outcome, Outcome::Reply(_)));
        if !declined && self.clients.waits(op) {
            self.history.see(now, Seen::Unknown { op })?;
            self.clients.unknown(op)?;
        }
        Ok(true)
    }

    /// Takes what breaks nothing by itself.
    fn note(&mut self, now: SimTime, seen: Seen<'_>) {
        match seen {
            Seen::Asked { node, tag } => self.due.asked(self.model.slot(node), tag, now),
            Seen::ForAllLive { tag } => self.due.for_all_live(tag),
            Seen::Answered { tag } => self.due.answered(tag),
            _ => self.quiet.idle(now),
        }
    }

    /// Takes what happened to a client.
    fn client(&mut self, now: SimTime, seen: Seen<'_>) -> Verdict {
        if self.misled(now, seen)? {
            return Ok(());
        }
        match seen {
            Seen::ProposeInvoked { op, session, command } => {
                self.clients.proposed(op, session);
                self.leases.proposed(op, unmark(command).map_or(command, |(command, _)| command));
            }
            Seen::ReadInvoked { op, level, query } => {
                let (query, won) = (query.to_vec(), self.election.latest());
                let committed = self.model.committed.last();
                self.clients.asked(op, Read { query, level, since: now, won, committed });
            }
            Seen::Replied { op, id, outcome, .. } => {
                self.clients.replied(&self.model, op, (id, outcome), now)?;
                self.user.replied(&self.states, op, id.index, outcome)?;
            }
            Seen::ReadServed { op, node, freshness, index, applied, state, answer } => {
                let served = Answer { node, freshness, index, applied, state };
                let at = (now, self.bounds.drift_ppm);
                let read = self.clients.served(&self.model, &self.states, op, served, at)?;
                self.leases.served(&self.model, op, &read, &served)?;
                self.user.answered(applied, &read.query, answer)?;
            }
            Seen::Rejected { op, .. } => self.clients.rejected(op)?,
            Seen::Unknown { op } => self.clients.unknown(op)?,
            _ => unreachable!("only what happens to clients comes here"),
        }
        self.history.see(now, seen)
    }

    fn started(
        &mut self,
        id: NodeId,
        status: &Status,
        log: &Log,
        state: Option<Digest>,
    ) -> Verdict {
        let slot = self.model.slot(id);
        let hard_state = status.hard_state();
        self.election.persisted(&self.model, slot, hard_state)?;
        self.model.start(slot, status, log)?;
        self.commit.started(&self.model, slot, status)?;
        self.apply.starts_at(slot, status.applied);
        self.suspects.started(id, slot, status.snapshot);
        self.reached(id, status.applied, state)
    }

    fn stepped(
        &mut self,
        now: SimTime,
        id: NodeId,
        status: &Status,
        membership: &Membership,
    ) -> Verdict {
        let slot = self.model.slot(id);
        self.sends.stepped(slot);
        if self.model.node(slot).status.as_ref() != Some(status) {
            self.moved(now, slot, status, membership)?;
        }
        // Votes and acknowledgements are counted before a step adds to the log.
        membership::stepped(&mut self.model, slot, status, membership)
    }

    /// What a node says of itself is news.
    fn moved(
        &mut self,
        now: SimTime,
        slot: Slot,
        status: &Status,
        membership: &Membership,
    ) -> Verdict {
        let elected = self.election.stepped(&self.model, slot, status, now)?;
        append::stepped(&self.model, slot, status)?;
        self.commit.stepped(&mut self.model, slot, status, membership)?;
        self.clients.learn(&self.model)?;
        self.bounds.stepped(&self.model, slot, status)?;
        self.due.applied(slot, status.applied);
        self.quiet.stepped(&self.model, slot, status, &self.bounds)?;
        if elected {
            self.commit.elected(&self.model, slot, status.term)?;
            self.quiet.elected(slot, status, &self.bounds)?;
        }
        self.model.nodes[slot.0].status = Some(*status);
        Ok(())
    }

    fn submitted(&mut self, id: NodeId, write: &Write) -> Verdict {
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

    fn durable(&mut self, id: NodeId, write: &Write) -> Verdict {
        let slot = self.model.slot(id);
        if let Some(hard_state) = write.hard_state {
            self.election.persisted(&self.model, slot, hard_state)?;
        }
        self.model.persist(slot, write)
    }

    fn sent(&mut self, now: SimTime, message: &Message) -> Verdict {
        let from = self.model.slot(message.from);
        self.election.sent(&self.model, from, message)?;
        self.acknowledgements.sent(&self.model, from, message)?;
        membership::sent(&self.model, from, message)?;
        let (won, floor) = (self.election.latest(), self.clients.floor());
        self.forwarded.sent(&self.model, message, won, floor)?;
        self.bounds.sent(message)?;
        self.sends.sent(&self.model, from)?;
        self.quiet.sent(&self.model, from, message, &self.bounds, now)
    }

    fn applied(
        &mut self,
        id: NodeId,
        entries: &[Entry],
        executed: &[Executed],
        states: &[Option<Digest>],
    ) -> Verdict {
        let slot = self.model.slot(id);
        self.apply.applies(&self.model, slot, entries)?;
        self.user.follow(&mut self.states, entries)?;
        for one @ Executed { index, .. } in executed {
            let entry = self.model.committed.id_at(*index).unwrap_or_default();
            let said = self.model.entries.said(entry).unwrap_or(Said::Nothing);
            self.clients.executed(*index, said)?;
            if !self.suspects.taint.has(id) {
                self.user.executed(id, one)?;
            }
        }
        for (entry, state) in entries.iter().zip(states) {
            self.reached(id, entry.id.index, *state)?;
        }
        self.bounds.applies(&self.model, slot, entries)
    }

    fn ended(&mut self) -> Verdict {
        let Some(core) = self.quiet.settled() else { return self.history.ended() };
        let acknowledged = self.clients.acknowledged();
        // Who is no member any more is told nothing.
        let members = &self.model.committed.electorate().membership;
        let counts = |slot: &Slot| members.is_member(self.model.node(*slot).id);
        for slot in self.model.slots().filter(|slot| core.contains(*slot)).filter(counts) {
            at_rest(self.model.node(slot))?;
            self.suspects.ended(self.model.node(slot).id, slot)?;
            let (id, applied) = (self.model.node(slot).id, self.apply.applied(slot));
            if applied < acknowledged {
                return S18.broken(format!(
                    "{id} has applied {applied} at the end, though {acknowledged} is acknowledged"
                ));
            }
        }
        self.clients.all_ended()?;
        self.history.ended()
    }
}

/// Of a node at rest all is written: what it says of itself is what its disk has.
fn at_rest(node: &Node) -> Verdict {
    let Some(status) = node.status.filter(|_| node.drained()) else { return Ok(()) };
    let (id, last) = (node.id, node.disk.log.last_id());
    let says = status.hard_state();
    if says == node.disk.hard_state && status.last == last {
        return Ok(());
    }
    let (says, has, ends) = (shown(says), shown(node.disk.hard_state), status.last);
    S17.broken(format!(
        "{id} at rest is in {says} with a log to {ends}, but its disk has {has} and a log to {last}"
    ))
}
