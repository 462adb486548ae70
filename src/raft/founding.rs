//! The first membership: it forms once every founder has met every other, and all of them name the
//! same lives of their disks.
//!
//! A directory without a membership never votes. Were it enough that founders hear of one another,
//! a founder whose disk was wiped could found the cluster a second time with those who had not
//! heard of the first: what its old disk helped to decide would be lost. So a founder says whom it
//! has met, by incarnation and by start, and founds only when everyone's latest word is the same
//! list as its own. Whoever has a membership says so in answer, and never agrees to another list.
//!
//! Suppose two lists that differ in one incarnation were both agreed on, and somebody else founded
//! by the first. He agreed to the second before that, in the same start or in an earlier one. In
//! the same he heard of two incarnations of one node, and agrees to nothing more. In an earlier
//! one, the disk that the first list names has not known his later start, for it was gone before:
//! its word was not the first list.

use alloc::vec::Vec;

use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::types::{Body, Founder, Incarnation, Index, Instant, Membership, NodeId, SnapshotMeta};

/// A founder that has no membership yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Founding {
    founders: Membership,
    /// Everyone, by ascending id, as far as met; this node among them.
    met: Vec<Founder>,
    /// What the others said last, in the same order; nothing of this node.
    said: Vec<Vec<Founder>>,
    /// When the others are told next.
    pub(crate) due: Instant,
    /// Two disks claimed to be one founder: this node agrees to nothing more before a restart.
    contradicted: bool,
}

impl Founding {
    /// The node with this incarnation and number of its start is one of the `founders`.
    pub(crate) fn new(founders: &Membership, own: Founder, now: Instant) -> Founding {
        let met = founders.ids().map(|id| if id == own.id { own } else { Founder::unknown(id) });
        Founding {
            founders: founders.clone(),
            met: met.collect(),
            said: founders.ids().map(|_| Vec::new()).collect(),
            due: now,
            contradicted: false,
        }
    }

    fn place(&self, id: NodeId) -> Option<usize> {
        self.met.iter().position(|founder| founder.id == id)
    }

    /// Takes what another founder says; false if it has other founders in mind.
    fn hear(&mut self, from: NodeId, said: Vec<Founder>) -> bool {
        let same = said.iter().map(|founder| founder.id).eq(self.founders.ids());
        let Some(place) = self.place(from).filter(|_| same) else { return false };
        let (known, news) = (self.met[place], said[place]);
        self.contradicted |= known.is_known() && known.incarnation != news.incarnation;
        if !self.contradicted {
            self.met[place] = news;
            self.said[place] = said;
        }
        true
    }

    /// The first membership, if all agree on it.
    fn agreed(&self, own: NodeId) -> Option<Membership> {
        let known = self.met.iter().all(Founder::is_known);
        let mut others = self.met.iter().zip(&self.said).filter(|(founder, _)| founder.id != own);
        if self.contradicted || !known || !others.all(|(_, said)| *said == self.met) {
            return None;
        }
        let mut membership = self.founders.clone();
        for founder in &self.met {
            let member = membership.member(founder.id).expect("every founder is a member");
            let mut member = member.clone();
            member.incarnation = founder.incarnation;
            membership = membership.with_member(member);
        }
        Some(membership)
    }
}

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
