//! The command `quorate`, as a person uses it: real processes, real files, real signals.
#![cfg(unix)]

mod directories;
mod http;
mod kills;
mod load;
mod nodes;
mod operations;
mod serving;
mod settings;
mod told;
