//! The places of connections that have not completed their handshake.
//!
//! When all are taken, a new connection displaces the oldest connection of the address that has the
//! most, so that an address which opens many cannot keep out the others. A connection of that
//! address itself displaces only one that has had time for its handshake: silent connections give
//! way, and a burst of honest ones does not displace itself. IPv6 addresses with the same /64
//! prefix count as one address.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::runtime::lock::lock;
use crate::runtime::origin::network_prefix;
#[cfg(feature = "tls")]
use crate::runtime::transport::handshake_turns::HandshakeTurns;

/// The time for which a handshake keeps its place against others of its own address.
const PATIENCE: Duration = Duration::from_millis(250);

/// The connections in their handshake.
pub(super) struct PendingHandshakes {
    max: usize,
    places: Mutex<Places>,
    #[cfg(feature = "tls")]
    turns: Arc<HandshakeTurns>,
}

/// One connection in its handshake, which has its place until this is dropped or displaced.
pub(super) struct PendingHandshake {
    pending: Arc<PendingHandshakes>,
    from: IpAddr,
    number: u64,
    displaced: Arc<Notify>,
}

#[derive(Default)]
struct Places {
    /// The number of connections that ever had a place.
    admitted: u64,
    /// The connections of each address that has any, the oldest first.
    by_address: BTreeMap<IpAddr, VecDeque<Place>>,
}

struct Place {
    number: u64,
    since: Instant,
    displaced: Arc<Notify>,
}

impl PendingHandshakes {
    /// Creates places for this many connections at once.
    pub(super) fn new(max: usize) -> Arc<PendingHandshakes> {
        Arc::new(PendingHandshakes {
            max,
            places: Mutex::default(),
            #[cfg(feature = "tls")]
            turns: Arc::default(),
        })
    }

    /// Gives a connection from this address a place; returns `None` if all are taken and none gives
    /// way.
    pub(super) fn admit(self: &Arc<PendingHandshakes>, from: IpAddr) -> Option<PendingHandshake> {
        let from = network_prefix(from);
        let displaced = Arc::new(Notify::new());
        let mut places = lock(&self.places);
        let now = Instant::now();
        if places.taken() >= self.max && !places.displace(from, now) {
            return None;
        }
        places.admitted += 1;
        let number = places.admitted;
        let place = Place { number, since: now, displaced: Arc::clone(&displaced) };
        places.by_address.entry(from).or_default().push_back(place);
        Some(PendingHandshake { pending: Arc::clone(self), from, number, displaced })
    }
}

impl Places {
    /// Returns the number of places that are taken.
    fn taken(&self) -> usize {
        self.by_address.values().map(VecDeque::len).sum()
    }

    /// Takes the place of the oldest connection of the address with the most connections. Among
    /// several such addresses, takes it from the one whose oldest connection is the oldest. Returns
    /// false if the connection from `newcomer` has to give way instead.
    fn displace(&mut self, newcomer: IpAddr, now: Instant) -> bool {
        let busiest = self.by_address.iter().max_by_key(|(_, places)| {
            (places.len(), std::cmp::Reverse(places.front().map(|oldest| oldest.number)))
        });
        let Some((&address, places)) = busiest else { return true };
        let Some(oldest) = places.front() else { return true };
        if address == newcomer && now.duration_since(oldest.since) < PATIENCE {
            return false;
        }
        oldest.displaced.notify_one();
        let number = oldest.number;
        self.leave(address, number);
        true
    }

    /// Frees the place with this number, if it is still taken.
    fn leave(&mut self, address: IpAddr, number: u64) {
        if let Some(places) = self.by_address.get_mut(&address) {
            places.retain(|place| place.number != number);
            if places.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }
}

impl PendingHandshake {
    /// Waits until a newer connection takes the place.
    pub(super) async fn displaced(&self) {
        self.displaced.notified().await;
    }

    /// Runs the TLS handshake in turns with those of other connections.
    #[cfg(feature = "tls")]
    pub(super) async fn in_turns<F: Future>(&self, handshake: F) -> F::Output {
        self.pending.turns.run(self.from, handshake).await
    }
}

impl Drop for PendingHandshake {
    fn drop(&mut self) {
        lock(&self.pending.places).leave(self.from, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn admit(pending: &Arc<PendingHandshakes>, from: &str) -> Option<PendingHandshake> {
        pending.admit(from.parse().expect("the address is valid"))
    }

    fn is_displaced(handshake: &Option<PendingHandshake>) -> bool {
        let waiting = pin!(handshake.as_ref().expect("it was admitted").displaced());
        waiting.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_displaces_the_oldest_of_the_busiest_address() {
        let pending = PendingHandshakes::new(3);
        let other = admit(&pending, "192.0.2.2");
        let first = admit(&pending, "192.0.2.1");
        let second = admit(&pending, "::ffff:192.0.2.1");
        assert!(![&other, &first, &second].into_iter().any(is_displaced));
        let third = admit(&pending, "192.0.2.3");
        assert!(is_displaced(&first));
        assert!(![&other, &second, &third].into_iter().any(is_displaced));
        drop(first);
        assert_eq!(
            lock(&pending.places).taken(),
            3,
            "a displaced connection has no place to leave"
        );
        let fourth = admit(&pending, "192.0.2.4");
        assert!(is_displaced(&other), "all addresses have one: the oldest gives way");
        drop((other, second, third, fourth));
        assert!(lock(&pending.places).by_address.is_empty(), "closed connections have no place");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_gives_way_to_one_of_its_address_once_it_had_time() {
        let pending = PendingHandshakes::new(2);
        let first = admit(&pending, "2001:db8::1");
        let second = admit(&pending, "2001:db8::2:1");
        assert!(first.is_some() && second.is_some());
        assert!(admit(&pending, "2001:db8:0:0:ffff::").is_none(), "a /64 prefix is one address");
        tokio::time::advance(PATIENCE).await;
        let third = admit(&pending, "2001:db8::3");
        assert!(third.is_some() && is_displaced(&first) && !is_displaced(&second));
    }
}
