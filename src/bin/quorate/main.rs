//! The command `quorate`: a durable key-value node, and what its clients and its operator need.

mod args;
mod backup;
mod begun;
mod bench;
mod certs;
mod client;
mod completions;
mod escape;
mod exit;
mod held;
mod inspect;
mod keys;
mod kv;
mod lead;
mod lin_kv;
mod members;
mod new_cluster;
mod output;
mod part;
mod recover;
mod restore;
mod serve;
mod settings;
mod signals;
mod status;
mod stop;
mod table;
mod values;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Args, Order};

fn main() -> ExitCode {
    let matches = Args::command().get_matches();
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let given = matches.subcommand().expect("there is no command without an order").1;
    let done = match args.order {
        Order::Serve(flags) => serve::run(flags, given),
        Order::Put(flags) => keys::put(&flags, args.json),
        Order::Get(flags) => keys::get(&flags, args.json),
        Order::Cas(flags) => keys::cas(&flags, args.json),
        Order::Delete(flags) => keys::delete(&flags, args.json),
        Order::Scan(flags) => keys::scan(&flags, args.json),
        Order::Status(flags) => status::run(&flags, args.json),
        Order::Members(flags) => members::run(&flags, args.json),
        Order::Transfer(flags) => lead::transfer(&flags, args.json),
        Order::Snapshot(flags) => lead::snapshot(&flags, args.json),
        Order::Bench(flags) => bench::run(&flags, args.json),
        Order::Certs(flags) => certs::run(&flags, args.json),
        Order::Inspect(flags) => inspect::run(&flags, args.json),
        Order::Recover(flags) => recover::run(&flags, args.json),
        Order::Backup(flags) => backup::run(&flags, args.json),
        Order::Restore(flags) => restore::run(&flags, args.json),
        Order::LinKv(flags) => lin_kv::run(&flags),
        Order::Completions { shell } => completions::run(shell),
    };
    done.unwrap_or_else(|trouble| trouble.tell(args.json)).into()
}
