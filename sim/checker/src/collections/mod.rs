//! Checks of objects that are more than one value, near-linear in the number of operations: they
//! decide from what is known of the very object, where the search would try orders.
//!
//! Every check takes unknown outcomes as they are. Where it cannot tell, it says nothing.

pub(crate) mod additions;
pub(crate) mod bank;
pub(crate) mod counter;
pub(crate) mod finding;
pub(crate) mod list;
pub(crate) mod lock;
pub(crate) mod pairs;
pub(crate) mod queue;
pub(crate) mod set;
pub(crate) mod span;
pub(crate) mod stabbing;
pub(crate) mod stack;
pub(crate) mod stretches;
pub(crate) mod switch;
pub(crate) mod tides;
pub(crate) mod transactions;
