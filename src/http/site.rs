//! What is behind one address.

use crate::http::cluster::Watch;
use crate::runtime::Handle;

/// What an answer is made of.
#[derive(Debug)]
pub(super) struct Site {
    /// Whether only this machine should get here.
    pub(super) loopback: bool,
    pub(super) handle: Handle,
    /// What the page shows; none where there is no page.
    pub(super) watch: Option<Watch>,
}
