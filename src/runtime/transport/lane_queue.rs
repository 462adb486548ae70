//! The queue of the packets that wait for one lane of one peer. It is bounded in packets, and in
//! bytes of log entries, because only packets with entries may be both large and many.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::types::{Body, Entry, Packet};

/// A packet that waits, with its share of the queue's bytes, which is free again once the packet
/// is dropped.
pub(super) struct QueuedPacket {
    pub(super) packet: Packet,
    _bytes: OwnedSemaphorePermit,
}

/// The sending end of a queue.
pub(super) struct LaneSender {
    packets: Sender<QueuedPacket>,
    bytes: Arc<Semaphore>,
    bytes_max: u32,
}

/// Returns both ends of a queue for `packets_max` packets with `bytes_max` bytes of entries.
pub(super) fn lane_queue(
    packets_max: usize,
    bytes_max: usize,
) -> (LaneSender, Receiver<QueuedPacket>) {
    let (packets, queue) = mpsc::channel(packets_max.min(Semaphore::MAX_PERMITS));
    let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX);
    let bytes_max = bytes_max.min(u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX));
    let bytes = Arc::new(Semaphore::new(bytes_max as usize));
    (LaneSender { packets, bytes, bytes_max }, queue)
}

impl LaneSender {
    /// Adds the packet to the queue. Returns false, and drops the packet, if the queue has no room.
    /// A packet that is larger than the bound needs an empty queue.
    pub(super) fn try_send(&self, packet: Packet) -> bool {
        let bytes = u32::try_from(entry_bytes(&packet)).unwrap_or(u32::MAX).min(self.bytes_max);
        let Ok(permit) = Arc::clone(&self.bytes).try_acquire_many_owned(bytes) else {
            return false;
        };
        self.packets.try_send(QueuedPacket { packet, _bytes: permit }).is_ok()
    }

    /// The sender of the packets, by which the length of the queue is observed.
    pub(super) fn packets(&self) -> &Sender<QueuedPacket> {
        &self.packets
    }
}

/// Returns the size of the entries in the packet.
fn entry_bytes(packet: &Packet) -> usize {
    let (Packet::Message(message) | Packet::Chained(message, ..)) = packet else { return 0 };
    match &message.body {
        Body::AppendEntries { entries, .. } | Body::RequestEntriesReply { entries, .. } => {
            entries.iter().map(Entry::bytes).sum()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Incarnation, Index, Message, NodeId, Payload, Term};

    fn append(command_bytes: usize) -> Packet {
        let id = EntryId::new(Term(1), Index(2));
        let payload = Payload::Command(vec![0; command_bytes].into());
        let entries = Entry { id, payload }.into();
        let body = Body::AppendEntries { prev: EntryId::ZERO, entries, committed: Index::ZERO };
        let (from, to, incarnation) = (NodeId(1), NodeId(2), Incarnation(1));
        Packet::Message(Message { from, incarnation, to, term: Term(1), body })
    }

    #[tokio::test]
    async fn waiting_entries_are_bounded_in_bytes() {
        let (sender, mut queue) = lane_queue(9, 1_000);
        assert!(sender.try_send(append(900)));
        assert!(!sender.try_send(append(100)), "with the overhead of two entries");
        assert!(sender.try_send(append(36)));
        assert!(!sender.try_send(append(0)));
        drop(queue.recv().await);
        assert!(sender.try_send(append(900)));
    }

    #[tokio::test]
    async fn a_packet_larger_than_the_bound_waits_alone() {
        let (sender, mut queue) = lane_queue(9, 1_000);
        assert!(sender.try_send(append(5_000)));
        assert!(!sender.try_send(append(0)));
        drop(queue.recv().await);
        assert!(sender.try_send(append(0)));
        assert!(!sender.try_send(append(5_000)));
    }

    #[tokio::test]
    async fn waiting_packets_are_bounded_in_number() {
        let (sender, _queue) = lane_queue(2, 1_000);
        assert!(sender.try_send(append(0)) && sender.try_send(append(0)));
        assert!(!sender.try_send(append(0)));
    }
}
