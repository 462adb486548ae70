//! Snapshots: random runs of small clusters of cores, damaged files of a store, and arbitrary
//! bytes.

mod chaos;
mod damage;
mod driver;

use crate::corpus::replay;
use crate::fixtures::fixture_text;

#[test]
fn the_fuzz_corpus_passes() {
    replay("snapshot", driver::drive);
}
