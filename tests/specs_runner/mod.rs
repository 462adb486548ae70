//! The runner of spec scripts: it parses them, carries them out on a small deterministic cluster,
//! and compares the output with the expected lines.

pub(crate) mod change;
pub(crate) mod cluster;
pub(crate) mod command;
pub(crate) mod diff;
pub(crate) mod disk;
pub(crate) mod message;
pub(crate) mod network;
pub(crate) mod node;
pub(crate) mod planted;
pub(crate) mod report;
pub(crate) mod safety;
pub(crate) mod script;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
pub(crate) mod trace;
