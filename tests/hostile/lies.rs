//! Liars among the peers of a node whose driver keeps the contract.

use std::collections::BTreeSet;

use proptest::prelude::*;

use quorate::raft::{Refusal, RejectReason, RoleName};
use quorate::types::ChangeError;

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

/// Bytes that are the same in every run.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let draw = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(draw).collect()
}

#[test]
fn the_lies_reach_every_role_refusal_and_outcome() {
    let mut met = BTreeSet::new();
    for seed in 0..6_000 {
        met.extend(drive(&noise(seed, 2_000)).met().iter().cloned());
    }
    let roles = RoleName::ALL.iter().map(ToString::to_string);
    let refusals = Refusal::ALL.iter().map(ToString::to_string);
    let rejections = [
        RejectReason::Busy,
        RejectReason::TooLarge,
        RejectReason::NoLeader,
        RejectReason::DiskFull,
        RejectReason::MembershipChangeInFlight,
        RejectReason::NothingToGiveUp,
        RejectReason::Transferring,
        RejectReason::NoSuccessor,
        RejectReason::Membership(ChangeError::NoVoters),
    ];
    let rejections = rejections.iter().map(ToString::to_string);
    let others = ["fetch to apply", "fetch for a peer", "committed", "unknown", "read"];
    let snapshots = ["snapshot offered", "snapshot wanted", "restore"];
    let memberships = ["stranger", "staged", "joint", "changed", "resigned"];
    let others = others.into_iter().chain(snapshots).chain(memberships);
    let others = others.into_iter().map(str::to_owned);
    for wanted in roles.chain(refusals).chain(rejections).chain(others) {
        assert!(met.contains(&wanted), "{wanted:?} is never met, only {met:?}");
    }
}
