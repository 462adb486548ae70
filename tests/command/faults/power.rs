//! Power failures: the file system of a node is shut down without a last flush.

use std::collections::BTreeMap;
use std::process::Command;

use tempfile::TempDir;

use crate::addresses::free_address;
use crate::faults::cluster::{Cluster, NodeLocation};
use crate::mount::{Image, run};
use crate::program::build;
use crate::skip::skipped;

const IMAGE_BYTES: u64 = 256 << 20;
const CUTS: usize = 4;

#[test]
fn a_power_failure_loses_no_acknowledged_write() {
    let root = TempDir::new().expect("a temporary file can be created");
    let images = build("shutdown.rs", "bin", "shutdown-node").and_then(|program| {
        let images: Result<Vec<Image>, String> = (0..3).map(|_| Image::new(IMAGE_BYTES)).collect();
        Ok((program, images?))
    });
    let (program, mut images) = match images {
        Ok(made) => made,
        Err(reason) => {
            return skipped("a_power_failure_loses_no_acknowledged_write", &reason);
        }
    };
    let location = |(id, image): (u64, &Image)| {
        let (address, directory) = (free_address(), image.path().join("data"));
        (id, NodeLocation { address, listen: address, directory, within: Vec::new() })
    };
    let locations: BTreeMap<u64, NodeLocation> = (1..).zip(&images).map(location).collect();
    let mut cluster = Cluster::new(root, locations, false);
    cluster.serve_all();
    let load = cluster.load(41);
    load.answered(30);
    for cut in 0..CUTS {
        let id = match cut % 2 {
            0 => cluster.leader(),
            _ => cut as u64 % 3 + 1,
        };
        let image = &mut images[id as usize - 1];
        run(Command::new(&program).arg(image.path())).expect("ext4 can be cut off");
        cluster.kill(id);
        image.unmount().expect("no process uses the image");
        image.mount().expect("the journal is replayed");
        assert!(cluster.directory(id).exists());
        load.answered(20);
        cluster.serve(id);
        load.answered(30);
    }
    load.must_be_linearizable();
    drop(cluster);
}
