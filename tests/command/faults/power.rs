//! The power goes under a node: its file system is cut off without a last flush.

use std::collections::BTreeMap;
use std::process::Command;

use tempfile::TempDir;

use crate::addresses::free_address;
use crate::faults::town::{Place, Town};
use crate::mount::{Image, run};
use crate::program::build;
use crate::skip::skipped;

const IMAGE_BYTES: u64 = 256 << 20;
const CUTS: usize = 4;

#[test]
fn a_node_whose_power_goes_keeps_what_it_acknowledged() {
    let root = TempDir::new().expect("there is room");
    let images = build("shutdown.rs", "bin", "shutdown-node").and_then(|program| {
        let images: Result<Vec<Image>, String> = (0..3).map(|_| Image::new(IMAGE_BYTES)).collect();
        Ok((program, images?))
    });
    let (program, mut images) = match images {
        Ok(made) => made,
        Err(reason) => {
            return skipped("a_node_whose_power_goes_keeps_what_it_acknowledged", &reason);
        }
    };
    let place = |(id, image): (u64, &Image)| {
        let (address, directory) = (free_address(), image.path().join("data"));
        (id, Place { address, listen: address, directory, within: Vec::new() })
    };
    let places: BTreeMap<u64, Place> = (1..).zip(&images).map(place).collect();
    let mut town = Town::new(root, places, false);
    town.serve_all();
    let load = town.load(41);
    load.answered(30);
    for cut in 0..CUTS {
        let id = match cut % 2 {
            0 => town.leader(),
            _ => cut as u64 % 3 + 1,
        };
        let image = &mut images[id as usize - 1];
        run(Command::new(&program).arg(image.path())).expect("ext4 can be cut off");
        town.kill(id);
        image.unmount().expect("nobody uses it any more");
        image.mount().expect("the journal is replayed");
        assert!(town.directory(id).exists());
        load.answered(20);
        town.serve(id);
        load.answered(30);
    }
    load.must_be_linearizable();
    drop(town);
}
