//! Three whole nodes in one process, each with its own directory: they append lines, stop, start
//! again from their disks, and still have the lines. The driver is `Cluster::settle`. Whole nodes
//! need the feature `unstable`.

mod driver;

use std::error::Error;

use driver::{Cluster, Lines, config};
use quorate::replica::Replica;
use quorate::storage::{ClusterId, FileDisk, Identity};
use quorate::types::{Incarnation, Membership, NodeId};

const CLUSTER: ClusterId = ClusterId(7);
const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let open = |id: NodeId| FileDisk::open(root.path().join(id.to_string()));

    let mut cluster = Cluster::new(CLUSTER);
    for id in IDS {
        let mut disk = open(id)?;
        let incarnation = Incarnation(u128::from(id.0)); // random, in a real cluster
        let identity = Identity { cluster: CLUSTER, node: id, incarnation };
        Replica::<Lines>::create(&mut disk, identity, &Membership::new(IDS), &config(id))?;
        cluster.start(id, disk)?;
    }
    (1..=100).for_each(|line| cluster.add(&format!("line {line}")));
    cluster.agree();
    println!("{} lines on three disks", cluster.read().lines().count());
    drop(cluster);

    let mut cluster = Cluster::new(CLUSTER);
    for id in IDS {
        cluster.start(id, open(id)?)?;
    }
    println!("after a restart of all three: {} lines", cluster.read().lines().count());
    Ok(())
}
