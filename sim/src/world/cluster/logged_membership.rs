//! The last membership in a log, and its index.

use quorate::types::{Index, Membership};

/// A membership, and its index in the log.
#[derive(Clone, Debug)]
pub(crate) struct LoggedMembership {
    pub(crate) index: Index,
    pub(crate) membership: Membership,
}
