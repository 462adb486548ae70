//! Members of the cluster, with their incarnations and addresses.

use alloc::sync::Arc;
use core::fmt;

use crate::types::id::{EntryId, NodeId};
use crate::types::text::{debug_as_display, texts};

/// One member of the cluster, voter or learner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The id of the node.
    pub id: NodeId,
    /// The incarnation of the disk that became a member; zero if every incarnation is accepted.
    pub incarnation: Incarnation,
    /// The address at which other nodes reach the member; empty if unknown.
    pub address: Address,
    /// The priority for leadership: of the voters that have the whole log, one with the highest
    /// priority should lead.
    pub priority: u8,
    /// The transition that follows when the change in flight is complete, or once a suspended voter
    /// is readmitted.
    pub pending: PendingTransition,
}

/// The transition of a member that follows without a further request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PendingTransition {
    /// The member keeps its role.
    #[default]
    None,
    /// The member is removed once the change in flight is complete.
    Remove,
    /// The member is a suspended voter: a learner, which a leader with `Config::suspension` or
    /// `Config::survivor` makes a voter again once it is back and has the log.
    Promote,
}

/// The identifier of a node's data directory, chosen when it is formatted. A wiped disk has a new
/// one, because it lost the votes and acknowledgements of the old one.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Incarnation(pub u128);

/// The address of a member in a form that the driver defines, usually host and port. The core does
/// not interpret it. A clone shares the text. Its `Display` escapes what is not printable. New
/// memberships have no address with white space or control characters, but old logs may.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Address(Arc<str>);

/// A record that survivors continued without the votes of the other voters. Its parent is the
/// record before it in [`Membership::lineages`](crate::types::Membership::lineages).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    /// The leader that removed the votes.
    pub by: NodeId,
    /// The membership entry that removed those votes.
    pub at: EntryId,
}

/// A voter of the first membership, as another of its voters has seen it during bootstrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct BootstrapPeer {
    /// The id of the peer.
    pub id: NodeId,
    /// The incarnation of its disk; zero if the peer was not seen.
    pub incarnation: Incarnation,
    /// A number that differs between two starts of its process.
    pub start_id: u64,
}

impl BootstrapPeer {
    /// Returns a bootstrap peer that was not seen yet.
    #[must_use]
    pub fn unknown(id: NodeId) -> BootstrapPeer {
        BootstrapPeer { id, incarnation: Incarnation::default(), start_id: 0 }
    }

    /// Returns true if the peer was seen.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.incarnation != Incarnation::default()
    }
}

impl Member {
    /// The priority of a member without a configured one.
    pub const PRIORITY_DEFAULT: u8 = 100;

    /// Returns a member with the default priority, any incarnation and no address.
    #[must_use]
    pub fn new(id: NodeId) -> Member {
        Member {
            id,
            incarnation: Incarnation::default(),
            address: Address::default(),
            priority: Member::PRIORITY_DEFAULT,
            pending: PendingTransition::None,
        }
    }

    /// Returns true if the member is a suspended voter.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.pending == PendingTransition::Promote
    }

    /// Returns true if the member's incarnation is `incarnation`, or zero, which accepts every
    /// incarnation.
    #[must_use]
    pub fn accepts_incarnation(&self, incarnation: Incarnation) -> bool {
        self.incarnation == incarnation || self.incarnation == Incarnation::default()
    }
}

impl Address {
    /// The maximum length of an address in bytes.
    pub const BYTES_MAX: usize = 255;

    /// Returns the address, or `None` if it is longer than [`Address::BYTES_MAX`].
    #[must_use]
    pub fn new(text: &str) -> Option<Address> {
        (text.len() <= Address::BYTES_MAX).then(|| Address(Arc::from(text)))
    }

    /// Returns true if the address has neither spaces nor control characters. Only such addresses
    /// are accepted in changes and configurations.
    pub(crate) fn is_printable(&self) -> bool {
        !self.0.contains(|letter: char| letter.is_whitespace() || letter.is_control())
    }

    /// Returns the text of the address; empty if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

texts! { Address:
    Self(text) => "{}", text.escape_debug();
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

texts! { Incarnation:
    Self(number) => "{number:032x}";
}

debug_as_display!(Incarnation);
