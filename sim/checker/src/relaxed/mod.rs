//! Weaker promises than linearizability, for those who gave no stronger one.
//!
//! [`staleness`] lets marked reads be old: by so much, or by any time. [`sequential`] forgets real
//! time altogether, and keeps the order of each client.
//!
//! # Which promise quorate's reads give
//!
//! * `Linearizable`, `Lease` and `ReplicaLease` reads are [`Freshness::Current`].
//! * A `Local` read shows what its node has applied: some beginning of the committed log. It was
//!   right at some moment between the start and its return: [`Freshness::Local`]. Two of one client
//!   may go back, where it turned to another node, or its node restarted and applies its log anew:
//!   [`Session::Free`]. While a client stays with one node that does not restart, they do not:
//!   [`Session::Reads`]. They need not show what their own client wrote: [`Session::Whole`] is no
//!   promise of `Local`.
//! * A `Bounded` read is refused unless its node has applied everything that was committed so long
//!   ago. The node looks at its clock between the invocation and the return, so the read was right
//!   at some moment not earlier than `staleness` before its invocation: [`Freshness::Bounded`]. The
//!   node's clock may be slow: where clock rates differ from true time by a share of up to `ρ`, the
//!   bound is `staleness / (1 - ρ)`. Sessions are as with `Local`.

mod promise;
mod searched;
pub mod sequential;
mod session;
pub mod staleness;
#[cfg(test)]
mod tests;

pub use promise::{Freshness, Promise, Session};
