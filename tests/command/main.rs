//! The command `quorate`, as a person uses it: real processes, real files, real signals.
#![cfg(unix)]

mod directories;
mod http;
mod nodes;
mod settings;
mod told;
