//! The count of the bytes that a connection received below TLS, and of those without content.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of received bytes that one byte of content accounts for. A record with one byte of
/// content has 23 bytes.
const BYTES_PER_CONTENT: u64 = 32;

/// The bytes that were received below TLS.
#[derive(Debug, Default)]
pub(in crate::runtime) struct ReceivedBytes {
    count: AtomicU64,
    /// The bytes that no content accounts for.
    empty: AtomicU64,
}

impl ReceivedBytes {
    /// Returns the number of all bytes.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Records that `count` bytes of content were read. They account for earlier bytes only, so
    /// that none can be saved up for a burst of records without content.
    pub(super) fn content_was_read(&self, count: usize) {
        let accounted = BYTES_PER_CONTENT.saturating_mul(count as u64);
        let less = |empty: u64| Some(empty.saturating_sub(accounted));
        let _ = self.empty.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

#[cfg(feature = "tls")]
impl ReceivedBytes {
    /// Returns the number of bytes that no content accounts for.
    pub(super) fn empty(&self) -> u64 {
        self.empty.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.empty.fetch_add(count, Ordering::Relaxed);
    }
}
