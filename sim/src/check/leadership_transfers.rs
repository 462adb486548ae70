//! Leadership transfers: the target has the whole log and may lead (S52), and in the stabilization
//! phase a core node leads again in time (L10).

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::{Body, Incarnation, Message, NodeId, Term};

use crate::check::costs::Volume;
use crate::check::finding::{CheckResult, L10, S52};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::check::wait_reason::describe_core;
use crate::values::time::SimTime;

/// The last `TimeoutNow` within the core, until a core node certainly leads again; and what each
/// peer has reported to the leaders about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct LeadershipTransfers {
    begun: Option<LeadershipTransfer>,
    /// The reports, by leader and peer.
    reports: BTreeMap<(Slot, Slot), Report>,
    /// The reply to a heartbeat that the next step takes.
    taken: Option<(Slot, Slot, Report)>,
}

/// The report of a node about itself, in the latest reply to a heartbeat that its leader has taken.
#[derive(Clone, Copy, Debug)]
struct Report {
    /// The leader's term, its number of starts, and the round that the reply answers.
    term: Term,
    start: u64,
    round: u64,
    disk: Incarnation,
    may_lead: bool,
    /// Whether the leader may have rejected the reply.
    is_doubtful: bool,
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
        check_target(known, slots, message)?;
        self.check_may_lead(known, slots, message)
    }

    fn delivered(&mut self, known: &Known, id: NodeId, message: &Message) -> CheckResult {
        let Body::HeartbeatReply { round, ready, .. } = message.body else { return Ok(()) };
        let [slot, from] = [id, message.from].map(|id| known.model.slot(id));
        let leader = known.model.node(slot);
        let is_doubtful = known.next_message.is_none_or(|message| message.may_be_rejected);
        let (term, start, disk) = (message.term, leader.starts, message.incarnation);
        let report = Report { term, start, round, disk, may_lead: ready.may_lead, is_doubtful };
        let counts = leader.leads(term) && message.to == id;
        self.taken = counts.then_some((slot, from, report));
        Ok(())
    }

    /// A leader keeps no report of a node that is no longer a member.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let membership = &known.model.electorate(slot).membership;
        let is_member = |peer: Slot| membership.is_member(known.model.node(peer).id);
        self.reports.retain(|(leader, peer), _| *leader != slot || is_member(*peer));
        Ok(())
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        if let Some((slot, from, report)) = self.taken.take().filter(|_| known.message.is_some()) {
            let known = self.reports.entry((slot, from)).or_insert(report);
            known.follow(report);
        }
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

impl LeadershipTransfers {
    /// Checks that the target has not reported that it may not lead: such a target rejects the
    /// request after the leader has given up its lease for it. A leader that steps down is exempt,
    /// because it asks the best target that there is.
    fn check_may_lead(
        &self,
        known: &Known,
        [from, to]: [Slot; 2],
        message: &Message,
    ) -> CheckResult {
        let (leader, term) = (known.model.node(from), message.term);
        let Some(report) = self.reports.get(&(from, to)) else { return Ok(()) };
        let is_of_term = (report.term, report.start) == (term, leader.starts);
        let leads = leader.leads(term) && known.is_prompt(from);
        if !leads || !is_of_term || report.may_lead || report.is_doubtful {
            return Ok(());
        }
        S52.violated(format!(
            "{} leads term {term} and asks {} to campaign, although that node has reported in \
             round {} that it may not lead",
            message.from, message.to, report.round
        ))
    }
}

impl Report {
    /// Replaces this report by a later one. If the replies come from two disks, the leader rejects
    /// those of one.
    fn follow(&mut self, later: Report) {
        if (self.term, self.start) != (later.term, later.start) {
            *self = later;
        } else if later.round >= self.round {
            let is_doubtful = self.is_doubtful || self.disk != later.disk;
            let may_lead = later.may_lead || later.round == self.round && self.may_lead;
            *self = Report { is_doubtful: is_doubtful || later.is_doubtful, may_lead, ..later };
        }
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
