//! The `directory` command: its nodes and its clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::common::connection::ConnectionFlags;
use quorate_systems::common::exit::{EXIT_CODES, report};
use quorate_systems::common::prompt;
use quorate_systems::common::serve::ServeFlags;
use quorate_systems::common::tls::{self, CERTS_HELP, CertsFlags};
use quorate_systems::directory::client::{ClientCommand, connect, run};
use quorate_systems::directory::{SYSTEM, server};

/// Addresses of users, and unique sequence numbers, on one master and three replicas
#[derive(Debug, Parser)]
#[command(name = "directory", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionFlags,
    /// Origin of the requests, shown to other users, by convention name@host; by default the user
    /// name without a host
    #[arg(long, global = true, value_name = "NAME", env = "USER", default_value = UNKNOWN)]
    origin: String,
}

/// The origin of a user without a name.
const UNKNOWN: &str = "unknown";

const AFTER_HELP: &str = "\
Examples:
  directory connect ann 10.0.0.9:5000
  directory lookup ann bob
  directory next
  directory status
  directory prompt
  directory --nodes 10.0.0.1:7400,10.0.0.2:7400 lookup ann     # remembered for later commands";

#[derive(Debug, Subcommand)]
enum Command {
    /// Create certificates for nodes, clients and administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node of the cluster
    #[command(after_help = SERVE_HELP)]
    Serve(ServeFlags),
    /// Interactive prompt with history and help
    Prompt,
    #[command(flatten)]
    Client(ClientCommand),
}

const SERVE_HELP: &str = "\
Example: four nodes on this machine, one command in each of four terminals, with N from 1 to 4
  M=1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403,4=127.0.0.1:7404
  directory serve --id N --data-dir directory-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    // An empty environment variable counts as unset.
    let origin = if args.origin.is_empty() { UNKNOWN } else { args.origin.as_str() };
    let result = match args.command {
        Command::Certs(flags) => tls::certs(&SYSTEM, &flags, args.connection.output()),
        Command::Serve(flags) => server::serve(&flags),
        Command::Client(command) => {
            connect(&args.connection).and_then(|connection| run(&connection, origin, command))
        }
        Command::Prompt => connect(&args.connection).and_then(|connection| {
            prompt::run(&SYSTEM, |command| run(&connection, origin, command))
        }),
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
        assert!(help.contains("directory lookup ann bob") && help.contains("Exit codes"), "{help}");
    }
}
