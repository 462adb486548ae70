//! The `chat` command: its nodes and its clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::chat::SYSTEM;
use quorate_systems::chat::client::{ClientCommand, connect, run};
use quorate_systems::chat::server::{self, ChatFlags};
use quorate_systems::common::connection::ConnectionFlags;
use quorate_systems::common::exit::{EXIT_CODES, report};
use quorate_systems::common::messaging::commands::prompt;
use quorate_systems::common::tls::{self, CERTS_HELP, CertsFlags};

/// Messages between users, each delivered exactly once, on one primary and two backups
#[derive(Debug, Parser)]
#[command(name = "chat", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connection: ConnectionFlags,
    /// User to act as, among those logged in on this machine [default: the last one to log in]
    #[arg(long = "as", global = true, value_name = "USER", env = "CHAT_USER")]
    acting_user: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  chat create ann
  chat login ann
  chat send bob hello there
  chat --as bob receive
  chat prompt                          # the same commands, and messages as they arrive
  chat status
  chat --nodes 10.0.0.1:7500,10.0.0.2:7500 list 'a*'     # remembered for later commands";

#[derive(Debug, Subcommand)]
enum Command {
    /// Create certificates for nodes, clients and administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node of the cluster
    #[command(after_help = SERVE_HELP)]
    Serve(ChatFlags),
    /// Interactive prompt with history and help; prints messages as they arrive
    Prompt,
    #[command(flatten)]
    Client(ClientCommand),
}

const SERVE_HELP: &str = "\
Example: three nodes on this machine, one command in each of three terminals, with N from 1 to 3
  M=1=127.0.0.1:7501,2=127.0.0.1:7502,3=127.0.0.1:7503
  chat serve --id N --data-dir chat-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Certs(flags) => tls::certs(&SYSTEM, &flags, args.connection.output()),
        Command::Serve(flags) => server::serve(&flags),
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
        assert!(help.contains("chat login ann") && help.contains("Exit codes"), "{help}");
    }
}
