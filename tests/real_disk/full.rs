//! A file system that is full, and gets space back.

use std::fs::File;
use std::io::Write;

use super::mount::Image;
use super::store::{Store, config};
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
    let mut store = Store::open(&directory, &config()).expect("a new file system has room");
    store.begin_term().expect("a term is recorded");
    // What others have stored there takes all the room.
    let filler = image.path().join("filler");
    let mut file = File::create(&filler).expect("there is room for a file");
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    drop(file);

    let mut was_full = false;
    let mut rounds = 0;
    while store.outstanding() < 4 {
        store.append().expect("a full file system is no failure");
        while store.step().expect("a full file system is no failure") {}
        was_full |= store.full;
        rounds += 1;
        assert!(rounds < 10_000, "the room ends");
    }
    assert!(was_full, "it was said before the last segment was full");
    let kept = store.durable;
    assert!(kept.0 > 0, "the segments ahead were used up");

    std::fs::remove_file(&filler).expect("it is there");
    store.retry_space().expect("there is room again");
    assert!(!store.full, "and it is said");
    assert_eq!(store.outstanding(), 0, "what waited is durable");
    store.append().expect("and it goes on");
    while store.step().expect("and it goes on") {}
    let durable = store.durable;
    assert!(durable > kept);
    drop(store);
    let store = Store::open(&directory, &config()).expect("it recovers");
    assert_eq!(store.durable, durable);
}
