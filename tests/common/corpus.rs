//! Replay of a fuzz target's corpus, which includes every crash found so far.

use std::fs;
use std::path::Path;

/// Runs every corpus file of the fuzz target `target`.
pub(crate) fn replay(target: &str, drive: impl Fn(&[u8])) {
    for content in files(target) {
        drive(&content);
    }
}

/// Returns the content of every corpus file, and prints its path before it is used.
pub(crate) fn files(target: &str) -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("the corpus is part of the tree");
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.into_iter().map(|file| {
        println!("{}", file.display());
        fs::read(file).expect("a readable file")
    })
}
