//! The command `quorate`: a durable key-value node, and what its clients and its operator need.

mod args;
mod backup;
mod completions;
mod exit;
mod http;
mod inspect;
mod kv;
mod new_cluster;
mod output;
mod recover;
mod restore;
mod serve;
mod settings;
mod table;
mod values;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Order};

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.order {
        Order::Serve(flags) => serve::run(flags),
        Order::Inspect(flags) => inspect::run(&flags, args.json),
        Order::Recover(flags) => recover::run(&flags, args.json),
        Order::Backup(flags) => backup::run(&flags, args.json),
        Order::Restore(flags) => restore::run(&flags, args.json),
        Order::Completions { shell } => completions::run(shell),
    };
    done.unwrap_or_else(|trouble| trouble.tell(args.json)).into()
}
