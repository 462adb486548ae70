//! The state behind one HTTP address.

use std::io;

use tracing::warn;

use crate::http::cluster_view::ClusterView;
use crate::runtime::Handle;

/// The data from which replies are built.
#[derive(Debug)]
pub(super) struct Site {
    /// Whether the address is a loopback address.
    pub(super) loopback: bool,
    /// The running node; `None` while it starts.
    pub(super) node: Option<RunningNode>,
}

/// A node that has started.
#[derive(Debug)]
pub(super) struct RunningNode {
    pub(super) handle: Handle,
    /// The view that the page shows; `None` if the endpoint serves metrics.
    pub(super) cluster_view: Option<ClusterView>,
}

impl Site {
    /// Logs that a connection could not be accepted.
    pub(super) fn log_accept_failure(&self, error: &io::Error) {
        match &self.node {
            Some(node) => node.handle.log_accept_failure(error, "an HTTP connection"),
            None => warn!(%error, "cannot accept an HTTP connection"),
        }
    }
}
