//! A guest of the simulator's cluster for other cores: a complete node of quorate, storage and wire
//! format included, of one of two builds. The build of a node may change with each start.
//!
//! The nodes exchange the frames of the wire format, and a node starts on the files that it left,
//! whichever build wrote them. So the two builds interact only through bytes, as in a cluster that
//! is being upgraded.
//!
//! The sources in `build/` are compiled once for each build.

mod frame;
pub mod mixed;
mod present;
mod previous;
mod requests;
