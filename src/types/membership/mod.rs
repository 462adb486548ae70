//! Memberships of the cluster, and the changes from one to the next (Raft §6).

mod change;
mod change_encoding;
mod encoding;
mod error;
mod lineage;
mod member;
mod state;
#[cfg(test)]
mod tests;
mod validity;
mod voters;

pub use change::Change;
pub use error::ChangeError;
pub use member::{Address, BootstrapPeer, Incarnation, Lineage, Member, PendingTransition};
pub use state::Membership;
pub use voters::Voters;
