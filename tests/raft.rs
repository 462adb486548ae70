//! The core of a node and its bytes: claims of the paper, known answers, models, hostile peers,
//! recordings, and the formats of messages and commands. One binary, because each has a copy of the
//! library.

mod answers;
#[path = "common/corpus.rs"]
mod corpus;
#[path = "common/draw.rs"]
mod draw;
#[path = "common/fixtures.rs"]
mod fixtures;
#[cfg(feature = "tokio")]
mod formats;
mod harness;
mod hostile;
mod paper;
mod recording;
#[path = "common/skip.rs"]
mod skip;
mod wire;

/// Parts of the core against models that are slow and simple.
mod models {
    mod log;
    mod quorum;
    mod sessions;
}
