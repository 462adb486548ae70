//! The conditions of a node that need an operator. One line at WARN is logged when a condition has
//! lasted for a while, and one at INFO when it has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{info, warn};

use crate::replica::Node;
use crate::types::text::texts;
use crate::types::{Instant, NodeId, PeerStatus, RoleName, StateVerification};

/// The interval at which the conditions are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// The time after which a condition is logged. Elections and restarts are shorter.
const PATIENCE: Duration = Duration::from_secs(5);

/// A condition that needs an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    NotBootstrapped,
    NoLeader,
    Removed,
    PeerSilent(NodeId),
    DiskFull,
    PeerDiskFull(NodeId),
    StateDiffers,
    NoMajority,
    BuildTooOld,
}

/// The present conditions of one node.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    present: BTreeMap<Condition, Presence>,
    read_at: Option<Instant>,
    /// Whether the node has been a member since its start. A node that waits to be added, and one
    /// that starts after its removal, look alike.
    was_member: bool,
}

/// The time since which a condition is present.
#[derive(Clone, Copy, Debug)]
struct Presence {
    since: Instant,
    is_logged: bool,
}

/// A log line about a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Begins(Condition),
    Ends(Condition),
}

impl Conditions {
    /// Reads the conditions of the node at most once in each [`INTERVAL`], and logs the changes.
    /// Each call also records whether the node is a member.
    pub(super) fn log_changes(&mut self, now: Instant, node: &Node) {
        // A node may be a member for less than an interval.
        let is_removed =
            self.is_removed(node.raft().log().membership().is_member(node.raft().config().id));
        if self.read_at.is_some_and(|read_at| now.since(read_at) < INTERVAL) {
            return;
        }
        self.read_at = Some(now);
        let leads = node.status().role == RoleName::Leader;
        let mut present = of(node);
        if is_removed {
            present.push(Condition::Removed);
        }
        for line in self.update(now, leads, &present) {
            match line {
                Line::Begins(condition) => warn!("{condition}"),
                Line::Ends(condition) => info!("over: {condition}"),
            }
        }
    }

    /// Records whether the node is a member. Returns true if it was one, and is none now.
    fn is_removed(&mut self, is_member: bool) -> bool {
        self.was_member |= is_member;
        self.was_member && !is_member
    }

    /// Takes over the conditions that are present at `now`, and returns the lines to log. A node
    /// that no longer leads does not know whether a condition of a peer is over.
    fn update(&mut self, now: Instant, leads: bool, present: &[Condition]) -> Vec<Line> {
        let mut lines = Vec::new();
        self.present.retain(|condition, presence| {
            let remains = present.contains(condition);
            if !remains && presence.is_logged && (leads || !condition.is_of_peer()) {
                lines.push(Line::Ends(*condition));
            }
            remains
        });
        for condition in present {
            let new = Presence { since: now, is_logged: false };
            let presence = self.present.entry(*condition).or_insert(new);
            if !presence.is_logged && now.since(presence.since) >= PATIENCE {
                presence.is_logged = true;
                lines.push(Line::Begins(*condition));
            }
        }
        lines
    }
}

/// Returns the conditions of the node. Only a leader knows those of its peers.
fn of(node: &Node) -> Vec<Condition> {
    let status = node.status();
    let mut present = Vec::new();
    let is_bootstrapping = node.raft().config().bootstrap_peers.is_some();
    if is_bootstrapping && node.raft().log().membership().is_empty() {
        present.push(Condition::NotBootstrapped);
    }
    // A node that is not a voter may rightly know no leader, such as one that waits to be added.
    if status.leader.is_none() && node.raft().log().membership().is_voter(status.id) {
        present.push(Condition::NoLeader);
    }
    if status.disk_full {
        present.push(Condition::DiskFull);
    }
    match node.verification() {
        StateVerification::Quarantined => present.push(Condition::StateDiffers),
        StateVerification::NoMajority => present.push(Condition::NoMajority),
        StateVerification::TooOld => present.push(Condition::BuildTooOld),
        StateVerification::Unverified | StateVerification::Consistent => {}
    }
    if status.role == RoleName::Leader {
        present.extend(node.peers().iter().filter_map(of_peer));
    }
    present
}

fn of_peer(peer: &PeerStatus) -> Option<Condition> {
    match peer {
        PeerStatus { suspected: true, .. } => Some(Condition::PeerSilent(peer.id)),
        PeerStatus { disk_full: true, .. } => Some(Condition::PeerDiskFull(peer.id)),
        _ => None,
    }
}

impl Condition {
    fn is_of_peer(self) -> bool {
        matches!(self, Condition::PeerSilent(_) | Condition::PeerDiskFull(_))
    }
}

texts! {
    Condition:
    Self::NoLeader =>
        "no leader: this node accepts no writes; a quorum of the voters must run and reach one \
         another";
    Self::NotBootstrapped =>
        "the cluster is not bootstrapped yet: all of its initial members must run and reach one \
         another once";
    Self::Removed =>
        "this node was removed from the cluster: stop it, unless it is to be added again";
    Self::PeerSilent(peer) =>
        "{peer} does not answer its leader: start it, check the network, or replace it";
    Self::DiskFull =>
        "the disk is full: the node accepts no new entries until there is free space";
    Self::PeerDiskFull(peer) =>
        "the disk of {peer} is full: it accepts no new entries until there is free space";
    Self::StateDiffers =>
        "quarantined: the state of this node differs from that of a majority; it applies nothing \
         and rejects reads until it has rebuilt its state from a snapshot";
    Self::NoMajority =>
        "no majority of the nodes has the same state, so the right one is unknown: the node \
         applies nothing and rejects reads; restore a backup";
    Self::BuildTooOld =>
        "the build of this node is too old for the version that the log has reached: the node \
         votes and stores entries, but applies nothing and rejects reads; restart it with the \
         newer build";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Instant {
        Instant(seconds * 1_000_000_000)
    }

    #[test]
    fn a_condition_is_logged_once_when_it_lasts_and_once_when_it_ends() {
        let mut conditions = Conditions::default();
        let (silent, full) = (Condition::PeerSilent(NodeId(2)), Condition::DiskFull);
        let mut update =
            |second, present: &[Condition]| conditions.update(after(second), true, present);
        assert_eq!(update(0, &[silent]), []);
        assert_eq!(update(4, &[silent, full]), []);
        assert_eq!(update(5, &[silent, full]), [Line::Begins(silent)]);
        assert_eq!(update(8, &[silent, full]), []);
        assert_eq!(update(9, &[silent, full]), [Line::Begins(full)]);
        assert_eq!(update(10, &[full]), [Line::Ends(silent)]);
        assert_eq!(update(11, &[silent, full]), []);
        assert_eq!(update(12, &[full]), [], "a condition that was not logged ends without a line");
    }

    #[test]
    fn a_node_that_waits_to_be_added_was_not_removed() {
        let mut conditions = Conditions::default();
        let removed: Vec<bool> =
            [false, true, false, true].map(|is_member| conditions.is_removed(is_member)).into();
        assert_eq!(removed, [false, false, true, false]);
    }

    #[test]
    fn a_node_that_no_longer_leads_does_not_log_that_a_peer_answers() {
        let mut conditions = Conditions::default();
        let silent = Condition::PeerSilent(NodeId(2));
        assert_eq!(conditions.update(after(0), true, &[silent]), []);
        assert_eq!(conditions.update(after(5), true, &[silent]), [Line::Begins(silent)]);
        assert_eq!(conditions.update(after(6), false, &[]), []);
    }
}
