//! Elections, terms and messages of the core in the stabilization phase: few elections (L3), no
//! term that a node outside the core has raised (L4), and few messages, few writes and no new term
//! in an idle cluster (S30).

use std::time::Duration;

use quorate::raft::{RoleName, Status};
use quorate::types::{Message, NodeId, Term, Write};

use crate::check::bounds::{Bounds, prevents_disruptive_servers};
use crate::check::finding::{CheckResult, L3, L4, S30};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The core's terms and elections since the stabilization phase began.
#[derive(Clone, Debug)]
pub(super) struct CoreActivity {
    /// The highest term that a core node may be in: the highest term at the start of the phase plus
    /// one for each node, or a later term in which a core node became a candidate.
    term_max: Term,
    elections: u64,
    idle: Option<Idle>,
}

/// The core's activity since the cluster became idle.
#[derive(Clone, Copy, Debug)]
struct Idle {
    /// The start of the one-second window in which messages are counted.
    since: SimTime,
    messages: u64,
    elections: u64,
    terms: u64,
    writes: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Rule for CoreActivity {
    fn new(_: &Known) -> CoreActivity {
        CoreActivity { term_max: Term::ZERO, elections: 0, idle: None }
    }

    fn stabilized(&mut self, known: &Known) -> CheckResult {
        let nodes = known.model.nodes.iter();
        let terms =
            nodes.map(|node| node.status.map_or(node.disk.hard_state.term, |status| status.term));
        // Messages in flight may make each node begin one more term.
        self.term_max = Term(terms.max().unwrap_or_default().0 + known.model.nodes.len() as u64);
        Ok(())
    }

    fn idle(&mut self, known: &Known) -> CheckResult {
        self.idle = Some(Idle { since: known.now, messages: 0, elections: 0, terms: 0, writes: 0 });
        Ok(())
    }

    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        self.entered(known, slot, status)?;
        if !known.is_elected(status) || !known.is_in_core(slot) {
            return Ok(());
        }
        let (id, term) = (status.id, status.term);
        if let Some(idle) = &mut self.idle {
            idle.elections += 1;
            if idle.elections > known.bounds.idle_elections_max {
                return S30.violated(format!("{id} wins term {term} although the cluster is idle"));
            }
        }
        self.elections += 1;
        let max = known.bounds.stabilization_elections_max;
        if self.elections <= max {
            return Ok(());
        }
        L3.violated(format!(
            "{id} wins term {term} after {max} other elections in the stabilization phase"
        ))
    }

    /// Checks that the nodes write little: a leader may append an entry for an uncertain node,
    /// after damage to a snapshot, to readmit a voter, or for a delayed copy of a request.
    fn submitted(&mut self, known: &Known, id: NodeId, write: &Write) -> CheckResult {
        let slot = known.model.slot(id);
        let Some(idle) = &mut self.idle else { return Ok(()) };
        if !known.is_in_core(slot) || !known.is_member(slot) {
            return Ok(());
        }
        idle.writes += 1;
        let nodes = known.model.nodes.len() as u64;
        let max = nodes * nodes;
        if idle.writes <= max {
            return Ok(());
        }
        let write = write.id;
        S30.violated(format!("{id} writes {write} after {max} other writes of the idle cluster"))
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let (now, model) = (known.now, &known.model);
        let Some(idle) = &mut self.idle else { return Ok(()) };
        let from = model.slot(message.from);
        if !known.is_in_core(from) || !known.is_member(from) {
            return Ok(());
        }
        if now.since(idle.since) >= SECOND {
            (idle.since, idle.messages) = (now, 0);
        }
        idle.messages += 1;
        let max = messages_per_second_max(model.nodes.len() as u64, &known.bounds);
        if idle.messages <= max {
            return Ok(());
        }
        let (id, name, begin) = (message.from, message.body.name(), idle.since);
        S30.violated(format!(
            "the core of the idle cluster sends more than {max} messages in the second after \
             {begin} s; the last one is {name} from {id}"
        ))
    }
}

impl CoreActivity {
    fn entered(&mut self, known: &Known, slot: Slot, status: &Status) -> CheckResult {
        let Known { bounds, before, .. } = known;
        let Some(before) = before.filter(|before| before.term < status.term) else { return Ok(()) };
        // A removed node, which may not know of its removal, counts as a node outside the core.
        let in_core = known.is_in_core(slot) && known.is_member(slot);
        // A removed node that does not know of its removal campaigns until it is isolated.
        let may_disturb = !prevents_disruptive_servers(&bounds.config) && known.is_in_core(slot);
        if status.role == RoleName::Candidate && (in_core || may_disturb) {
            self.term_max = self.term_max.max(status.term);
        }
        if !in_core {
            return Ok(());
        }
        if status.term > self.term_max {
            let (id, term) = (status.id, status.term);
            return L4
                .violated(format!("{id} enters term {term}, but no core node started that term"));
        }
        let Some(idle) = &mut self.idle else { return Ok(()) };
        idle.terms += 1;
        // Every core node may follow each allowed election into its term.
        if idle.terms <= bounds.idle_elections_max * known.model.nodes.len() as u64 {
            return Ok(());
        }
        let (id, from, to) = (status.id, before.term, status.term);
        S30.violated(format!(
            "{id} changes from term {from} to term {to} although the cluster is idle"
        ))
    }
}

/// The maximum number of messages per second that the core of an idle cluster of `nodes` nodes
/// sends. In each heartbeat interval the leader sends at most two messages to each peer, and each
/// peer replies to each message. In each election timeout, every node outside the core may request
/// a vote from every other node, and each of them replies. Clocks run at most twice as fast as real
/// time.
fn messages_per_second_max(nodes: u64, bounds: &Bounds) -> u64 {
    let per_second = |interval: Duration| {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        1 + u64::try_from(SECOND.as_nanos()).unwrap_or(u64::MAX) / nanos
    };
    let heartbeats = per_second(bounds.heartbeat_interval);
    let campaigns = per_second(bounds.election_timeout_min);
    2 * (4 * nodes * heartbeats + 2 * nodes * nodes * campaigns)
}
