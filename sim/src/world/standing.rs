//! Which membership stands last in a log.

use quorate::types::{Index, Membership};

/// A membership, and where in a log it stands.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub(crate) index: Index,
    pub(crate) membership: Membership,
}
