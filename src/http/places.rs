//! The places of HTTP connections: one set while their requests arrive, and one for each kind of
//! reply, so that neither slow requests nor slow readers delay the health checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::runtime::lock;

/// The maximum number of connections whose request has not arrived. A further one takes the place
/// of the oldest, which is the slowest: an ordinary request arrives with its connection.
const ARRIVING_MAX: usize = 64;
/// The maximum number of health checks whose replies are being sent.
const HEALTH_MAX: usize = 32;
/// The maximum number of other replies that are being sent. Further requests are rejected as
/// overload.
const OTHERS_MAX: usize = 32;

/// The maximum number of connections at one address.
pub(super) const CONNECTIONS_MAX: usize = ARRIVING_MAX + HEALTH_MAX + OTHERS_MAX;

/// The places of the connections at one address.
#[derive(Debug)]
pub(super) struct Places {
    arriving: Mutex<Arriving>,
    health: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// The connections whose requests have not arrived, by number.
#[derive(Debug, Default)]
struct Arriving {
    last: u64,
    connections: BTreeMap<u64, oneshot::Sender<()>>,
}

/// The place of one connection, which is free again once this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    reply: Mutex<Option<ReplyPlace>>,
}

/// The place of a reply that is being sent. No newer connection takes it.
#[derive(Debug)]
struct ReplyPlace {
    _keep_open: oneshot::Sender<()>,
    _permit: OwnedSemaphorePermit,
}

/// Resolves when a newer connection has taken the place.
pub(super) type Replaced = oneshot::Receiver<()>;

impl Places {
    pub(super) fn new() -> Arc<Places> {
        Arc::new(Places {
            arriving: Mutex::default(),
            health: Arc::new(Semaphore::new(HEALTH_MAX)),
            others: Arc::new(Semaphore::new(OTHERS_MAX)),
        })
    }

    /// Returns a place for a new connection. If no place is free, it is that of the oldest
    /// connection whose request has not arrived.
    pub(super) fn take(self: &Arc<Places>) -> (Place, Replaced) {
        let (keep_open, replaced) = oneshot::channel();
        let mut arriving = lock(&self.arriving);
        if arriving.connections.len() >= ARRIVING_MAX {
            arriving.connections.pop_first();
        }
        arriving.last += 1;
        let number = arriving.last;
        arriving.connections.insert(number, keep_open);
        let reply = Mutex::default();
        (Place { places: Arc::clone(self), number, reply }, replaced)
    }
}

impl Place {
    /// Exchanges this place, now that the request has arrived, for one in which its reply is sent.
    /// Returns false if no such place is free, or if a newer connection has taken this one.
    pub(super) fn reply(&self, is_health_check: bool) -> bool {
        let kind = if is_health_check { &self.places.health } else { &self.places.others };
        let permit = Arc::clone(kind).try_acquire_owned().ok();
        let mut reply = lock(&self.reply);
        if let Some(permit) = permit
            && let Some(keep_open) = lock(&self.places.arriving).connections.remove(&self.number)
        {
            *reply = Some(ReplyPlace { _keep_open: keep_open, _permit: permit });
        }
        reply.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places.arriving).connections.remove(&self.number);
    }
}
