//! What a check comes to.

use crate::history::OpId;

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order of the operations that explains everything.
    Linearizable,
    /// There is none.
    NotLinearizable(Evidence),
    /// Neither was found before something was used up.
    Unknown(Exhausted),
}

/// The operations that prove a history wrong: it would be wrong if the outcomes of all others were
/// unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The operations, in the order of invocation.
    pub operations: Vec<OpId>,
    /// Why they cannot be, in one sentence: `read r7 returned 4, although …`. Operations are named
    /// by number.
    pub because: String,
    /// Whether leaving out any one of the operations would leave a history that is linearizable.
    pub minimal: bool,
}

/// What was used up, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// What.
    pub what: Resource,
    /// The key of the operations it was used up on.
    pub key: Option<u64>,
    /// How many operations were ordered in the search's longest attempt, of how many.
    pub ordered: (usize, usize),
    /// The most configurations that the search had to keep at one return, and that operation: it
    /// is what made the search wide.
    pub widest: Option<(usize, OpId)>,
}

/// Something there is a budget of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// [`crate::budget::Budget::bytes_max`].
    Memory,
    /// [`crate::budget::Budget::configurations_max`].
    Configurations,
    /// [`crate::budget::Budget::stop`] said so.
    Stopped,
}
