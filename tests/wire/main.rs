//! The wire format: packets and hellos round-trip, other bytes do not decode, and the encoding
//! stays the same between releases.

mod clients;
#[path = "../common/corpus.rs"]
mod corpus;
mod driver;
mod golden;
mod hellos;
mod mutations;
mod packets;

#[test]
fn the_fuzz_corpus_passes() {
    corpus::replay("wire", driver::drive);
    corpus::replay("hello", hellos::drive);
}
