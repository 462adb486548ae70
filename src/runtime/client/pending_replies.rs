//! The requests of many callers that are in flight on one connection: each is sent or withdrawn,
//! and ends with a reply or an error.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use tokio::sync::oneshot;

use crate::runtime::client::error::Mismatch;
use crate::wire::{ClientRequest, ReplyBody, RequestBody};

/// The result of sending one request to one node.
pub(super) type ReplyResult = Result<ReplyBody, ConnectionError>;

/// The reasons for which a request has no reply.
#[derive(Clone, Debug)]
pub(super) enum ConnectionError {
    /// The request was not sent: the node is not reachable.
    Unreachable(String),
    /// The request was not sent: the node and the client are configured differently.
    Mismatch(Mismatch, String),
    /// The request may have been sent, and the connection was lost.
    Lost(String),
    /// The request is too large for a frame.
    TooLarge,
}

/// Records whether a request was sent or withdrawn, whichever happened first.
#[derive(Clone, Debug, Default)]
pub(super) struct SentFlag(Arc<OnceLock<bool>>);

/// A request in the queue of a connection.
#[derive(Debug)]
pub(super) struct OutgoingRequest {
    pub(super) body: RequestBody,
    pub(super) sent: SentFlag,
    pub(super) reply: oneshot::Sender<ReplyResult>,
}

/// The callers that wait for replies, by the number of the request.
#[derive(Debug, Default)]
pub(super) struct PendingReplies {
    last: u64,
    callers: BTreeMap<u64, oneshot::Sender<ReplyResult>>,
}

impl SentFlag {
    /// Marks the request as sent; returns false if it was withdrawn.
    fn mark_sent(&self) -> bool {
        *self.0.get_or_init(|| true)
    }

    /// Withdraws the request; returns false if it was sent.
    pub(super) fn withdraw(&self) -> bool {
        !*self.0.get_or_init(|| false)
    }
}

impl PendingReplies {
    /// The number of the connection's own request for a report.
    pub(super) const REPORT: u64 = 0;

    /// Gives the request a number, and appends its frame to `bytes`, unless it was withdrawn or its
    /// caller is gone.
    pub(super) fn encode(
        &mut self,
        OutgoingRequest { body, sent, reply }: OutgoingRequest,
        bytes: &mut Vec<u8>,
    ) {
        if reply.is_closed() || !sent.mark_sent() {
            return;
        }
        let number = self.last + 1;
        match (ClientRequest { number, body }).encode(bytes) {
            Err(_) => drop(reply.send(Err(ConnectionError::TooLarge))),
            Ok(()) => {
                self.last = number;
                self.callers.insert(number, reply);
            }
        }
    }

    /// Passes the reply to the caller of the request with this number. Returns false if there is
    /// none.
    pub(super) fn complete(&mut self, number: u64, reply: ReplyBody) -> bool {
        let Some(caller) = self.callers.remove(&number) else { return false };
        // A caller that has dropped its future receives nothing.
        drop(caller.send(Ok(reply)));
        true
    }

    /// Passes the error of the lost connection to every caller.
    pub(super) fn lose(&mut self, error: &str) {
        for caller in std::mem::take(&mut self.callers).into_values() {
            drop(caller.send(Err(ConnectionError::Lost(error.to_owned()))));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.callers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_either_sent_or_withdrawn() {
        let mut pending = PendingReplies::default();
        let mut bytes = Vec::new();
        let (sent, (sender, _receiver)) = (SentFlag::default(), oneshot::channel());
        assert!(sent.withdraw());
        pending.encode(
            OutgoingRequest { body: RequestBody::CancelMembershipChange, sent, reply: sender },
            &mut bytes,
        );
        assert!(bytes.is_empty() && pending.callers.is_empty());
        let (sent, (sender, _receiver)) = (SentFlag::default(), oneshot::channel());
        let request = OutgoingRequest {
            body: RequestBody::CancelMembershipChange,
            sent: sent.clone(),
            reply: sender,
        };
        pending.encode(request, &mut bytes);
        assert!(!sent.withdraw() && !bytes.is_empty());
    }
}
