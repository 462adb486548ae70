//! A founder meets the others: what it says and hears until there is a membership.

use alloc::vec::Vec;

use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::types::{Body, Founder, Incarnation, Index, Membership, NodeId, SnapshotMeta};

impl Common {
    /// A founder without a membership tells the others whom it has met, from time to time.
    pub(crate) fn advance_founding(&mut self) {
        let own = self.id();
        let Some(founding) = self.founding.as_mut().filter(|founding| founding.due <= self.now)
        else {
            return;
        };
        founding.due = self.now.after(self.config.heartbeat_interval);
        if founding.contradicted {
            return;
        }
        let met = founding.met.clone();
        for other in met.iter().map(|founder| founder.id).filter(|id| *id != own) {
            self.send(other, Body::Meet { met: met.clone() });
        }
        self.found_if_agreed();
    }

    /// Another node has no membership yet, and has met these.
    pub(crate) fn on_meet(&mut self, from: NodeId, met: Vec<Founder>) {
        if !self.log.membership().is_nobody() {
            let (membership, index) = (self.log.membership().clone(), self.log.membership_index());
            return self.send(from, Body::Founded { membership, index });
        }
        match self.founding.as_mut().map(|founding| founding.hear(from, met)) {
            Some(true) => self.found_if_agreed(),
            Some(false) => self.refuse(from, "Meet", Refusal::OtherFounders),
            None => self.refuse(from, "Meet", Refusal::NoMembership),
        }
    }

    /// The cluster was founded: this node is a member of it, or its disk is not the member's.
    pub(crate) fn on_founded(&mut self, from: NodeId, membership: Membership, index: Index) {
        if self.founding.is_none() {
            return self.refuse(from, "Founded", Refusal::WrongRole);
        }
        let own = self.incarnation;
        let welcome =
            |incarnation: Incarnation| incarnation == own || incarnation == Incarnation::default();
        match membership.member(self.id()) {
            Some(member) if welcome(member.incarnation) && index == Index::ZERO => {
                self.found(membership);
            }
            // What the log brings tells who counts.
            Some(member) if welcome(member.incarnation) => self.founding = None,
            _ => {
                self.refuse(from, "Founded", Refusal::OtherDisk);
                self.actions.push(Action::Stranger { from });
            }
        }
    }

    fn found_if_agreed(&mut self) {
        let own = self.id();
        if let Some(membership) = self.founding.as_ref().and_then(|it| it.agreed(own)) {
            self.found(membership);
        }
    }

    /// The first membership is in force, from before the first entry on.
    fn found(&mut self, membership: Membership) {
        self.founding = None;
        let meta = SnapshotMeta { membership, ..self.snapshot.clone() };
        self.log.found(&meta.membership);
        self.snapshot = meta.clone();
        self.outbox.write_install(meta);
    }
}
