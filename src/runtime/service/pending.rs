//! The requests of one connection whose replies are not written yet.

use crate::runtime::audit::AdminRequest;
use crate::runtime::request::Effect;
use crate::wire::RequestBody;

/// A request that waits for its reply.
pub(super) struct PendingRequest {
    /// The number of the request, which its reply repeats.
    pub(super) number: u64,
    pub(super) effect: Effect,
    pub(super) audited: Option<Box<AdminRequest>>,
    /// The request itself, if this node may have to forward it to the leader.
    pub(super) forwarded: Option<RequestBody>,
}

/// The pending requests of one connection, in numbered slots. `Connection::places` bounds their
/// number. Dropping an audited one logs that its outcome is not known.
#[derive(Default)]
pub(super) struct PendingRequests {
    slots: Vec<Option<PendingRequest>>,
    free: Vec<usize>,
}

impl PendingRequests {
    /// Adds a request, and returns its slot.
    pub(super) fn insert(&mut self, request: PendingRequest) -> usize {
        match self.free.pop() {
            Some(slot) => {
                let earlier = self.slots[slot].replace(request);
                assert!(earlier.is_none(), "a free slot is empty");
                slot
            }
            None => {
                self.slots.push(Some(request));
                self.slots.len() - 1
            }
        }
    }

    /// Returns the number of requests.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns the request of a slot.
    pub(super) fn get_mut(&mut self, slot: usize) -> &mut PendingRequest {
        self.slots[slot].as_mut().expect("a request has one reply")
    }

    /// Removes the request of a slot, which becomes free.
    pub(super) fn remove(&mut self, slot: usize) -> PendingRequest {
        let request = self.slots[slot].take().expect("a request has one reply");
        self.free.push(slot);
        request
    }
}
