//! The limits of connections that have not completed their handshake, in total and per address.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::config::NetworkConfig;
use crate::runtime::origin::network_prefix;

/// The connections in their handshake.
pub(super) struct PendingHandshakes {
    slots: Arc<Semaphore>,
    per_address_max: usize,
    /// The number of connections from each address that has any.
    by_address: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection in its handshake, which counts until this is dropped.
pub(super) struct PendingHandshake {
    pending: Arc<PendingHandshakes>,
    from: IpAddr,
    _slot: OwnedSemaphorePermit,
}

impl PendingHandshakes {
    pub(super) fn new(config: &NetworkConfig) -> Arc<PendingHandshakes> {
        Arc::new(PendingHandshakes {
            slots: Arc::new(Semaphore::new(config.handshakes_max)),
            per_address_max: config.handshakes_per_address_max,
            by_address: Mutex::default(),
        })
    }

    /// Waits until one more handshake may start.
    pub(super) async fn acquire_slot(&self) -> OwnedSemaphorePermit {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        slot.expect("the semaphore is never closed")
    }

    /// Counts one more handshake; returns none if the limit of its address is reached.
    pub(super) fn admit(
        self: &Arc<PendingHandshakes>,
        slot: OwnedSemaphorePermit,
        from: IpAddr,
    ) -> Option<PendingHandshake> {
        let from = network_prefix(from);
        let mut by_address = self.lock_by_address();
        let count = by_address.entry(from).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        Some(PendingHandshake { pending: Arc::clone(self), from, _slot: slot })
    }

    fn lock_by_address(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PendingHandshake {
    fn drop(&mut self) {
        let mut by_address = self.pending.lock_by_address();
        let count = by_address.entry(self.from).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            by_address.remove(&self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending() -> Arc<PendingHandshakes> {
        let (handshakes_max, handshakes_per_address_max) = (5, 2);
        PendingHandshakes::new(&NetworkConfig {
            handshakes_max,
            handshakes_per_address_max,
            ..NetworkConfig::default()
        })
    }

    async fn admit(pending: &Arc<PendingHandshakes>, from: &str) -> Option<PendingHandshake> {
        let slot = pending.acquire_slot().await;
        pending.admit(slot, from.parse().expect("the address is valid"))
    }

    #[tokio::test]
    async fn the_limit_of_one_address_leaves_room_for_others() {
        let pending = pending();
        let first = admit(&pending, "192.0.2.1").await;
        let second = admit(&pending, "::ffff:192.0.2.1").await;
        assert!(first.is_some() && second.is_some());
        assert!(admit(&pending, "192.0.2.1").await.is_none());
        let other = admit(&pending, "192.0.2.2").await;
        assert!(other.is_some());
        drop(first);
        let again = admit(&pending, "192.0.2.1").await;
        assert!(again.is_some());
        assert_eq!(pending.slots.available_permits(), 2, "a rejected connection holds no slot");
        drop((second, other, again));
        assert!(pending.lock_by_address().is_empty(), "closed connections are not counted");
        assert_eq!(pending.slots.available_permits(), 5);
    }

    #[tokio::test]
    async fn the_addresses_of_one_ipv6_prefix_count_together() {
        let pending = pending();
        let first = admit(&pending, "2001:db8::1").await;
        let second = admit(&pending, "2001:db8::2:1").await;
        assert!(first.is_some() && second.is_some());
        assert!(admit(&pending, "2001:db8:0:0:ffff::").await.is_none());
        assert!(admit(&pending, "2001:db8:0:1::1").await.is_some());
    }
}
