//! The command `quorate`: a durable key-value node, and what its clients and its operator need.

mod args;
mod completions;
mod exit;
mod kv;
mod serve;
mod settings;
mod values;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Order};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.order {
        Order::Serve(flags) => serve::run(flags),
        Order::Completions { shell } => completions::run(shell),
    };
    done.unwrap_or_else(|trouble| trouble.tell(args.json)).into()
}
