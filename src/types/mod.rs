//! The shared data types: ids, log entries, memberships, messages and disk writes.
//!
//! Types here make no decisions. Each number that could be confused with another has a newtype, so
//! that swapped arguments do not compile.

mod acknowledge;
mod damage;
mod entries;
mod entry;
mod hash_chain;
mod heartbeat;
mod id;
mod membership;
mod message;
mod proposal;
mod read;
mod reject_reason;
mod role_cause;
#[cfg(feature = "std")]
pub(crate) mod serial;
mod snapshot_transfer;
mod status;
pub(crate) mod text;
mod time;
mod units;
mod usage;
mod validation;
mod version;
mod write;

pub use acknowledge::Acknowledge;
pub use damage::DamagedEntry;
pub use entries::Entries;
pub(crate) use entry::EntryList;
pub use entry::{Command, Entry, Payload};
pub use hash_chain::HashChain;
pub use heartbeat::{Heartbeat, Readiness};
pub use id::{EntryId, Index, NodeId, Tag, Term, WriteId};
pub use membership::{
    Address, BootstrapPeer, Change, ChangeError, Incarnation, Lineage, Member, Membership,
    PendingTransition, Voters,
};
pub use message::{
    AppendOutcome, Body, MembershipSource, Message, MessageClass, MessageKind, MessageTopic,
};
pub use proposal::Proposal;
pub use read::{Freshness, ReadLevel};
pub use reject_reason::{MachineRejectReason, RejectReason};
pub use role_cause::RoleCause;
pub use snapshot_transfer::{Packet, SnapshotPart, SnapshotTransfer, SnapshotTransferBody};
pub use status::{PeerStatus, Report, RoleChange, RoleName, StateVerification, Status};
pub use time::Instant;
pub use units::{parse_bytes, parse_duration, parse_number};
pub use usage::{MachineUsage, QuotaUsage, SessionBounds};
pub use validation::{Comparison, ComparisonBody, Comparisons, Hash128, StateDigest};
pub use version::MachineVersion;
pub use write::{HardState, MachineTraits, Restored, Root, SnapshotMeta, Write};
