//! Heartbeat rounds: a leader relies on a round only if it began after the first commit of the term
//! (S40) and a quorum has replied to it (S48), answers a read only after such replies (S54), and
//! gets its rounds confirmed in time (L7).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quorate::raft::Status;
use quorate::types::{Body, Freshness, Heartbeat, Message, NodeId, ReadLevel, Term};

use crate::check::bounds::Bounds;
use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, L7, S40, S48, S54};
use crate::check::known::{Known, names};
use crate::check::nodes::{Nodes, Slot};
use crate::check::rule::{Answer, Rule};
use crate::observe::OpId;
use crate::values::time::SimTime;

/// The number of forwarded reads remembered for each node; replies to earlier ones are not checked.
const FORWARDED_MAX: usize = 32;

/// For each node, the rounds of the last term that it led.
#[derive(Clone, Debug)]
pub(super) struct Heartbeats {
    rounds: Vec<Rounds>,
    /// For each leader and peer, the latest term in which the leader has received a reply of the
    /// peer, and the highest round in the replies of that term. If the run does not show which
    /// messages nodes receive, the replies that the peer has sent count instead.
    answered: Vec<(Term, u64)>,
    /// For each node, the voters that it counts, and those that it counted before.
    electorates: Vec<[Arc<Electorate>; 2]>,
    /// For each node, the reads that it last forwarded, each with the last round that the leader
    /// had sent by then.
    forwarded: Vec<VecDeque<Forwarded>>,
    /// The pending linearizable reads, each with the nodes that led when it was invoked.
    pending: BTreeMap<OpId, Vec<Led>>,
    idle_since: Option<SimTime>,
}

/// A read index request that a node sent to a leader, with the term and the number of the last
/// round that the leader had sent by then.
#[derive(Clone, Copy, Debug)]
struct Forwarded {
    leader: Slot,
    start_id: u64,
    ticket: u64,
    term: Term,
    round: u64,
}

/// A node that led a term when a read was invoked, the voters that it counted, and the number of
/// the last round that it had sent by then.
#[derive(Clone, Debug)]
struct Led {
    leader: Slot,
    term: Term,
    electorate: Arc<Electorate>,
    round: u64,
}

#[derive(Clone, Debug, Default)]
struct Rounds {
    term: Term,
    /// The last round that the leader sent.
    last: u64,
    /// The last round that the leader began before it had committed an entry of its term.
    early: u64,
    is_established: bool,
    /// The rounds that the leader began after its first commit in the term while the cluster was
    /// idle, with their times.
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
            forwarded: vec![VecDeque::new(); nodes],
            pending: BTreeMap::new(),
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

    /// Notes the nodes that lead when a linearizable read begins. A last survivor needs no quorum.
    fn read_invoked(&mut self, known: &Known, op: OpId, _: &[u8]) -> CheckResult {
        let level = known.operations.read(op).map(|read| read.level);
        if level != Some(ReadLevel::Linearizable) || known.model.last_survivor_enabled {
            return Ok(());
        }
        let leaders = known.model.slots().filter_map(|leader| {
            let term = known.model.node(leader).status?.term;
            let electorate = Arc::clone(known.model.electorate(leader));
            let round = self.last_round(leader, term);
            // A leader sends its first round at once.
            let leads = known.model.node(leader).leads(term) && round > 0;
            leads.then_some(Led { leader, term, electorate, round })
        });
        let leaders: Vec<Led> = leaders.collect();
        self.pending.insert(op, leaders);
        Ok(())
    }

    fn rejected(&mut self, _: &Known, op: OpId) -> CheckResult {
        self.pending.remove(&op);
        Ok(())
    }

    fn unknown(&mut self, _: &Known, op: OpId) -> CheckResult {
        self.pending.remove(&op);
        Ok(())
    }

    /// Checks the answer to a read on a leader that led the same term, with the same voters, when
    /// the read was invoked.
    fn read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let leaders = self.pending.remove(&answer.op).unwrap_or_default();
        let (model, slot) = (&known.model, known.model.slot(answer.node));
        let led = leaders.iter().find(|led| led.leader == slot).filter(|led| {
            let is_same = Arc::ptr_eq(&led.electorate, model.electorate(slot));
            is_same && model.node(slot).leads(led.term)
        });
        let Some(Led { term, electorate, round, .. }) = led else { return Ok(()) };
        let replied = self.responders(known, slot, *term, round + 1);
        let is_confirmed = electorate.decision(replied) == Decision::Quorum;
        if is_confirmed || answer.freshness != Freshness::Linearizable {
            return Ok(());
        }
        let (id, names) = (answer.node, names(&known.model, replied));
        S54.violated(format!(
            "{id} leads term {term} and answers a read that was invoked after its heartbeat round \
             {round}, but a later round is confirmed only by {names}, which is not a quorum of {}",
            electorate.membership
        ))
    }

    fn delivered(&mut self, known: &Known, node: NodeId, message: &Message) -> CheckResult {
        if message.to == node {
            self.note_reply(known, message);
        }
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let [slot, to] = [message.from, message.to].map(|id| known.model.slot(id));
        match message.body {
            Body::ReadIndex { start_id, ticket } => {
                self.note_forwarded(slot, to, start_id, ticket);
                return Ok(());
            }
            Body::ReadIndexReply { start_id, ticket, .. } => {
                return self.check_read_reply(known, message, start_id, ticket);
            }
            _ => {}
        }
        if !known.shows_messages {
            self.note_reply(known, message);
        }
        let Body::Heartbeat(heartbeat) = &message.body else { return Ok(()) };
        self.check_replies(known, slot, message, heartbeat.confirmed)?;
        let rounds = &mut self.rounds[slot.0];
        if rounds.term != message.term {
            *rounds = Rounds { term: message.term, ..Rounds::default() };
        }
        rounds.last = rounds.last.max(heartbeat.round);
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
    /// the heartbeat may also change the membership, so a quorum of the membership before or after
    /// the change suffices.
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
        let replied = self.responders(known, slot, term, confirmed);
        if self.decide(slot, replied) {
            return Ok(());
        }
        S48.violated(format!(
            "{} leads term {term} and relies on its heartbeat round {confirmed}, but that round is \
             confirmed only by {}, which is not a quorum of {}",
            message.from,
            names(&known.model, replied),
            model.electorate(slot).membership
        ))
    }

    /// Records the reply to a round. A node in a later term replies with round 0, which confirms
    /// nothing.
    fn note_reply(&mut self, known: &Known, message: &Message) {
        let Body::HeartbeatReply { round: round @ 1.., .. } = message.body else { return };
        let [from, to] = [message.from, message.to].map(|id| known.model.slot(id));
        let answered = &mut self.answered[to.0 * known.model.nodes.len() + from.0];
        *answered = (message.term, round).max(*answered);
    }

    /// Remembers a read index request when the node sends it to this leader for the first time.
    fn note_forwarded(&mut self, from: Slot, leader: Slot, start_id: u64, ticket: u64) {
        let Rounds { term, last, .. } = self.rounds[leader.0];
        let reads = &mut self.forwarded[from.0];
        let is_known = |it: &Forwarded| (it.leader, it.start_id) == (leader, start_id);
        if reads.iter().any(|it| is_known(it) && it.ticket == ticket) {
            return;
        }
        if reads.len() == FORWARDED_MAX {
            reads.pop_front();
        }
        reads.push_back(Forwarded { leader, start_id, ticket, term, round: last });
    }

    /// Checks the reply to a read index request: a quorum must have replied to a round that the
    /// leader began after the request (thesis §6.4).
    fn check_read_reply(
        &self,
        known: &Known,
        message: &Message,
        start_id: u64,
        ticket: u64,
    ) -> CheckResult {
        let (model, term) = (&known.model, message.term);
        let [slot, to] = [message.from, message.to].map(|id| model.slot(id));
        let is_request = |it: &&Forwarded| {
            (it.leader, it.start_id, it.ticket) == (slot, start_id, ticket) && it.term <= term
        };
        let request = self.forwarded[to.0].iter().rev().find(is_request);
        let has_rounds = self.last_round(slot, term) > 0;
        let skips = !known.is_prompt(slot) || model.last_survivor_enabled || !has_rounds;
        let Some(request) = request.filter(|_| !skips) else { return Ok(()) };
        let round = if request.term == term { request.round } else { 0 };
        let replied = self.responders(known, slot, term, round + 1);
        if self.decide(slot, replied) {
            return Ok(());
        }
        S54.violated(format!(
            "{} leads term {term} and answers a read that {} forwarded after heartbeat round \
             {round}, but a later round is confirmed only by {}, which is not a quorum of {}",
            message.from,
            message.to,
            names(&known.model, replied),
            model.electorate(slot).membership
        ))
    }

    /// The last round that the node has sent in this term.
    fn last_round(&self, leader: Slot, term: Term) -> u64 {
        let Rounds { term: of, last, .. } = self.rounds[leader.0];
        if of == term { last } else { 0 }
    }

    /// The nodes that have replied to this round of the leader, or to a later one, and the leader.
    fn responders(&self, known: &Known, leader: Slot, term: Term, round: u64) -> Nodes {
        let nodes = known.model.nodes.len();
        let answered = &self.answered[leader.0 * nodes..][..nodes];
        let has_replied = |peer: &Slot| {
            let (of, last) = answered[peer.0];
            *peer == leader || of == term && last >= round
        };
        known.model.slots().filter(has_replied).collect()
    }

    /// Whether the nodes are a quorum of the leader's membership, or of its previous one.
    fn decide(&self, leader: Slot, nodes: Nodes) -> bool {
        let decides = |by: &Arc<Electorate>| by.decision(nodes) == Decision::Quorum;
        self.electorates[leader.0].iter().any(decides)
    }
}

impl Rounds {
    /// Checks that the leader relies only on rounds that it began after it had committed an entry
    /// of its term: before that, its commit index may be behind that of earlier leaders (thesis
    /// §6.4).
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
