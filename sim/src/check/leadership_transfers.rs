//! Leadership transfers in the stabilization phase: a core node leads again in time (L10).

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Message, Term};

use crate::check::costs::Volume;
use crate::check::finding::{CheckResult, L10};
use crate::check::known::Known;
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
        let slots = [message.from, message.to].map(|id| known.model.slot(id));
        let in_core = slots.into_iter().all(|slot| known.is_in_core(slot));
        if in_core && matches!(message.body, Body::TimeoutNow) {
            self.begun = Some(LeadershipTransfer { term: message.term, at: known.now });
        }
        Ok(())
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
