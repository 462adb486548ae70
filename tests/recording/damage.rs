//! Damaged recordings: the replay stops at the damage, and never takes damaged bytes for steps.

use quorate::recording::{Contents, RecordingErrorReason};

use super::runs::{replay, run};

const FRAME_BYTES: usize = 16;

/// Returns the offset, the kind and the length of each block, its frame included.
pub(crate) fn blocks(recording: &[u8]) -> Vec<(usize, u8, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < recording.len() {
        let length = recording[at + 8..at + 12].try_into().map(u32::from_le_bytes);
        let length = FRAME_BYTES + length.expect("four bytes") as usize;
        found.push((at, recording[at + 4], length));
        at += length;
    }
    found
}

/// Makes the checksum of a block fit its content.
fn seal(block: &mut [u8]) {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&block[4..12]), &block[FRAME_BYTES..]);
    block[12..16].copy_from_slice(&checksum.to_le_bytes());
}

/// Replaces bytes in the records of a recording by others, so that the checksums fit.
pub(crate) fn replace_in_records(recording: &mut [u8], find: &[u8], replace: &[u8]) {
    assert_eq!(find.len(), replace.len());
    let mut replaced = 0;
    for (at, kind, length) in blocks(recording) {
        let block = &mut recording[at..at + length];
        while let Some(found) = block.windows(find.len()).position(|bytes| bytes == find)
            && kind == 3
        {
            block[found..found + replace.len()].copy_from_slice(replace);
            replaced += 1;
        }
        seal(block);
    }
    assert!(replaced > 0, "the bytes occur in records");
}

fn recording() -> Vec<u8> {
    let mut cluster = run(3, Contents::Hashed);
    let id = cluster.ids()[0];
    cluster.node_mut(id).finish_recording().to_vec()
}

#[test]
fn every_flipped_bit_is_noticed_and_what_is_before_it_is_replayed() {
    let recording = recording();
    let (whole, error) = replay(&recording);
    assert!(error.is_none());
    let blocks = blocks(&recording);
    let frames =
        blocks.iter().take(8).flat_map(|(start, ..)| *start * 8..(start + FRAME_BYTES) * 8);
    let places = (0..recording.len()).step_by(37).map(|at| at * 8 + at % 8);
    for bit in places.chain(frames) {
        let at = bit / 8;
        let mut damaged = recording.clone();
        damaged[at] ^= 1 << (bit % 8);
        let (parts, error) = replay(&damaged);
        let error = error.unwrap_or_else(|| panic!("a flipped bit at {at} is not noticed"));
        let is_named = matches!(
            error.reason,
            RecordingErrorReason::NotABlock
                | RecordingErrorReason::Cut { .. }
                | RecordingErrorReason::Damaged
        );
        assert!(is_named, "a flipped bit at {at} is taken for something else: {error}");
        let (block, ..) = blocks.iter().rfind(|(start, ..)| *start <= at).expect("a block");
        assert_eq!(error.offset, *block as u64, "{at}: {error}");
        assert_eq!(parts[..], whole[..parts.len()], "{at}");
        let before: usize = blocks.iter().take_while(|(start, ..)| start != block).count();
        assert!(before < 3 || !parts.is_empty(), "the blocks before {at} are replayed");
    }
}

#[test]
fn a_recording_that_is_cut_anywhere_is_replayed_up_to_there() {
    let recording = recording();
    let (whole, _) = replay(&recording);
    let blocks = blocks(&recording);
    for end in (0..recording.len()).step_by(41).chain(0..32) {
        let (parts, error) = replay(&recording[..end]);
        assert_eq!(parts[..], whole[..parts.len()]);
        let is_whole_block = blocks.iter().any(|(at, ..)| *at == end);
        match error {
            None => assert!(is_whole_block, "a cut at {end} is not noticed"),
            Some(error) => {
                let is_cut = matches!(error.reason, RecordingErrorReason::Cut { .. });
                assert!(is_cut && !is_whole_block, "{end}: {error}");
            }
        }
    }
}

#[test]
fn missing_and_repeated_blocks_are_noticed() {
    let recording = recording();
    let blocks = blocks(&recording);
    let inner = blocks.windows(2).filter(|pair| pair[0].1 == 3 && pair[1].1 == 3);
    let mut tried = 0;
    for (at, _, length) in inner.map(|pair| pair[0]) {
        let missing = [&recording[..at], &recording[at + length..]].concat();
        let (_, error) = replay(&missing);
        let error = error.expect("a missing block is noticed");
        assert_eq!(error.offset, at as u64, "{error}");
        let repeated = [&recording[..at + length], &recording[at..]].concat();
        let (_, error) = replay(&repeated);
        let error = error.expect("a repeated block is noticed");
        assert_eq!(error.offset, (at + length) as u64, "{error}");
        tried += 1;
    }
    assert!(tried > 10, "{tried} blocks");
}

/// Blocks with one changed byte, and a checksum that fits.
#[test]
fn a_forged_block_causes_no_panic() {
    let recording = recording();
    for (at, kind, length) in blocks(&recording).into_iter().take(40) {
        for place in (FRAME_BYTES..length).step_by(1 + length / 40) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut forged = recording[..at + length].to_vec();
                forged[at + place] = value;
                seal(&mut forged[at..at + length]);
                let (parts, error) = replay(&forged);
                let is_equal = forged[..] == recording[..at + length];
                assert!(!is_equal || error.is_none(), "{kind}: {parts:?}");
            }
        }
    }
}

#[test]
fn other_files_and_other_versions_are_named() {
    let reason = |bytes: &[u8]| replay(bytes).1.map(|error| error.to_string());
    assert_eq!(reason(b""), None);
    let text = reason(b"#!/bin/sh\nexit 0\n").expect("a foreign file");
    assert_eq!(text, "offset 0: no block of a recording begins here");
    let recording = recording();
    let (at, _, length) = blocks(&recording)[0];
    assert_eq!(at, 0);
    let mut later = recording.clone();
    later[FRAME_BYTES] = 9;
    seal(&mut later[..length]);
    let text = reason(&later).expect("a later format");
    assert_eq!(text, "offset 0: the recording has format 9; this program reads format 1");
    let mut other = recording.clone();
    other[FRAME_BYTES + 1] = 77;
    seal(&mut other[..length]);
    let text = reason(&other).expect("another layout");
    assert!(text.contains("states of layout 77; this program, quorate"), "{text}");
}
