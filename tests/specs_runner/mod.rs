//! Reads spec scripts, carries them out on a small deterministic cluster, and compares what it
//! printed with what the script expects.

pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod diff;
pub(crate) mod disk;
pub(crate) mod message;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod planted;
pub(crate) mod promises;
pub(crate) mod report;
pub(crate) mod script;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
