//! Who counts.

mod change;
mod edits;
mod error;
mod flaw;
mod form;
mod lineage;
mod member;
mod state;
#[cfg(test)]
mod tests;
mod voters;

pub use change::Change;
pub use error::ChangeError;
pub use member::{Address, Fate, Founder, Incarnation, Lineage, Member};
pub use state::Membership;
pub use voters::Voters;
