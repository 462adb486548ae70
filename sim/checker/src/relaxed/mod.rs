//! Consistency models weaker than linearizability.
//!
//! [`staleness`] lets reads be stale, with or without a bound for each. [`sequential`] ignores
//! real-time order, and keeps the order of each client.
//!
//! # Guarantees of quorate's reads
//!
//! * `Linearizable`, `Lease` and `Replica` reads are [`Freshness::Current`].
//! * A `Local` read observes the state that its node has applied: a prefix of the committed log.
//!   That was current at some time between the start and the response: [`Freshness::Local`]. A
//!   later read of a client may observe an older state if the client turned to another node, or if
//!   the node restarted and applies its log again: [`SessionOrder::None`]. While a client stays
//!   with one node that does not restart, no read observes an older state than an earlier one:
//!   [`SessionOrder::MonotonicReads`]. The reads need not observe the client's own writes, so
//!   `Local` reads do not guarantee [`SessionOrder::ProgramOrder`].
//! * A `Bounded` read is answered once its node has applied everything that was committed
//!   `staleness` ago. The node reads its clock between the invocation and the response, so the
//!   observed state was current at some time not earlier than `staleness` before the invocation:
//!   [`Freshness::Bounded`]. The node's clock may be slow: if clock rates differ from true time by
//!   a fraction of up to `ρ`, the bound is `staleness / (1 - ρ)`. Sessions are as with `Local`
//!   reads.

mod guarantee;
mod search_verdict;
pub mod sequential;
mod session;
pub mod staleness;
#[cfg(test)]
mod tests;

pub use guarantee::{Freshness, ReadGuarantee, SessionOrder};
