//! The `courier` command: its nodes, its clients and its membership changes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::connection::ConnectionFlags;
use quorate_systems::common::exit::{EXIT_CODES, report};
use quorate_systems::common::members::{self, MemberCommand};
use quorate_systems::common::messaging::commands::prompt;
use quorate_systems::common::tls::{self, CERTS_HELP, CertsFlags};
use quorate_systems::courier::SYSTEM;
use quorate_systems::courier::client::{ClientCommand, connect, run};
use quorate_systems::courier::server::{self, CourierFlags};

/// Messages between users, over TLS, on a cluster whose membership can change
#[derive(Debug, Parser)]
#[command(name = "courier", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionFlags,
    /// User to act as, among those logged in on this machine [default: the last one to log in]
    #[arg(long = "as", global = true, value_name = "USER", env = "COURIER_USER")]
    acting_user: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  courier certs certs                  # for nodes 1 to 3, a client and an administrator
  courier --certs certs create ann     # remembered for later commands
  courier login ann
  courier send bob hello there
  courier send bob --fast hello        # acknowledged by the leader only, may be lost
  courier --as bob receive
  courier list --at n2                 # read at node 2, with the age of the answer
  courier add 4=127.0.0.1:7604         # a node that was started with --join
  courier prompt                       # the same commands, and messages as they arrive
  courier status";

#[derive(Debug, Subcommand)]
enum Command {
    /// Create certificates for nodes, clients and administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node of the cluster
    #[command(after_help = SERVE_HELP)]
    Serve(CourierFlags),
    /// Interactive prompt with history and help; prints messages as they arrive
    Prompt,
    #[command(flatten)]
    Change(MemberCommand),
    #[command(flatten)]
    Client(ClientCommand),
}

const SERVE_HELP: &str = "\
Examples:
  Three nodes on this machine, one command in each of three terminals, with N from 1 to 3
    M=1=127.0.0.1:7601,2=127.0.0.1:7602,3=127.0.0.1:7603
    courier serve --certs certs --id N --data-dir courier-N --members $M
  A fourth node, which waits until `courier add 4=127.0.0.1:7604` adds it
    courier serve --certs certs --id 4 --data-dir courier-4 --listen 127.0.0.1:7604 --join $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Certs(flags) => tls::certs(&SYSTEM, &flags, args.connection.output()),
        Command::Serve(flags) => server::serve(&flags),
        Command::Change(change) => {
            let connection = args.connection.connect_as_admin(SYSTEM);
            connection.and_then(|connection| members::change(&connection, &change))
        }
        Command::Client(command) => {
            connect(&args.connection, args.acting_user).and_then(|client| run(&client, command))
        }
        Command::Prompt => {
            connect(&args.connection, args.acting_user).and_then(|client| prompt(client, run))
        }
    };
    report(result).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use quorate_systems::common::prompt::line_command;

    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_the_help_has_examples() {
        Args::command().debug_assert();
        line_command::<ClientCommand>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("courier login ann") && help.contains("Exit codes"), "{help}");
    }
}
