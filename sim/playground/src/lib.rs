//! The simulator for a web page: a request comes as JSON, and the reply has the drawn run.
//!
//! [`answer`] is the whole interface; [`request::Request`] and [`reply::Reply`] are the two texts.
//! For WebAssembly, `exports` hands them over as bytes in memory.

mod answers;
pub mod catalog;
#[cfg(target_family = "wasm")]
mod exports;
pub mod reply;
pub mod request;
mod runs;

pub use answers::answer;
