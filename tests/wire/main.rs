//! Packets and hellos come back from their bytes, nothing else does, and the bytes stay what they
//! are from one release to the next.

mod clients;
#[path = "../common/corpus.rs"]
mod corpus;
mod driver;
mod golden;
mod mutations;
mod packets;

#[test]
fn the_kept_corpus_runs_through() {
    corpus::replay("wire", driver::drive);
}
