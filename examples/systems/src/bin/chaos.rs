//! The command `cargo chaos NAME`: the command line of the simulator, over the state machine of one
//! of the example systems.
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic if the write fails")]

use std::env;
use std::process::ExitCode;

use quorate_sim::cli::main_over;
use quorate_systems::common::exit::{CommandError, report};
use quorate_systems::{chat, coordinator, courier, directory, orders};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let system = words.next().unwrap_or_default();
    match system.to_str() {
        Some("chat") => main_over("cargo chaos chat", chat::chaos::Clients::default(), words),
        Some("coordinator") => {
            main_over("cargo chaos coordinator", coordinator::chaos::Clients::default(), words)
        }
        Some("courier") => {
            main_over("cargo chaos courier", courier::chaos::Clients::default(), words)
        }
        Some("directory") => {
            main_over("cargo chaos directory", directory::chaos::Clients::default(), words)
        }
        Some("orders") => main_over("cargo chaos orders", orders::chaos::Clients::default(), words),
        _ => {
            let text = "unknown system: use chat, coordinator, courier, directory or orders, and \
                        then the arguments of `cargo sim`, e.g. `cargo chaos directory --seeds \
                        0..200`, or `cargo chaos directory --help`";
            report(Err(CommandError::usage(text))).into()
        }
    }
}
