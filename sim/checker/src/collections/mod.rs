//! Checks of collections and other objects, each by its own algorithm: most in nearly linear time,
//! the search of a counter's additions within fixed limits.
//!
//! No check guesses an unknown outcome. A check returns `None` where it cannot decide.

pub(crate) mod additions;
pub(crate) mod bank;
pub(crate) mod bounds;
pub(crate) mod counter;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod narrowing;
pub(crate) mod nonempty;
pub(crate) mod pairs;
pub(crate) mod queue;
pub(crate) mod set;
pub(crate) mod span;
pub(crate) mod stabbing;
pub(crate) mod stack;
pub(crate) mod switch;
pub(crate) mod transactions;
