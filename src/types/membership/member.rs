//! One member.

use alloc::sync::Arc;
use core::fmt;

use crate::types::id::{EntryId, NodeId};

/// One member of the cluster, whatever it decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// The life of its disk that became a member; zero if any is welcome.
    pub incarnation: Incarnation,
    /// Where others reach it.
    pub address: Address,
    /// Who is to lead, of those that have the log: the highest.
    pub priority: u8,
    /// What happens to it when the change under way is complete, or to a learner some time.
    pub fate: Fate,
}

/// What becomes of a member by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It stays what it is.
    #[default]
    Stays,
    /// It leaves once the change under way is complete.
    Leaves,
    /// A voter that was silent for too long: a learner that is to vote again once it is back.
    Returns,
}

/// Names one life of a node's directory, from its formatting on: a wiped disk never keeps the
/// promises of the one before it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u128);

/// Where a member is reached, in the words of the driver: most often host and port. The core gives
/// it no meaning. A clone shares the text.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<str>);

/// One time that survivors went on without the votes of the dead. Its parent is the one before it
/// in [`Membership::lineages`](crate::types::Membership::lineages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    /// The leader that did so.
    pub by: NodeId,
    /// The entry that took the votes.
    pub at: EntryId,
}

/// One of those who form the first membership, as another of them has met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Founder {
    /// Its id.
    pub id: NodeId,
    /// The life of its disk; zero if it was not met.
    pub incarnation: Incarnation,
    /// Tells one start of its process from another.
    pub boot: u64,
}

impl Founder {
    /// A founder that was not met.
    #[must_use]
    pub fn unknown(id: NodeId) -> Founder {
        Founder { id, incarnation: Incarnation::default(), boot: 0 }
    }

    /// Whether it was met.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.incarnation != Incarnation::default()
    }
}

impl Member {
    /// The priority of whom nobody gave another.
    pub const PRIORITY_DEFAULT: u8 = 100;

    /// A member with the default priority, of any incarnation and without an address.
    #[must_use]
    pub fn new(id: NodeId) -> Member {
        Member {
            id,
            incarnation: Incarnation::default(),
            address: Address::default(),
            priority: Member::PRIORITY_DEFAULT,
            fate: Fate::Stays,
        }
    }

    /// Whether the life of its disk may be this one: it is, or nobody knows.
    #[must_use]
    pub fn may_be(&self, incarnation: Incarnation) -> bool {
        self.incarnation == incarnation || self.incarnation == Incarnation::default()
    }
}

impl Address {
    /// The longest address, in bytes.
    pub const BYTES_MAX: usize = 255;

    /// An address; `None` if it is too long.
    #[must_use]
    pub fn new(text: &str) -> Option<Address> {
        (text.len() <= Address::BYTES_MAX).then(|| Address(Arc::from(text)))
    }

    /// The address as it was given; empty if none was.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Address {
    fn default() -> Address {
        Address(Arc::from(""))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
