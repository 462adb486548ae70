//! How far each peer is, as a leader tells whoever asks.

use alloc::vec::Vec;

use crate::progress::{Mode, Progress};
use crate::raft::status::PeerStatus;
use crate::raft::{Raft, Role};
use crate::types::NodeId;

impl Raft {
    /// How far each peer is; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let status = |(id, progress): &(NodeId, Progress)| PeerStatus {
            id: *id,
            probing: matches!(progress.mode(), Mode::Probe { .. }),
            snapshot: match progress.mode() {
                Mode::Snapshot { last, .. } => Some(last),
                Mode::Probe { .. } | Mode::Replicate => None,
            },
            disk_full: progress.disk_full(),
            matched: progress.matched(),
            next: progress.next(),
            inflight_entries: progress.inflight().entries(),
            inflight_bytes: progress.inflight().bytes(),
        };
        leader.peers.iter().map(status).collect()
    }
}
