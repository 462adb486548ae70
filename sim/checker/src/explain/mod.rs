//! Why a history is wrong, as briefly as it can be said: less evidence, words, and pictures.
//!
//! [`minimise`] first: what is drawn and told is the evidence, and little around it.

mod attempt;
mod minimise;
mod object;
mod shrink;
#[cfg(test)]
mod tests;

pub use attempt::{Attempt, attempt};
pub use minimise::minimise;
pub(crate) use shrink::shrink;
