//! The plain words every other room speaks: numbers, entries, memberships, messages, writes.
//!
//! Nothing here decides anything. Each number that could be confused with another has a type of
//! its own, so that a swapped argument does not compile.

mod acknowledge;
mod chain;
mod entry;
mod id;
mod membership;
mod message;
mod proposal;
mod read;
mod rejection;
mod status;
mod time;
mod transfer;
mod validation;
mod write;

pub use acknowledge::Acknowledge;
pub use chain::Chain;
pub(crate) use entry::Listed;
pub use entry::{Command, Entry, Payload};
pub use id::{EntryId, Index, NodeId, Tag, Term, WriteId};
pub use membership::{
    Address, Change, ChangeError, Fate, Founder, Incarnation, Lineage, Member, Membership, Voters,
};
pub use message::{AppendOutcome, Beat, Body, Bringer, Message, Readiness};
pub use proposal::Proposal;
pub use read::{Freshness, ReadLevel};
pub use rejection::RejectReason;
pub use status::{PeerStatus, Report, RoleName, Standing, Status};
pub use time::Instant;
pub use transfer::{Packet, Part, Transfer, TransferBody};
pub use validation::{Comparison, ComparisonBody, Comparisons, Hash128, Imprint};
pub use write::{HardState, Restored, Root, SnapshotMeta, Write};
