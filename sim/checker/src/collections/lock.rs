//! A lock: acquisitions and releases take turns.

use crate::collections::finding::{Narrowing, verdict};
use crate::collections::switch::{Act, find};
use crate::history::OpId;
use crate::verdict::Verdict;

/// Decides on `acts`, each a turn of a lock that is `held` at first. `words` says an act, as in
/// `acquire 7`.
pub(crate) fn decide(held: bool, acts: &[Act], words: &dyn Fn(OpId) -> String) -> Option<Verdict> {
    verdict(Narrowing::OldestFirst, acts.len(), |known| find(held, acts, known, words))
}
