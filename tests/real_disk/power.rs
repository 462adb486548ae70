//! Power cuts of a mounted file system while a load writes to it.

use std::path::Path;
use std::process::Command;

use super::load::{Load, check};
use super::mount::{Image, run};
use super::program::build;
use crate::skip::skipped;

/// After so many cuts the load goes on with a new directory, so that the log stays short.
const CUTS_A_DIRECTORY: usize = 20;
const IMAGE_BYTES: u64 = 256 << 20;
/// More than a cut ever waits for.
const WRITES: usize = 10_000;

fn power_cuts(name: &str, cuts: usize) {
    let image = build("shutdown.rs", "bin", &format!("shutdown-{name}"))
        .and_then(|program| Ok((program, Image::new(IMAGE_BYTES)?)));
    match image {
        Ok((program, image)) => cut(&program, image, cuts),
        Err(reason) => skipped(name, &reason),
    }
}

fn cut(program: &Path, mut image: Image, cuts: usize) {
    for number in 0..cuts {
        let directory = image.path().join(format!("node-{}", number / CUTS_A_DIRECTORY));
        let mut load = Load::start(&directory, WRITES, &[]);
        let times = 1 + number * 37 % 150;
        assert!(load.listen(times), "the load goes on: {:?}", load.said);
        run(Command::new(program).arg(image.path())).expect("ext4 can be cut off");
        let said = load.end();
        image.unmount().expect("nobody uses it any more");
        image.mount().expect("the journal is replayed");
        check(&directory, &said);
        if (number + 1) % CUTS_A_DIRECTORY == 0 {
            std::fs::remove_dir_all(&directory).expect("it is not needed any more");
        }
    }
}

#[test]
fn what_was_acknowledged_survives_power_cuts() {
    power_cuts("what_was_acknowledged_survives_power_cuts", 10);
}

#[test]
#[ignore = "takes minutes"]
fn long_power_cuts() {
    power_cuts("long_power_cuts", 200);
}
