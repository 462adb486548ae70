//! Nothing that a peer says makes a node panic, break its word or exceed its bounds; a driver
//! that breaks the contract meets a panic that names the rule.

mod bytes;
mod contract;
#[path = "../common/corpus.rs"]
mod corpus;
mod disk;
mod driver;
mod lies;
mod restored;
mod said;

#[test]
fn the_kept_corpus_runs_through() {
    corpus::replay("hostile", |bytes| drop(driver::drive(bytes)));
}
