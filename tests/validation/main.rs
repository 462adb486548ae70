//! State validation on whole nodes: three of them with disks, sessions and state machines, some of
//! which err. Each test is a script; `docs/VALIDATION.md` is what it holds the nodes to.

mod chains;
mod cluster;
mod verdicts;
