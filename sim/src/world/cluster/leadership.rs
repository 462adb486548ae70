//! The knowledge that a process has as a leader, or from its leader.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::{self, RoleName, Status};
use quorate::replica::Note;
use quorate::types::{Body, Index, Instant, Membership, NodeId, Term};

/// The peers that a leader has heard, where its term began, and whether the node may take over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leadership {
    /// For each peer, this leader's term and the time of its own clock when the peer last replied.
    heard: BTreeMap<NodeId, (Term, Instant)>,
    /// The last index of the log when the node became leader.
    pub(crate) last_before_leading: Index,
    /// Whether the node has led since its start, or its leader has allowed it to take over: it may
    /// become the last survivor.
    pub(crate) may_take_over: bool,
}

impl Leadership {
    /// Records a reply of a peer at the leader's own time.
    pub(super) fn hear(&mut self, peer: NodeId, term: Term, own: Instant) {
        self.heard.insert(peer, (term, own));
    }

    /// Returns the peers that the leader of `term` has heard within `timeout` by its own time.
    pub(crate) fn live(
        &self,
        term: Term,
        own: Instant,
        timeout: Duration,
    ) -> impl Iterator<Item = NodeId> {
        let lately =
            move |(in_term, at): (Term, Instant)| in_term == term && own < at.after(timeout);
        self.heard.iter().filter(move |(_, heard)| lately(**heard)).map(|(peer, _)| *peer)
    }

    /// Records whether the node may take over: a leader may, and so may a voter that its leader
    /// allowed to.
    pub(super) fn note_takeover(
        &mut self,
        status: &Status,
        notes: &[Note],
        membership: &Membership,
    ) {
        let allowed = |note: &Note| {
            matches!(note, Note::RaftInput(raft::Input::Message(message))
                if message.body == Body::TakeoverAllowed && status.leader == Some(message.from))
        };
        self.may_take_over |= status.role == RoleName::Leader || notes.iter().any(allowed);
        self.may_take_over &= membership.incoming().contains(&status.id);
    }
}
