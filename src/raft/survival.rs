//! Going on as the last survivor: who is silent, and whether this node may go on without them.
//!
//! `docs/SURVIVOR.md` has the argument. In short: what is acknowledged is on the disk of every
//! voter, so that any one which counted all the time may go on alone. A node knows that it counts
//! because its leader has said so since it started, and no pause came between.

use alloc::vec::Vec;
use core::time::Duration;

use crate::quorum::Verdict;
use crate::types::{Instant, Membership, NodeId};

/// What a node knows of who is alive, itself among them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Survival {
    /// How long a node is silent before it is taken for dead; none if none ever is.
    after: Option<Duration>,
    /// Without a restart or a pause since, a leader counted on this node, or it leads.
    counts: bool,
    /// When it started, or went on after a pause, or heard its leader: nobody was silent before.
    since: Instant,
    /// When others were heard since then, by ascending id.
    heard: Vec<(NodeId, Instant)>,
}

impl Survival {
    /// A node that has just started counts for nothing yet.
    pub(crate) fn new(after: Option<Duration>, now: Instant) -> Survival {
        let since = if after.is_some() { now } else { Instant::ZERO };
        Survival { after, counts: false, since, heard: Vec::new() }
    }

    /// Whether nodes go on without those that are silent.
    pub(crate) fn is_on(&self) -> bool {
        self.after.is_some()
    }

    /// When the node wants to be told of the time at the latest, if it was told at `now`: a longer
    /// wait is a pause.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        self.after.map_or(Instant::NEVER, |after| now.after(after / 8))
    }

    /// The node is told of the time, for the first time since `before`. Returns whether it stood
    /// still so long that others may have gone on without it.
    pub(crate) fn told(&mut self, before: Instant, now: Instant) -> bool {
        let Some(after) = self.after else { return false };
        let paused = now >= before.after(after / 2);
        if paused {
            *self = Survival::new(self.after, now);
        }
        paused
    }

    /// Another node was heard.
    pub(crate) fn hear(&mut self, id: NodeId, now: Instant) {
        if self.after.is_none() {
            return;
        }
        match self.heard.binary_search_by_key(&id, |(other, _)| *other) {
            Ok(place) => self.heard[place].1 = now,
            Err(place) => self.heard.insert(place, (id, now)),
        }
    }

    /// The leader was heard. Who follows is told nothing by the others who do: that they were not
    /// heard means nothing.
    pub(crate) fn follow(&mut self, now: Instant) {
        if self.after.is_some() {
            (self.since, self.heard) = (now, Vec::new());
        }
    }

    /// Forgets who is no member.
    pub(crate) fn keep(&mut self, members: &Membership) {
        self.heard.retain(|(id, _)| members.is_member(*id));
    }

    fn last_heard(&self, id: NodeId) -> Instant {
        let found = self.heard.iter().find(|(other, _)| *other == id);
        found.map_or(self.since, |(_, at)| *at)
    }

    /// Whether the node was silent for so long that it is dead.
    pub(crate) fn is_silent(&self, id: NodeId, now: Instant) -> bool {
        self.after.is_some_and(|after| now >= self.last_heard(id).after(after))
    }

    /// Whether the node was heard so lately that it will not be silent for long enough before it
    /// hears that it counts.
    pub(crate) fn is_fresh(&self, id: NodeId, now: Instant) -> bool {
        let known = self.heard.iter().any(|(other, _)| *other == id);
        self.after.is_some_and(|after| known && now < self.last_heard(id).after(after / 4))
    }

    /// A leader counts on this node, or it leads: what is acknowledged from now on, it has.
    pub(crate) fn count(&mut self) {
        self.counts = true;
    }

    /// The node has no vote any more.
    pub(crate) fn discount(&mut self) {
        self.counts = false;
    }

    /// Whether the node has all that was ever acknowledged.
    pub(crate) fn counts(&self) -> bool {
        self.counts
    }

    /// Where an election stands: every voter that is not dead must have granted, and one of them
    /// must have counted all the time, unless nobody is missing.
    pub(crate) fn verdict(
        &self,
        own: NodeId,
        membership: &Membership,
        (granted, refused): (&[NodeId], &[NodeId]),
        vouched: bool,
        now: Instant,
    ) -> Verdict {
        let missing = membership.voters().filter(|id| !granted.contains(id));
        let missing: Vec<NodeId> = missing.collect();
        let dead = |id: &NodeId| *id != own && self.is_silent(*id, now);
        if missing.is_empty() {
            Verdict::Won
        } else if missing.iter().all(dead) {
            if self.counts || vouched { Verdict::Won } else { Verdict::Pending }
        } else if missing.iter().any(|id| !dead(id) && refused.contains(id)) {
            Verdict::Lost
        } else {
            Verdict::Pending
        }
    }

    /// Every instant it knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.heard.iter_mut().map(|(_, at)| at).chain([&mut self.since])
    }
}
