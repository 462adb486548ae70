//! Who counts.

mod change;
mod flaw;
mod form;
mod member;
mod members;
#[cfg(test)]
mod tests;
mod voters;

pub use change::{Change, ChangeError};
pub use member::{Address, Fate, Founder, Incarnation, Member};
pub use members::Membership;
pub use voters::Voters;
