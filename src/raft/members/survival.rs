//! Takeover by the last survivor: which nodes are silent, and whether this node may continue
//! without them.
//!
//! `docs/SURVIVOR.md` has the argument. In short: a committed entry is on the disk of every voter,
//! so any voter that was up all the time may continue alone. A node may do so if it was elected, or
//! allowed to by a leader, and has been neither restarted nor paused since.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::quorum::{Tally, VoteResult};
use crate::types::{Heartbeat, Instant, Membership, NodeId, Term};

/// The last contacts with other nodes, and whether this node may take over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Survival {
    /// The silence after which a node counts as dead; `None` without `Config::survivor`.
    after: Option<Duration>,
    /// Whether this node may take over: a leader has allowed it, or the node was elected as an
    /// incoming voter. A restart, a pause, a disk that holds back the node's messages for as long,
    /// the loss of its vote and uncertainty end that.
    takeover_allowed: bool,
    echo: Echo,
    /// Since when the node sends nothing, because its hard state is not durable yet.
    mute_since: Option<Instant>,
    /// The latest of the start, the end of the last pause, the last leader contact, and the last
    /// election timeout after which the node might not campaign. The silence of a node without an
    /// entry in `contacts` counts from this time.
    silence_start: Instant,
    /// The last contact with each node that this node has heard from since `silence_start`.
    contacts: BTreeMap<NodeId, Instant>,
}

/// Whether a leader has echoed a heartbeat reply that the node sent since its start and its last
/// pause. Until then the leader may have sent its permission to take over before that, and others
/// may have continued without the node in the meantime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
enum Echo {
    /// The node has answered no heartbeat since then.
    NoReply,
    /// The node has answered `round`, the first one of `term` since then.
    Awaited {
        term: Term,
        round: u64,
    },
    Received,
}

impl Survival {
    /// The state of a node that has just started, and may not take over yet.
    pub(crate) fn new(after: Option<Duration>, now: Instant) -> Survival {
        let silence_start = if after.is_some() { now } else { Instant::ZERO };
        let (echo, contacts) = (Echo::NoReply, BTreeMap::new());
        let (takeover_allowed, mute_since) = (false, None);
        Survival { after, takeover_allowed, echo, mute_since, silence_start, contacts }
    }

    /// Whether `Config::survivor` is set, so that nodes continue without silent ones.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.after.is_some()
    }

    /// The time by which the node must take the step after the one at `now`, so that it does not
    /// count as paused although it runs.
    pub(crate) fn deadline(&self, now: Instant) -> Instant {
        self.after.map_or(Instant::NEVER, |after| now.after(after / 8))
    }

    /// Advances the clock from the previous step at `before` to `now`. Returns whether the node was
    /// paused for so long that others may have taken over without it. They may have done so, too,
    /// while the node's messages waited for its disk; and their silence in that time means nothing.
    #[inline]
    pub(crate) fn advance_clock(&mut self, before: Instant, now: Instant) -> bool {
        assert!(now >= before, "contract: now never goes back");
        let Some(after) = self.after else { return false };
        let paused = now >= before.after(after / 2);
        let was_mute = self.mute_since.is_some_and(|since| now >= since.after(after / 2));
        if paused || was_mute {
            *self = Survival { mute_since: self.mute_since, ..Survival::new(self.after, now) };
        }
        paused
    }

    /// Records a contact with another node.
    pub(crate) fn record_contact(&mut self, id: NodeId, now: Instant) {
        if self.after.is_some() {
            self.contacts.insert(id, now);
        }
    }

    /// Drops the contacts, and counts the silence of all nodes from now on. A follower that hears
    /// its leader, or may not campaign, asks no other node for anything, so the silence of the
    /// others means nothing.
    #[inline]
    pub(crate) fn restart_silence(&mut self, now: Instant) {
        if self.after.is_some() {
            (self.silence_start, self.contacts) = (now, BTreeMap::new());
        }
    }

    /// Handles a heartbeat of the leader of `term`; `is_new` says that the node answers its round
    /// for the first time.
    pub(crate) fn on_heartbeat(&mut self, term: Term, heartbeat: &Heartbeat, is_new: bool) {
        if !self.is_on() {
            return;
        }
        self.echo = match self.echo {
            Echo::Received => Echo::Received,
            Echo::Awaited { term: of, round } if of == term && heartbeat.echo >= round => {
                Echo::Received
            }
            Echo::Awaited { term: of, .. } if of == term => self.echo,
            Echo::NoReply | Echo::Awaited { .. } if is_new => {
                Echo::Awaited { term, round: heartbeat.round }
            }
            Echo::NoReply | Echo::Awaited { .. } => self.echo,
        };
    }

    /// Records at the end of a step whether every message of the node waits for its disk.
    #[inline]
    pub(crate) fn record_mute(&mut self, is_mute: bool, now: Instant) {
        if self.is_on() {
            self.mute_since = is_mute.then(|| self.mute_since.unwrap_or(now));
        }
    }

    /// Drops the contacts of nodes that are not members.
    pub(crate) fn retain_members(&mut self, members: &Membership) {
        self.contacts.retain(|id, _| members.is_member(*id));
    }

    fn last_contact(&self, id: NodeId) -> Instant {
        self.contacts.get(&id).map_or(self.silence_start, |at| *at)
    }

    /// Whether the node has been silent for so long that it counts as dead.
    pub(crate) fn is_silent(&self, id: NodeId, now: Instant) -> bool {
        self.after.is_some_and(|after| now >= self.last_contact(id).after(after))
    }

    /// Whether this node has heard from the node `id` so recently that
    /// [`Body::TakeoverAllowed`](crate::types::Body) reaches that node before it counts as dead.
    pub(crate) fn is_fresh(&self, id: NodeId, now: Instant) -> bool {
        let known = self.contacts.contains_key(&id);
        self.after.is_some_and(|after| known && now < self.last_contact(id).after(after / 4))
    }

    /// Whether a leader's permission to take over counts: the leader has heard from this node since
    /// the node's start and its last pause.
    pub(crate) fn may_accept_permission(&self) -> bool {
        self.is_on() && self.echo == Echo::Received
    }

    /// Allows this node to take over: its disk has every committed entry, and will have every later
    /// one.
    pub(crate) fn allow_takeover(&mut self) {
        self.takeover_allowed = true;
    }

    /// Forbids this node to take over, because it is no longer an incoming voter or has become
    /// uncertain.
    pub(crate) fn forbid_takeover(&mut self) {
        self.takeover_allowed = false;
    }

    /// Whether this node may take over, because its log has every committed entry.
    pub(crate) fn may_take_over(&self) -> bool {
        self.takeover_allowed
    }

    /// The result of an election: every voter that is not dead must have granted its vote. If any
    /// voter is missing, this node or one that granted must have a complete log.
    pub(crate) fn vote_result(
        &self,
        own: NodeId,
        membership: &Membership,
        tally: &Tally,
        has_complete_log_vote: bool,
        now: Instant,
    ) -> VoteResult {
        assert!(self.is_on(), "only survivors continue without a quorum");
        let missing = membership.voters().filter(|id| !tally.granted().contains(id));
        let missing: Vec<NodeId> = missing.collect();
        let dead = |id: &NodeId| *id != own && self.is_silent(*id, now);
        if missing.is_empty() {
            VoteResult::Won
        } else if missing.iter().all(dead) {
            if self.takeover_allowed || has_complete_log_vote {
                VoteResult::Won
            } else {
                VoteResult::Pending
            }
        } else if missing.iter().any(|id| !dead(id) && tally.rejected().contains(id)) {
            VoteResult::Lost
        } else {
            VoteResult::Pending
        }
    }

    /// Panics if the contacts are not those of the members, or contradict the clock.
    pub(crate) fn assert_invariants(&self, members: &Membership, now: Instant) {
        assert!(self.is_on() || self.contacts.is_empty(), "contacts matter to survivors only");
        let are_members = self.contacts.keys().all(|id| members.is_member(*id));
        assert!(are_members, "the contact with a removed node is dropped");
        let past = self.contacts.values().all(|at| *at <= now);
        assert!(past && self.silence_start <= now, "no node was heard from in the future");
    }
}

#[cfg(feature = "explore")]
impl Survival {
    /// Returns every instant in the survival state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.contacts.values_mut().chain([&mut self.silence_start]).chain(&mut self.mute_since)
    }
}
