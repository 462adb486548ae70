//! The wire format: packets and hellos round-trip, other bytes do not decode, and the encoding
//! stays the same between releases.

mod clients;
#[path = "../common/corpus.rs"]
mod corpus;
#[path = "../common/draw.rs"]
mod draw;
mod drawn;
mod driver;
#[path = "../common/fixtures.rs"]
mod fixtures;
mod golden;
mod hellos;
mod mutations;
mod packets;

#[test]
fn the_fuzz_corpus_passes() {
    corpus::replay("wire", driver::drive);
    corpus::replay("hello", hellos::drive);
}
