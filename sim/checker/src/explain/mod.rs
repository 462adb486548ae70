//! Explains why a history is not linearizable: minimised counterexamples, sentences and pictures.
//!
//! Call [`minimise`] first, because the texts and pictures show the whole counterexample and little
//! around it.

mod lanes;
mod layout;
mod longest;
mod minimise;
mod object;
#[cfg(test)]
mod output_tests;
mod page;
mod picture;
mod shrink;
#[cfg(test)]
mod tests;
mod text;

pub use lanes::lanes;
pub use longest::{Coverage, PartialLinearization, longest_linearization};
pub use minimise::minimise;
pub(crate) use object::changes;
pub use page::page;
pub(crate) use shrink::shrink;
pub use text::describe;
