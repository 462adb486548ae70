//! The kept corpus of the fuzz target `snapshot`, and every crash it ever found, run again.

use std::fs;
use std::path::Path;

use crate::driver::drive;

#[test]
fn the_kept_corpus_runs_through() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/snapshot");
    let files = fs::read_dir(&folder).expect("the corpus is part of the tree");
    let mut files: Vec<_> = files.map(|file| file.expect("a readable folder").path()).collect();
    files.sort();
    for file in &files {
        println!("{}", file.display());
        drive(&fs::read(file).expect("a readable file"));
    }
    assert!(!files.is_empty(), "{} is empty", folder.display());
}
