//! The command `cargo storm NAME`: the simulator's whole command line over one of the systems.

use std::env;
use std::process::ExitCode;

use quorate_sim::cli::main_over;
use quorate_systems::{chat, coordinator, courier, directory, orders};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let system = words.next().unwrap_or_default();
    match system.to_str() {
        Some("chat") => main_over("cargo storm chat", chat::storm::Clients::default(), words),
        Some("coordinator") => {
            main_over("cargo storm coordinator", coordinator::storm::Clients::default(), words)
        }
        Some("courier") => {
            main_over("cargo storm courier", courier::storm::Clients::default(), words)
        }
        Some("directory") => {
            main_over("cargo storm directory", directory::storm::Clients::default(), words)
        }
        Some("orders") => main_over("cargo storm orders", orders::storm::Clients::default(), words),
        _ => {
            eprintln!("error: say which system, and then what to do, as to `cargo sim`");
            eprintln!("  cargo storm directory --seeds 0..200");
            eprintln!("  cargo storm directory --help");
            ExitCode::from(2)
        }
    }
}
