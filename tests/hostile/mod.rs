//! No message of a peer makes a node panic, break an invariant or exceed its bounds. A driver that
//! breaks the contract causes a panic that names the rule.

mod bytes;
mod byzantine;
mod contract;
mod disk;
mod driver;
mod messages;
mod restored;

use crate::corpus::replay;

#[test]
fn the_fuzz_corpus_passes() {
    replay("hostile", |bytes| drop(driver::drive(bytes)));
}
