//! Why a history is wrong, as briefly as it can be said: less evidence, words, and pictures.
//!
//! [`minimise`] first: what is drawn and told is the evidence, and little around it.

mod attempt;
#[cfg(test)]
mod drawn;
mod lanes;
mod layout;
mod minimise;
mod object;
mod page;
mod picture;
mod shrink;
#[cfg(test)]
mod tests;
mod words;

pub use attempt::{Attempt, Reach, attempt};
pub use lanes::lanes;
pub use minimise::minimise;
pub(crate) use object::changes;
pub use page::page;
pub(crate) use shrink::shrink;
pub use words::words;
