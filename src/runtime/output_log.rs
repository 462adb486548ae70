//! Log lines about outputs of a node that no other part of the driver handles.

use tracing::{debug, error, info, warn};

use crate::replica::{ComparisonResult, Output};
use crate::storage::{FileName, StorageError};

/// Logs an output about a condition that needs an operator, or about the end of one.
pub(super) fn log_output(output: &Output) {
    match output {
        Output::UnknownIncarnation { from } => {
            error!(
                %from,
                "the disk is not the one that the cluster knows for this node: remove the node \
                 from the membership and add it again"
            );
        }
        Output::DivergedLog { from } => {
            error!(
                %from,
                "the log of this node has diverged from the leader's: wipe its directory, and \
                 remove and add the node again"
            );
        }
        Output::RolledBackDisk { node, acknowledged, durable } => {
            error!(
                %node, %acknowledged, %durable,
                "the disk of this peer was rolled back: it lacks entries that the peer had \
                 acknowledged; the peer counts in no quorum until its log is checked"
            );
        }
        Output::StartedUncertain(None) => {
            warn!(
                "the log may lack entries that this node had acknowledged; the node counts in no \
                 quorum until a leader has checked its log"
            );
        }
        Output::StartedUncertain(Some(damage)) if damage.file == Some(FileName::Superblock) => {
            error!(
                damage = damage.without_advice(),
                "the disk may have lost a term, a vote or flushes of this node; the node counts in \
                 no quorum until a leader has checked its log; check the disk"
            );
        }
        Output::StartedUncertain(Some(StorageError { file, offset, message, .. })) => {
            error!(
                file = file.map(tracing::field::display),
                offset,
                message,
                "the disk has lost entries that this node had acknowledged; the node counts in no \
                 quorum until a leader has checked its log; find out who removed or replaced the \
                 file"
            );
        }
        Output::LogUncertain { from } => {
            error!(
                %from,
                "the disk of this node was rolled back: its log lacks entries that the node had \
                 acknowledged; the node counts in no quorum until a leader has checked its log; \
                 find out who replaced the directory"
            );
        }
        Output::LogCertain => {
            info!("the log of this node is certain again: the node counts in quorums");
        }
        Output::Exhausted(error) => log_exhausted(error.as_ref()),
        Output::BuildTooOld { required, max } => {
            error!(
                %required, build = %max,
                "the log has reached a version that the build of this node is too old for: the \
                 node votes and stores entries, but applies nothing and rejects reads; restart it \
                 with the newer build"
            );
        }
        other => log_damage_found(other),
    }
}

/// Logs that the store waits for a resource, or that it no longer does.
fn log_exhausted(error: Option<&StorageError>) {
    match error {
        Some(error) => warn!(
            error = error.without_advice(),
            "a read or a new file waits for a resource, and is tried again: nothing is damaged"
        ),
        None => info!("over: a read or a new file waited for a resource"),
    }
}

/// Logs an output about damage on the disk.
fn log_damage_found(output: &Output) {
    match output {
        Output::SnapshotDamaged(StorageError { file, offset, message, .. }) => {
            warn!(
                file = file.map(tracing::field::display),
                offset,
                message,
                "the snapshot on the disk is damaged: the node rebuilds its state from the \
                 snapshot of another member"
            );
        }
        Output::StartedQuarantined => {
            warn!(
                "the state of this node was found to differ from that of a majority before it \
                 stopped: the node rebuilds it from the snapshot of another member"
            );
        }
        Output::KeptSnapshotDamaged(damage) => {
            warn!(%damage, "a snapshot on the disk is damaged: another one is taken");
        }
        Output::SnapshotNotTaken(reason) => {
            warn!(
                %reason,
                "a snapshot of the state was not taken: until one is, the log is not compacted and \
                 grows on the disk"
            );
        }
        Output::SnapshotNotReceived { last, reason } => {
            warn!(%last, %reason, "a snapshot of the leader cannot be received: this node lags");
        }
        Output::LogRepaired(damage) => warn!(
            damage = damage.without_advice(),
            "a part of the log was damaged and was written again: nothing is lost; check the disk"
        ),
        Output::LogTrimmed(damage) => warn!(
            damage = damage.without_advice(),
            "a part of the log is damaged and was removed: the snapshot covers its entries"
        ),
        Output::DamagedSuperblock(damage) => {
            warn!(
                damage = damage.without_advice(),
                "a copy of the superblock was damaged and is written again"
            );
        }
        Output::DamagedHeaders(damage) => {
            error!(
                %damage,
                "the disk has lost the headers of entries of the log, and a read of them stops the \
                 node"
            );
        }
        other => debug!(?other, "unexpected output"),
    }
}

pub(super) fn log_comparison(result: ComparisonResult) {
    match result {
        ComparisonResult::Consistent { .. } | ComparisonResult::Unavailable { .. } => {
            debug!(?result, "compared results with other nodes");
        }
        ComparisonResult::Rebuilt { .. } => info!(?result, "rebuilt the state from a snapshot"),
        ComparisonResult::Inconclusive { .. }
        | ComparisonResult::Diverged { .. }
        | ComparisonResult::NoMajority { .. } => {
            warn!(?result, "results differ between nodes");
        }
    }
}
