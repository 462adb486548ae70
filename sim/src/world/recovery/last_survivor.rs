//! The last survivor among the nodes that may take over (`docs/SURVIVOR.md`).

use crate::values::choice::{Key, Kind};
use crate::world::cluster::Cluster;
use crate::world::cluster::node::Node;
use crate::world::place::Place;
use crate::world::run::Setup;

/// Draws the last survivor, in some of the runs in which a node may take over.
pub(super) fn draw_last_survivor(setup: &Setup, cluster: &Cluster) -> Option<Place> {
    let mut draw = setup.choices.draw(Key { counter: 200, ..Kind::Core.key() });
    let may = |node: &&Node| {
        let running = node.running().filter(|_| !(!node.stop_downtime.is_zero()));
        running.is_some_and(|running| running.leadership.may_take_over)
    };
    let may: Vec<Place> = cluster.nodes().filter(may).map(|node| node.place).collect();
    let one = draw.below(may.len().max(1) as u64) as usize;
    may.get(one).copied().filter(|_| draw.chance(500))
}
