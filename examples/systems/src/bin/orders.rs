//! The `orders` command: its nodes, its clients and a benchmark of cluster sizes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::connection::ConnectionFlags;
use quorate_systems::common::exit::{EXIT_CODES, report};
use quorate_systems::common::prompt;
use quorate_systems::common::tls::{self, CERTS_HELP, CertsFlags};
use quorate_systems::orders::client::{ClientCommand, connect, run};
use quorate_systems::orders::{SYSTEM, bench, server};

/// Orders of customers, numbered per customer without gaps, with reads at any node
#[derive(Debug, Parser)]
#[command(name = "orders", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionFlags,
}

const AFTER_HELP: &str = "\
Examples:
  orders place ann eve adam                 # the next order of ann, engineer eve, admin adam
  orders place ann eve adam --number 2      # only as order 2 of ann; safe to repeat
  orders last ann
  orders show ann 2 --at 127.0.0.1:7422     # read at this node
  orders list
  orders status
  orders bench --orders 4000 --sizes 1,3
  orders --nodes 10.0.0.1:7400,10.0.0.2:7400 last ann     # remembered for later commands";

#[derive(Debug, Subcommand)]
enum Command {
    /// Create certificates for nodes, clients and administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node of the cluster
    #[command(after_help = SERVE_HELP)]
    Serve(server::Flags),
    /// Measure clusters of several sizes, with temporary nodes on this machine
    Bench(bench::Flags),
    /// Interactive prompt with history and help
    Prompt,
    #[command(flatten)]
    Client(ClientCommand),
}

const SERVE_HELP: &str = "\
Example: three nodes on this machine, one command in each of three terminals, with N from 1 to 3
  M=1=127.0.0.1:7421,2=127.0.0.1:7422,3=127.0.0.1:7423
  orders serve --id N --data-dir orders-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Certs(flags) => tls::certs(&SYSTEM, &flags, args.connection.output()),
        Command::Serve(flags) => server::serve(&flags),
        Command::Bench(flags) => bench::run(&flags),
        Command::Client(command) => {
            connect(&args.connection).and_then(|connection| run(&connection, command))
        }
        Command::Prompt => connect(&args.connection)
            .and_then(|connection| prompt::run(&SYSTEM, |command| run(&connection, command))),
    };
    report(result).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_the_help_has_examples() {
        Args::command().debug_assert();
        prompt::line_command::<ClientCommand>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("orders last ann") && help.contains("Exit codes"), "{help}");
    }
}
