//! Snapshots through the public API of the store: damaged files, and arbitrary bytes.

#[path = "../common/corpus.rs"]
mod corpus;
mod damage;
mod driver;

#[test]
fn the_fuzz_corpus_passes() {
    corpus::replay("snapshot", driver::drive);
}
