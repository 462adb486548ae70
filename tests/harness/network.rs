//! The network between the nodes: one queue, links that can be cut, kinds that can be dropped.

use std::collections::{BTreeSet, VecDeque};

use quorate::types::{Message, MessageKind, NodeId};

/// The messages in flight, and the cut links and dropped kinds.
#[derive(Default)]
pub(crate) struct Network {
    waiting: VecDeque<Message>,
    cut: BTreeSet<(NodeId, NodeId)>,
    dropped: BTreeSet<MessageKind>,
    /// Every message ever sent, lost or not.
    sent: Vec<Message>,
}

impl Network {
    pub(crate) fn send(&mut self, message: Message) {
        self.sent.push(message.clone());
        self.waiting.push_back(message);
    }

    /// Returns the oldest message that its link carries; older ones that are lost are dropped.
    pub(crate) fn next(&mut self) -> Option<Message> {
        while let Some(message) = self.waiting.pop_front() {
            if self.carries(&message) {
                return Some(message);
            }
        }
        None
    }

    /// Takes the selected messages off the network, oldest first.
    pub(crate) fn take(&mut self, wanted: impl FnMut(&Message) -> bool) -> Vec<Message> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(wanted);
        self.waiting = left;
        taken.into()
    }

    /// Takes the oldest selected message off the network.
    pub(crate) fn take_first(&mut self, wanted: impl FnMut(&Message) -> bool) -> Option<Message> {
        let at = self.waiting.iter().position(wanted)?;
        self.waiting.remove(at)
    }

    /// Returns true if the message's link is not cut and its kind is not dropped.
    pub(crate) fn carries(&self, message: &Message) -> bool {
        !self.cut.contains(&(message.from, message.to))
            && !self.dropped.contains(&message.body.kind())
    }

    /// Cuts the link from one node to the other in this direction only.
    pub(crate) fn cut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn uncut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.cut.remove(&(from, to));
    }

    /// Restores every link of `node`.
    pub(crate) fn rejoin(&mut self, node: NodeId) {
        self.cut.retain(|&(from, to)| from != node && to != node);
    }

    pub(crate) fn drop_kinds(&mut self, kinds: impl IntoIterator<Item = MessageKind>) {
        self.dropped = kinds.into_iter().collect();
    }

    /// Restores every link and every kind.
    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.dropped.clear();
    }

    pub(crate) fn sent(&self) -> &[Message] {
        &self.sent
    }

    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Message> {
        self.waiting.iter()
    }
}
