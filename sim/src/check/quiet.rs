//! After the storm: few elections (L3), no term from outside (L4), and a cluster of which nothing
//! is asked says little and changes nothing (S30).

use std::time::Duration;

use quorate::raft::{RoleName, Status};
use quorate::types::{Message, Term};

use crate::check::bounds::{Bounds, keeps_outsiders_out};
use crate::check::finding::{L3, L4, S30, Verdict};
use crate::check::model::Model;
use crate::check::nodes::{Nodes, Slot};
use crate::time::SimTime;

/// What the core does since the storm is over.
#[derive(Clone, Debug, Default)]
pub(super) struct Quiet {
    core: Option<Nodes>,
    /// The highest term that a core node may be in: what there was at the storm's end, and what
    /// core nodes have begun since.
    term_max: Term,
    elections: u64,
    idle: Option<Idle>,
}

/// What the core does since nothing is asked of it.
#[derive(Clone, Copy, Debug)]
struct Idle {
    /// When the second began in which messages are counted.
    since: SimTime,
    messages: u64,
    elections: u64,
    terms: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Quiet {
    pub(super) fn calm(&mut self, model: &Model, core: Nodes) {
        self.core = Some(core);
        let terms = model
            .nodes
            .iter()
            .map(|node| node.status.map_or(node.disk.hard_state.term, |status| status.term));
        // What was on its way may let each node begin one term more.
        let begun = model.nodes.len() as u64;
        self.term_max = Term(terms.max().unwrap_or_default().0 + begun);
    }

    pub(super) fn idle(&mut self, now: SimTime) {
        self.idle = Some(Idle { since: now, messages: 0, elections: 0, terms: 0 });
    }

    /// The nodes that must make progress, once nothing is asked of them any more.
    pub(super) fn settled(&self) -> Option<Nodes> {
        self.idle.and(self.core)
    }

    /// Whether the node is in the core, and still a member: who is none any more, and may not even
    /// have heard of it, is as good as outside.
    fn counts(&self, model: &Model, slot: Slot) -> bool {
        let members = &model.committed.electorate().membership;
        self.core.is_some_and(|core| core.contains(slot)) && members.is_member(model.node(slot).id)
    }

    pub(super) fn stepped(
        &mut self,
        model: &Model,
        slot: Slot,
        status: &Status,
        bounds: &Bounds,
    ) -> Verdict {
        let before = model.node(slot).status;
        let Some(before) = before.filter(|before| before.term < status.term) else { return Ok(()) };
        let counts = self.counts(model, slot);
        // Who was removed since, and may not have heard of it, calls elections until it is cut off.
        let may_disturb = !keeps_outsiders_out(&bounds.config)
            && self.core.is_some_and(|core| core.contains(slot));
        if status.role == RoleName::Candidate && (counts || may_disturb) {
            self.term_max = self.term_max.max(status.term);
        }
        if !counts {
            return Ok(());
        }
        if status.term > self.term_max {
            let (id, term) = (status.id, status.term);
            return L4.broken(format!("{id} goes to {term}, which no core node has begun"));
        }
        let Some(idle) = &mut self.idle else { return Ok(()) };
        idle.terms += 1;
        // Every core node may follow each of the elections into its term.
        if idle.terms <= bounds.idle_elections_max * model.nodes.len() as u64 {
            return Ok(());
        }
        let (id, from, to) = (status.id, before.term, status.term);
        S30.broken(format!("{id} goes from {from} to {to} while nothing is asked of the cluster"))
    }

    pub(super) fn elected(&mut self, slot: Slot, status: &Status, bounds: &Bounds) -> Verdict {
        if !self.core.is_some_and(|core| core.contains(slot)) {
            return Ok(());
        }
        let (id, term) = (status.id, status.term);
        if let Some(idle) = &mut self.idle {
            idle.elections += 1;
            if idle.elections > bounds.idle_elections_max {
                return S30
                    .broken(format!("{id} wins {term} while nothing is asked of the cluster"));
            }
        }
        self.elections += 1;
        let max = bounds.calm_elections_max;
        if self.elections <= max {
            return Ok(());
        }
        L3.broken(format!("{id} wins {term}, after {max} elections since the storm"))
    }

    pub(super) fn sent(
        &mut self,
        model: &Model,
        from: Slot,
        message: &Message,
        bounds: &Bounds,
        now: SimTime,
    ) -> Verdict {
        if !self.counts(model, from) {
            return Ok(());
        }
        let Some(idle) = &mut self.idle else { return Ok(()) };
        if now.since(idle.since) >= SECOND {
            (idle.since, idle.messages) = (now, 0);
        }
        idle.messages += 1;
        let max = messages_per_second_max(model.nodes.len() as u64, bounds);
        if idle.messages <= max {
            return Ok(());
        }
        let (id, name, begin) = (message.from, message.body.name(), idle.since);
        S30.broken(format!(
            "the core sends over {max} messages in the second after {begin}s while nothing is \
             asked of the cluster, the last {name} by {id}"
        ))
    }
}

/// What an idle core of up to `nodes` nodes may say in a second. In every heartbeat interval its
/// leader says up to two things to each peer, and each is answered; in every election timeout
/// every node outside may canvass every other. Clocks may run up to twice as fast as they should.
fn messages_per_second_max(nodes: u64, bounds: &Bounds) -> u64 {
    let per_second = |interval: Duration| {
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        1 + u64::try_from(SECOND.as_nanos()).unwrap_or(u64::MAX) / nanos
    };
    let heartbeats = per_second(bounds.heartbeat_interval);
    let canvasses = per_second(bounds.election_timeout_min);
    2 * (4 * nodes * heartbeats + 2 * nodes * nodes * canvasses)
}
