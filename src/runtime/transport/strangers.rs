//! Callers that have not said yet who they are: how many there may be, and how many from one place.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::runtime::config::NetworkConfig;

/// Those that are there.
pub(super) struct Strangers {
    places: Arc<Semaphore>,
    each_max: usize,
    /// How many there are from each place that any are from.
    callers: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One of them, until this is dropped.
pub(super) struct Stranger {
    strangers: Arc<Strangers>,
    from: IpAddr,
    _place: OwnedSemaphorePermit,
}

impl Strangers {
    pub(super) fn new(config: &NetworkConfig) -> Arc<Strangers> {
        Arc::new(Strangers {
            places: Arc::new(Semaphore::new(config.strangers_max)),
            each_max: config.strangers_per_address_max,
            callers: Mutex::default(),
        })
    }

    /// Waits until there is room for one more.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.expect("nobody closes it")
    }

    /// Gives the place to a caller, unless there are enough from where it is.
    pub(super) fn enter(
        self: &Arc<Strangers>,
        place: OwnedSemaphorePermit,
        from: IpAddr,
    ) -> Option<Stranger> {
        let from = site(from);
        let mut callers = self.callers();
        let count = callers.entry(from).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        Some(Stranger { strangers: Arc::clone(self), from, _place: place })
    }

    fn callers(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut callers = self.strangers.callers();
        let count = callers.entry(self.from).or_default();
        *count = count.saturating_sub(1);
        if *count == 0 {
            callers.remove(&self.from);
        }
    }
}

/// Who has one address of version 6 has all of its last 64 bits.
fn site(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        version_4 => version_4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strangers() -> Arc<Strangers> {
        let (strangers_max, strangers_per_address_max) = (5, 2);
        Strangers::new(&NetworkConfig {
            strangers_max,
            strangers_per_address_max,
            ..NetworkConfig::default()
        })
    }

    async fn enter(strangers: &Arc<Strangers>, from: &str) -> Option<Stranger> {
        let place = strangers.place().await;
        strangers.enter(place, from.parse().expect("it is an address"))
    }

    #[tokio::test]
    async fn one_address_leaves_room_for_others() {
        let strangers = strangers();
        let first = enter(&strangers, "192.0.2.1").await;
        let second = enter(&strangers, "::ffff:192.0.2.1").await;
        assert!(first.is_some() && second.is_some());
        assert!(enter(&strangers, "192.0.2.1").await.is_none());
        let other = enter(&strangers, "192.0.2.2").await;
        assert!(other.is_some());
        drop(first);
        let again = enter(&strangers, "192.0.2.1").await;
        assert!(again.is_some());
        assert_eq!(strangers.places.available_permits(), 2, "who was refused holds none");
        drop((second, other, again));
        assert!(strangers.callers().is_empty(), "nothing is kept of who has left");
        assert_eq!(strangers.places.available_permits(), 5);
    }

    #[tokio::test]
    async fn one_host_has_many_addresses() {
        let strangers = strangers();
        let first = enter(&strangers, "2001:db8::1").await;
        let second = enter(&strangers, "2001:db8::2:1").await;
        assert!(first.is_some() && second.is_some());
        assert!(enter(&strangers, "2001:db8:0:0:ffff::").await.is_none());
        assert!(enter(&strangers, "2001:db8:0:1::1").await.is_some());
    }
}
