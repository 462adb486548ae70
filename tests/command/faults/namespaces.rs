//! Partitions, cuts in one direction, and losses, as a kernel's network has them.

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::faults::streets::Streets;
use crate::faults::town::{Place, Town};
use crate::skip::skipped;

/// Three nodes in namespaces of their own; nothing, if such cannot be had here.
fn nodes(test: &str, tls: bool) -> Option<(Streets, Town)> {
    let streets = match Streets::new(3) {
        Ok(streets) => streets,
        Err(reason) => {
            skipped(test, &reason);
            return None;
        }
    };
    let root = TempDir::new().expect("there is room");
    let place = |id: u64| {
        let (address, directory) = (streets.address(id), root.path().join(format!("d{id}")));
        let place = Place { address, listen: address, directory, within: streets.within(id) };
        (id, place)
    };
    let places: BTreeMap<u64, Place> = (1..=3).map(place).collect();
    let mut town = Town::new(root, places, tls);
    town.serve_all();
    Some((streets, town))
}

#[test]
fn a_leader_that_is_cut_off_loses_nothing() {
    let Some((streets, town)) = nodes("a_leader_that_is_cut_off_loses_nothing", true) else {
        return;
    };
    let load = town.load(21);
    for _ in 0..2 {
        load.answered(20);
        let leader = town.leader();
        streets.isolate(leader);
        load.answered(60);
        assert_ne!(town.leader(), leader, "clients are answered by another");
        streets.mend();
    }
    load.answered(20);
    load.must_be_linearizable();
}

#[test]
fn a_leader_that_is_not_heard_steps_down() {
    let Some((streets, town)) = nodes("a_leader_that_is_not_heard_steps_down", false) else {
        return;
    };
    let load = town.load(22);
    load.answered(20);
    let leader = town.leader();
    for other in town.ids().into_iter().filter(|id| *id != leader) {
        streets.cut(leader, other);
    }
    load.answered(60);
    assert_ne!(town.leader(), leader, "clients are answered by another");
    streets.mend();
    load.answered(20);
    load.must_be_linearizable();
}

#[test]
fn a_network_that_loses_much_loses_nothing_that_was_acknowledged() {
    let test = "a_network_that_loses_much_loses_nothing_that_was_acknowledged";
    let Some((streets, town)) = nodes(test, true) else { return };
    let load = town.load(23);
    load.answered(20);
    streets.lose(10);
    load.answered(60);
    streets.mend();
    load.answered(20);
    load.must_be_linearizable();
}
