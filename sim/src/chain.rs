//! One number that stands for a whole log prefix: equal chains mean equal prefixes.

use quorate::types::{Entry, EntryId, Payload};

use crate::digest;

/// The chain of the empty log.
pub const EMPTY: u64 = 0;

/// The chain of a log of chain `chain` with `entry` added. A state machine that extends its chain
/// by every entry it applies has the chain of the log it has applied.
#[must_use]
pub fn extend(chain: u64, entry: &Entry) -> u64 {
    link(chain, entry.id, payload(&entry.payload))
}

/// As [`extend`], for an entry whose payload has the hash `payload`.
#[must_use]
pub const fn link(chain: u64, id: EntryId, payload: u64) -> u64 {
    digest::mix(digest::mix(digest::mix(chain, id.term.0), id.index.0), payload)
}

/// The hash of what an entry carries.
#[must_use]
pub fn payload(payload: &Payload) -> u64 {
    match payload {
        Payload::Noop => 0,
        Payload::Command(command) => self::command(command),
        Payload::Membership(membership) => digest::mix(1, digest::of_bytes(&membership.encode())),
    }
}

/// The hash of an entry's payload if it carries the command `bytes`.
#[must_use]
pub fn command(bytes: &[u8]) -> u64 {
    digest::of_bytes(bytes)
}
