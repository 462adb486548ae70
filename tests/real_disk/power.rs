//! Power cuts of a mounted file system while a load writes to it.

use std::path::Path;
use std::process::Command;

use super::load::{Load, check};
use crate::mount::{Image, run};
use crate::program::build;
use crate::skip::skipped;

/// The number of cuts after which the load uses a new directory, so that the log stays short.
const CUTS_PER_DIRECTORY: usize = 20;
const IMAGE_BYTES: u64 = 256 << 20;
/// More writes than a load performs before its cut.
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
        let directory = image.path().join(format!("node-{}", number / CUTS_PER_DIRECTORY));
        let mut load = Load::start(&directory, WRITES, &[]);
        let times = 1 + number * 37 % 150;
        assert!(load.wait_for_reports(times), "the load ended early: {:?}", load.reported);
        run(Command::new(program).arg(image.path())).expect("ext4 supports the shutdown ioctl");
        let reported = load.end();
        image.unmount().expect("the image is not in use");
        image.mount().expect("the journal is replayed");
        check(&directory, &reported);
        if (number + 1) % CUTS_PER_DIRECTORY == 0 {
            std::fs::remove_dir_all(&directory).expect("the directory can be removed");
        }
    }
}

#[test]
fn acknowledged_entries_survive_power_cuts() {
    power_cuts("acknowledged_entries_survive_power_cuts", 10);
}

#[test]
#[ignore = "takes minutes"]
fn long_power_cuts() {
    power_cuts("long_power_cuts", 200);
}
