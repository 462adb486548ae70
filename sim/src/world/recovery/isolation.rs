//! The links between the core and the nodes outside it.

use quorate::raft::RoleName;

use crate::values::choice::{Key, Kind};
use crate::world::cluster::Cluster;
use crate::world::network::Network;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::run::Setup;

/// Blocks links between the core and the nodes outside, without end: in both directions if the
/// run's options guarantee nothing under one-way cuts. Otherwise an outside node keeps links in
/// one direction, and links in both directions to so few nodes that it cannot win an election,
/// does not become the preferred leader, and does not repeatedly leave and return.
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
                    blocked =
                        blocked.and(Links::one(*place, *member)).and(Links::one(*member, *place))
                }
                1 => blocked = blocked.and(Links::one(*place, *member)),
                _ => blocked = blocked.and(Links::one(*member, *place)),
            }
            if !full {
                reach.retain(|near| near != member);
            }
        }
    }
    let outbound =
        Links::between(cluster.places(), |from, to| may_change.contains(&from) && in_core(to));
    network.block(blocked.and(outbound));
}

/// Returns true if the node leads or is about to, and could still change the membership: if its
/// messages reached a part of the core and it got no replies, the core would wait for its
/// voters.
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
