//! Snapshots through the doors of the store: damage to their files, and bytes that were never
//! theirs.

#[path = "../common/corpus.rs"]
mod corpus;
mod damage;
mod driver;

#[test]
fn the_kept_corpus_runs_through() {
    corpus::replay("snapshot", driver::drive);
}
