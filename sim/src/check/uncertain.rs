//! Uncertain nodes (docs/REPAIR.md, rule R3): no quorum counts them, and they become certain only
//! once their log reaches the end that a leader has confirmed (S38).

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, EntryId, Freshness, Index, Message, MessageClass, NodeId, Term, Write};

use crate::check::electorate::Decision;
use crate::check::finding::{CheckResult, S38};
use crate::check::known::Known;
use crate::check::model::{Model, Node};
use crate::check::nodes::Slot;
use crate::check::rule::{Answer, Rule};

/// For each node, its requests for the end of the log since its start, and the leaders' replies.
#[derive(Clone, Debug)]
pub(super) struct Uncertain {
    asked: Vec<Vec<Request>>,
    ends: Vec<Vec<LogEnd>>,
}

/// The first request with this start id that a node sent to this leader in this term.
#[derive(Clone, Copy, Debug)]
struct Request {
    start_id: u64,
    term: Term,
    leader: Slot,
    /// The first index after the leader's log at the time of the request.
    next: Index,
}

/// The reply of a leader to such a request.
#[derive(Clone, Copy, Debug)]
struct LogEnd {
    term: Term,
    /// The last entry of the leader's log.
    last: EntryId,
}

impl Rule for Uncertain {
    fn new(known: &Known) -> Uncertain {
        let nodes = known.model.nodes.len();
        Uncertain { asked: vec![Vec::new(); nodes], ends: vec![Vec::new(); nodes] }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id).0;
        self.asked[slot].clear();
        self.ends[slot].clear();
        Ok(())
    }

    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, role, term, .. } = status;
        // A candidate may be certain before its disk has recorded the certainty. Until then it
        // sends no message, so it cannot become the leader.
        let is_uncertain = match role {
            RoleName::Follower => false,
            RoleName::PreCandidate | RoleName::Candidate => status.is_uncertain,
            RoleName::Leader => status.is_uncertain || known.model.of(*id).is_uncertain(),
        };
        if !is_uncertain {
            return Ok(());
        }
        S38.violated(format!("{id} is uncertain, but its role in term {term} is {role}"))
    }

    /// Checks a write of an uncertain node before the model applies it: the write must not hold a
    /// new vote, and it may end the uncertainty only if a leader has confirmed the log.
    fn before_durable(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let (slot, node) = (known.model.slot(id), known.model.of(id));
        let Some(hard) = write.hard_state.filter(|_| node.is_uncertain()) else { return Ok(()) };
        let before = node.disk.hard_state;
        if !hard.is_uncertain {
            return self.check_certain(known, slot, hard.term);
        }
        match hard.vote.filter(|_| (hard.term, hard.vote) != (before.term, before.vote)) {
            None => Ok(()),
            Some(vote) => S38.violated(format!(
                "{id} is uncertain, but makes a vote for {vote} in term {} durable",
                hard.term
            )),
        }
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (model, from) = (&known.model, known.model.slot(message.from));
        match message.body {
            Body::RequestLogEnd { start_id } => self.note_request(model, from, message, start_id),
            Body::LogEnd { start_id, last } => {
                self.check_log_end(model, from, message, start_id, last)?;
                check_whole_log(known, from, message, last)?;
            }
            _ => {}
        }
        let does = model.node(from).is_uncertain().then(|| forbidden_effect(message)).flatten();
        match does {
            None => Ok(()),
            Some(does) => {
                let Message { from, to, term, .. } = message;
                S38.violated(format!("{from} is uncertain, but {does} to {to} in term {term}"))
            }
        }
    }

    fn before_read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let Answer { op, node, freshness, .. } = answer;
        let relies_on_leader = !matches!(freshness, Freshness::Within(_));
        if relies_on_leader || !known.model.of(node).is_uncertain() {
            return Ok(());
        }
        S38.violated(format!(
            "{node} is uncertain, but serves read {} of freshness `{freshness}` without the leader",
            op.0
        ))
    }
}

/// Describes the effect of a message that an uncertain node must not send; `None` for other
/// messages.
fn forbidden_effect(message: &Message) -> Option<String> {
    let class = message.body.class();
    match &message.body {
        Body::PreVote { .. } | Body::RequestVote { .. } => {
            Some(format!("sends {}", message.body.name()))
        }
        Body::PreVoteReply { granted: true, .. } => Some("grants a pre-vote".to_owned()),
        Body::RequestVoteReply { granted: true, .. } => Some("grants a vote".to_owned()),
        Body::LogIsComplete => Some("reports a complete log".to_owned()),
        body if body.acknowledged() > Index::ZERO => {
            Some(format!("acknowledges index {}", body.acknowledged()))
        }
        // No leader has a round 0: such a message replies to a heartbeat of an earlier term.
        Body::HeartbeatReply { round, ready, .. } if *round > 0 && !ready.is_uncertain => {
            Some("confirms a round".to_owned())
        }
        Body::HeartbeatReply { ready, .. } if ready.wants_read_lease => {
            Some("wants a read lease in its reply".to_owned())
        }
        _ if matches!(class, MessageClass::LeaderRequest | MessageClass::LeaderNotice) => {
            Some(format!("sends {}", message.body.name()))
        }
        _ => None,
    }
}

/// Checks that a leader names the end of its whole log, and not of a part of it: acknowledgements
/// that the uncertain node sent before may still arrive, and commit any entry of that log. The log
/// may have grown in the step that sends the reply.
fn check_whole_log(known: &Known, from: Slot, message: &Message, named: Index) -> CheckResult {
    let (node, term) = (known.model.node(from), message.term);
    let status = node.status.filter(|_| node.leads(term) && known.is_prompt(from));
    let before = status.and_then(|status| known.status_before(&status));
    let led = |it: &Status| it.id == node.id && it.role == RoleName::Leader && it.term == term;
    let Some(before) = before.filter(|before| led(before) && before.last.index > named) else {
        return Ok(());
    };
    let (Message { from, to, .. }, last) = (message, before.last.index);
    S38.violated(format!(
        "{from} confirms the end of the log to {to} in term {term} as index {named}, but its own \
         log ended at index {last}"
    ))
}

impl Uncertain {
    fn note_request(&mut self, model: &Model, from: Slot, message: &Message, start_id: u64) {
        let (term, leader) = (message.term, model.slot(message.to));
        let asked = &mut self.asked[from.0];
        let is_same = |other: &Request| {
            (other.start_id, other.term, other.leader) == (start_id, term, leader)
        };
        if !asked.iter().any(is_same) {
            let next = model.node(leader).memory.log.last().next();
            asked.push(Request { start_id, term, leader, next });
        }
    }

    /// Checks the reply of a leader to an uncertain node: the leader has appended an entry after
    /// the request, and a quorum without the node has it.
    fn check_log_end(
        &mut self,
        model: &Model,
        from: Slot,
        message: &Message,
        start_id: u64,
        last: Index,
    ) -> CheckResult {
        let (to, term) = (model.slot(message.to), message.term);
        let asked = self.asked[to.0]
            .iter()
            .find(|asked| (asked.start_id, asked.term, asked.leader) == (start_id, term, from));
        // A late reply to a request of an earlier start has no effect, nor has a reply to a node
        // that became certain after the reply of an earlier leader: the quorum may count that node.
        let asked = asked.copied().filter(|_| model.node(to).is_uncertain());
        let Some(Request { next, .. }) = asked else { return Ok(()) };
        let leader = model.node(from);
        let entry = leader.memory.log.id_at(next).filter(|entry| entry.term == term);
        let electorate = model.electorate(from);
        let has = |entry: EntryId, slot: Slot| {
            let node = model.node(slot);
            let named = node.disk_named_by(&electorate.membership);
            named.is_some_and(|disk| node.counted_of(disk).log.has(entry))
        };
        let quorum = entry.map(|entry| {
            let holders = model.slots().filter(|slot| *slot != to && has(entry, *slot));
            electorate.decision(holders.collect())
        });
        let (id, asking) = (leader.id, message.to);
        if quorum != Some(Decision::Quorum) {
            return S38.violated(format!(
                "{id} confirms the end of the log to {asking} in term {term}, but no entry that it \
                 appended since {asking}'s request is durable on a quorum of {} without {asking}",
                electorate.membership
            ));
        }
        if last < next {
            return S38.violated(format!(
                "{id} confirms the end of the log to {asking} as index {last}, but it appended \
                 entry {next} since {asking}'s request"
            ));
        }
        let Some(last) = leader.memory.log.id_at(last) else {
            return S38.violated(format!(
                "{id} confirms the end of the log to {asking} as index {last}, but its own log \
                 ends at index {}",
                leader.memory.log.last()
            ));
        };
        self.ends[to.0].push(LogEnd { term, last });
        Ok(())
    }

    /// Checks that a node that becomes certain in `term` has the log that a reply to it named.
    /// After a reply of an earlier term, it is enough that the log reaches that index: the entries
    /// may be those of the leader of `term`, which S6 compares with this node's.
    fn check_certain(&self, known: &Known, slot: Slot, term: Term) -> CheckResult {
        let node = known.model.node(slot);
        let has = |end: &LogEnd| {
            let held = node.disk.log.id_at(end.last.index);
            end.term <= term && held.is_some_and(|held| end.term < term || held == end.last)
        };
        if self.ends[slot.0].iter().any(has) {
            return Ok(());
        }
        let Node { id, .. } = node;
        let named = self.ends[slot.0].last().map_or_else(
            || "no leader has confirmed the end of its log since its start".to_owned(),
            |end| format!("the leader of term {} has named entry {}", end.term, end.last),
        );
        S38.violated(format!(
            "{id} becomes certain in term {term} with a durable log up to index {}, but {named}",
            node.disk.log.last()
        ))
    }
}
