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

use crate::types::{Founder, Instant, Membership, NodeId};

/// A founder that has no membership yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Founding {
    founders: Membership,
    /// Everyone, by ascending id, as far as met; this node among them.
    pub(crate) met: Vec<Founder>,
    /// What the others said last, in the same order; nothing of this node.
    said: Vec<Vec<Founder>>,
    /// When the others are told next.
    pub(crate) due: Instant,
    /// Two disks claimed to be one founder: this node agrees to nothing more before a restart.
    pub(crate) contradicted: bool,
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
    pub(crate) fn hear(&mut self, from: NodeId, said: Vec<Founder>) -> bool {
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
    pub(crate) fn agreed(&self, own: NodeId) -> Option<Membership> {
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
