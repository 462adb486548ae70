//! Corrupt frames, and frames with wrong contents.

use proptest::prelude::*;

use quorate::wire::{FrameError, Kind, WireError, decode};

use super::driver::{drive, seal};
use super::golden::samples;
use super::packets::{any_packet, frame};

/// Returns the bodies of the samples, with the number of their kind.
fn sealed_bodies() -> Vec<(u8, Vec<u8>)> {
    let bodies = samples().into_iter().map(|(_, packet)| {
        let bytes = frame(&packet);
        (bytes[6], bytes[32..].to_vec())
    });
    bodies.collect()
}

fn error_of(bytes: &[u8]) -> FrameError {
    let WireError { offset, error } = decode(bytes).expect_err("it is not a packet");
    assert_eq!(offset, 0);
    error
}

/// Returns the error of decoding a body with a valid checksum.
fn reason(kind: Kind, body: &[u8]) -> String {
    match error_of(&seal(kind as u8, body)) {
        FrameError::Body { reason, kind: found } if found == kind => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn truncated_and_longer_frames_do_not_decode() {
    for (name, packet) in samples() {
        let bytes = frame(&packet);
        for present in 0..bytes.len() {
            let cut = error_of(&bytes[..present]);
            assert!(matches!(cut, FrameError::Truncated { .. }), "{name} of {present}: {cut}");
        }
        let longer = [&bytes[..], &[0]].concat();
        let (present, needed) = (longer.len(), bytes.len());
        assert_eq!(error_of(&longer), FrameError::TrailingBytes { present, needed }, "{name}");
    }
}

#[test]
fn a_frame_with_one_byte_changed_does_not_decode() {
    for (name, packet) in samples() {
        let bytes = frame(&packet);
        for place in 0..bytes.len() {
            for change in 1..=255 {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                assert!(decode(&changed).is_err(), "{name}: {change:#x} at {place}");
            }
        }
    }
}

#[test]
fn a_body_with_one_byte_changed_decodes_to_another_packet_or_not_at_all() {
    for (kind, body) in sealed_bodies() {
        let original = decode(&seal(kind, &body)).expect("a sample decodes");
        for place in 0..body.len() {
            for change in [1, 2, 0x80, 0xff] {
                let mut body = body.clone();
                body[place] ^= change;
                let sealed = seal(kind, &body);
                if let Ok(packet) = decode(&sealed) {
                    assert_ne!(packet, original, "{change:#x} at {place}");
                    assert_eq!(frame(&packet), sealed);
                }
            }
        }
        for length in 0..body.len() {
            assert!(decode(&seal(kind, &body[..length])).is_err(), "cut to {length}");
        }
        let longer = [&body[..], &[0]].concat();
        assert!(decode(&seal(kind, &longer)).is_err(), "a trailing byte");
    }
}

/// Returns the first `length` bytes of the body of the sample with this name.
fn start_of(name: &str, length: usize) -> Vec<u8> {
    let (_, packet) = samples().into_iter().find(|(other, _)| *other == name).expect("a sample");
    frame(&packet)[32..32 + length].to_vec()
}

#[test]
fn a_wrong_length_is_rejected() {
    // The body has from, incarnation, to, term, variant and prev before the number of entries.
    let before_entries = start_of("AppendEntries", 8 + 16 + 8 + 8 + 4 + 16);
    for claimed in [4096, 4097, u64::from(u32::MAX), u64::MAX] {
        let body = [&before_entries[..], &claimed.to_le_bytes()].concat();
        let reason = reason(Kind::Append, &body);
        let expected = if claimed <= 4096 { "UnexpectedEnd" } else { "at most 4096" };
        assert!(reason.contains(expected), "{claimed}: {reason}");
    }
    // The number of entries, the entry's id and the variant of a command come before its length.
    let one = 1u64.to_le_bytes();
    let before_bytes = [&before_entries[..], &one, &[0; 16], &1u32.to_le_bytes()].concat();
    for claimed in [1, 8 << 20, u64::from(u32::MAX), u64::MAX] {
        let body = [&before_bytes[..], &claimed.to_le_bytes()].concat();
        let reason = reason(Kind::Append, &body);
        assert!(reason.contains("UnexpectedEnd") || reason.contains("Limit"), "{reason}");
    }
}

#[test]
fn unknown_variants_are_rejected() {
    let unknown = [&start_of("RequestVote", 8 + 16 + 8 + 8)[..], &99u32.to_le_bytes()].concat();
    assert!(reason(Kind::Control, &unknown).contains("99"));
    let mut vote = start_of("RequestVoteReply", 45);
    vote[44] = 2;
    assert!(reason(Kind::Control, &vote).contains('2'), "neither true nor false");
}

#[test]
fn a_packet_decodes_in_its_own_kind_only() {
    for (kind, body) in sealed_bodies() {
        for other in 0..=6 {
            let is_packet = decode(&seal(other, &body)).is_ok();
            assert_eq!(is_packet, other == kind, "{kind} as {other}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decoding_any_bytes_keeps_the_invariants(
        kind in 0u8..12,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        drive(&[&[kind], &body[..]].concat());
    }

    #[test]
    fn decoding_a_changed_packet_keeps_the_invariants(
        packet in any_packet(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
    ) {
        let bytes = frame(&packet);
        let mut input = [&bytes[6..7], &bytes[32..]].concat();
        for (place, byte) in changes {
            let place = place.index(input.len());
            input[place] = byte;
        }
        drive(&input);
    }
}

/// Returns the body of a snapshot offer with these bytes as the membership.
fn offer(membership: &[u8]) -> Vec<u8> {
    let mut body = start_of("InstallSnapshot", 8 + 16 + 8 + 8 + 4 + 16);
    body.extend_from_slice(&(membership.len() as u64).to_le_bytes());
    body.extend_from_slice(membership);
    body.extend_from_slice(&[0; 8 + 32]);
    body
}

/// Encodes a membership of these ids with these roles.
fn members(members: &[(u64, u8)]) -> Vec<u8> {
    let mut bytes = (members.len() as u16).to_le_bytes().to_vec();
    for (id, roles) in members {
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&[*roles, 100, 0]);
    }
    bytes
}

#[test]
fn a_membership_has_one_encoding_and_a_bound() {
    let is_packet = |body: &[u8]| decode(&seal(Kind::Control as u8, body)).is_ok();
    let many = |count: u64| -> Vec<(u64, u8)> { (1..=count).map(|id| (id, 0)).collect() };
    for valid in [&[(1, 1), (2, 3), (3, 2), (4, 0)][..], &[(1, 9), (2, 1)], &many(132)] {
        assert!(is_packet(&offer(&members(valid))), "{valid:?}");
    }
    for invalid in [
        &[(2, 1), (1, 1)][..],
        &[(1, 1), (1, 1)],
        &[(0, 1), (1, 1)],
        &[(1, 8)],
        &[(1, 9), (2, 9)],
        &[(1, 7)],
        &[(1, 0xc1)],
        &[(1, 0x41)],
        &many(133),
    ] {
        let reason = reason(Kind::Control, &offer(&members(invalid)));
        assert!(reason.contains("invalid membership"), "{reason}");
    }
    let three = members(&[(1, 1), (2, 1), (3, 1)]);
    for length in 0..three.len() {
        assert!(!is_packet(&offer(&three[..length])), "cut to {length}");
    }
    assert!(!is_packet(&offer(&[&three[..], &[0]].concat())), "a trailing byte");
}
