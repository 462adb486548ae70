//! State validation of complete nodes, some of whose state machines have injected errors. The tests
//! check the rules of `docs/VALIDATION.md`.

mod cluster;
mod comparisons;
mod hash_chains;
mod versions;
