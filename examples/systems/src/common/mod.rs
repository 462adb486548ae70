//! What every system has: words as bytes, snapshots in rows, a node that serves, a client that
//! finds its cluster again, a prompt, and how commands end; and a talk, which two of them keep.

pub mod codec;
pub mod exit;
pub mod members;
pub mod prompt;
pub mod reach;
pub mod rows;
pub mod secure;
pub mod serve;
pub mod show;
pub mod system;
pub mod talk;
