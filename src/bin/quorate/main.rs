//! The command `quorate`: a durable key-value node, its client and its administration tools.
#![deny(clippy::print_stderr, clippy::print_stdout, reason = "they panic if the write fails")]

mod args;
mod atomic_file;
mod backup;
mod bench;
mod certs;
mod client;
mod completions;
mod data_directory;
mod escape;
mod exit;
#[cfg(test)]
#[path = "../../../tests/common/fixtures.rs"]
mod fixtures;
mod inspect;
mod interrupt;
mod keys;
mod kv;
mod leadership;
mod lin_kv;
mod mark_restored;
mod members;
mod new_cluster;
mod output;
mod patient_write;
mod pending_directories;
mod quota;
mod record;
mod recover;
mod restore;
mod role_changes;
mod running_node;
mod serve;
mod service_manager;
mod service_output;
mod sessions;
mod settings;
mod signals;
mod status;
mod table;
mod upgrade;
mod values;
#[cfg(unix)]
mod work_thread;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use args::{Args, CliCommand};

fn main() -> ExitCode {
    let matches = args::with_negative_values(Args::command()).try_get_matches();
    let matches = matches.unwrap_or_else(|error| args::with_tip(error, std::env::args_os()).exit());
    let args = Args::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let matched = matches.subcommand().expect("clap requires a subcommand").1;
    let done = match args.command {
        CliCommand::Serve(flags) => serve::run(flags, matched, args.json),
        CliCommand::Put(flags) => keys::put(&flags, args.json),
        CliCommand::Get(flags) => keys::get(&flags, args.json),
        CliCommand::Cas(flags) => keys::cas(&flags, args.json),
        CliCommand::Delete(flags) => keys::delete(&flags, args.json),
        CliCommand::Scan(flags) => keys::scan(&flags, args.json),
        CliCommand::Status(flags) => status::run(&flags, args.json),
        CliCommand::Members(flags) => members::run(&flags, args.json),
        CliCommand::Transfer(flags) => leadership::transfer(&flags, args.json),
        CliCommand::Snapshot(flags) => leadership::snapshot(&flags, args.json),
        CliCommand::Quota(flags) => quota::run(&flags, args.json),
        CliCommand::Sessions(flags) => sessions::run(&flags, args.json),
        CliCommand::Upgrade(flags) => upgrade::run(&flags, args.json),
        CliCommand::Bench(flags) => bench::run(&flags, args.json),
        CliCommand::Certs(flags) => certs::run(&flags, args.json),
        CliCommand::Inspect(flags) => inspect::run(&flags, args.json),
        CliCommand::MarkRestored(flags) => mark_restored::run(&flags, args.json),
        CliCommand::Recover(flags) => recover::run(&flags, args.json),
        CliCommand::Backup(flags) => backup::run(&flags, args.json),
        CliCommand::Record(flags) => record::run(&flags, args.json),
        CliCommand::Restore(flags) => restore::run(&flags, args.json),
        CliCommand::LinKv(flags) => lin_kv::run(&flags, args.json),
        CliCommand::Completions { shell } => completions::run(shell),
    };
    done.unwrap_or_else(|error| error.print(args.json)).into()
}
