//! Reads as they are asked and answered, and who may answer them by itself.

use quorate::raft::{RoleName, Status};
use quorate::types::{Beat, Freshness, Index, Message, NodeId, ReadLevel, Tag};

use crate::coverage::Spot;
use crate::witness::{Asked, Loan, Witness};

impl Witness {
    /// A read is asked of a node; a leader's log ended at `led_from` when it began to lead.
    pub(crate) fn reads_at(
        &mut self,
        status: &Status,
        led_from: Index,
        (tag, level): (Tag, ReadLevel),
    ) {
        let leads = status.role == RoleName::Leader;
        let is_lent = self.loans.get(&status.id).is_some_and(|loan| self.now < loan.until);
        let waits_for_round = if leads { status.applied == status.committed } else { !is_lent };
        self.reads.insert(tag, Asked { level, leads, waits_for_round });
        self.asking = Some(tag);
        self.reach(if leads { Spot::ReadAtLeader } else { Spot::ReadAtFollower });
        self.reach_if(leads && status.committed <= led_from, Spot::ReadBeforeOwnTerm);
        self.reach_if(leads && status.applied < status.committed, Spot::ReadWaitsForApply);
    }

    /// The read has been taken.
    pub(crate) fn read_is_asked(&mut self) {
        self.asking = None;
    }

    /// A read may be answered, as soon as the state machine is there.
    pub(super) fn read_ready(&mut self, tag: Tag, freshness: Freshness) {
        let Some(asked) = self.reads.remove(&tag) else { return };
        let Asked { level, leads, waits_for_round } = asked;
        let at_once = self.asking == Some(tag) && self.voters > 1;
        self.reach(match (level, freshness) {
            (ReadLevel::Linearizable, _) => Spot::ReadByRound,
            (ReadLevel::Lease | ReadLevel::Replica, _) if at_once && leads => Spot::ReadByLease,
            (ReadLevel::Replica, _) if at_once => Spot::ReadByLoan,
            (ReadLevel::Lease | ReadLevel::Replica, _) if !waits_for_round => return,
            (ReadLevel::Lease, _) => Spot::LeaseFallsBack,
            (ReadLevel::Replica, _) => Spot::LoanFallsBack,
            (ReadLevel::Bounded(_), Freshness::Within(_)) => Spot::ReadWithin,
            (ReadLevel::Bounded(_), _) => Spot::BoundedFallsBack,
            (ReadLevel::Local, _) => Spot::ReadLocal,
        });
    }

    /// A leader lends its lease, by its word.
    pub(super) fn lends(&mut self, message: &Message, beat: &Beat) {
        if beat.loan.is_zero() {
            return;
        }
        self.reach(Spot::LoanGranted);
        let Message { from: by, to, .. } = *message;
        self.loans.insert(to, Loan { by, until: self.now.after(beat.loan) });
    }

    /// Something happens to a leader while loans of its lease are out.
    pub(crate) fn while_lent(&mut self, leader: NodeId, spot: Spot) {
        let out = self.loans.values().any(|loan| loan.by == leader && self.now < loan.until);
        self.reach_if(out, spot);
    }
}
