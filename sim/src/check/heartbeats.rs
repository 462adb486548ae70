//! Confirmed heartbeat rounds of leaders: when a leader may rely on them (S40), that a quorum
//! replied to them (S48), and that the leader gets them (L7).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate::raft::Status;
use quorate::types::{Body, Heartbeat, Message, Term};

use crate::check::bounds::Bounds;
use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, L7, S40, S48};
use crate::check::known::Known;
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// For each node, the rounds of the last term that it led.
#[derive(Clone, Debug)]
pub(super) struct Heartbeats {
    rounds: Vec<Rounds>,
    /// For each leader and peer, the latest term in which the peer replied to the leader, and the
    /// highest round of that term that it replied to.
    answered: Vec<(Term, u64)>,
    /// For each node, the voters that it counts, and those that it counted before.
    electorates: Vec<[Arc<Electorate>; 2]>,
    idle_since: Option<SimTime>,
}

#[derive(Clone, Debug, Default)]
struct Rounds {
    term: Term,
    /// The last round that the leader began before it had committed an entry of its term.
    early: u64,
    is_established: bool,
    /// The rounds begun since then in an idle cluster, with their times.
    begun: VecDeque<(u64, SimTime)>,
}

impl Rule for Heartbeats {
    fn new(known: &Known) -> Heartbeats {
        let nodes = known.model.nodes.len();
        let first = |slot| [known.model.electorate(slot), known.model.electorate(slot)];
        Heartbeats {
            rounds: vec![Rounds::default(); nodes],
            answered: vec![(Term::ZERO, 0); nodes * nodes],
            electorates: known.model.slots().map(|slot| first(slot).map(Arc::clone)).collect(),
            idle_since: None,
        }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let (now, electorates) = (known.model.electorate(slot), &mut self.electorates[slot.0]);
        if !Arc::ptr_eq(now, &electorates[0]) {
            electorates.swap(0, 1);
            electorates[0] = Arc::clone(now);
        }
        Ok(())
    }

    fn idle(&mut self, known: &Known) -> CheckResult {
        self.idle_since = Some(known.now);
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let [slot, to] = [message.from, message.to].map(|id| known.model.slot(id));
        // A node of a later term replies to no round.
        if let Body::HeartbeatReply { round: round @ 1.., .. } = message.body {
            let answered = &mut self.answered[to.0 * known.model.nodes.len() + slot.0];
            *answered = (message.term, round).max(*answered);
        }
        let Body::Heartbeat(heartbeat) = &message.body else { return Ok(()) };
        self.check_replies(known, slot, message, heartbeat.confirmed)?;
        let rounds = &mut self.rounds[slot.0];
        if rounds.term != message.term {
            *rounds = Rounds { term: message.term, ..Rounds::default() };
        }
        let committed = known.model.committed.id_at(heartbeat.committed).unwrap_or_default();
        rounds.is_established = committed.term == message.term;
        if !rounds.is_established {
            rounds.early = rounds.early.max(heartbeat.round);
        }
        rounds.check_established(message, heartbeat)?;
        if self.idle_since.is_none() || !known.is_in_core(slot) {
            return Ok(());
        }
        rounds.check_confirmed(known, message, heartbeat)
    }
}

impl Heartbeats {
    /// Checks that a quorum has replied to a round on which the leader relies. The step that sends
    /// the heartbeat may also change the membership, so either of the last two may decide.
    fn check_replies(
        &self,
        known: &Known,
        slot: Slot,
        message: &Message,
        confirmed: u64,
    ) -> CheckResult {
        let (model, term) = (&known.model, message.term);
        if confirmed == 0 || !known.is_prompt(slot) || model.last_survivor_enabled {
            return Ok(());
        }
        let answered = &self.answered[slot.0 * model.nodes.len()..][..model.nodes.len()];
        let has_replied = |peer: &Slot| {
            let (of, round) = answered[peer.0];
            *peer == slot || of == term && round >= confirmed
        };
        let replied: Nodes = model.slots().filter(has_replied).collect();
        let decides = |by: &Arc<Electorate>| by.decision(replied) == Decision::Quorum;
        if self.electorates[slot.0].iter().any(decides) {
            return Ok(());
        }
        let names = model.slots().filter(|slot| replied.contains(*slot));
        let names: Vec<String> = names.map(|slot| model.node(slot).id.to_string()).collect();
        S48.violated(format!(
            "{} leads term {term} and relies on its heartbeat round {confirmed}, but only {} have \
             replied to it, which is not a quorum of {}",
            message.from,
            names.join(", "),
            model.electorate(slot).membership
        ))
    }
}

impl Rounds {
    /// Checks that the leader relies only on rounds that it began after it had committed an entry
    /// of its term: before, its commit index may be behind that of earlier leaders (thesis §6.4).
    fn check_established(&self, message: &Message, heartbeat: &Heartbeat) -> CheckResult {
        let Heartbeat { round, confirmed, echo, read_lease, .. } = *heartbeat;
        let (id, term) = (message.from, message.term);
        // The echo lets the receiver serve bounded reads from its own state.
        let relies_on = if self.is_established { confirmed } else { confirmed.max(echo) };
        if relies_on > 0 && relies_on <= self.early {
            return S40.violated(format!(
                "{id} leads term {term} and relies on its heartbeat round {relies_on} in round \
                 {round}, but had committed no entry of its term when that round began"
            ));
        }
        if read_lease.is_zero() || confirmed > 0 {
            return Ok(());
        }
        S40.violated(format!(
            "{id} leads term {term} and grants {} a read lease of {read_lease:?} in round {round}, \
             but relies on no confirmed round",
            message.to
        ))
    }

    /// Checks that in an idle cluster each round is confirmed once the replies of the core have had
    /// time to arrive.
    fn check_confirmed(
        &mut self,
        known: &Known,
        message: &Message,
        heartbeat: &Heartbeat,
    ) -> CheckResult {
        let (now, bound) = (known.now, confirmation_time_max(&known.bounds));
        let Heartbeat { round, confirmed, .. } = *heartbeat;
        if self.is_established && self.begun.back().is_none_or(|(last, _)| *last < round) {
            self.begun.push_back((round, now));
        }
        let is_due = |begun: &mut (u64, SimTime)| now.since(begun.1) > bound;
        let mut due = None;
        while let Some(begun) = self.begun.pop_front_if(is_due) {
            due = Some(begun);
        }
        let Some((due, at)) = due.filter(|(due, _)| confirmed < *due) else { return Ok(()) };
        let (id, term) = (message.from, message.term);
        L7.violated(format!(
            "{id} leads term {term} of an idle cluster and began round {due} at {at} s, but \
             regards only round {confirmed} as confirmed after {bound:?}"
        ))
    }
}

/// The longest time between a round and a heartbeat that names it as confirmed, in the absence of
/// faults: a heartbeat, a reply, and the time until the next round.
fn confirmation_time_max(bounds: &Bounds) -> Duration {
    bounds.costs.round_trip() + bounds.heartbeat_interval * 3
}
