//! A file system that becomes full, and has space again.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use quorate::storage::OpenError;

use super::store::{Store, config};
use crate::mount::Image;
use crate::skip::skipped;

const IMAGE_BYTES: u64 = 64 << 20;

#[test]
fn a_full_file_system_gets_space_back() {
    match Image::new(IMAGE_BYTES) {
        Ok(image) => fill_and_free(&image),
        Err(reason) => skipped("a_full_file_system_gets_space_back", &reason),
    }
}

fn fill_and_free(image: &Image) {
    let directory = image.path().join("node");
    let mut store = Store::open(&directory, &config()).expect("the file system is empty");
    store.begin_term().expect("the term is written");
    // A foreign file takes all the remaining space.
    let filler = image.path().join("filler");
    let mut file = File::create(&filler).expect("the file can be created");
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    drop(file);

    let mut was_full = false;
    let mut rounds = 0;
    while store.outstanding() < 4 {
        store.append().expect("a full file system is not a failure");
        while store.step().expect("a full file system is not a failure") {}
        was_full |= store.full;
        rounds += 1;
        assert!(rounds < 10_000, "the store is never full");
    }
    assert!(was_full, "the store reports that the disk is full");
    let durable_when_full = store.durable;
    assert!(durable_when_full.0 > 0, "the spare segments were used");

    std::fs::remove_file(&filler).expect("the file exists");
    store.retry_space().expect("the retry succeeds");
    assert!(!store.full, "the store reports free space");
    assert_eq!(store.outstanding(), 0, "the waiting writes are durable");
    store.append().expect("the store continues");
    while store.step().expect("the store continues") {}
    let durable = store.durable;
    assert!(durable > durable_when_full);
    drop(store);
    let store = reopened(&directory).expect("the store recovers");
    assert_eq!(store.durable, durable);
}

/// Opens the store again. A child process of another test inherits the lock of the store, until the
/// child runs its own program.
#[expect(clippy::disallowed_methods, reason = "another process needs a moment")]
fn reopened(directory: &Path) -> Result<Store, OpenError> {
    for _ in 0..100 {
        match Store::open(directory, &config()) {
            Err(error) if error.to_string().contains("in use by another process") => {
                std::thread::sleep(Duration::from_millis(20));
            }
            result => return result,
        }
    }
    Store::open(directory, &config())
}
