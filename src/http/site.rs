//! The state behind one HTTP address.

use crate::http::cluster_view::ClusterView;
use crate::runtime::Handle;

/// The data from which replies are built.
#[derive(Debug)]
pub(super) struct Site {
    /// Whether the address is a loopback address.
    pub(super) loopback: bool,
    pub(super) handle: Handle,
    /// The view that the page shows; none if the endpoint serves metrics.
    pub(super) cluster_view: Option<ClusterView>,
}
