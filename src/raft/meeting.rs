//! A founder meets the others: what it says and hears until there is a membership.

use crate::raft::action::{Action, Refusal};
use crate::raft::common::Common;
use crate::raft::founding::Heard;
use crate::types::{Body, Bringer, Founder, Index, Membership, Message, NodeId, SnapshotMeta};

impl Common {
    /// A founder without a membership tells the others whom it has met, from time to time.
    pub(crate) fn advance_founding(&mut self) {
        let own = self.id();
        if !self.log.membership().is_nobody() {
            self.founding = None;
        }
        let Some(founding) = self.founding.as_mut().filter(|founding| founding.due <= self.now)
        else {
            return;
        };
        founding.due = self.now.after(self.config.heartbeat_interval);
        let met = founding.met.clone();
        for other in met.iter().map(|founder| founder.id).filter(|id| *id != own) {
            self.send(other, Body::Meet { met: met.clone() });
        }
        self.found_if_agreed();
    }

    /// Takes what founders say, and refuses what cannot count: whatever is said to a founder that
    /// knows of no cluster yet, and what another disk says than the membership names. A leader
    /// tells that one so. True if nothing is left to do about the message.
    pub(crate) fn settles_who_counts(&mut self, message: &Message, leads: bool) -> bool {
        let (from, name) = (message.from, message.body.name());
        match &message.body {
            Body::PreVote { .. } => return false,
            Body::Meet { met } => self.on_meet(from, met),
            Body::Founded { boot, membership, bringer } => {
                self.on_founded(from, *boot, membership.clone(), *bringer);
            }
            body if body.counts() && !self.knows_disk(message) => {
                self.refuse(from, name, Refusal::OtherDisk);
                if leads {
                    self.send(from, Body::Stranger);
                }
            }
            _ if self.founding.as_ref().is_some_and(|founding| founding.keeps_out(message)) => {
                self.refuse(from, name, Refusal::NoMembership);
                self.ask_outsider(from);
            }
            _ => return false,
        }
        true
    }

    /// Founders are asked anyway. Who is none has the cluster's membership, and may be of all that
    /// is left of it.
    fn ask_outsider(&mut self, from: NodeId) {
        if let Some(founding) = &self.founding
            && founding.place(from).is_none()
        {
            let met = founding.met.clone();
            self.send(from, Body::Meet { met });
        }
    }

    /// Another node has no membership yet, and has met these.
    fn on_meet(&mut self, from: NodeId, met: &[Founder]) {
        if !self.log.membership().is_nobody() {
            return self.tell_founded(from, met);
        }
        match self.founding.as_mut().map(|founding| founding.hear(from, met)) {
            Some(Heard::Taken) => self.found_if_agreed(),
            Some(Heard::OtherFounders) => self.refuse(from, "Meet", Refusal::OtherFounders),
            Some(Heard::OtherDisk) => {
                self.refuse(from, "Meet", Refusal::OtherDisk);
                self.meet_anew();
            }
            None => self.refuse(from, "Meet", Refusal::NoMembership),
        }
    }

    /// Answers a founder: with the first membership if its disk is of it and this log still has it,
    /// for then every entry that follows comes from the log.
    fn tell_founded(&mut self, from: NodeId, met: &[Founder]) {
        let Some(asking) = met.iter().find(|founder| founder.id == from) else {
            return self.refuse(from, "Meet", Refusal::OtherFounders);
        };
        let of_the_first = |first: &&Membership| {
            first.member(from).is_some_and(|member| member.may_be(asking.incarnation))
        };
        let first = self.log.membership_at(Index::ZERO);
        let (membership, bringer) = match first {
            Some(first) if of_the_first(&first) => (first, Bringer::Answer),
            Some(_) => (self.log.membership(), Bringer::Log),
            None => (self.log.membership(), Bringer::Snapshot),
        };
        let body = Body::Founded { boot: asking.boot, membership: membership.clone(), bringer };
        self.send(from, body);
    }

    /// Two disks claim to be one founder: all that was heard counts for nothing, and nothing that
    /// was said does, as after a restart.
    fn meet_anew(&mut self) {
        let (id, incarnation, now) = (self.id(), self.incarnation, self.now);
        let own = Founder { id, incarnation, boot: self.jitter.next() };
        if let Some(founding) = &mut self.founding {
            founding.begin_anew(own, now);
        }
    }

    /// The cluster was founded: this node is a member of it, or its disk is not the member's.
    fn on_founded(&mut self, from: NodeId, boot: u64, membership: Membership, bringer: Bringer) {
        let own = self.id();
        let Some(founding) = &mut self.founding else {
            return self.refuse(from, "Founded", Refusal::WrongRole);
        };
        if founding.own(own).boot != boot {
            return self.refuse(from, "Founded", Refusal::StaleReply);
        }
        let member = membership.member(own);
        if !member.is_some_and(|member| member.may_be(self.incarnation)) {
            // Nothing is left to agree to: the log comes when the node is made a member.
            self.founding = None;
            self.refuse(from, "Founded", Refusal::OtherDisk);
            self.on_stranger(from);
        } else if bringer == Bringer::Log {
            self.founding = None;
        } else if bringer == Bringer::Snapshot {
            founding.is_told = true;
        } else if founding.fits(&membership) {
            self.found(membership);
        } else {
            // This start may have agreed to another list.
            self.refuse(from, "Founded", Refusal::OtherDisk);
            self.meet_anew();
        }
    }

    /// The cluster does not count on this node's disk.
    pub(crate) fn on_stranger(&mut self, from: NodeId) {
        if !core::mem::replace(&mut self.strange, true) {
            self.actions.push(Action::Stranger { from });
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
