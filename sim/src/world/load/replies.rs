//! Delivers the replies of nodes to the clients.

use quorate::machine::{Call, Digest, Outcome, SessionEvent};
use quorate::raft::RejectReason;
use quorate::replica::Output;
use quorate::types::{EntryId, Tag};

use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::world::load::Load;
use crate::world::load::Surroundings;
use crate::world::load::clients::Attempt;
use crate::world::place::Place;
use crate::world::recovery::stabilization::Probed;

impl Load {
    /// Delivers a reply of a node to a client; `state` is the digest of the state in which a query
    /// was answered. Returns the progress of the prober if the reply is for the prober.
    pub(crate) fn reply(
        &mut self,
        at: Place,
        reply: &Output,
        state: Option<Digest>,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        match reply {
            Output::Replied { tag, id, outcome } => {
                self.command_replied(*tag, at, *id, outcome, run)
            }
            Output::Answered { tag, .. } => self.read_answered(*tag, at, reply, state, run),
            Output::MayBeLost { tag, .. } => {
                self.may_be_lost(*tag, at, run);
                None
            }
            Output::Rejected { tag, reason } => {
                self.attempt_failed(*tag, Some(*reason), run);
                None
            }
            Output::Unknown { tag } => {
                self.attempt_failed(*tag, None, run);
                None
            }
            _ => None,
        }
    }

    /// Delivers the reply to a client's command.
    fn command_replied(
        &mut self,
        tag: Tag,
        at: Place,
        id: EntryId,
        outcome: &Outcome,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else {
            run.observer.reach(Spot::OutcomeTooLate);
            return None;
        };
        self.clients[client].leader = Some(at.id());
        if self.hostile_or_administrator_replied(client, outcome, run) {
            return None;
        }
        let waited = call.is_some() || op.is_some_and(|op| self.clients[client].finish(op));
        if let Some(op) = op.filter(|_| waited) {
            let replied = Observation::Replied { op, node: at.id(), id, outcome };
            run.observe(replied);
        }
        if let Some(call) = call {
            self.session_replied(client, call, outcome, run);
            return None;
        }
        if !waited {
            run.observer.reach(Spot::OutcomeTooLate);
            return None;
        }
        self.clients[client].failures = 0;
        self.continue_after_success(client, Probed::Command, run)
    }

    /// Schedules the next operation of a client whose last one was successful. For the prober,
    /// schedules none and returns `probed`.
    fn continue_after_success(
        &mut self,
        client: u16,
        probed: Probed,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        if client == self.clients.prober() {
            return Some(probed);
        }
        if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
        None
    }

    /// Delivers the reply to one call of a client's session.
    fn session_replied(
        &mut self,
        client: u16,
        call: Call,
        outcome: &Outcome,
        run: &mut Surroundings<'_>,
    ) {
        let number = self.clients.scripted_number(client);
        let state = &mut self.clients[client];
        let Some(session) = &mut state.session else { return };
        match session.on_outcome(call, outcome) {
            SessionEvent::Reply(sequence, reply) => {
                state.failures = 0;
                state.sequences.remove(&sequence);
                self.scripted.reply(number, &reply);
                run.observer.reach(Spot::SessionReply);
            }
            SessionEvent::Ended(_) => {
                run.observer.reach(Spot::SessionOver);
                for op in std::mem::take(&mut state.sequences).into_values() {
                    run.observe(Observation::Unknown { op });
                }
            }
            SessionEvent::Opened(_) => {}
            SessionEvent::Ignored => return run.observer.reach(Spot::SessionRepeated),
        }
        if run.in_fault_phase() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
    }

    /// Delivers the answer to a client's read.
    fn read_answered(
        &mut self,
        tag: Tag,
        at: Place,
        reply: &Output,
        state: Option<Digest>,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        let Output::Answered { freshness, index, applied, answer, .. } = reply else { return None };
        let attempt = self.clients.finish_attempt(tag);
        let waiting = attempt.and_then(|attempt| Some((attempt.client, attempt.op?)));
        let Some((client, op)) = waiting.filter(|(client, op)| self.clients[*client].finish(*op))
        else {
            run.observer.reach(Spot::OutcomeTooLate);
            return None;
        };
        self.clients[client].failures = 0;
        let (node, freshness, index, applied) = (at.id(), *freshness, *index, *applied);
        let served = Observation::ReadServed { op, node, freshness, index, applied, state, answer };
        run.observe(served);
        self.scripted.reply(self.clients.scripted_number(client), answer);
        self.continue_after_success(client, Probed::Read(at), run)
    }

    /// A leader accepted a client's command without a guarantee; the client does not resend it.
    fn may_be_lost(&mut self, tag: Tag, at: Place, run: &mut Surroundings<'_>) {
        let Some(Attempt { client, op: Some(op), .. }) = self.clients.finish_attempt(tag) else {
            return;
        };
        run.observer.reach(Spot::AnsweredByLeaderOnly);
        if !self.clients[client].finish(op) {
            return run.observer.reach(Spot::OutcomeTooLate);
        }
        self.clients[client].leader = Some(at.id());
        self.clients[client].failures = 0;
        run.observe(Observation::Unknown { op });
        if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
    }

    /// Ends an attempt that is rejected for this reason, or whose outcome is unknown.
    fn attempt_failed(
        &mut self,
        tag: Tag,
        rejected: Option<RejectReason>,
        run: &mut Surroundings<'_>,
    ) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else { return };
        match rejected {
            Some(RejectReason::NotLeader { leader }) => {
                self.clients[client].leader = leader;
                self.clients[client].redirected = leader.is_some();
            }
            None | Some(RejectReason::NoLeader | RejectReason::Stopped) => {
                self.clients[client].leader = None;
            }
            Some(_) => {}
        }
        if call.is_none() {
            let Some(op) = op.filter(|op| self.clients[client].finish(*op)) else { return };
            let observation = match rejected {
                Some(reason) => {
                    self.clients.count_rejected(client);
                    Observation::Rejected { op, reason }
                }
                None => Observation::Unknown { op },
            };
            run.observe(observation);
        }
        self.continue_after_failure(client, run);
    }
}
