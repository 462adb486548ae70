//! Draws rolling upgrades: the builds of the nodes, the raise of the version, and downgrades.

use quorate::types::NodeId;

use crate::faults::{NodeSelector, Upgrade};
use crate::plan::planner::Planner;

/// The nodes get a newer build one after the other, and the operator raises the version. Some nodes
/// keep the old build or get it back, before the raise or after it.
pub(super) fn rolling_upgrade(planner: &mut Planner<'_>) {
    let build = planner.draw.between(1, Upgrade::VERSION_MAX.into()) as u32;
    let step = planner.settings.config.election_timeout_max * planner.draw.between(1, 6) as u32;
    let mut at = planner.any_moment();
    let keeps_one = planner.draw.chance(250);
    let old = planner.draw.node();
    for node in (1..=planner.settings.nodes()).map(|id| NodeId(id.into())) {
        if keeps_one && node == old {
            continue;
        }
        planner.push(at, Upgrade::Install(NodeSelector::Node(node), build));
        at = at.after(step / 4);
        if planner.draw.chance(100) {
            planner.push(at, Upgrade::Install(NodeSelector::Node(node), build - 1));
        }
    }
    // A leader may be lost, or not know the builds of all nodes yet.
    for _ in 0..planner.draw.between(1, 4) {
        at = at.after(step / 2);
        planner.push(at, Upgrade::Raise(NodeSelector::Leader, build));
    }
    let target = planner.draw.any_node();
    if planner.draw.chance(500) {
        planner.push(at.after(step), Upgrade::Install(target, build - 1));
    }
    if planner.draw.chance(300) {
        planner.push(at.after(step * 4), Upgrade::Install(target, build));
    }
}
