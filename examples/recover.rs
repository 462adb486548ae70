//! Two of three nodes are lost. Their cluster is inspected, a new cluster continues from the
//! surviving directory, and the other two join with empty disks (`docs/RECOVERY.md`). Whole nodes
//! and their recovery need the feature `unstable`.

mod driver;
#[path = "driver/operator.rs"]
mod operator;

use std::error::Error;
use std::path::Path;

use driver::{Cluster, Lines, config};
use quorate::recovery::{Backup, Consent, Plan, Survey, backup, restore};
use quorate::replica::Replica;
use quorate::storage::{ClusterId, FileDisk, Identity};
use quorate::types::{Change, Incarnation, Membership, NodeId};

const IDS: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
// In a real cluster, cluster ids and incarnations are random.
const OLD: ClusterId = ClusterId(0x01d);
const NEW: ClusterId = ClusterId(0x4e3);
const COPY: ClusterId = ClusterId(0xc09);

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let open = |name: String| FileDisk::open(root.path().join(Path::new(&name)));
    let empty = |cluster: ClusterId, id: NodeId, membership: &Membership, name: String| {
        let mut disk = open(name)?;
        let incarnation = Incarnation(cluster.0 << 8 | u128::from(id.0));
        let identity = Identity { cluster, node: id, incarnation };
        Replica::<Lines>::create(&mut disk, identity, membership, &config(id))?;
        Ok::<FileDisk, Box<dyn Error>>(disk)
    };
    let alone = |cluster: ClusterId, id: NodeId| {
        let mut member = Membership::new([id]).members()[0].clone();
        member.incarnation = Incarnation(cluster.0 << 8 | u128::from(id.0));
        Membership::new([id]).with_member(member)
    };

    let mut cluster = Cluster::new(OLD);
    for id in IDS {
        cluster.start(id, empty(OLD, id, &Membership::new(IDS), format!("old-{id}"))?)?;
    }
    (1..=50).for_each(|line| cluster.add(&format!("line {line}")));
    cluster.agree();
    drop(cluster);

    // Nodes 2 and 3 are lost. Inspect the surviving directory, and list what may be missing.
    let storage = config(IDS[0]).storage;
    let mut survivor = FileDisk::open_read_only(root.path().join("old-n1"))?;
    let mut survey = Survey::default();
    survey.inspect("old-n1", &mut survivor, &storage);
    print!("{survey}");
    let membership = alone(NEW, IDS[0]);
    let plan = Plan::new(&survey, None, &[], Consent::None, NEW, membership)?;
    print!("{}", plan.source());
    let mut disk = open("new-n1".to_owned())?;
    plan.create_directory(&mut survivor, IDS[0], &mut disk, &storage)?;

    let mut cluster = Cluster::new(NEW);
    cluster.start(IDS[0], disk)?;
    for id in [IDS[1], IDS[2]] {
        cluster.start(id, empty(NEW, id, &Membership::default(), format!("new-{id}"))?)?;
        cluster.change(Change::new().voter(id));
    }
    cluster.add("after the loss");
    println!("three nodes again: {} lines", cluster.read().lines().count());

    // Take a backup of a running node, and start a cluster of one node from it.
    let (head, mut frozen) = cluster.freeze(IDS[2]);
    let mut bytes = Vec::new();
    backup(&head, &mut frozen, &mut bytes)?;
    let root = Backup::open(&mut &bytes[..])?.verify()?;
    let mut disk = open("copy-n1".to_owned())?;
    restore(&mut &bytes[..], COPY, &alone(COPY, IDS[0]), IDS[0], &mut disk, &storage)?;
    let mut copy = Cluster::new(COPY);
    copy.start(IDS[0], disk)?;
    println!("restored from backup {root} at {}: {} lines", head.last, copy.read().lines().count());
    Ok(())
}
