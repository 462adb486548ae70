//! The size of a key and its value in the store.

/// The bytes that each pair counts against the quota in addition to its key and value, because the
/// map stores more than the two.
const PAIR_BYTES: u64 = 64;

/// Returns the bytes that a pair counts against the quota.
pub(super) fn bytes_of(key: &[u8], value: &[u8]) -> u64 {
    PAIR_BYTES + (key.len() + value.len()) as u64
}
