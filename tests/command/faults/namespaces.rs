//! Partitions, one-way partitions and packet loss in the kernel's network.

use std::collections::BTreeMap;

use tempfile::TempDir;

use crate::faults::cluster::{Cluster, NodeLocation};
use crate::faults::network::Network;
use crate::skip::skipped;

/// Starts three nodes in their own namespaces; returns None if this machine does not allow it.
fn nodes(test: &str, tls: bool) -> Option<(Network, Cluster)> {
    let network = match Network::new(3) {
        Ok(network) => network,
        Err(reason) => {
            skipped(test, &reason);
            return None;
        }
    };
    let root = TempDir::new().expect("a temporary file can be created");
    let location = |id: u64| {
        let (address, directory) = (network.address(id), root.path().join(format!("d{id}")));
        let location =
            NodeLocation { address, listen: address, directory, within: network.within(id) };
        (id, location)
    };
    let locations: BTreeMap<u64, NodeLocation> = (1..=3).map(location).collect();
    let mut cluster = Cluster::new(root, locations, tls);
    cluster.serve_all();
    Some((network, cluster))
}

#[test]
fn an_isolated_leader_loses_no_acknowledged_write() {
    let Some((network, cluster)) = nodes("an_isolated_leader_loses_no_acknowledged_write", true)
    else {
        return;
    };
    let load = cluster.load(21);
    for _ in 0..2 {
        load.answered(20);
        let leader = cluster.leader();
        network.isolate(leader);
        load.answered(60);
        assert_ne!(cluster.leader(), leader, "another node answers the clients");
        network.heal();
    }
    load.answered(20);
    load.must_be_linearizable();
}

#[test]
fn a_leader_whose_messages_are_lost_steps_down() {
    let Some((network, cluster)) = nodes("a_leader_whose_messages_are_lost_steps_down", false)
    else {
        return;
    };
    let load = cluster.load(22);
    load.answered(20);
    let leader = cluster.leader();
    for other in cluster.ids().into_iter().filter(|id| *id != leader) {
        network.cut(leader, other);
    }
    load.answered(60);
    assert_ne!(cluster.leader(), leader, "another node answers the clients");
    network.heal();
    load.answered(20);
    load.must_be_linearizable();
}

#[test]
fn packet_loss_loses_no_acknowledged_write() {
    let test = "packet_loss_loses_no_acknowledged_write";
    let Some((network, cluster)) = nodes(test, true) else { return };
    let load = cluster.load(23);
    load.answered(20);
    network.lose(10);
    load.answered(60);
    network.heal();
    load.answered(20);
    load.must_be_linearizable();
}
