//! The superblock, in four copies: among others the identity, the hard state, the current snapshot
//! and the acknowledged floor of the log. Its encoding is in `docs/FORMAT.md`.

use core::time::Duration;

use crate::storage::block::{Digest, FlushSeq};
use crate::storage::bytes::Reader;
use crate::storage::disk::FileName;
use crate::storage::error::{OpenError, StorageError};
use crate::storage::identity::{ClusterId, Identity, Origin};
use crate::types::{
    EntryId, HardState, Incarnation, Index, Instant, Membership, NodeId, Root, SnapshotMeta, Term,
};

/// The number of copies of the superblock.
pub(crate) const COPIES: usize = 4;

/// The number of copies that must be intact before an update counts as durable.
pub(crate) const COPIES_MIN: usize = 3;
/// The size of one copy, in bytes.
pub(crate) const COPY_BYTES: usize = 4096;
/// The distance between copies, in bytes, so that local damage hits only one copy.
pub(crate) const COPY_STRIDE: u64 = 1 << 20;
/// The size of the superblock file, in bytes.
pub(crate) const FILE_BYTES: u64 = COPY_STRIDE * (COPIES as u64 - 1) + COPY_BYTES as u64;

const MAGIC: [u8; 8] = *b"QUORASUP";
const VERSION: u32 = 1;
const SUM_OFFSET: usize = COPY_BYTES - 16;
/// The offset of the last compacted index, between the membership and the checksum.
const COMPACTED_OFFSET: usize = SUM_OFFSET - 8;
/// Set if the log has every entry that the node acknowledged: the node is certain.
const FLAG_CERTAIN: u32 = 1;
const FLAG_CLEAN: u32 = 2;
const FLAG_VOTED: u32 = 4;
const FLAG_ORIGIN: u32 = 8;
const FLAG_QUARANTINED: u32 = 16;

/// The offset of the place of the next scrub, before the last compacted index.
const SCRUB_OFFSET: usize = COMPACTED_OFFSET - 16;

/// The size of the fields before the membership, in bytes.
const FIELDS_BYTES: usize = 16 + Identity::BYTES + 8 + 16 + 9 * 8 + 32 + 32 + 2;

const _: () = assert!(
    FIELDS_BYTES + Membership::BYTES_MAX <= SCRUB_OFFSET,
    "a copy has room for the largest membership"
);
const _: () = assert!(COPIES.is_multiple_of(2), "copies are written in pairs");
const _: () = assert!(COPY_BYTES as u64 <= COPY_STRIDE, "the copies do not overlap");

/// The content of a superblock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) identity: Identity,
    /// The log that the directory was made from, if it did not begin empty.
    pub(crate) origin: Option<Origin>,
    /// The number of this update of the superblock; formatting writes number 1.
    pub(crate) seq: u64,
    /// The checksum of the superblock before this one.
    pub(crate) parent: Digest,
    pub(crate) hard_state: HardState,
    /// A lower bound of the commit index.
    pub(crate) committed: Index,
    pub(crate) snapshot: SnapshotMeta,
    /// The node has compacted its log through this entry, which the snapshot covers: the bodies
    /// through it are not needed, and may hold anything.
    pub(crate) compacted: Index,
    /// Flushes before this one are obsolete, because a snapshot replaced them: an installed
    /// snapshot, or the current one after the end of the log was lost.
    pub(crate) log_start: FlushSeq,
    /// The acknowledged floor: flushes through this one were reported durable.
    pub(crate) ack_floor: FlushSeq,
    /// The place at which the next scrub continues ([`SavedScrubPlace`]).
    pub(crate) scrub: SavedScrubPlace,
    /// Whether the state machine was found to have diverged, and was not rebuilt since.
    pub(crate) is_quarantined: bool,
    /// Whether the node stopped cleanly: with every write durable that the file system had room
    /// for.
    pub(crate) clean: bool,
}

/// The place at which a scrub continues after a restart. A place that no longer exists does no
/// harm: the scrub continues after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SavedScrubPlace {
    /// The segment of the next flush; 0 for a new pass. For the snapshots after the log,
    /// `u64::MAX` minus the next chunk to read, at most `u32::MAX`.
    pub(crate) segment: u64,
    /// The offset of the flush in the segment, or the last index of the snapshot with that chunk.
    /// For chunk 0, the last index of the snapshot that was read last; the scrub continues with the
    /// next snapshot.
    pub(crate) offset: u64,
}

/// One copy in its encoding of 4096 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The checksum at its end, which the next superblock stores as `parent`.
    pub(crate) digest: Digest,
}

/// The result of reading one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SuperblockCopy {
    Valid(Box<Superblock>, Digest),
    Zero,
    /// A superblock in a version of the format that is newer than this program reads: its number.
    Newer(u32),
    Bad,
}

impl Superblock {
    /// The encoded origin of a directory that has none.
    const NO_ORIGIN: Origin = Origin { cluster: ClusterId(0), last: EntryId::ZERO };

    pub(crate) fn new(identity: Identity, membership: &Membership) -> Superblock {
        Superblock {
            identity,
            origin: None,
            seq: 1,
            parent: Digest::default(),
            hard_state: HardState::default(),
            committed: Index::ZERO,
            snapshot: SnapshotMeta::empty(EntryId::ZERO, membership.clone()),
            compacted: Index::ZERO,
            log_start: FlushSeq(1),
            ack_floor: FlushSeq(0),
            scrub: SavedScrubPlace::default(),
            is_quarantined: false,
            clean: false,
        }
    }

    /// Encodes one copy, and computes its checksum.
    pub(crate) fn encode(&self) -> Encoded {
        assert!(
            self.compacted <= self.snapshot.last.index,
            "the snapshot covers what is compacted"
        );
        assert!(self.log_start > FlushSeq(0), "flushes are numbered from 1");
        let flag = |bit: u32, set: bool| if set { bit } else { 0 };
        let flags = flag(FLAG_CERTAIN, !self.hard_state.is_uncertain)
            | flag(FLAG_CLEAN, self.clean)
            | flag(FLAG_VOTED, self.hard_state.vote.is_some())
            | flag(FLAG_ORIGIN, self.origin.is_some())
            | flag(FLAG_QUARANTINED, self.is_quarantined);
        let mut bytes = Vec::with_capacity(COPY_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(self.identity.encode());
        bytes.extend(self.seq.to_le_bytes());
        bytes.extend(self.parent.0);
        for number in [
            self.hard_state.term.0,
            self.hard_state.vote.map_or(0, |node| node.0),
            Instant::ZERO.after(self.hard_state.vote_lease).0,
            self.committed.0,
            self.log_start.0,
            self.ack_floor.0,
            self.snapshot.last.term.0,
            self.snapshot.last.index.0,
            self.snapshot.bytes,
        ] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.snapshot.root.0);
        let origin = self.origin.unwrap_or(Superblock::NO_ORIGIN);
        bytes.extend(origin.cluster.0.to_le_bytes());
        bytes.extend(origin.last.term.0.to_le_bytes());
        bytes.extend(origin.last.index.0.to_le_bytes());
        let membership = &self.snapshot.membership;
        assert!(membership.violation().is_none(), "contract: the membership is valid");
        let membership = membership.encode();
        let length = u16::try_from(membership.len())
            .expect("a membership is at most Membership::BYTES_MAX long");
        bytes.extend(length.to_le_bytes());
        assert_eq!(bytes.len(), FIELDS_BYTES, "the fields have their sizes");
        bytes.extend(membership);
        assert!(bytes.len() <= SCRUB_OFFSET, "the members leave room for the rest");
        bytes.resize(SCRUB_OFFSET, 0);
        bytes.extend(self.scrub.segment.to_le_bytes());
        bytes.extend(self.scrub.offset.to_le_bytes());
        bytes.extend(self.compacted.0.to_le_bytes());
        debug_assert_eq!(Superblock::decode(&bytes).as_ref(), Some(self), "a start can read it");
        let digest = Digest::of(&bytes);
        bytes.extend(digest.0);
        assert_eq!(bytes.len(), COPY_BYTES, "a copy has its size");
        Encoded { bytes, digest }
    }

    fn decode(payload: &[u8]) -> Option<Superblock> {
        let mut reader = Reader::new(payload.get(12..)?);
        let flags = reader.u32()?;
        let (cluster, node) = (ClusterId(reader.u128()?), NodeId(reader.u64()?));
        let identity = Identity { cluster, node, incarnation: Incarnation(reader.u128()?) };
        let (seq, parent) = (reader.u64()?, Digest(reader.array()?));
        let (term, vote) = (Term(reader.u64()?), NodeId(reader.u64()?));
        let vote_lease = Duration::from_nanos(reader.u64()?);
        let committed = Index(reader.u64()?);
        let (log_start, ack_floor) = (FlushSeq(reader.u64()?), FlushSeq(reader.u64()?));
        let last = EntryId::new(Term(reader.u64()?), Index(reader.u64()?));
        let (bytes, root) = (reader.u64()?, Root(reader.array()?));
        let cluster = ClusterId(reader.u128()?);
        let origin_last = EntryId::new(Term(reader.u64()?), Index(reader.u64()?));
        let origin = Origin { cluster, last: origin_last };
        let length = reader.u16()?;
        let membership = Membership::decode(reader.bytes(usize::from(length))?)?;
        let mut end = Reader::new(payload.get(SCRUB_OFFSET..)?);
        let scrub = SavedScrubPlace { segment: end.u64()?, offset: end.u64()? };
        let compacted = Index(end.u64()?);
        let known = FLAG_CERTAIN | FLAG_CLEAN | FLAG_VOTED | FLAG_ORIGIN | FLAG_QUARANTINED;
        let origin = (flags & FLAG_ORIGIN != 0).then_some(origin);
        let vote = (flags & FLAG_VOTED != 0).then_some(vote);
        let is_uncertain = flags & FLAG_CERTAIN == 0;
        let terms = [term, last.term, origin_last.term].into_iter().max() <= Some(Term::MAX);
        let indices = [last.index, committed, origin_last.index];
        let indices = indices.into_iter().max() <= Some(Index::MAX);
        let flushes = (FlushSeq(1)..=FlushSeq::MAX).contains(&log_start)
            && ack_floor <= FlushSeq::MAX
            && seq <= FlushSeq::MAX.0;
        let compacts = compacted <= last.index;
        (flags & !known == 0 && terms && indices && flushes && compacts).then_some(())?;
        Some(Superblock {
            identity,
            origin,
            seq,
            parent,
            hard_state: HardState { term, vote, vote_lease, is_uncertain },
            committed,
            snapshot: SnapshotMeta { last, membership, bytes, root },
            compacted,
            log_start,
            ack_floor,
            scrub,
            is_quarantined: flags & FLAG_QUARANTINED != 0,
            clean: flags & FLAG_CLEAN != 0,
        })
    }
}

impl SuperblockCopy {
    /// Classifies the bytes of a copy; accepts any input.
    pub(crate) fn read(bytes: &[u8]) -> SuperblockCopy {
        if bytes.iter().all(|byte| *byte == 0) {
            return SuperblockCopy::Zero;
        }
        let mut reader = Reader::new(bytes);
        let (magic, version) = (reader.array(), reader.u32());
        if magic == Some(MAGIC) && version.is_some_and(|version| version > VERSION) {
            return SuperblockCopy::Newer(version.unwrap_or(VERSION));
        }
        if bytes.len() != COPY_BYTES || magic != Some(MAGIC) || version != Some(VERSION) {
            return SuperblockCopy::Bad;
        }
        let (payload, sum) = bytes.split_at(SUM_OFFSET);
        let digest = Digest::of(payload);
        match Superblock::decode(payload) {
            Some(superblock) if digest.0 == *sum => {
                SuperblockCopy::Valid(Box::new(superblock), digest)
            }
            _ => SuperblockCopy::Bad,
        }
    }
}

/// Chooses the current superblock: the one with the highest number that has two equal copies. A
/// number with only one intact copy belongs to an interrupted update, on which nothing depended.
///
/// If no two copies are equal, copies were damaged in addition to an interrupted update. Then the
/// highest number is chosen if the previous update is intact, too, and the result has the error
/// about the other copies.
///
/// A durable update is on three copies, so at most one intact copy is older than the last durable
/// update. Of two intact copies, therefore, the one with the higher number is not older than that
/// update. A single intact copy may be older.
///
/// # Errors
/// An [`OpenError`] if no superblock can be chosen, or if the copies contradict each other.
pub(crate) fn choose(
    copies: &[SuperblockCopy],
) -> Result<(&Superblock, Option<StorageError>), OpenError> {
    let valid = |copy| match copy {
        &SuperblockCopy::Valid(ref superblock, digest) => Some((&**superblock, digest)),
        _ => None,
    };
    let twice = |digest: Digest| {
        copies.iter().filter_map(valid).filter(|(_, other)| *other == digest).count() >= 2
    };
    let candidates = copies.iter().filter_map(valid).filter(|(_, digest)| twice(*digest));
    let pair = candidates.max_by_key(|(superblock, _)| superblock.seq);
    let highest = copies.iter().filter_map(valid).max_by_key(|(superblock, _)| superblock.seq);
    let follows = |chosen: &Superblock| {
        copies.iter().filter_map(valid).any(|(_, other)| other == chosen.parent)
    };
    let Some((chosen, digest)) = pair.or(highest.filter(|(highest, _)| follows(highest))) else {
        let newer = copies.iter().find_map(|copy| match copy {
            SuperblockCopy::Newer(version) => Some(version),
            _ => None,
        });
        return Err(match newer {
            Some(version) => OpenError::Mismatch {
                file: FileName::Superblock,
                field: "version",
                expected: VERSION.to_string(),
                found: version.to_string(),
            },
            None => damage("no two of its four copies are intact and equal"),
        });
    };
    for (other, other_digest) in copies.iter().filter_map(valid) {
        // An interrupted update may have left one copy that later updates failed to replace. That
        // update was never durable: if it had been, no other update with its number would have two
        // copies, and the next update would name it as its parent.
        let is_leftover = pair.is_some() && !twice(other_digest);
        let is_sibling = other.parent == chosen.parent;
        let contradicts =
            other.seq == chosen.seq && other_digest != digest && !(is_leftover && is_sibling)
                || other.seq + 1 == chosen.seq && other_digest != chosen.parent && !is_leftover
                || (other.identity, other.origin) != (chosen.identity, chosen.origin);
        if contradicts {
            return Err(damage("its copies contradict each other"));
        }
    }
    let alone = pair.is_none().then(|| {
        let message = format!(
            "no two of its four copies are intact and equal; update {} is the newest that is \
             intact: a later term or vote, and flushes acknowledged since, may be lost",
            chosen.seq
        );
        StorageError::damage(FileName::Superblock, 0, message)
    });
    Ok((chosen, alone))
}

fn damage(message: &str) -> OpenError {
    OpenError::Failed(StorageError::damage(FileName::Superblock, 0, message))
}

/// An error about the copy at this offset, while the node runs.
pub(crate) fn damaged_copy(offset: u64) -> StorageError {
    StorageError::damage(FileName::Superblock, offset, "this copy is not as it was written")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The content of a copy: one of these updates, or nothing that can be used.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Content {
        /// Rotten, or torn by an interrupted write.
        Bad,
        Zero,
        First,
        /// The update that follows the first one.
        Second,
        /// Another update that follows the first one, after a start that did not use the second.
        Sibling,
        /// The update that follows the second one.
        Third,
    }

    const CONTENTS: [Content; 6] = [
        Content::Bad,
        Content::Zero,
        Content::First,
        Content::Second,
        Content::Sibling,
        Content::Third,
    ];

    impl Content {
        fn is_intact(self) -> bool {
            self >= Content::First
        }

        /// Whether this update is `earlier`, or was begun after `earlier` was durable or chosen.
        fn includes(self, earlier: Content) -> bool {
            self == earlier
                || earlier == Content::First && self.is_intact()
                || earlier == Content::Second && self == Content::Third
        }

        fn number(self) -> u64 {
            match self {
                Content::Bad | Content::Zero => 0,
                Content::First => 1,
                Content::Second | Content::Sibling => 2,
                Content::Third => 3,
            }
        }
    }

    /// Returns the updates, in the order of the contents from the first on.
    fn updates() -> [Superblock; 4] {
        let (cluster, node) = (ClusterId(1), NodeId(1));
        let identity = Identity { cluster, node, incarnation: Incarnation(1) };
        let first = Superblock::new(identity, &Membership::new([1, 2, 3].map(NodeId)));
        let after = |parent: &Superblock, term| Superblock {
            seq: parent.seq + 1,
            parent: parent.encode().digest,
            hard_state: HardState::new(Term(term), None),
            ..parent.clone()
        };
        let second = after(&first, 2);
        let (sibling, third) = (after(&first, 7), after(&second, 3));
        [first, second, sibling, third]
    }

    fn copy_of(content: Content, updates: &[Superblock; 4]) -> SuperblockCopy {
        let place = CONTENTS[2..].iter().position(|other| *other == content);
        let Some(superblock) = place.map(|place| &updates[place]) else {
            let is_zero = content == Content::Zero;
            return if is_zero { SuperblockCopy::Zero } else { SuperblockCopy::Bad };
        };
        SuperblockCopy::Valid(Box::new(superblock.clone()), superblock.encode().digest)
    }

    /// Returns every combination of four contents.
    fn combinations() -> impl Iterator<Item = [Content; COPIES]> {
        let radix = CONTENTS.len();
        (0..radix.pow(4)).map(move |number| {
            [1, radix, radix * radix, radix.pow(3)].map(|unit| CONTENTS[number / unit % radix])
        })
    }

    /// Returns the chosen content, and whether two copies of it are equal.
    fn chosen(
        combination: [Content; COPIES],
        updates: &[Superblock; 4],
    ) -> Option<(Content, bool)> {
        let copies = combination.map(|content| copy_of(content, updates));
        let (found, alone) = choose(&copies).ok()?;
        let place = updates.iter().position(|update| update == found).expect("a copy is chosen");
        Some((CONTENTS[place + 2], alone.is_none()))
    }

    #[test]
    fn no_combination_of_copies_returns_to_a_state_before_an_acknowledged_one() {
        let updates = updates();
        for combination in combinations() {
            let Some((found, _)) = chosen(combination, &updates) else { continue };
            // An update is acknowledged once three copies were read back; since then each of them
            // became a later one or bad.
            let acknowledged = CONTENTS.into_iter().filter(|earlier| {
                let may_be = |copy: &&Content| !copy.is_intact() || copy.includes(*earlier);
                earlier.is_intact() && combination.iter().filter(may_be).count() >= COPIES_MIN
            });
            for earlier in acknowledged {
                assert!(found.includes(earlier), "{combination:?}: {found:?} lacks {earlier:?}");
            }
        }
    }

    #[test]
    fn every_combination_of_old_new_and_bad_copies_has_its_outcome() {
        let updates = updates();
        for combination in combinations() {
            let count = |content| combination.iter().filter(|copy| **copy == content).count();
            let (old, new) = (count(Content::First), count(Content::Second));
            if count(Content::Sibling) + count(Content::Third) > 0 {
                continue;
            }
            let expected = match (old, new) {
                (_, 2..) => Some((Content::Second, true)),
                (2.., _) => Some((Content::First, true)),
                // An interrupted update, and damage of two further copies.
                (1, 1) => Some((Content::Second, false)),
                // One intact copy alone may be the one that later updates failed to replace.
                _ => None,
            };
            assert_eq!(chosen(combination, &updates), expected, "{combination:?}");
        }
    }

    #[test]
    fn a_single_copy_is_chosen_only_beside_one_of_the_update_before_it() {
        let updates = updates();
        let mut outcomes = (0, 0);
        for combination in combinations() {
            let intact = || combination.into_iter().filter(|copy| copy.is_intact());
            let is_equal = |one: Content| intact().filter(|other| *other == one).count() >= 2;
            if intact().any(is_equal) {
                continue;
            }
            let has = |content| combination.contains(&content);
            let expected = match intact().max_by_key(|copy| copy.number()) {
                _ if has(Content::Second) && has(Content::Sibling) => None,
                Some(Content::Third) => has(Content::Second).then_some(Content::Third),
                Some(next @ (Content::Second | Content::Sibling)) => {
                    has(Content::First).then_some(next)
                }
                _ => None,
            };
            let found = chosen(combination, &updates);
            assert_eq!(found, expected.map(|content| (content, false)), "{combination:?}");
            outcomes.0 += usize::from(found.is_some());
            outcomes.1 += usize::from(found.is_none());
        }
        assert!(outcomes.0 > 0 && outcomes.1 > 0, "{outcomes:?}");
    }
}
