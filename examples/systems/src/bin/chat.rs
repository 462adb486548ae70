//! The command `chat`: a node of it, and its clients.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use quorate_systems::chat::SYSTEM;
use quorate_systems::chat::client::{Order, desk, obey};
use quorate_systems::chat::server::{self, ChatFlags};
use quorate_systems::common::exit::{EXIT_CODES, tell};
use quorate_systems::common::reach::ReachFlags;
use quorate_systems::common::secure::{self, CERTS_HELP, CertsFlags};
use quorate_systems::common::talk::orders::prompt;

/// Messages between users, delivered once each: one primary, two backups.
#[derive(Debug, Parser)]
#[command(name = "chat", version, max_term_width = 100, after_help = AFTER_HELP,
    after_long_help = format!("{AFTER_HELP}\n\n{EXIT_CODES}"))]
struct Args {
    #[command(subcommand)]
    task: Task,
    #[command(flatten)]
    reach: ReachFlags,
    /// Who speaks, of those who are logged in here; without it whoever logged in last
    #[arg(long = "as", global = true, value_name = "USER", env = "CHAT_USER")]
    speaker: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  chat create ann
  chat login ann
  chat send bob hello there
  chat --as bob receive
  chat prompt                          # the same orders, and messages as they come
  chat status
  chat --nodes 10.0.0.1:7500,10.0.0.2:7500 list 'a*'     # remembered from then on";

#[derive(Debug, Subcommand)]
enum Task {
    /// Make certificates: for nodes, for clients and for administrators
    #[command(after_help = CERTS_HELP)]
    Certs(CertsFlags),
    /// Run a node
    #[command(after_help = SERVE_HELP)]
    Serve(ChatFlags),
    /// Ask again and again, with history and help, and see messages as they come
    Prompt,
    #[command(flatten)]
    Ask(Order),
}

const SERVE_HELP: &str = "\
Example: three nodes on this machine, one command in each of three terminals, with N from 1 to 3
  M=1=127.0.0.1:7501,2=127.0.0.1:7502,3=127.0.0.1:7503
  chat serve --id N --data-dir chat-N --members $M";

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.task {
        Task::Certs(flags) => secure::certs(&SYSTEM, &flags),
        Task::Serve(flags) => server::serve(&flags),
        Task::Ask(order) => desk(&args.reach, args.speaker).and_then(|desk| obey(&desk, order)),
        Task::Prompt => desk(&args.reach, args.speaker).and_then(|desk| prompt(desk, obey)),
    };
    tell(done).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use quorate_systems::common::prompt::grammar;

    use super::*;

    #[test]
    fn the_grammar_is_consistent_and_the_help_has_examples() {
        Args::command().debug_assert();
        grammar::<Order>(&SYSTEM).debug_assert();
        let help = Args::command().render_long_help().to_string();
        assert!(help.contains("chat login ann") && help.contains("Exit codes"), "{help}");
    }
}
