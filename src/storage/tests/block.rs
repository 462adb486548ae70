//! Limits of the fields of a header block, at the offsets of `docs/FORMAT.md`. A forged block may
//! have a valid hash chain.

use super::{identity, payload};
use crate::storage::block::{
    BLOCK_BYTES, Block, BlockError, Digest, ENTRIES_MAX, FlushSeq, Link, RECORD_BYTES, Record,
    body_of,
};
use crate::storage::segment::NodeSegment;
use crate::types::{Entry, EntryId, Index, Membership, NodeId, Payload, Term};

const SEGMENT: u64 = 9;

/// Returns a block with one no-op after `prev`.
fn block(prev: EntryId) -> (Block, Record) {
    let id = EntryId::new(prev.term, prev.index.next());
    let entry = Entry { id, payload: Payload::Noop };
    let prev = Link::anchor(prev);
    let record = Record::of(&entry, Digest::of(&body_of(&entry)), prev.chain);
    let block = Block {
        entries: 1,
        identity: identity(),
        segment: SEGMENT,
        seq: FlushSeq(7),
        prev,
        committed: Index(3),
        watermark: Index(4),
        body_offset: 4096,
        body_bytes: record.bytes() as u64,
    };
    (block, record)
}

fn sample() -> (Block, Record) {
    block(EntryId::new(Term(2), Index(4)))
}

/// Decodes a block with this number at `offset`.
fn with_bytes(offset: usize, number: &[u8]) -> Result<Block, BlockError> {
    let (block, record) = sample();
    let mut bytes = payload(&block, &[record]);
    bytes[offset..offset + number.len()].copy_from_slice(number);
    Block::decode(&bytes, &NodeSegment::new(identity(), SEGMENT))
}

#[test]
fn a_header_block_has_from_one_to_the_most_entries() {
    let most = ENTRIES_MAX as u32;
    for (entries, accepted) in [(0, false), (1, true), (most, true), (most + 1, false)] {
        assert_eq!(with_bytes(12, &entries.to_le_bytes()).is_ok(), accepted, "{entries}");
    }
}

#[test]
fn numbers_above_their_maximum_are_rejected() {
    let (term, index, seq) = (Term::MAX.0, Index::MAX.0, FlushSeq::MAX.0);
    for (field, offset, highest) in [
        ("flush", 72, seq),
        ("previous term", 80, term),
        ("previous index", 88, index),
        ("committed", 112, index),
    ] {
        assert!(with_bytes(offset, &highest.to_le_bytes()).is_ok(), "{field}");
        assert!(with_bytes(offset, &(highest + 1).to_le_bytes()).is_err(), "{field}");
    }
    assert!(with_bytes(72, &0_u64.to_le_bytes()).is_err(), "flushes are numbered from 1");
}

#[test]
fn a_watermark_after_the_previous_entry_is_rejected() {
    assert!(with_bytes(120, &4_u64.to_le_bytes()).is_ok());
    assert!(with_bytes(120, &5_u64.to_le_bytes()).is_err());
}

#[test]
fn the_salt_of_another_segment_is_rejected() {
    assert!(with_bytes(64, &[0; 8]).is_err());
}

#[test]
fn an_entry_with_an_invalid_term_or_index_is_rejected() {
    let highest = EntryId::new(Term::MAX, Index(Index::MAX.0 - 1));
    let (last, record) = block(highest);
    assert_eq!(last.records(&payload(&last, &[record])), Ok(vec![record]));
    let (beyond, record) = block(EntryId::new(Term(1), Index::MAX));
    assert!(beyond.records(&payload(&beyond, &[record])).is_err(), "after the highest index");
    let (block, mut record) = sample();
    for (term, accepted) in [(1, false), (2, true), (Term::MAX.0, true), (Term::MAX.0 + 1, false)] {
        record.id.term = Term(term);
        assert_eq!(block.records(&payload(&block, &[record])).is_ok(), accepted, "term {term}");
    }
}

#[test]
fn an_entry_of_unknown_kind_or_invalid_size_is_rejected() {
    let (block, record) = sample();
    let largest = Membership::BYTES_MAX as u32;
    for (kind, body_bytes, accepted) in [
        (0, 0, false),
        (1, 0, true),
        (1, 1, false),
        (2, 0, true),
        (2, largest + 1, true),
        (3, 2, true),
        (3, largest, true),
        (3, largest + 1, false),
        (4, 0, false),
    ] {
        let record = Record { kind, body_bytes, ..record };
        let block = Block { body_bytes: record.bytes() as u64, ..block };
        assert_eq!(
            block.records(&payload(&block, &[record])).is_ok(),
            accepted,
            "{kind} {body_bytes}"
        );
    }
}

#[test]
fn a_body_whose_size_with_its_header_exceeds_32_bits_is_rejected() {
    let (_, record) = sample();
    let mut bytes = record.encode();
    bytes[16..20].copy_from_slice(&2_u32.to_le_bytes());
    let most = u32::MAX - RECORD_BYTES as u32;
    for (body_bytes, accepted) in [(7, true), (most, true), (most + 1, false), (u32::MAX, false)] {
        bytes[20..24].copy_from_slice(&body_bytes.to_le_bytes());
        assert_eq!(Record::decode(&bytes).is_some(), accepted, "{body_bytes}");
    }
}

#[test]
fn a_body_that_does_not_match_its_header_is_rejected() {
    let membership = Membership::new([1, 2].map(NodeId)).with_casting(NodeId(2));
    let id = EntryId::new(Term(2), Index(5));
    for payload in [
        Payload::Noop,
        Payload::Command("a command".into()),
        Payload::Membership(membership.clone()),
        Payload::Membership(Membership::default()),
    ] {
        let entry = Entry { id, payload };
        let body = body_of(&entry);
        let record = Record::of(&entry, Digest::of(&body), Digest::default());
        assert_eq!(record.body_bytes as usize, body.len());
        assert_eq!(record.entry(&body), Some(entry.clone()));
        assert_eq!(record.entry(&[&body[..], &[0]].concat()), None, "longer");
        for place in 0..body.len() {
            let mut changed = body.to_vec();
            changed[place] ^= 1;
            assert_eq!(record.entry(&changed), None, "changed at {place}");
        }
    }
    let entry = Entry { id, payload: Payload::Command("no membership".into()) };
    let body = body_of(&entry);
    let record = Record::of(&entry, Digest::of(&body), Digest::default());
    assert_eq!(
        Record { kind: 3, ..record }.entry(&body),
        None,
        "a command is not a membership although its digest matches"
    );
}

#[test]
fn a_wrong_total_size_of_the_bodies_is_rejected() {
    let (block, record) = sample();
    for (body_bytes, accepted) in
        [(RECORD_BYTES as u64, true), (RECORD_BYTES as u64 - 1, false), (u64::MAX, false)]
    {
        let block = Block { body_bytes, ..block };
        assert_eq!(block.records(&payload(&block, &[record])).is_ok(), accepted, "{body_bytes}");
    }
}

#[test]
fn a_truncated_header_block_is_rejected() {
    let (block, record) = sample();
    let bytes = payload(&block, &[record]);
    assert!(block.records(&bytes[..bytes.len() - 1]).is_err());
    assert!(
        Block::decode(&bytes[..BLOCK_BYTES - 1], &NodeSegment::new(identity(), SEGMENT)).is_err()
    );
}
