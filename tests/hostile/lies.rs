//! Liars among the peers of a node whose driver keeps the contract.

use proptest::prelude::*;

use quorate::raft::{Refusal, RoleName};

use crate::driver::drive;

/// Chunks of bytes, about one for each thing that happens: leaving one out shifts few others.
fn happenings() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop::collection::vec(any::<u8>(), 4..16);
    prop::collection::vec(chunk, 1..160).prop_map(|chunks| chunks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_lie_makes_a_node_panic_or_break_its_word(bytes in happenings()) {
        drive(&bytes);
    }
}
