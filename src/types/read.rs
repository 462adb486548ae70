//! Read levels: the requested freshness of a read, and the freshness of its answer.

use core::time::Duration;

use crate::types::text::texts;

/// The required freshness of a read's answer, and the assumptions it may rest on.
///
/// Each level but the last two is linearizable: the answer has every write that was complete when
/// the read was requested. A node that cannot answer in the level's own way answers as for
/// [`ReadLevel::Linearizable`]; the guarantee stays the same. docs/READS.md has the argument for
/// each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum ReadLevel {
    /// Linearizable on any node, without clock assumptions: the leader confirms with a quorum that
    /// it still leads (thesis §6.4).
    Linearizable,
    /// Linearizable as long as clocks stay within the drift bound of `Config::lease`: a leader that
    /// holds its leader lease answers without a heartbeat round.
    Lease,
    /// Like [`ReadLevel::Lease`], but also on followers that hold a read lease.
    Replica,
    /// The answer has every write that was complete this long before the read was requested.
    Bounded(#[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))] Duration),
    /// The state that the node has applied, which may be of any age.
    Local,
}

/// The freshness of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Freshness {
    /// The answer has every write that was complete when the read was requested.
    Linearizable,
    /// The answer has every write that was complete this long before the read was requested, and
    /// may lack later ones.
    Within(#[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))] Duration),
    /// The answer may be of any age.
    Unknown,
}

texts! { ReadLevel:
    Self::Linearizable => "linearizable";
    Self::Lease => "by lease";
    Self::Replica => "by replica";
    Self::Bounded(staleness) => "within {staleness:?}";
    Self::Local => "local";
}

texts! { Freshness:
    Self::Linearizable => "linearizable";
    Self::Within(age) => "within {age:?}";
    Self::Unknown => "of any age";
}
