//! The network between the nodes: one queue, links that can be cut, kinds that can be dropped.

use std::collections::{BTreeSet, VecDeque};

use quorate::types::{Body, Message, NodeId};

/// What a message is, without what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    PreVote,
    PreVoteReply,
    Vote,
    VoteReply,
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    ReadIndex,
    ReadIndexReply,
    InstallSnapshot,
    InstallSnapshotReply,
    TimeoutNow,
    Meet,
    Founded,
    Stranger,
}

impl Kind {
    pub(crate) fn of(body: &Body) -> Kind {
        match body {
            Body::PreVote { .. } => Kind::PreVote,
            Body::PreVoteReply { .. } => Kind::PreVoteReply,
            Body::RequestVote { .. } => Kind::Vote,
            Body::RequestVoteReply { .. } => Kind::VoteReply,
            Body::AppendEntries { .. } => Kind::Append,
            Body::AppendEntriesReply(_) => Kind::AppendReply,
            Body::Heartbeat { .. } => Kind::Heartbeat,
            Body::HeartbeatReply { .. } => Kind::HeartbeatReply,
            Body::ReadIndex { .. } => Kind::ReadIndex,
            Body::ReadIndexReply { .. } => Kind::ReadIndexReply,
            Body::InstallSnapshot { .. } => Kind::InstallSnapshot,
            Body::InstallSnapshotReply { .. } => Kind::InstallSnapshotReply,
            Body::TimeoutNow | Body::Counted | Body::Vouch => Kind::TimeoutNow,
            Body::Meet { .. } => Kind::Meet,
            Body::Founded { .. } => Kind::Founded,
            Body::Stranger => Kind::Stranger,
        }
    }
}

/// What is on its way, and what stands in it.
#[derive(Default)]
pub(crate) struct Network {
    waiting: VecDeque<Message>,
    cut: BTreeSet<(NodeId, NodeId)>,
    dropped: BTreeSet<Kind>,
    /// Everything that was ever sent, lost or not.
    sent: Vec<Message>,
}

impl Network {
    pub(crate) fn send(&mut self, message: Message) {
        self.sent.push(message.clone());
        self.waiting.push_back(message);
    }

    /// The oldest message whose link is whole; those that are older and lost on the way are gone.
    pub(crate) fn next(&mut self) -> Option<Message> {
        while let Some(message) = self.waiting.pop_front() {
            if self.carries(&message) {
                return Some(message);
            }
        }
        None
    }

    /// Takes messages off the network, oldest first; they are the caller's now.
    pub(crate) fn take(&mut self, wanted: impl FnMut(&Message) -> bool) -> Vec<Message> {
        let (taken, left): (VecDeque<_>, VecDeque<_>) = self.waiting.drain(..).partition(wanted);
        self.waiting = left;
        taken.into()
    }

    /// Takes the oldest wanted message off the network.
    pub(crate) fn take_first(&mut self, wanted: impl FnMut(&Message) -> bool) -> Option<Message> {
        let at = self.waiting.iter().position(wanted)?;
        self.waiting.remove(at)
    }

    /// Whether the message's link is whole and its kind is let through.
    pub(crate) fn carries(&self, message: &Message) -> bool {
        !self.cut.contains(&(message.from, message.to))
            && !self.dropped.contains(&Kind::of(&message.body))
    }

    /// Cuts the link from one node to the other, in this direction only.
    pub(crate) fn cut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.cut.insert((from, to));
    }

    pub(crate) fn uncut_one_way(&mut self, from: NodeId, to: NodeId) {
        self.cut.remove(&(from, to));
    }

    /// Makes every link touching `node` whole again.
    pub(crate) fn rejoin(&mut self, node: NodeId) {
        self.cut.retain(|&(from, to)| from != node && to != node);
    }

    pub(crate) fn drop_kinds(&mut self, kinds: impl IntoIterator<Item = Kind>) {
        self.dropped = kinds.into_iter().collect();
    }

    /// Makes every link whole and lets every kind through.
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
