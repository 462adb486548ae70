//! Removed nodes (S73): for twice the longest election timeout after it removed a node, a leader
//! may still send that node its log and heartbeats, so that the node learns of its removal, but no
//! longer than that.

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Instant, Message, Term};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S73};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// The number of heartbeat intervals with heartbeats that may follow after the time is over: after
/// each pause, a leader may begin many rounds for its reads before it handles its timer.
const LATE_MAX: u32 = 4;

/// For each node, the nodes that it removed as the leader of its term.
#[derive(Clone, Debug)]
pub(super) struct DepartedPeers {
    leaders: Vec<Leader>,
}

#[derive(Clone, Debug)]
struct Leader {
    term: Term,
    start: u64,
    electorate: Arc<Electorate>,
    /// The time of the last step, by the leader's clock.
    stepped: Instant,
    departed: Vec<Departed>,
}

/// A node that ceased to be a member, if it did.
#[derive(Clone, Copy, Debug, Default)]
struct Departed {
    since: Option<Instant>,
    /// The number of heartbeat intervals with heartbeats that came too late, and the end of the last
    /// one.
    late: u32,
    late_until: Instant,
}

impl Rule for DepartedPeers {
    fn new(known: &Known) -> DepartedPeers {
        let nodes = known.model.nodes.len();
        let leader = |slot| Leader {
            term: Term::ZERO,
            start: 0,
            electorate: Arc::clone(known.model.electorate(slot)),
            stepped: Instant::ZERO,
            departed: vec![Departed::default(); nodes],
        };
        DepartedPeers { leaders: known.model.slots().map(leader).collect() }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let (start, electorate) = (known.model.node(slot).starts, known.model.electorate(slot));
        let leader = &mut self.leaders[slot.0];
        let leads = status.role == RoleName::Leader;
        if !leads || (leader.term, leader.start) != (status.term, start) {
            (leader.term, leader.start) = (status.term, start);
            leader.departed.fill(Departed::default());
        } else if !Arc::ptr_eq(&leader.electorate, electorate) {
            for (other, departed) in known.model.slots().zip(&mut leader.departed) {
                let id = known.model.node(other).id;
                let was_member = leader.electorate.membership.is_member(id);
                if electorate.membership.is_member(id) {
                    *departed = Departed::default();
                } else if was_member {
                    departed.since = Some(known.own_time);
                }
            }
        }
        leader.electorate = Arc::clone(electorate);
        leader.stepped = known.own_time;
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Heartbeat(_) = message.body else { return Ok(()) };
        let (slot, to) = (known.model.slot(message.from), known.model.slot(message.to));
        let leader = &mut self.leaders[slot.0];
        let departed = &mut leader.departed[to.0];
        let Some(since) = departed.since.filter(|_| leader.term == message.term) else {
            return Ok(());
        };
        // The leader drops the peer when it handles its next timer.
        let config = &known.bounds.config;
        let span = config.election_timeout_max.saturating_mul(2) + config.heartbeat_interval;
        let is_late = leader.stepped >= since.after(span).max(departed.late_until);
        if is_late && known.is_prompt(slot) {
            departed.late += 1;
            departed.late_until = leader.stepped.after(config.heartbeat_interval);
        }
        if departed.late <= LATE_MAX {
            return Ok(());
        }
        let Message { from, to, term, .. } = message;
        S73.violated(format!(
            "{from} leads term {term} and still sends heartbeats to {to}, which ceased to be a \
             member more than two election timeouts before"
        ))
    }
}
