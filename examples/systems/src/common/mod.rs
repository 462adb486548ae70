//! What every system has: words as bytes, snapshots in rows, a node that serves, a client that
//! finds its cluster again, a prompt, and how commands end. A talk, which two of them keep. And
//! what it takes to measure one: clusters for a while, latencies, tables.

pub mod codec;
pub mod exit;
pub mod latencies;
mod life;
pub mod members;
pub mod nodes;
pub mod prompt;
pub mod reach;
pub mod rows;
pub mod secure;
pub mod serve;
pub mod show;
pub mod system;
pub mod table;
pub mod talk;
