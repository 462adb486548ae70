//! Removed nodes (S73): for twice the longest election timeout after it removed a node, a leader
//! may still send that node its log and heartbeats, so that the node learns of its removal, but no
//! longer than that.

use std::sync::Arc;

use quorate::raft::Status;
use quorate::types::{Body, Instant, Message};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, S73};
use crate::check::known::Known;
use crate::check::leader_terms::LeaderTerms;
use crate::check::rule::Rule;

/// The number of heartbeat intervals after the bound in which a leader may still send heartbeats to
/// a removed node: after a pause, it may begin many rounds for its reads before it handles its
/// timer.
const LATE_MAX: u32 = 4;

/// For each leader, the nodes that were removed in its term.
#[derive(Clone, Debug)]
pub(super) struct DepartedPeers {
    leaders: LeaderTerms<Leader>,
}

#[derive(Clone, Debug)]
struct Leader {
    electorate: Arc<Electorate>,
    departed: Vec<Departed>,
}

/// When a node ceased to be a member, if it did.
#[derive(Clone, Copy, Debug, Default)]
struct Departed {
    since: Option<Instant>,
    /// The number of heartbeat intervals after the bound in which the leader sent it heartbeats,
    /// and the end of the last such interval.
    late: u32,
    late_until: Instant,
}

impl Rule for DepartedPeers {
    fn new(known: &Known) -> DepartedPeers {
        let nodes = known.model.nodes.len();
        let none = |slot| Leader {
            electorate: Arc::clone(known.model.electorate(slot)),
            departed: vec![Departed::default(); nodes],
        };
        DepartedPeers { leaders: LeaderTerms::new(known, none) }
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let electorate = known.model.electorate(slot);
        let is_same = self.leaders.step(known, status).is_some();
        let leader = self.leaders.data(slot);
        if !is_same {
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
        Ok(())
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        let Body::Heartbeat(_) = message.body else { return Ok(()) };
        let (slot, to) = (known.model.slot(message.from), known.model.slot(message.to));
        let leader = self.leaders.leading(slot, message.term);
        let Some((leader, stepped)) = leader else { return Ok(()) };
        let departed = &mut leader.departed[to.0];
        let Some(since) = departed.since else { return Ok(()) };
        // The leader drops the peer when the leader's next heartbeat is due.
        let config = &known.bounds.config;
        let span = config.election_timeout_max.saturating_mul(2) + config.heartbeat_interval;
        let is_late = stepped >= since.after(span).max(departed.late_until);
        if is_late && known.is_prompt(slot) {
            departed.late += 1;
            departed.late_until = stepped.after(config.heartbeat_interval);
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
