//! How fresh an answer to a read has to be, and how fresh it is.

use core::fmt;
use core::time::Duration;

/// How fresh the answer to a read has to be, and what that may rest on.
///
/// Each level but the last two is linearizable: the answer has every write that was complete when
/// the read was asked for. Where a node cannot answer at the level's own price, it pays that of
/// [`ReadLevel::Linearizable`]; the promise stays the same. docs/READS.md has the argument for
/// each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadLevel {
    /// Linearizable whatever clocks do, on any node: the leader asks a quorum whether it still
    /// leads (thesis §6.4).
    Linearizable,
    /// Linearizable as long as clocks keep the bound of `Config::lease`: a leader that holds its
    /// lease asks nobody.
    Lease,
    /// As [`ReadLevel::Lease`], also on followers that hold a loan of the lease.
    Replica,
    /// The answer has every write that was complete this long before the read was asked for.
    Bounded(Duration),
    /// What the node has applied: some state of the past.
    Local,
}

/// How fresh an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// It has every write that was complete when the read was asked for.
    Linearizable,
    /// It has every write that was complete this long before the read was asked for, and may lack
    /// later ones.
    Within(Duration),
    /// It may be of any age.
    Unknown,
}

impl fmt::Display for ReadLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadLevel::Linearizable => f.write_str("linearizable"),
            ReadLevel::Lease => f.write_str("by lease"),
            ReadLevel::Replica => f.write_str("by replica"),
            ReadLevel::Bounded(staleness) => write!(f, "within {staleness:?}"),
            ReadLevel::Local => f.write_str("local"),
        }
    }
}

impl fmt::Display for Freshness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Freshness::Linearizable => f.write_str("linearizable"),
            Freshness::Within(age) => write!(f, "within {age:?}"),
            Freshness::Unknown => f.write_str("of any age"),
        }
    }
}
