//! Leadership transfers: the target has the whole log (S52), and in the stabilization phase a core
//! node leads again in time (L10).

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Message, Term};

use crate::check::costs::Volume;
use crate::check::finding::{CheckResult, L10, S52};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::check::wait_reason::describe_core;
use crate::values::time::SimTime;

/// The last `TimeoutNow` within the core, until a core node certainly leads again.
#[derive(Clone, Debug, Default)]
pub(super) struct LeadershipTransfers {
    begun: Option<LeadershipTransfer>,
}

/// A leader of `term` asked another node to campaign.
#[derive(Clone, Copy, Debug)]
struct LeadershipTransfer {
    term: Term,
    at: SimTime,
}

impl Rule for LeadershipTransfers {
    fn new(_: &Known) -> LeadershipTransfers {
        LeadershipTransfers::default()
    }

    fn sent(&mut self, known: &Known, message: &Message) -> CheckResult {
        if !matches!(message.body, Body::TimeoutNow) {
            return Ok(());
        }
        let slots = [message.from, message.to].map(|id| known.model.slot(id));
        if slots.into_iter().all(|slot| known.is_in_core(slot)) {
            self.begun = Some(LeadershipTransfer { term: message.term, at: known.now });
        }
        check_target(known, slots, message)
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Some(LeadershipTransfer { term, at }) = self.begun else { return Ok(()) };
        // If the transfer fails, the leader continues to lead; it aborts the transfer after a
        // timeout.
        let is_over = status.term > term
            || status.term == term
                && known.now.since(at) > known.bounds.config.election_timeout_max;
        let leads = status.role == RoleName::Leader && is_over;
        if leads && known.is_in_core(known.model.slot(status.id)) {
            self.begun = None;
            return Ok(());
        }
        // The target campaigns at once. If it cannot win, other nodes campaign after a timeout, and
        // some of their campaigns may fail, too, as in the other bounds of this phase.
        let bound = known.bounds.recovery_time_max(Volume::default());
        if known.now.since(at) <= bound {
            return Ok(());
        }
        L10.violated(format!(
            "no core node leads {bound:?} after the leader of term {term} asked another node to \
             campaign at {at} s: {}",
            describe_core(known)
        ))
    }
}

/// Checks that the target of a transfer has the leader's whole log on its disk, so that it can win
/// (thesis §3.10), or had it on a disk whose loss the leader may not know yet. A leader that steps
/// down in the same step asks the best target that there is. A target that has entered a later term
/// may have replaced entries that it acknowledged to this leader.
fn check_target(known: &Known, [from, to]: [Slot; 2], message: &Message) -> CheckResult {
    let (model, term) = (&known.model, message.term);
    let (leader, target) = (model.node(from), model.node(to));
    let leads = leader.leads(term) && known.is_prompt(from);
    let Some(last) = leader.status.map(|status| status.last).filter(|_| leads) else {
        return Ok(());
    };
    if target.has_or_had(last) || target.memory.hard_state.term > term {
        return Ok(());
    }
    S52.violated(format!(
        "{} leads term {term} and asks {} to campaign, but {}'s disk has its log up to index {} \
         only, and the leader's log ends with entry {last}",
        message.from,
        message.to,
        message.to,
        target.disk.log.last()
    ))
}
