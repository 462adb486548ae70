//! The choice of the core of the stabilization phase, and its links with the nodes outside it.

use quorate::raft::RoleName;
use quorate::types::{Membership, NodeId, PendingTransition, Voters};

use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::values::choice::{Draw, Key, Kind};
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::network::Network;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::run::Setup;

/// Draws the core: a quorum of every membership that may decide, sometimes with more voters; most
/// learners, and suspended voters; the bootstrap peers that the core needs; and some members whose
/// disks lost data that the others can restore. With last-survivor takeover, one node or all nodes.
pub(crate) fn draw_core(setup: &Setup, cluster: &Cluster) -> Vec<Place> {
    let mut draw = setup.choices.draw(Kind::Core.key());
    if setup.settings.config.survivor.is_some() {
        // One node that may take over, or all nodes, because any of them may have taken over alone.
        let everyone = || cluster.places().collect();
        return draw_last_survivor(setup, cluster).map_or_else(everyone, |last| vec![last]);
    }
    let mut core = Vec::new();
    for membership in cluster.electorates() {
        // The target voters may become voters before a leader notices that one of them is gone.
        for voters in [membership.incoming(), membership.outgoing(), membership.target()] {
            draw_quorum(membership, voters, setup, cluster, &mut draw, &mut core);
        }
    }
    let members = cluster.committed_membership();
    let learners = members.learners().filter(|id| has_intact_disk_in_all(cluster, *id));
    let learners = learners.filter(|_| !draw.chance(200));
    core.extend(learners.filter_map(|id| cluster.place(id)));
    // A suspended voter that is heard again is readmitted, and then the leader waits for it.
    for membership in cluster.electorates() {
        let back =
            membership.members().iter().filter(|it| it.pending == PendingTransition::Promote);
        let back = back.filter(|member| has_intact_disk_in_all(cluster, member.id));
        core.extend(back.filter_map(|member| cluster.place(member.id)));
    }
    core.extend(bootstrap_peers_for(&core, setup, cluster));
    core.extend(draw_repairable(setup, cluster));
    core.extend(draw_uncertain(setup, cluster));
    core.sort_unstable();
    core.dedup();
    core
}

/// Draws whether a member whose disk lost entries joins the core: the rest of the core, a quorum
/// with intact disks, has each of these entries that may be committed.
fn draw_repairable(setup: &Setup, cluster: &Cluster) -> Option<Place> {
    let mut draw = setup.choices.draw(Key { counter: 300, ..Kind::Core.key() });
    let is_member =
        |place: &Place| cluster.electorates().all(|membership| membership.is_member(place.id()));
    let lost = cluster.places().find(|place| cluster.is_repairable(*place))?;
    Some(lost).filter(is_member).filter(|_| draw.chance(700))
}

/// Draws which members with rolled-back disks join the core: the rest of the core, a quorum with
/// intact disks, makes them certain again.
fn draw_uncertain(setup: &Setup, cluster: &Cluster) -> Vec<Place> {
    let mut draw = setup.choices.draw(Key { counter: 400, ..Kind::Core.key() });
    let uncertain = cluster.places().filter(|place| cluster.is_uncertain_member(*place));
    uncertain.filter(|_| draw.chance(700)).collect()
}

/// Returns true if the node has the disk that every membership that may decide names, undamaged. A
/// membership that is not committed may name a disk that the node has lost since.
fn has_intact_disk_in_all(cluster: &Cluster, id: NodeId) -> bool {
    cluster.electorates().all(|membership| cluster.has_intact_disk(membership, id))
}

/// Adds a majority of the voters and some more, or half of them with the casting vote, to `core`.
fn draw_quorum(
    membership: &Membership,
    voters: &Voters,
    setup: &Setup,
    cluster: &Cluster,
    draw: &mut Draw<'_>,
    core: &mut Vec<Place>,
) {
    if voters.is_empty() {
        return;
    }
    let majority = voters.len() / 2 + 1;
    let room = voters.len() - majority;
    // A leader may be about to suspend a voter that it could not hear.
    let suspends = setup.settings.config.suspension.is_some();
    let spare = draw.below(room as u64 + 1).min(draw.below(8)) as usize;
    let spare = if suspends { spare.max(1).min(room) } else { spare };
    let first = draw.below(voters.len() as u64) as usize;
    let backward = *draw.pick(&[false, true]);
    let split = draw.chance(700) && !suspends;
    // A node with a damaged disk may never start again.
    let whole = |id: &NodeId| cluster.has_intact_disk(membership, *id);
    let mut fit: Vec<NodeId> = voters.iter().copied().filter(whole).collect();
    assert!(fit.len() >= majority, "a majority of voters has intact disks");
    if fit.iter().filter(|id| has_intact_disk_in_all(cluster, **id)).count() >= majority {
        fit.retain(|id| has_intact_disk_in_all(cluster, *id));
    }
    let holder =
        voters.casting().filter(|holder| split && voters.can_split() && fit.contains(holder));
    let count = match holder {
        Some(holder) => {
            fit.retain(|id| *id != holder);
            core.extend(cluster.place(holder));
            voters.len() / 2 - 1
        }
        None => majority + spare,
    };
    let step = if backward { fit.len().max(1) - 1 } else { 1 };
    let chosen = (0..count).map(|at| fit[(first + at * step) % fit.len()]);
    core.extend(chosen.filter_map(|id| cluster.place(id)));
}

/// Returns the bootstrap peers that must be repaired so that the cluster is bootstrapped, or so
/// that the rest of `core` learns that it is.
fn bootstrap_peers_for(core: &[Place], setup: &Setup, cluster: &Cluster) -> Vec<Place> {
    // A node that is not a bootstrap peer may have no membership either.
    let is_bootstrapped =
        |place: &Place| cluster[*place].bootstrapped && !cluster[*place].membership().is_empty();
    let peers = setup.settings.membership();
    let voters = peers.voters().filter_map(|id| cluster.place(id));
    if cluster.is_not_bootstrapped() {
        // A peer that is about to bootstrap the cluster may have chosen a disk that is lost since.
        let chosen = |place: &Place| {
            let mut memberships = cluster.nodes().map(Node::membership);
            memberships.all(|membership| cluster.has_named_disk(membership, place.id()))
        };
        return voters.filter(chosen).collect();
    }
    if core.iter().any(is_bootstrapped) {
        return Vec::new();
    }
    let whole = |place: &Place| cluster.is_reliable(cluster.committed_membership(), place.id());
    voters.filter(whole).take(1).collect()
}

/// Marks the kinds of nodes in the core and outside it.
pub(crate) fn mark_core(core: &[Place], cluster: &Cluster, observer: &mut Observer) {
    let membership = cluster.committed_membership();
    let outside = || cluster.nodes().filter(|node| !core.contains(&node.place));
    let up = |node: &Node| node.running().is_some();
    let is_learner = |place: &Place| {
        let id = place.id();
        membership.is_member(id) && !membership.is_voter(id)
    };
    let is_uncertain = |place: &Place| cluster[*place].disk.rolled_back;
    let has_damage = |place: &Place| cluster[*place].disk.device.has_damaged_sectors();
    let voters = membership.incoming();
    let voters_in = voters.iter().filter_map(|id| cluster.place(*id));
    let voters_in = voters_in.filter(|place| core.contains(place)).count();
    let non_member = |node: &Node| up(node) && !membership.is_member(node.place.id());
    observer.stabilized(&[
        (outside().any(up), Spot::OutsideCoreUp),
        (!outside().all(up), Spot::OutsideCoreDown),
        (core.iter().any(is_learner), Spot::LearnerInCore),
        (2 * voters_in == voters.len() && !voters.is_empty(), Spot::CoreIsHalf),
        (cluster.is_not_bootstrapped(), Spot::NotBootstrapped),
        (outside().any(non_member), Spot::NonMemberUp),
        (core.iter().any(has_damage), Spot::DamagedInCore),
        (core.iter().any(is_uncertain), Spot::UncertainInCore),
    ]);
}

/// Draws the last survivor, in some of the runs in which a node may take over.
pub(super) fn draw_last_survivor(setup: &Setup, cluster: &Cluster) -> Option<Place> {
    let mut draw = setup.choices.draw(Key { counter: 200, ..Kind::Core.key() });
    let may = |node: &&Node| {
        let running = node.running().filter(|_| node.stop_downtime.is_zero());
        running.is_some_and(|running| running.leadership.may_take_over)
    };
    let may: Vec<Place> = cluster.nodes().filter(may).map(|node| node.place).collect();
    let one = draw.below(may.len().max(1) as u64) as usize;
    may.get(one).copied().filter(|_| draw.chance(500))
}

/// Blocks links between the core and the nodes outside, without end: in both directions if the
/// run's options guarantee nothing under one-way cuts. Otherwise an outside node keeps
/// some links in one direction, and links in both directions to so few nodes that it cannot win an
/// election, does not become the preferred leader, and does not repeatedly leave and return.
pub(crate) fn isolate_core(
    core: &[Place],
    setup: &Setup,
    cluster: &Cluster,
    network: &mut Network,
) {
    let in_core = |place: Place| core.contains(&place);
    if !setup.settings.tolerates_one_way_cuts() {
        network.block(Links::between(cluster.places(), |from, to| in_core(from) != in_core(to)));
        return;
    }
    let outside = (0..setup.settings.nodes()).map(Place).filter(|place| !in_core(*place));
    let outside: Vec<Place> = outside.collect();
    let priority = |place: &Place| cluster.committed_membership().priority(place.id());
    let lowest = core.iter().map(priority).min().unwrap_or_default();
    let mut blocked = Links::default();
    let (may_change, outside): (Vec<Place>, Vec<Place>) =
        outside.into_iter().partition(|place| may_still_change(*place, setup, cluster));
    for place in &outside {
        let key = Key { node: place.0 + 1, counter: 100, ..Kind::Core.key() };
        let mut draw = setup.choices.draw(key);
        let may_talk = priority(place) <= lowest && setup.settings.config.suspension.is_none();
        // The node counts itself and all nodes outside as reachable.
        let mut reach: Vec<Place> = outside.iter().chain(&may_change).copied().collect();
        for member in core {
            let full = draw.chance(500) && may_talk && {
                reach.push(*member);
                !cluster.nears_quorum(&reach)
            };
            match draw.below(3) {
                _ if full => {}
                0 => {
                    blocked = blocked
                        .union(Links::one(*place, *member))
                        .union(Links::one(*member, *place))
                }
                1 => blocked = blocked.union(Links::one(*place, *member)),
                _ => blocked = blocked.union(Links::one(*member, *place)),
            }
            if !full {
                reach.retain(|near| near != member);
            }
        }
    }
    let outbound =
        Links::between(cluster.places(), |from, to| may_change.contains(&from) && in_core(to));
    network.block(blocked.union(outbound));
}

/// Returns true if the node leads or is about to, and could still change the membership: if its
/// messages reached a part of the core and it got no replies, the core would wait for the voters of
/// the new membership.
fn may_still_change(place: Place, setup: &Setup, cluster: &Cluster) -> bool {
    let role = cluster[place].role();
    let config = &setup.settings.config;
    let mut electorates = cluster.electorates();
    matches!(role, Some(RoleName::Leader | RoleName::Candidate))
        && electorates.any(|membership| {
            let voters = membership.incoming();
            let takes_over =
                config.casting_vote && voters.can_split() && voters.casting() != Some(place.id());
            !membership.is_settled() || takes_over || config.suspension.is_some()
        })
}
