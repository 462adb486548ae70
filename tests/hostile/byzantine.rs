//! Byzantine peers of a node whose driver keeps the contract.

use std::collections::BTreeSet;

use proptest::prelude::*;

use quorate::raft::{MessageRejectReason, RejectReason, RoleName};
use quorate::types::ChangeError;

use super::driver::drive;

/// Generates chunks of bytes, about one for each step, so that shrinking removes single steps.
fn step_bytes() -> impl Strategy<Value = Vec<u8>> {
    let chunk = prop::collection::vec(any::<u8>(), 4..16);
    prop::collection::vec(chunk, 1..160).prop_map(|chunks| chunks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_byzantine_message_breaks_an_invariant(bytes in step_bytes()) {
        drive(&bytes);
    }
}

/// Returns deterministic random bytes.
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
fn byzantine_messages_cover_every_role_and_every_reason_to_reject_a_message() {
    let mut covered = BTreeSet::new();
    for seed in 0..6_000 {
        covered.extend(drive(&noise(seed, 2_000)).covered().iter().cloned());
    }
    let roles = RoleName::ALL.iter().map(ToString::to_string);
    let message_reasons = MessageRejectReason::ALL.iter().map(ToString::to_string);
    let rejections = [
        RejectReason::Busy,
        RejectReason::TooLarge,
        RejectReason::NoLeader,
        RejectReason::DiskFull,
        RejectReason::MembershipChangeInFlight,
        RejectReason::NoChangeToCancel,
        RejectReason::Transferring,
        RejectReason::NoTransferTarget,
        RejectReason::Membership(ChangeError::NoVoters),
    ];
    let rejections = rejections.iter().map(ToString::to_string);
    let others = ["fetch to apply", "fetch for a peer", "committed", "unknown", "read"];
    let snapshots = ["snapshot offered", "snapshot requested", "restore"];
    let memberships = [
        "unknown incarnation",
        "staged",
        "joint",
        "membership change committed",
        "leadership transferred",
    ];
    let others = others.into_iter().chain(snapshots).chain(memberships);
    let others = others.into_iter().map(str::to_owned);
    for expected in roles.chain(message_reasons).chain(rejections).chain(others) {
        assert!(covered.contains(&expected), "{expected:?} is not covered, only {covered:?}");
    }
}
