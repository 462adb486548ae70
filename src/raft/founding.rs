//! The first membership: it forms once every founder has met every other, and all of them name the
//! same lives of their disks.
//!
//! A directory without a membership never votes. Were it enough that founders hear of one another,
//! a founder whose disk was wiped could found the cluster a second time with those who had not
//! heard of the first: what its old disk helped to decide would be lost. So a founder says whom it
//! has met, by incarnation and by start, and founds only when everyone's latest word is the same
//! list as its own. Whoever has a membership says so in answer, to that start of the asking node
//! alone, and never agrees to another list. Whoever hears of two disks of one founder forgets all
//! it has heard and begins anew, as if it had just started. `docs/MEMBERSHIP.md` says why nobody
//! founds twice.

use alloc::vec::Vec;

use crate::types::{Body, EntryId, Founder, Instant, Membership, Message, NodeId};

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
    /// Somebody said that the cluster was founded, and has forgotten the first membership.
    pub(crate) is_told: bool,
}

/// What comes of another founder's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is taken.
    Taken,
    /// It is of one that has other founders in mind.
    OtherFounders,
    /// It is of another disk than the one that was met before.
    OtherDisk,
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
            is_told: false,
        }
    }

    /// Whether the message must wait until there is a membership: all do while nobody is known to
    /// have founded, and then the first entries. A log that begins with them begins with the first
    /// membership, which is no entry.
    pub(crate) fn keeps_out(&self, message: &Message) -> bool {
        match &message.body {
            Body::AppendEntries { prev, .. } if self.is_told => *prev == EntryId::ZERO,
            _ => !self.is_told,
        }
    }

    /// Where the node is among the founders, if it is one.
    pub(crate) fn place(&self, id: NodeId) -> Option<usize> {
        self.met.iter().position(|founder| founder.id == id)
    }

    /// The node begins anew, as in another start: nobody is met.
    pub(crate) fn begin_anew(&mut self, own: Founder, now: Instant) {
        *self = Founding::new(&self.founders, own, now);
    }

    /// The node, as it tells of itself.
    pub(crate) fn own(&self, id: NodeId) -> Founder {
        self.met[self.place(id).expect("a founder is one of them")]
    }

    /// Takes what another founder says.
    pub(crate) fn hear(&mut self, from: NodeId, said: &[Founder]) -> Heard {
        let same = said.iter().map(|founder| founder.id).eq(self.founders.ids());
        let Some(place) = self.place(from).filter(|_| same) else { return Heard::OtherFounders };
        let (known, news) = (self.met[place], said[place]);
        if known.is_known() && known.incarnation != news.incarnation {
            return Heard::OtherDisk;
        }
        self.met[place] = news;
        self.said[place] = said.to_vec();
        Heard::Taken
    }

    /// Whether everybody met is, by the membership, who it said to be.
    pub(crate) fn fits(&self, membership: &Membership) -> bool {
        let fits = |founder: &&Founder| {
            let member = membership.member(founder.id);
            member.is_none_or(|member| member.may_be(founder.incarnation))
        };
        self.met.iter().filter(|founder| founder.is_known()).all(|founder| fits(&founder))
    }

    /// The first membership, if all agree on it.
    pub(crate) fn agreed(&self, own: NodeId) -> Option<Membership> {
        let known = self.met.iter().all(Founder::is_known);
        let mut others = self.met.iter().zip(&self.said).filter(|(founder, _)| founder.id != own);
        if !known || !others.all(|(_, said)| *said == self.met) {
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
