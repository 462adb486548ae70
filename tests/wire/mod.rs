//! The wire format: packets, requests, replies and hellos round-trip, other bytes do not decode,
//! and the encoding stays the same between releases.

mod clients;
mod drawn;
mod driver;
mod golden;
mod hellos;
mod mutations;
mod packets;

use crate::corpus::replay;

#[test]
fn the_fuzz_corpus_passes() {
    replay("wire", driver::drive);
    replay("hello", hellos::drive);
}
