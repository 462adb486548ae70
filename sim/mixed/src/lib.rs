//! A guest of the simulator's cluster for other cores: a complete node of quorate, storage and wire
//! format included, of one of two builds. Which build a node runs may change with each start.
//!
//! The nodes exchange the frames of the wire format, and a node finds the files that it left, of
//! whichever build. So the two builds meet as in a cluster that is being upgraded: in bytes alone.
//!
//! The text in `build/` is compiled once for each build.

mod frame;
pub mod mixed;
mod present;
mod previous;
mod requests;
