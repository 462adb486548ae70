//! Complete runs, and what is made of them: sweeps, recordings, scenarios, explanations, pictures
//! and TLA+ traces. One binary, so that these tests run concurrently.

mod chaos;
mod engine;
mod explaining;
mod guided;
mod picture;
mod reads;
mod recording;
mod scenarios;
#[path = "../common/status.rs"]
mod status;
mod survivors;
mod tla;
