//! The log store on a disk that tears, loses and lies: everything reported durable is there after
//! any crash, and everything else is told from damage.

#[path = "common/corpus.rs"]
mod kept;

mod storage {
    mod copies;
    mod corpus;
    mod crash;
    mod damage;
    mod formatting;
    mod golden;
    mod host;
    mod model;
    mod mutated;
    mod operators;
    mod random;
    mod working;
}
