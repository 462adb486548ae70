//! Delivers the replies of nodes to the clients.

use quorate::machine::{Call, Digest, Outcome, SessionEvent};
use quorate::raft::RejectReason;
use quorate::types::{EntryId, Freshness, Index, Tag};

use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::world::load::Load;
use crate::world::load::clients::Attempt;
use crate::world::load::surroundings::Surroundings;
use crate::world::place::Place;
use crate::world::recovery::stabilization::Probed;

/// A reply of a node to a client.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientReply<'a> {
    /// The command is committed and executed.
    Committed { at: Place, id: EntryId, outcome: &'a Outcome },
    /// The read is answered.
    Read(ReadReply<'a>),
    /// A leader has accepted the command without a guarantee; the client does not resend it.
    MayBeLost { at: Place },
    /// The request is rejected and has no effect.
    Rejected(RejectReason),
    /// Nothing is known about the outcome.
    Unknown,
}

/// The answer to a read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadReply<'a> {
    pub(crate) at: Place,
    pub(crate) freshness: Freshness,
    pub(crate) index: Index,
    pub(crate) applied: Index,
    /// The state in which the query was answered.
    pub(crate) state: Option<Digest>,
    pub(crate) answer: &'a [u8],
}

impl Load {
    /// Delivers a reply to a client. Returns the progress of the prober, if it is its reply.
    pub(crate) fn reply(
        &mut self,
        tag: Tag,
        reply: ClientReply<'_>,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        match reply {
            ClientReply::Committed { at, id, outcome } => self.commits(tag, at, id, outcome, run),
            ClientReply::Read(reply) => self.reads(tag, reply, run),
            ClientReply::MayBeLost { at } => {
                self.may_be_lost(tag, at, run);
                None
            }
            ClientReply::Rejected(reason) => {
                self.is_rejected(tag, reason, run);
                None
            }
            ClientReply::Unknown => {
                self.outcome_unknown(tag, run);
                None
            }
        }
    }

    /// Delivers the reply to a client's command.
    fn commits(
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
        self.clients.set_leader(client, Some(at.id()));
        let waited = call.is_some() || op.is_some_and(|op| self.clients.get(client).finish(op));
        if let Some(op) = op.filter(|_| waited) {
            let replied = Observation::Replied { op, node: at.id(), id, outcome };
            run.observer.observe(run.scheduler.now(), replied);
        }
        if let Some(call) = call {
            self.session_replied(client, call, outcome, run);
            return None;
        }
        if !waited {
            run.observer.reach(Spot::OutcomeTooLate);
            return None;
        }
        self.clients.get(client).failures = 0;
        self.continue_after_success(client, Probed::Command, run)
    }

    /// Schedules the next operation of a client whose last one was successful; the prober instead
    /// has made this progress.
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
        let state = self.clients.get(client);
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
                    run.observer.observe(run.scheduler.now(), Observation::Unknown { op });
                }
            }
            SessionEvent::Opened(_) => {}
            SessionEvent::Ignored => return run.observer.reach(Spot::SessionRepeated),
        }
        if run.recovery.in_fault_phase() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
    }

    /// Delivers the answer to a client's read.
    fn reads(
        &mut self,
        tag: Tag,
        reply: ReadReply<'_>,
        run: &mut Surroundings<'_>,
    ) -> Option<Probed> {
        let attempt = self.clients.finish_attempt(tag);
        let waiting = attempt.and_then(|attempt| Some((attempt.client, attempt.op?)));
        let Some((client, op)) =
            waiting.filter(|(client, op)| self.clients.get(*client).finish(*op))
        else {
            run.observer.reach(Spot::OutcomeTooLate);
            return None;
        };
        self.clients.get(client).failures = 0;
        let ReadReply { at, freshness, index, applied, state, answer } = reply;
        let node = at.id();
        let served = Observation::ReadServed { op, node, freshness, index, applied, state, answer };
        run.observer.observe(run.scheduler.now(), served);
        self.scripted.reply(self.clients.scripted_number(client), answer);
        self.continue_after_success(client, Probed::Read, run)
    }

    /// A leader accepted a client's command without a guarantee; the client does not resend it.
    fn may_be_lost(&mut self, tag: Tag, at: Place, run: &mut Surroundings<'_>) {
        let Some(Attempt { client, op: Some(op), .. }) = self.clients.finish_attempt(tag) else {
            return;
        };
        run.observer.reach(Spot::AnsweredByLeaderOnly);
        if !self.clients.get(client).finish(op) {
            return run.observer.reach(Spot::OutcomeTooLate);
        }
        self.clients.set_leader(client, Some(at.id()));
        self.clients.get(client).failures = 0;
        run.observer.observe(run.scheduler.now(), Observation::Unknown { op });
        if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
    }

    /// Delivers the rejection of an attempt.
    fn is_rejected(&mut self, tag: Tag, reason: RejectReason, run: &mut Surroundings<'_>) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else { return };
        match reason {
            RejectReason::NotLeader { leader } => {
                self.clients.set_leader(client, leader);
                self.clients.get(client).redirected = leader.is_some();
            }
            RejectReason::NoLeader | RejectReason::Stopped => self.clients.set_leader(client, None),
            _ => {}
        }
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).finish(op) => {
                    self.clients.count_rejected(client);
                    run.observer.observe(run.scheduler.now(), Observation::Rejected { op, reason });
                }
                _ => return,
            }
        }
        self.continue_after_failure(client, run);
    }

    /// Records that the outcome of a client's attempt is unknown.
    fn outcome_unknown(&mut self, tag: Tag, run: &mut Surroundings<'_>) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else { return };
        self.clients.set_leader(client, None);
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).finish(op) => {
                    run.observer.observe(run.scheduler.now(), Observation::Unknown { op });
                }
                _ => return,
            }
        }
        self.continue_after_failure(client, run);
    }
}
